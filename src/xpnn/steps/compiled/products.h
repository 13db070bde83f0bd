/* Matrix products of row-major matrices: large ones by panels.h where the processor has tiles, the
   others by BLAS, which reads matrices as their column-major transposes. Where a matrix is a
   vector, a loop is faster. */
#ifndef XPNN_PRODUCTS_H
#define XPNN_PRODUCTS_H

#include "narrow.h"
#include "plan.h"

/* Of more multiplications OpenBLAS shares a product among its threads, which then look for more
   work for milliseconds, on processors that other fits' threads need. Its number of threads is the
   process's, so those fits would take turns to limit it: a product is cut instead. */
#define BLAS_ALONE (4 * 65536 - 1)
#define FEWEST_COLUMNS 16 /* of a piece: for each BLAS may copy the other matrix */
/* Of a product that may be ended: it is cut if it has more multiplications, which take milliseconds,
   in pieces of fewer rows and columns. */
#define AT_ONCE ((int64_t)1 << 27)
#define LARGEST_SIDE 256

/* Whether tiles pay for a product of so many multiplications. */
INLINE int worth_tiles(int64_t tiles, int64_t multiplications) {
    return tiles && multiplications >= TILES[tiles - 1].fewest;
}

/* The same of a product of n columns, where they are few. */
INLINE int worth_narrow(int64_t tiles, int64_t n, int64_t multiplications) {
    return tiles && n <= NARROW && multiplications >= TILES[tiles - 1].narrow;
}

/* What products are done with; a thread's own. */
typedef struct {
    gemm *blas;
    int64_t alone; /* whether BLAS keeps to the thread that asks */
    int64_t kind;  /* of tiles; 0: none */
    int64_t tiles; /* the same, where there are panels */
    real *panels;  /* numbers_of_panels of them */
    const int64_t *stop; /* as in the plan: products end, and what they have made is not used */
} multiplier;

/* The tiles for products of so many rows by a network's layers: 0 where all of them are small. */
static int64_t tiles_for(const plan *p, int64_t rows) {
    for (int64_t k = 0; k < p->layers; k++)
        if (worth_tiles(p->tiles, p->layer[k].n_in * p->layer[k].n_out * rows)) return p->tiles;
    return 0;
}

/* Numbers that such products pack into: forward, back, and of the weights' gradient. */
static int64_t numbers_of_panels(const plan *p, int64_t rows) {
    const int64_t tiles = tiles_for(p, rows);
    int64_t most = 0;
    for (int64_t k = 0; tiles && k < p->layers; k++) {
        const int64_t n_in = p->layer[k].n_in, n_out = p->layer[k].n_out;
        most = larger(most, panel_numbers(tiles, rows, n_out, n_in));
        most = larger(most, panel_numbers(tiles, rows, n_in, n_out));
        most = larger(most, panel_numbers(tiles, n_in, n_out, rows));
    }
    return most;
}

/* C = A B of (m, depth) and (depth, n), by BLAS. */
static void multiply_by_blas(const multiplier *by, matrix a, matrix b, real *c, int64_t m,
                             int64_t n, int64_t depth) {
    char of_a = a.transposed ? 'T' : 'N', of_b = b.transposed ? 'T' : 'N';
    int in = (int)n, id = (int)depth, ia = (int)a.ld, ib = (int)b.ld;
    real one = 1, zero = 0;
    int64_t most = BLAS_ALONE / larger(1, n * depth), wide = n;
    if (by->alone || most < FEWEST_COLUMNS) most = m;
    if (by->stop && m * n * depth > AT_ONCE)
        most = wide = larger(FEWEST_COLUMNS, LARGEST_SIDE / larger(1, depth / 2048));
    for (int64_t i = 0; i < m; i += most)
        for (int64_t j = 0; j < n && !is_set(by->stop); j += wide) {
            int im = (int)smaller(most, m - i), here = (int)smaller(wide, n - j);
            by->blas(&of_b, &of_a, &here, &im, &id, &one, b.at + j * (b.transposed ? b.ld : 1), &ib,
                     a.at + i * (a.transposed ? 1 : a.ld), &ia, &zero, c + i * n + j, &in);
        }
}

/* The same by what is faster; rows of C are n apart. */
static void multiply_matrices(const multiplier *by, matrix a, matrix b, real *c, int64_t m,
                              int64_t n, int64_t depth) {
    if (n > NARROW && worth_tiles(by->tiles, m * n * depth))
        multiply_panels(by->tiles, a, b, c, n, m, n, depth, by->panels, by->stop);
    else
        multiply_by_blas(by, a, b, c, m, n, depth);
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
static void product(const multiplier *by, const real *x, int64_t ld, const real *w, real *z,
                    int64_t rows, int64_t n_in, int64_t n_out) {
    if (n_out == 1) {
        matrix_times_vector(x, ld, w, z, rows, n_in);
    } else if (rows == 1) {
        row_times_matrix(x, w, z, n_in, n_out);
    } else if (worth_narrow(by->kind, n_out, rows * n_in * n_out)) {
        multiply_narrow(by->kind, (matrix){x, ld, 0}, (matrix){w, n_out, 0}, z, rows, n_out, n_in,
                        by->stop);
    } else if (rows > 0) {
        multiply_matrices(by, (matrix){x, ld, 0}, (matrix){w, n_out, 0}, z, rows, n_out, n_in);
    }
}

/* DX = DZ W^T */
static void product_with_transposed(const multiplier *by, const real *dz, const real *w, real *dx,
                                    int64_t rows, int64_t n_in, int64_t n_out) {
    if (n_out == 1)
        vector_times_vector(dz, w, dx, rows, n_in);
    else if (rows > 0)
        multiply_matrices(by, (matrix){dz, n_out, 0}, (matrix){w, n_out, 1}, dx, rows, n_in, n_out);
}

/* DW = X[:, :count]^T DZ */
static void product_of_columns(const multiplier *by, const real *x, int64_t ld, const real *dz,
                               real *dw, int64_t rows, int64_t count, int64_t n_out) {
    if (rows <= 1 || n_out == 1) memset(dw, 0, (size_t)(count * n_out) * sizeof *dw);
    if (n_out == 1) {
        for (int64_t i = 0; i < rows && !is_set(by->stop); i++)
            add_scaled(dw, x + i * ld, dz[i], count);
    } else if (rows == 1) {
        for (int64_t i = 0; i < count; i++) add_scaled(dw + i * n_out, dz, x[i], n_out);
    } else if (rows > 1 && worth_narrow(by->kind, n_out, rows * count * n_out)) {
        multiply_narrow_across(by->kind, (matrix){x, ld, 1}, (matrix){dz, n_out, 0}, dw, count,
                               n_out, rows, by->stop);
    } else if (rows > 1) {
        multiply_matrices(by, (matrix){x, ld, 1}, (matrix){dz, n_out, 0}, dw, count, n_out, rows);
    }
}

#endif
