/* Batch and layer normalization: model/normalization.py.

   unit = (u - mean) / sqrt(variance + epsilon), over a batch's rows or a row's neurons. With
   dunit the gradient of unit: du = (dunit - mean(dunit) - unit mean(dunit unit)) inverse. */
#ifndef XPNN_NORMALIZATION_H
#define XPNN_NORMALIZATION_H

#include "plan.h"
#include "vector_math.h"

enum normalization { NONE, OF_BATCH, OF_LAYER };

#define EPSILON NUMBER(1e-5)
#define RUNNING NUMBER(0.1) /* what a batch contributes to the running statistics */

/* unit of each row, in place of u. */
WIDE static void normalize_rows(real *u, real *inverse, int64_t rows, int64_t units) {
    for (int64_t i = 0; i < rows; i++, u += units) {
        const real mean = NUMBER(sum(u, units) / (double)units);
        for (int64_t j = 0; j < units; j++) u[j] -= mean;
        const real variance = NUMBER(sum_of_squares(u, units) / (double)units);
        const real factor = 1 / ROOT(variance + EPSILON);
        for (int64_t j = 0; j < units; j++) u[j] *= factor;
        if (inverse) inverse[i] = factor;
    }
}

/* z = unit scale; the shift is added as a bias is. */
WIDE static void scale_rows(const real *restrict x, int64_t ld, const real *restrict scale,
                            real *restrict z, int64_t rows, int64_t units) {
    for (int64_t i = 0; i < rows; i++, x += ld, z += units)
        for (int64_t j = 0; j < units; j++) z[j] = x[j] * scale[j];
}

/* What is summed of columns. */
enum summed { ITSELF, SQUARE_AROUND, PRODUCT };

INLINE real term(const enum summed what, real u, real v) {
    const real d = what == SQUARE_AROUND ? u - v : u;
    return what == ITSELF ? d : d * (what == PRODUCT ? v : d);
}

/* The sums of each column's terms in double precision; v's rows are `ld` apart (or 0). Four
   rows' terms are added first: most of the time would go into making double numbers of them. */
INLINE void sum_terms(const enum summed what, const real *restrict u, const real *restrict v,
                      int64_t ld, double *restrict sums, int64_t rows, int64_t units) {
    int64_t i = 0;
    for (int64_t j = 0; j < units; j++) sums[j] = 0;
    for (; i + 4 <= rows; i += 4, u += 4 * units, v += 4 * ld)
        for (int64_t j = 0; j < units; j++)
            sums[j] += (double)((term(what, u[j], v[j]) + term(what, u[units + j], v[ld + j])) +
                                (term(what, u[2 * units + j], v[2 * ld + j]) +
                                 term(what, u[3 * units + j], v[3 * ld + j])));
    for (; i < rows; i++, u += units, v += ld)
        for (int64_t j = 0; j < units; j++) sums[j] += (double)term(what, u[j], v[j]);
}

WIDE static void sums_of_columns(const real *u, double *sums, int64_t rows, int64_t units) {
    sum_terms(ITSELF, u, u, units, sums, rows, units);
}

WIDE static void squares_of_columns(const real *u, const real *around, double *sums, int64_t rows,
                                    int64_t units) {
    sum_terms(SQUARE_AROUND, u, around, 0, sums, rows, units);
}

WIDE static void products_of_columns(const real *u, const real *v, double *sums, int64_t rows,
                                     int64_t units) {
    sum_terms(PRODUCT, u, v, units, sums, rows, units);
}

/* Sums of each column, added to `sums`. */
WIDE static void add_columns(const real *restrict g, real *restrict sums, int64_t rows,
                             int64_t units) {
    for (int64_t i = 0; i < rows; i++, g += units)
        for (int64_t j = 0; j < units; j++) sums[j] += g[j];
}

WIDE static void add_columns_of_products(const real *restrict g, const real *restrict x,
                                         int64_t ld, real *restrict sums, int64_t rows,
                                         int64_t units) {
    for (int64_t i = 0; i < rows; i++, g += units, x += ld)
        for (int64_t j = 0; j < units; j++) sums[j] += g[j] * x[j];
}

WIDE static void subtract_from_rows(real *restrict u, const real *restrict mean, int64_t rows,
                                    int64_t units) {
    for (int64_t i = 0; i < rows; i++, u += units)
        for (int64_t j = 0; j < units; j++) u[j] -= mean[j];
}

WIDE static void multiply_rows(real *restrict u, const real *restrict factor, int64_t rows,
                               int64_t units) {
    for (int64_t i = 0; i < rows; i++, u += units)
        for (int64_t j = 0; j < units; j++) u[j] *= factor[j];
}

/* unit of batch normalization by its running statistics, in place of u. */
static void normalize_by_running(const real *statistics, real *u, real *factor, int64_t rows,
                                 int64_t units) {
    subtract_from_rows(u, statistics, rows, units);
    for (int64_t j = 0; j < units; j++) factor[j] = 1 / ROOT(statistics[units + j] + EPSILON);
    multiply_rows(u, factor, rows, units);
}

/* du in place of dz, of layer normalization. */
WIDE static void normalized_rows_back(real *restrict g, const real *restrict unit,
                                      const real *restrict scale, const real *restrict inverse,
                                      int64_t rows, int64_t units) {
    for (int64_t i = 0; i < rows; i++, g += units, unit += units) {
        for (int64_t j = 0; j < units; j++) g[j] *= scale[j];
        const real mean = NUMBER(sum(g, units) / (double)units);
        const real along = NUMBER(sum_of_products(g, unit, units) / (double)units);
        for (int64_t j = 0; j < units; j++) g[j] = (g[j] - mean - unit[j] * along) * inverse[i];
    }
}

/* unit of batch normalization in place of u, and z = unit scale. */
WIDE static void normalize_columns(real *restrict u, const real *restrict mean,
                                   const real *restrict inverse, const real *restrict scale,
                                   real *restrict z, int64_t rows, int64_t units) {
    for (int64_t i = 0; i < rows; i++, u += units, z += units)
        for (int64_t j = 0; j < units; j++) {
            u[j] = (u[j] - mean[j]) * inverse[j];
            z[j] = u[j] * scale[j];
        }
}

/* du in place of dz, of batch normalization; the means are over the batch's rows. */
WIDE static void normalized_columns_back(real *restrict g, const real *restrict unit,
                                         const real *restrict scale, const real *restrict mean,
                                         const real *restrict along, const real *restrict inverse,
                                         int64_t rows, int64_t units) {
    for (int64_t i = 0; i < rows; i++, g += units, unit += units)
        for (int64_t j = 0; j < units; j++)
            g[j] = (g[j] * scale[j] - mean[j] - unit[j] * along[j]) * inverse[j];
}

#endif
