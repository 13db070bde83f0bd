/* Products of few columns, such as those of a last layer: these alone are packed, as the other matrix
   is read once. A sum's order depends on its depth alone here, too. */
#ifndef XPNN_NARROW_H
#define XPNN_NARROW_H

#include "panels.h"

#define NARROW 31         /* columns */
#define MOST_NARROW 32    /* the same with zeros */
#define DEPTH_AT_ONCE 128 /* numbers of a sum, whose packed columns stay in the first cache */
#define SUMS_AT_ONCE 2048 /* numbers of C, which do too */

#if XPNN_HAS_TILES
/* C = A B of (m, depth) and (depth, n). */
static void multiply_narrow(int64_t kind, matrix a, matrix b, real *c, int64_t m, int64_t n,
                            int64_t depth, const int64_t *stop) {
    const tile_kind *t = &TILES[kind - 1];
    real right[DEPTH_AT_ONCE * MOST_NARROW];
    for (int64_t k = 0; k < depth && !is_set(stop); k += DEPTH_AT_ONCE) {
        const int64_t deep = smaller(DEPTH_AT_ONCE, depth - k);
        pack_columns(&b, k, 0, deep, n, t, right);
        for (int64_t i = 0; i < m; i += t->rows)
            row_of_tiles(t, smaller(t->rows, m - i), n, deep, a.at + i * a.ld + k, a.ld, right,
                         c + i * n, n, k > 0);
    }
}

/* C = A^T B of (depth, m) and (depth, n). */
static void multiply_narrow_across(int64_t kind, matrix a, matrix b, real *c, int64_t m, int64_t n,
                                   int64_t depth, const int64_t *stop) {
    const tile_kind *t = &TILES[kind - 1];
    const int64_t width = 2 * t->lanes, wide = pieces(n, t->lanes) * t->lanes;
    real right[DEPTH_AT_ONCE * MOST_NARROW], sums[SUMS_AT_ONCE];
    const int64_t most = SUMS_AT_ONCE / wide;
    for (int64_t i = 0; i < m && !is_set(stop); i += most) {
        const int64_t count = smaller(most, m - i);
        memset(sums, 0, (size_t)(count * wide) * sizeof *sums);
        for (int64_t k = 0; k < depth; k += DEPTH_AT_ONCE) {
            const int64_t deep = smaller(DEPTH_AT_ONCE, depth - k);
            pack_columns(&b, k, 0, deep, n, t, right);
            for (int64_t j = 0; j < wide; j += width)
                t->across(smaller(width, wide - j) / t->lanes, count, deep, a.at + k * a.ld + i,
                          a.ld, right + j * deep, sums + j * count);
        }
        for (int64_t j = 0; j < n; j += width) {
            const int64_t here = smaller(width, n - j), stride = smaller(width, wide - j);
            for (int64_t l = 0; l < count; l++)
                memcpy(c + (i + l) * n + j, sums + j * count + l * stride, (size_t)here * sizeof *c);
        }
    }
}
#else
static void multiply_narrow(int64_t kind, matrix a, matrix b, real *c, int64_t m, int64_t n,
                            int64_t depth, const int64_t *stop) {
    (void)kind, (void)a, (void)b, (void)c, (void)m, (void)n, (void)depth, (void)stop;
}
static void multiply_narrow_across(int64_t kind, matrix a, matrix b, real *c, int64_t m, int64_t n,
                                   int64_t depth, const int64_t *stop) {
    (void)kind, (void)a, (void)b, (void)c, (void)m, (void)n, (void)depth, (void)stop;
}
#endif

#endif
