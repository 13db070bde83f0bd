/* Features in SciPy's CSR form: of row i, the numbers from row_starts[i] on and their columns. */
#ifndef XPNN_SPARSE_H
#define XPNN_SPARSE_H

#include "room.h"

#define NUMBERS_AT_ONCE 128 /* that are dropped or kept together */

/* Some numbers of one row. */
typedef struct {
    const real *x;
    const int32_t *columns;
    int64_t n;
} numbers;

static numbers numbers_of_row(const plan *p, int64_t i) {
    const int64_t row = row_of(p, i), at = p->row_starts[row];
    return (numbers){p->x + at, p->columns + at, p->row_starts[row + 1] - at};
}

/* Row `row` of the batch times its mask: the draws of its own columns alone. */
static void drop_numbers(const numbers *a, const drop *d, int64_t row, real *kept) {
    uint64_t draws[NUMBERS_AT_ONCE];
    const real scale = NUMBER(65536.0 / (double)d->kept);
    const uint64_t counter = (uint32_t)(d->first_row + row);
    for (int64_t i = 0; i < a->n; i++) draws[i] = counter | (uint64_t)(a->columns[i] / 4) << 32;
    draw_words(draws, a->n, d->key[0], d->key[1]);
    for (int64_t i = 0; i < a->n; i++) {
        const int64_t drawn = (int64_t)(draws[i] >> (a->columns[i] % 4 * 16) & 0xffff);
        kept[i] = a->x[i] * (drawn < d->kept ? scale : 0);
    }
}

/* z += x W, four numbers at a time: z is read and written less often, each sum in the same order. */
WIDE static void add_row_product(const numbers *a, const real *restrict w, real *restrict z,
                                 int64_t n_out) {
    const real *x = a->x;
    int64_t i = 0;
    for (; i + 4 <= a->n; i += 4, x += 4) {
        const real *b = w + a->columns[i] * n_out, *c = w + a->columns[i + 1] * n_out;
        const real *d = w + a->columns[i + 2] * n_out, *e = w + a->columns[i + 3] * n_out;
        for (int64_t j = 0; j < n_out; j++)
            z[j] = (((z[j] + x[0] * b[j]) + x[1] * c[j]) + x[2] * d[j]) + x[3] * e[j];
    }
    for (; i < a->n; i++, x++) {
        const real *row = w + a->columns[i] * n_out;
        for (int64_t j = 0; j < n_out; j++) z[j] += x[0] * row[j];
    }
}

/* DW += x^T dz, of the features from `from` on. */
WIDE static void add_row_gradient(const numbers *a, const real *restrict dz, real *restrict dw,
                                  int64_t from, int64_t inputs, int64_t n_out) {
    for (int64_t i = 0; i < a->n; i++) {
        const int64_t at = a->columns[i] - from;
        const real x = a->x[i];
        if (at < 0 || at >= inputs) continue;
        for (int64_t j = 0; j < n_out; j++) dw[at * n_out + j] += x * dz[j];
    }
}

/* The next of a row's numbers, as they are or dropped into `kept`; 0 after the last. */
static int next_numbers(numbers *left, numbers *next, const drop *d, int64_t row, real *kept) {
    *next = *left;
    if (d->kept < KEEP_ALL) {
        next->n = smaller(left->n, NUMBERS_AT_ONCE);
        drop_numbers(next, d, row, kept);
        next->x = kept;
    }
    left->x += next->n;
    left->columns += next->n;
    left->n -= next->n;
    return next->n > 0;
}

/* z = x W of some rows, or of the first of them; `d` says which of their features are dropped. */
static void sparse_product(const plan *p, int64_t begin, int64_t rows, const drop *d,
                           const real *w, real *z, int64_t n_out) {
    real kept[NUMBERS_AT_ONCE];
    numbers some;
    memset(z, 0, (size_t)(rows * n_out) * sizeof *z);
    for (int64_t i = 0; i < rows && !is_set(p->stop); i++)
        for (numbers left = numbers_of_row(p, begin + i); next_numbers(&left, &some, d, i, kept);)
            add_row_product(&some, w, z + i * n_out, n_out);
}

static void sparse_gradient(const plan *p, int64_t begin, int64_t rows, const drop *d,
                            const real *dz, real *dw, int64_t from, int64_t inputs,
                            int64_t n_out) {
    real kept[NUMBERS_AT_ONCE];
    numbers some;
    memset(dw, 0, (size_t)(inputs * n_out) * sizeof *dw);
    for (int64_t i = 0; i < rows && !is_set(p->stop); i++)
        for (numbers left = numbers_of_row(p, begin + i); next_numbers(&left, &some, d, i, kept);)
            add_row_gradient(&some, dz + i * n_out, dw, from, inputs, n_out);
}

/* The rows with their zeros. */
static void dense_rows(const plan *p, int64_t begin, int64_t rows, real *x, int64_t n_in) {
    memset(x, 0, (size_t)(rows * n_in) * sizeof *x);
    for (int64_t i = 0; i < rows; i++, x += n_in) {
        const numbers a = numbers_of_row(p, begin + i);
        for (int64_t k = 0; k < a.n; k++) x[a.columns[k]] += a.x[k];
    }
}

#endif
