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

/* Sums of each column in double precision: of u, or of u times another matrix. */
WIDE static void columns_in_double(const real *restrict u, const real *restrict times,
                                   double *restrict sums, int64_t rows, int64_t units) {
    for (int64_t j = 0; j < units; j++) sums[j] = 0;
    for (int64_t i = 0; i < rows; i++, u += units) {
        const real *v = times ? times + i * units : u;
        if (times)
            for (int64_t j = 0; j < units; j++) sums[j] += (double)u[j] * (double)v[j];
        else
            for (int64_t j = 0; j < units; j++) sums[j] += (double)u[j];
    }
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

/* du in place of dunit, of batch normalization; the means are over the batch's rows. */
WIDE static void normalized_columns_back(real *restrict g, const real *restrict unit,
                                         const real *restrict mean, const real *restrict along,
                                         const real *restrict inverse, int64_t rows,
                                         int64_t units) {
    for (int64_t i = 0; i < rows; i++, g += units, unit += units)
        for (int64_t j = 0; j < units; j++)
            g[j] = (g[j] - mean[j] - unit[j] * along[j]) * inverse[j];
}

#endif
