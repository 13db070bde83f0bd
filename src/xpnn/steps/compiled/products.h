/* Matrix products of row-major matrices, by BLAS: it reads them as their column-major transposes.

   Where a matrix is a vector, a loop is faster. */
#ifndef XPNN_PRODUCTS_H
#define XPNN_PRODUCTS_H

#include "plan.h"

/* Of more multiplications OpenBLAS shares a product among its threads, which then look for more
   work for milliseconds, on processors that other fits' threads need. Its number of threads is the
   process's, so those fits would take turns to limit it: a product is cut instead. */
#define BLAS_ALONE (4 * 65536 - 1)
#define FEWEST_COLUMNS 16 /* of a piece: for each BLAS may copy the other matrix */

static void multiply_matrices(const plan *p, char of_a, char of_b, int64_t m, int64_t n, int64_t k,
                              const real *a, int64_t lda, const real *b, int64_t ldb, real *c,
                              int64_t ldc) {
    int im = (int)m, ik = (int)k, ia = (int)lda, ib = (int)ldb, ic = (int)ldc;
    real one = 1, zero = 0;
    int64_t most = BLAS_ALONE / larger(1, m * k);
    if (p->alone || most < FEWEST_COLUMNS) most = n;
    for (int64_t j = 0; j < n; j += most) {
        int in = (int)smaller(most, n - j);
        p->product(&of_a, &of_b, &im, &in, &ik, &one, a, &ia, b + j * (of_b == 'T' ? 1 : ldb), &ib,
                   &zero, c + j * ldc, &ic);
    }
}

WIDE static void add_scaled(real *restrict y, const real *restrict x, real factor, int64_t n) {
    for (int64_t j = 0; j < n; j++) y[j] += factor * x[j];
}

/* z = X w */
WIDE static void matrix_times_vector(const real *restrict x, int64_t ld, const real *restrict w,
                                     real *restrict z, int64_t rows, int64_t n) {
    const int64_t whole = n - n % 16;
    for (int64_t i = 0; i < rows; i++, x += ld) {
        real s[16] = {0}, rest = 0;
        for (int64_t j = 0; j < whole; j += 16)
            for (int k = 0; k < 16; k++) s[k] += x[j + k] * w[j + k];
        for (int64_t j = whole; j < n; j++) rest += x[j] * w[j];
        for (int k = 8; k; k /= 2)
            for (int l = 0; l < k; l++) s[l] += s[l + k];
        z[i] = s[0] + rest;
    }
}

/* z = x W of one row, four rows of W at a time: z is read and written less often. */
WIDE static void row_times_matrix(const real *restrict x, const real *restrict w, real *restrict z,
                                  int64_t n_in, int64_t n_out) {
    int64_t i = 0;
    for (int64_t j = 0; j < n_out; j++) z[j] = 0;
    for (; i + 4 <= n_in; i += 4) {
        const real *a = w + i * n_out, *b = a + n_out, *c = b + n_out, *d = c + n_out;
        for (int64_t j = 0; j < n_out; j++)
            z[j] += (x[i] * a[j] + x[i + 1] * b[j]) + (x[i + 2] * c[j] + x[i + 3] * d[j]);
    }
    for (; i < n_in; i++)
        for (int64_t j = 0; j < n_out; j++) z[j] += x[i] * w[i * n_out + j];
}

/* X = z w^T */
WIDE static void vector_times_vector(const real *restrict z, const real *restrict w,
                                     real *restrict x, int64_t rows, int64_t n) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++) x[i * n + j] = z[i] * w[j];
}

/* Z = X W of (rows, n_in) and (n_in, n_out) */
static void product(const plan *p, const real *x, int64_t ld, const real *w, real *z, int64_t rows,
                    int64_t n_in, int64_t n_out) {
    if (n_out == 1) {
        matrix_times_vector(x, ld, w, z, rows, n_in);
    } else if (rows == 1) {
        row_times_matrix(x, w, z, n_in, n_out);
    } else if (rows > 0) {
        multiply_matrices(p, 'N', 'N', n_out, rows, n_in, w, n_out, x, ld, z, n_out);
    }
}

/* DX = DZ W^T */
static void product_with_transposed(const plan *p, const real *dz, const real *w, real *dx,
                                    int64_t rows, int64_t n_in, int64_t n_out) {
    if (n_out == 1)
        vector_times_vector(dz, w, dx, rows, n_in);
    else if (rows > 0)
        multiply_matrices(p, 'T', 'N', n_in, rows, n_out, w, n_out, dz, n_out, dx, n_in);
}

/* DW = X[:, :count]^T DZ */
static void product_of_columns(const plan *p, const real *x, int64_t ld, const real *dz, real *dw,
                               int64_t rows, int64_t count, int64_t n_out) {
    if (rows <= 1 || n_out == 1) memset(dw, 0, (size_t)(count * n_out) * sizeof *dw);
    if (n_out == 1) {
        for (int64_t i = 0; i < rows; i++) add_scaled(dw, x + i * ld, dz[i], count);
    } else if (rows == 1) {
        for (int64_t i = 0; i < count; i++) add_scaled(dw + i * n_out, dz, x[i], n_out);
    } else if (rows > 1) {
        multiply_matrices(p, 'N', 'T', n_out, count, rows, dz, n_out, x, ld, dw, n_out);
    }
}

#endif
