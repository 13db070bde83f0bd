/* Optimizers' updates in one pass over consecutive parameters: parts/optimizers.py.

   The gradient is scale g + l2 w: what clipping left of it, and the penalty's. A group's factor of
   the rate and its decay change the parameters alone, not the moments. */
#ifndef XPNN_OPTIMIZERS_H
#define XPNN_OPTIMIZERS_H

#include "caches.h"
#include "vector_math.h"

enum optimizer { /* steps.py has the same order */ SGD, MOMENTUM, NESTEROV, ADAGRAD, RMSPROP, ADAM, ADAMW };

typedef struct {
    real step, factor, keep; /* the step's size, the group's factor, and what decay leaves */
    real scale, l2;
    real b1, b2, c1, c2, epsilon; /* c1 and c2 are what b1 and b2 leave of 1 */
} update;

#define UPDATE(name, arguments, statements)                                          \
    WIDE static void name arguments {                                                \
        const real step = u->step, factor = u->factor, keep = u->keep;               \
        const real scale = u->scale, l2 = u->l2;                                     \
        for (int64_t i = 0; i < n; i++) {                                            \
            const real gi = scale * g[i] + l2 * w[i];                                \
            statements                                                               \
        }                                                                            \
    }

UPDATE(descend, (const update *u, real *restrict w, const real *restrict g, int64_t n),
       w[i] = keep * w[i] - factor * (step * gi);)

UPDATE(descend_with_momentum,
       (const update *u, real *restrict w, const real *restrict g, real *restrict m, int64_t n),
       const real mi = u->b1 * m[i] - step * gi; m[i] = mi; w[i] = keep * w[i] + factor * mi;)

UPDATE(descend_ahead, /* Nesterov */
       (const update *u, real *restrict w, const real *restrict g, real *restrict m, int64_t n),
       const real move = step * gi; const real mi = u->b1 * m[i] - move; m[i] = mi;
       w[i] = keep * w[i] + factor * (u->b1 * mi - move);)

UPDATE(adagrad,
       (const update *u, real *restrict w, const real *restrict g, real *restrict m, int64_t n),
       const real mi = m[i] + gi * gi; m[i] = mi;
       w[i] = keep * w[i] - factor * (step * gi / (ROOT(mi) + u->epsilon));)

UPDATE(rmsprop,
       (const update *u, real *restrict w, const real *restrict g, real *restrict m, int64_t n),
       const real mi = u->b2 * m[i] + u->c2 * (gi * gi); m[i] = mi;
       w[i] = keep * w[i] - factor * (step * gi / (ROOT(mi) + u->epsilon));)

UPDATE(adam,
       (const update *u, real *restrict w, const real *restrict g, real *restrict m,
        real *restrict v, int64_t n),
       const real mi = u->b1 * m[i] + u->c1 * gi; const real vi = u->b2 * v[i] + u->c2 * (gi * gi);
       m[i] = mi; v[i] = vi;
       w[i] = keep * w[i] - factor * (step * mi / (ROOT(vi) + u->epsilon));)

static void update_some(int64_t optimizer, const update *u, real *w, const real *g, real *m,
                        real *v, int64_t n) {
    switch (optimizer) {
    case SGD: descend(u, w, g, n); break;
    case MOMENTUM: descend_with_momentum(u, w, g, m, n); break;
    case NESTEROV: descend_ahead(u, w, g, m, n); break;
    case ADAGRAD: adagrad(u, w, g, m, n); break;
    case RMSPROP: rmsprop(u, w, g, m, n); break;
    default: adam(u, w, g, m, v, n);
    }
}

/* g += l2 w + l1 sign(w) */
WIDE static void penalize(real *restrict g, const real *restrict w, int64_t n, real l1, real l2) {
    for (int64_t i = 0; i < n; i++) g[i] += l2 * w[i] + l1 * sign_of(w[i]);
}

/* What of theta's entries from `start` on has the same factors. */
static const segment *segment_of(const plan *p, int64_t start) {
    const segment *s = p->segment;
    while ((double)start >= s->stop) s++;
    return s;
}

/* l1 sum|w| + l2 / 2 sum(w^2) of n entries from `start` on, times the segments' factors. */
static double penalty_of(const plan *p, int64_t start, int64_t n) {
    double found = 0;
    for (int64_t count; n > 0; start += count, n -= count) {
        const segment *s = segment_of(p, start);
        count = smaller(n, (int64_t)s->stop - start);
        const real *w = p->theta + start;
        if (s->penalty == 0) continue;
        if (p->l2 > 0) found += s->penalty * 0.5 * p->l2 * sum_of_squares(w, count);
        if (p->l1 > 0) found += s->penalty * p->l1 * sum_of_sizes(w, count);
    }
    return found;
}

/* The penalty's gradient over `over`, added to that of n entries from `start` on. */
static void add_penalty(const plan *p, int64_t start, real *g, int64_t n, double over) {
    for (int64_t count; n > 0; start += count, g += count, n -= count) {
        const segment *s = segment_of(p, start);
        count = smaller(n, (int64_t)s->stop - start);
        const real l1 = NUMBER(s->penalty * p->l1 / over), l2 = NUMBER(s->penalty * p->l2 / over);
        if (l1 > 0 || l2 > 0) penalize(g, p->theta + start, count, l1, l2);
    }
}

/* w, n entries of theta from `start` on, or a copy of them, which learns in their place. */
static void update_entries(const plan *p, const update *u, int64_t start, real *w, const real *g,
                           int64_t n) {
    real *const *m = p->moments;
    update_some(p->optimizer, u, w, g, m[0] ? m[0] + start : NULL, m[1] ? m[1] + start : NULL, n);
}

/* The same of entries that other threads read: each piece is changed aside. */
static void update_for_others(const plan *p, const update *u, int64_t start, const real *g,
                              int64_t n) {
    real piece[BLOCK / 2];
    for (int64_t count; n > 0; start += count, g += count, n -= count) {
        count = smaller(n, BLOCK / 2);
        memcpy(piece, p->theta + start, (size_t)count * sizeof *piece);
        update_entries(p, u, start, piece, g, count);
        store_past_caches(p->theta + start, piece, count);
    }
    end_of_stores();
}

/* One step of n entries from `start` on, with gradient scale g + l2 w. */
static void learn(const plan *p, const double *coefficients, int64_t start, const real *g,
                  int64_t n, double scale, double l2) {
    for (int64_t count; n > 0; start += count, g += count, n -= count) {
        const segment *s = segment_of(p, start);
        count = smaller(n, (int64_t)s->stop - start);
        const double share = p->coefficients_of_step > 1 ? coefficients[1] : 0;
        const update u = {
            NUMBER(coefficients[0]), NUMBER(s->rate), NUMBER(1 - s->rate * s->decay * share),
            NUMBER(scale), NUMBER(l2 * s->penalty), NUMBER(p->beta_1), NUMBER(p->beta_2),
            NUMBER(1 - p->beta_1), NUMBER(1 - p->beta_2), NUMBER(p->epsilon)};
        if (stores_past_caches(p))
            update_for_others(p, &u, start, g, count);
        else
            update_entries(p, &u, start, p->theta + start, g, count);
    }
}

/* What is left of a gradient whose squares add up to `squares`, cut to the norm `limit`. */
INLINE double clip_scale(double squares, double limit) {
    const double norm = sqrt(squares);
    return norm <= limit ? 1 : limit / norm; /* NaN stays NaN */
}

/* The norm of a neuron's incoming weights, a column of w from `first` to `last`, held at limit. */
WIDE static void limit_columns(real *w, int64_t n_in, int64_t n_out, int64_t first, int64_t last,
                               real limit, real *restrict factor) {
    for (int64_t j = first; j < last; j++) factor[j] = 0;
    for (int64_t i = 0; i < n_in; i++)
        for (int64_t j = first; j < last; j++) factor[j] += w[i * n_out + j] * w[i * n_out + j];
    for (int64_t j = first; j < last; j++) factor[j] = limit / at_least(ROOT(factor[j]), limit);
    for (int64_t i = 0; i < n_in; i++)
        for (int64_t j = first; j < last; j++) w[i * n_out + j] *= factor[j];
}

#endif
