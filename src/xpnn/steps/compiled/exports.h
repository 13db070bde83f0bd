/* What steps.py calls, of one number type. */
#ifndef XPNN_EXPORTS_H
#define XPNN_EXPORTS_H

#include <stdlib.h>

#include "crew.h"
#include "finite.h"
#include "outputs.h"
#include "steps.h"

XPNN_EXPORT int64_t EXPORTED(room)(const plan *p) {
    room r;
    plan counted = *p;
    counted.room = NULL;
    return (int64_t)lay_out(&counted, &r);
}

/* As many steps as the plan says, from its row `start` on; the sum of their losses into `total`. 0
   if one of them was ended before it learned anything. */
XPNN_EXPORT int64_t EXPORTED(steps)(plan *p) {
    room r;
    p->total = 0;
    lay_out(p, &r);
    pool_run(p->pool, take_part, &r);
    for (int64_t i = 0; i < p->parts; i++) p->total += r.thread[i].value;
    return !any_cut(&r);
}

/* The same of several members. */
XPNN_EXPORT int64_t EXPORTED(members)(crew *c) { return work_of_crew(c); }

/* The link of a network's outputs, (rows, n_out). 0 if there is not enough memory. */
XPNN_EXPORT int64_t EXPORTED(outputs)(const plan *p, const real *theta, const real *buffers,
                                      const real *x, int64_t x_stride, int64_t rows, int64_t link,
                                      real *outputs) {
    const int64_t wide = widest(p), block = smaller(block_of_rows(wide), larger(rows, 1));
    request q = {p, theta, buffers, x, x_stride, rows, outputs, link, block, p->parts, NULL};
    double nearby[1024]; /* enough for a row of a small network */
    const size_t needed = (size_t)(numbers_of_part(p, block) * p->parts) * sizeof(real);
    char *room = needed <= sizeof nearby ? (char *)nearby : malloc(needed + 63);
    if (!room) return 0;
    q.room = room + (needed <= sizeof nearby ? 0 : (64 - (uintptr_t)room % 64) % 64);
    pool_run(p->pool, outputs_of_part, &q);
    if (room != (char *)nearby) free(room);
    return 1;
}

/* C = A B of (m, depth) and (depth, n), the first and the second transposed where bits 1 and 2 of
   `form` are set, as a product of few columns where bit 4 is; by tiles, for the tests. 0 if there is
   not enough memory. */
XPNN_EXPORT int64_t EXPORTED(product)(int64_t tiles, int64_t m, int64_t n, int64_t depth,
                                      int64_t form, const real *a, int64_t lda, const real *b,
                                      int64_t ldb, real *c, int64_t ldc) {
    const matrix left = {a, lda, form & 1}, right = {b, ldb, form >> 1 & 1};
    if (form & 4) {
        (form & 1 ? multiply_narrow_across : multiply_narrow)(tiles, left, right, c, m, n, depth,
                                                              NULL);
        return 1;
    }
    real *panels = malloc((size_t)panel_numbers(tiles, m, n, depth) * sizeof *panels);
    if (!panels) return 0;
    multiply_panels(tiles, left, right, c, ldc, m, n, depth, panels, NULL);
    free(panels);
    return 1;
}

/* Whether n numbers are finite, looked at by the threads of a pool. */
XPNN_EXPORT int64_t EXPORTED(finite)(pool *p, const real *x, int64_t n, int64_t parts) {
    return all_finite(p, x, n, parts);
}

/* One of the elementary functions, for the tests. */
XPNN_EXPORT int64_t EXPORTED(function)(int64_t which, real *x, int64_t n) {
    switch (which) {
    case 0: exp_rows(x, n); break;
    case 1: expm1_rows(x, n); break;
    case 2: tanh_rows(x, n); break;
    case 3: sigmoid_rows(x, n); break;
    case 4: log_rows(x, n); break;
    case 5: log1p_rows(x, n); break;
    default: exp_below_rows(x, n);
    }
    return 1;
}

#endif
