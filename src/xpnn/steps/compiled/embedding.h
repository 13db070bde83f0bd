/* Each number and d functions of its waves; the last numbers may pass as they are:
   model/embedding.py.

   [x, cos(t) V + b] with t = 2 pi f x + c; a feature j has waves f[j], c[j] of its own, its matrix
   V[j] of (frequencies, d), and b[j]. */
#ifndef XPNN_EMBEDDING_H
#define XPNN_EMBEDDING_H

#include "plan.h"
#include "vector_math.h"

#define TURN NUMBER(6.28318530717958647693)

WIDE static void turns_of_row(const layer *l, const real *theta, const real *x, real *turn) {
    const int64_t waves = l->frequencies;
    const real *f = theta + l->scale, *c = theta + l->phase;
    for (int64_t j = 0; j < weighted_inputs(l); j++)
        for (int64_t k = 0; k < waves; k++)
            turn[j * waves + k] = TURN * f[j * waves + k] * x[j] + c[j * waves + k];
}

WIDE static void embed_row(const layer *l, const real *theta, const real *x, const real *cosine,
                           real *y) {
    const int64_t d = l->row / l->frequencies;
    const real *v = theta + l->weight, *b = theta + l->bias;
    for (int64_t j = 0; j < weighted_inputs(l); j++, y += 1 + d, b += d) {
        y[0] = x[j];
        for (int64_t i = 0; i < d; i++) y[1 + i] = b[i];
        for (int64_t k = 0; k < l->frequencies; k++, cosine++, v += d)
            for (int64_t i = 0; i < d; i++) y[1 + i] += *cosine * v[i];
    }
    memcpy(y, x + weighted_inputs(l), (size_t)l->passed * sizeof *y);
}

/* The waves of each row are kept in `cosine` and `sine`; without `sine` in no more than a row's
   place. */
static void embed_rows(const layer *l, const real *theta, const real *x, int64_t ld, real *y,
                       real *cosine, real *sine, int64_t rows) {
    const int64_t waves = weighted_inputs(l) * l->frequencies, step = sine ? waves : 0;
    if (!sine) sine = cosine + waves;
    for (int64_t i = 0; i < rows; i++, x += ld, y += l->n_out, cosine += step, sine += step) {
        turns_of_row(l, theta, x, sine);
        cos_and_sin(sine, cosine, waves);
        embed_row(l, theta, x, cosine, y);
    }
}

/* The gradient of the input, where somebody asks, and of f, c and b, added to `d`, a vector like
   theta. g is that of the outputs: dt = -sin(t) (V g), df = 2 pi x dt, dx = g_0 + 2 pi sum(f dt). */
WIDE static void embedding_row_back(const layer *l, const real *theta, const real *x,
                                    const real *g, const real *sine, real *dx, real *d) {
    const int64_t waves = l->frequencies, functions = l->row / waves;
    for (int64_t j = 0; j < weighted_inputs(l); j++, g += 1 + functions) {
        const real *v = theta + l->weight + j * l->row, *f = theta + l->scale + j * waves;
        real *df = d + l->scale + j * waves, *dc = d + l->phase + j * waves;
        real *db = d + l->bias + j * functions, along = 0;
        for (int64_t k = 0; k < waves; k++) {
            real pull = 0;
            for (int64_t i = 0; i < functions; i++) pull += g[1 + i] * v[k * functions + i];
            const real dt = -sine[j * waves + k] * pull;
            df[k] += TURN * dt * x[j];
            dc[k] += dt;
            along += dt * f[k];
        }
        for (int64_t i = 0; i < functions; i++) db[i] += g[1 + i];
        if (dx) dx[j] = g[0] + TURN * along;
    }
    if (dx) memcpy(dx + weighted_inputs(l), g, (size_t)l->passed * sizeof *g);
}

static void embedding_back(const layer *l, const real *theta, const real *x, int64_t ld,
                           const real *g, const real *sine, real *dx, real *d, int64_t rows) {
    const int64_t waves = weighted_inputs(l) * l->frequencies;
    for (int64_t i = 0; i < rows; i++)
        embedding_row_back(l, theta, x + i * ld, g + i * l->n_out, sine + i * waves,
                           dx ? dx + i * l->n_in : NULL, d);
}

/* dV = cos(t)^T g of some features, from `from` on. */
WIDE static void embedding_weights(const layer *l, const real *cosine, const real *g, real *dv,
                                   int64_t rows, int64_t from, int64_t features) {
    const int64_t waves = l->frequencies, d = l->row / waves;
    memset(dv, 0, (size_t)(features * l->row) * sizeof *dv);
    for (int64_t r = 0; r < rows; r++, cosine += weighted_inputs(l) * waves, g += l->n_out)
        for (int64_t j = 0; j < features; j++) {
            const real *c = cosine + (from + j) * waves, *pull = g + (from + j) * (1 + d) + 1;
            for (int64_t k = 0; k < waves; k++)
                for (int64_t i = 0; i < d; i++) dv[j * l->row + k * d + i] += c[k] * pull[i];
        }
}

#endif
