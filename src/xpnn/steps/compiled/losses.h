/* Losses of outputs o and targets t, with their gradients: parts/losses.py has the formulas. */
#ifndef XPNN_LOSSES_H
#define XPNN_LOSSES_H

#include "plan.h"
#include "vector_math.h"

enum loss { /* steps.py has the same order */
    HALF_SQUARED_ERROR, SQUARED_ERROR, SUM_SQUARED_ERROR, ABSOLUTE_ERROR, HUBER, LOG_COSH, PINBALL,
    POISSON, BINARY_CROSS_ENTROPY, SOFTMAX_CROSS_ENTROPY, HINGE, PERCEPTRON
};

/* Values and gradients of n outputs, before weights; p is the loss's parameter. */
#define ELEMENTWISE(name, common, value, gradient)                                         \
    WIDE static void name(const real *outputs, const real *targets, real *v, real *g, int64_t n, \
                          real p) {                                                        \
        (void)p;                                                                           \
        for (int64_t i = 0; i < n; i++) {                                                  \
            const real o = outputs[i], t = targets[i];                                     \
            common                                                                         \
            v[i] = value;                                                                  \
            g[i] = gradient;                                                               \
        }                                                                                  \
    }
#define DIFFERENCE const real r = o - t;

ELEMENTWISE(half_squared, DIFFERENCE, NUMBER(0.5) * r * r, r)
ELEMENTWISE(squared, DIFFERENCE, r * r, 2 * r)
ELEMENTWISE(absolute, DIFFERENCE, size_of(r), sign_of(r))
ELEMENTWISE(huber, DIFFERENCE const real d = at_most(at_least(r, -p), p);,
            d * (r - NUMBER(0.5) * d), d)
ELEMENTWISE(log_cosh, DIFFERENCE const real a = size_of(r);,
            a + log1p_of(exp_below_of(2 * r)) - NUMBER(0.69314718055994530942), tanh_of(r))
ELEMENTWISE(pinball, DIFFERENCE const real d = NUMBER(r > 0) - p;, d * r, d)
ELEMENTWISE(poisson, const real rate = exp_within(o, EXP_LOWEST, EXP_HELD - 20);,
            rate + t * (log_of(at_least(t, NUMBER(1e-37))) - o - 1), rate - t)
ELEMENTWISE(binary,
            const real s = t * (1 - p) + NUMBER(0.5) * p; const real e = exp_below_of(o);,
            at_least(o, 0) - o * s + log1p_of(e), (o >= 0 ? 1 : e) / (1 + e) - s)
ELEMENTWISE(hinge, const real m = 1 - t * o;, at_least(m, 0), -t * NUMBER(m >= 0))
ELEMENTWISE(perceptron, const real m = 0 - t * o;, at_least(m, 0), -t * NUMBER(m >= 0))

static void elementwise(int64_t loss, const real *o, const real *t, real *v, real *g, int64_t n,
                        real p) {
    switch (loss) {
    case HALF_SQUARED_ERROR: half_squared(o, t, v, g, n, p); break;
    case SQUARED_ERROR: case SUM_SQUARED_ERROR: squared(o, t, v, g, n, p); break;
    case ABSOLUTE_ERROR: absolute(o, t, v, g, n, p); break;
    case HUBER: huber(o, t, v, g, n, p); break;
    case LOG_COSH: log_cosh(o, t, v, g, n, p); break;
    case PINBALL: pinball(o, t, v, g, n, p); break;
    case POISSON: poisson(o, t, v, g, n, p); break;
    case BINARY_CROSS_ENTROPY: binary(o, t, v, g, n, p); break;
    case HINGE: hinge(o, t, v, g, n, p); break;
    default: perceptron(o, t, v, g, n, p);
    }
}

/* Softmax cross-entropy of whole rows: log(sum(exp(z))) sum(t) - sum(t z) with z = o - max(o), and
   the gradient exp(z) / sum(exp(z)) - t. A label y is t = 1 there and 0 elsewhere. */
typedef struct {
    const int64_t *labels; /* or NULL, and then: */
    const real *targets;
    const real *share; /* of each row in the mean */
    int64_t rows, classes;
    real smoothing;
} some_rows;

/* sum(t z) of each row, and sum(t), which is not 1 where the user's targets are not shares. */
WIDE static void along_targets(const some_rows *s, const real *z, real *along, real *whole) {
    const int64_t c = s->classes;
    const real keep = 1 - s->smoothing, spread = s->smoothing / NUMBER(c);
    for (int64_t i = 0; i < s->rows; i++, z += c) {
        real a = 0, w = 0;
        if (s->labels) {
            a = keep * z[s->labels[i]], w = 1;
            if (spread > 0) a += spread * NUMBER(sum(z, c));
        } else {
            const real *t = s->targets + i * c;
            for (int64_t j = 0; j < c; j++) {
                const real smooth = t[j] * keep + spread;
                a += smooth * z[j], w += smooth;
            }
        }
        along[i] = a, whole[i] = w;
    }
}

WIDE static void sums_of_rows(const real *e, real *total, int64_t rows, int64_t classes) {
    for (int64_t i = 0; i < rows; i++, e += classes) {
        real t = 0;
        for (int64_t j = 0; j < classes; j++) t += e[j];
        total[i] = t;
    }
}

WIDE static void minus_targets(const some_rows *s, real *g, const real *total) {
    const int64_t c = s->classes;
    const real keep = 1 - s->smoothing, spread = s->smoothing / NUMBER(c);
    for (int64_t i = 0; i < s->rows; i++, g += c) {
        const real share = s->share[i], factor = share / total[i];
        if (s->labels) {
            for (int64_t j = 0; j < c; j++) g[j] = g[j] * factor - share * spread;
            g[s->labels[i]] -= share * keep;
        } else {
            const real *t = s->targets + i * c;
            for (int64_t j = 0; j < c; j++)
                g[j] = g[j] * factor - share * (t[j] * keep + spread);
        }
    }
}

/* `room` is for three numbers a row; the values of rows go into its beginning. */
static void softmax_cross_entropy(const some_rows *s, const real *o, real *g, real *room) {
    real *values = room, *along = room + s->rows, *total = along + s->rows;
    memcpy(g, o, (size_t)(s->rows * s->classes) * sizeof *g);
    below_top(g, s->rows, s->classes);
    along_targets(s, g, along, values);
    exp_rows(g, s->rows * s->classes);
    sums_of_rows(g, total, s->rows, s->classes);
    minus_targets(s, g, total);
    log_rows(total, s->rows);
    for (int64_t i = 0; i < s->rows; i++) values[i] = values[i] * total[i] - along[i];
}

/* What a row's loss is divided by, beside the sum of weights: squared_error takes the mean of
   outputs. sum_squared_error divides by nothing. */
INLINE double loss_divisor(int64_t loss, double over, int64_t outputs) {
    if (loss == SUM_SQUARED_ERROR) return 1;
    return loss == SQUARED_ERROR ? over * (double)outputs : over;
}

INLINE int64_t rows_of_block(int64_t width) { return larger(1, BLOCK / width); }

/* Rows of the targets, one after the other. */
static void gather_targets(const plan *p, int64_t begin, int64_t rows, int64_t width, real *t) {
    for (int64_t i = 0; i < rows; i++) {
        const real *row = (const real *)p->y + row_of(p, begin + i) * width;
        for (int64_t j = 0; j < width; j++) t[i * width + j] = row[j];
    }
}

/* The weighted losses of `rows` rows from the step's row `begin` on, over `divisor`; and their
   gradient. */
INLINE size_t loss_room(int64_t width) {
    const int64_t most = rows_of_block(width);
    return (size_t)most * (sizeof(int64_t) + (size_t)(2 * width + 4) * sizeof(real));
}

static double loss_of_rows(const plan *p, int64_t begin, int64_t rows, const real *o, real *g,
                           double divisor, void *scratch) {
    const int64_t c = p->layer[p->layers - 1].n_out, most = rows_of_block(c);
    int64_t *labels = scratch;
    real *v = (real *)(labels + most), *t = v + most * c, *share = t + most * c;
    real *room = share + most;
    double found = 0;
    for (int64_t first = 0; first < rows && !is_set(p->stop); first += most) {
        const int64_t count = smaller(most, rows - first), at = begin + first, n = count * c;
        for (int64_t i = 0; i < count; i++)
            share[i] = NUMBER((p->weight ? p->weight[row_of(p, at + i)] : 1) / divisor);
        if (p->labels)
            for (int64_t i = 0; i < count; i++) labels[i] = ((int64_t *)p->y)[row_of(p, at + i)];
        else
            gather_targets(p, at, count, c, t);
        const real *of_row = v;
        if (p->loss == SOFTMAX_CROSS_ENTROPY) {
            const some_rows s = {p->labels ? labels : NULL, t, share, count, c,
                                 NUMBER(p->loss_parameter)};
            softmax_cross_entropy(&s, o + first * c, g + first * c, room);
            of_row = room;
        } else {
            real *gradient = g + first * c;
            elementwise(p->loss, o + first * c, t, v, gradient, n, NUMBER(p->loss_parameter));
            for (int64_t i = 0; i < count; i++)
                for (int64_t j = 0; j < c; j++) gradient[i * c + j] *= share[i];
            if (c > 1)
                for (int64_t i = 0; i < count; i++) room[i] = NUMBER(sum(v + i * c, c));
            of_row = c > 1 ? room : v;
        }
        if (p->weight)
            for (int64_t i = 0; i < count; i++)
                found += (double)share[i] * (double)of_row[i];
        else
            found += sum(of_row, count) / divisor;
    }
    return found;
}

#endif
