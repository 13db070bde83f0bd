/* Features in SciPy's CSR form: of row i, the numbers from row_starts[i] on and their columns. */
#ifndef XPNN_SPARSE_H
#define XPNN_SPARSE_H

#include "room.h"

/* z = x W of one row with n numbers. */
WIDE static void sparse_row_product(const real *x, const int32_t *columns, int64_t n,
                                    const real *restrict w, real *restrict z, int64_t n_out) {
    for (int64_t j = 0; j < n_out; j++) z[j] = 0;
    for (int64_t i = 0; i < n; i++) {
        const real *row = w + columns[i] * n_out;
        for (int64_t j = 0; j < n_out; j++) z[j] += x[i] * row[j];
    }
}

/* DW += x^T dz of one row, of the features from `from` on. */
WIDE static void sparse_row_gradient(const real *x, const int32_t *columns, int64_t n,
                                     const real *restrict dz, real *restrict dw, int64_t from,
                                     int64_t inputs, int64_t n_out) {
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = columns[i] - from;
        if (at < 0 || at >= inputs) continue;
        for (int64_t j = 0; j < n_out; j++) dw[at * n_out + j] += x[i] * dz[j];
    }
}

static void sparse_product(const plan *p, int64_t begin, int64_t rows, const real *w, real *z,
                           int64_t n_out) {
    for (int64_t i = 0; i < rows; i++) {
        const int64_t row = row_of(p, begin + i), at = p->row_starts[row];
        sparse_row_product(p->x + at, p->columns + at, p->row_starts[row + 1] - at, w,
                           z + i * n_out, n_out);
    }
}

static void sparse_gradient(const plan *p, int64_t begin, int64_t rows, const real *dz, real *dw,
                            int64_t from, int64_t inputs, int64_t n_out) {
    memset(dw, 0, (size_t)(inputs * n_out) * sizeof *dw);
    for (int64_t i = 0; i < rows; i++) {
        const int64_t row = row_of(p, begin + i), at = p->row_starts[row];
        sparse_row_gradient(p->x + at, p->columns + at, p->row_starts[row + 1] - at,
                            dz + i * n_out, dw, from, inputs, n_out);
    }
}

#endif
