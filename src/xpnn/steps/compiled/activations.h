/* Activations and their derivatives: parts/activations.py, which has the formulas' sources.

   Where the derivative follows from the value a, it is taken from that (VALUE and SLOPE). Where it
   needs z, it is computed together with the value and saved (BOTH). The units of softmax and
   log_softmax depend on each other; their values are saved. */
#ifndef XPNN_ACTIVATIONS_H
#define XPNN_ACTIVATIONS_H

#include "vector_math.h"

enum activation { /* steps.py has the same order */
    IDENTITY, STEP, SIGMOID, TANH, RELU, LEAKY_RELU, ELU, SELU, GELU, SILU, MISH, SOFTPLUS,
    SOFTSIGN, HARD_SIGMOID, EXPONENTIAL, SOFTMAX, LOG_SOFTMAX
};

#define LEAKY_SLOPE NUMBER(0.01)
#define SELU_SCALE NUMBER(1.0507009873554805)
#define SELU_BELOW NUMBER(1.0507009873554805 * 1.6732632423543772)
#define GELU_SLOPE NUMBER(0.79788456080286535588) /* sqrt(2 / pi) */
#define GELU_CUBIC NUMBER(0.044715)

#define VALUE(name, value)                                  \
    WIDE static void name##_value(real *z, int64_t n) {     \
        for (int64_t i = 0; i < n; i++) {                   \
            const real x = z[i];                            \
            z[i] = value;                                   \
        }                                                   \
    }
/* g times the derivative, from y = a / unscale: dropout has scaled the values. */
#define SLOPE(name, slope)                                                              \
    WIDE static void name##_slope(real *restrict g, const real *restrict y, int64_t n,  \
                                  real unscale) {                                       \
        for (int64_t i = 0; i < n; i++) {                                               \
            const real a = y[i] * unscale;                                              \
            g[i] *= slope;                                                              \
        }                                                                               \
    }
/* In two loops, the first of which leaves s: a processor looks only some operations ahead, so it
   does more numbers at a time where each takes few. */
#define BOTH(name, first, common, value, derivative)                \
    WIDE static void name##_both(real *z, real *slope, int64_t n) { \
        for (int64_t i = 0; i < n; i++) {                           \
            const real x = z[i];                                    \
            slope[i] = first;                                       \
        }                                                           \
        for (int64_t i = 0; i < n; i++) {                           \
            const real x = z[i], s = slope[i];                      \
            (void)x;                                                \
            common                                                  \
            slope[i] = derivative;                                  \
            z[i] = value;                                           \
        }                                                           \
    }

VALUE(step, x != x ? x : NUMBER(x >= 0))
VALUE(sigmoid, sigmoid_of(x))
SLOPE(sigmoid, a * (1 - a))
VALUE(tanh, tanh_of(x))
SLOPE(tanh, 1 - a * a)
VALUE(relu, x < 0 ? 0 : x)
SLOPE(relu, NUMBER(a > 0))
VALUE(leaky_relu, x < 0 ? LEAKY_SLOPE * x : x)
SLOPE(leaky_relu, a > 0 ? 1 : LEAKY_SLOPE)
VALUE(elu, x > 0 ? x : expm1_of(x))
SLOPE(elu, at_most(a, 0) + 1)
VALUE(selu, x > 0 ? SELU_SCALE * x : SELU_BELOW * expm1_of(x))
SLOPE(selu, a > 0 ? SELU_SCALE : a + SELU_BELOW)
VALUE(exp, exp_held(x))
SLOPE(exp, a)
BOTH(gelu, /* (1 + tanh(u)) / 2 = 1 / (1 + exp(-2u)) */
     sigmoid_of(2 * GELU_SLOPE * x * (1 + GELU_CUBIC * x * x)),
     const real inner = 2 * GELU_SLOPE * (1 + 3 * GELU_CUBIC * x * x);,
     x * s, s * (1 + x * (1 - s) * inner))
BOTH(silu, sigmoid_of(x),, x * s, s * (1 + x * (1 - s)))
BOTH(mish, /* tanh(log(1 + s)) = n / (n + 2) */
     exp_lifted(within(x, EXP_LOWEST, 21)),
     const real n2 = s * (s + 2); const real r = 1 / (n2 + 2); const real t = n2 * r;,
     x * t, t + 4 * x * s * (1 + s) * r * r)
BOTH(softplus, exp_below_of(x),,
     at_least(x, 0) + log1p_of(s), (x >= 0 ? 1 : s) / (1 + s))
BOTH(softsign, 1 / (1 + size_of(x)),, x / (1 + size_of(x)), s * s)
BOTH(hard_sigmoid, within(x / 6 + NUMBER(0.5), 0, 1),, s,
     ((s > 0) & (s < 1)) ? NUMBER(1) / 6 : 0)

/* z - max(z) of each row: its exponentials don't overflow. A NaN stays one, whatever the top. */
WIDE static void below_top(real *z, int64_t rows, int64_t units) {
    for (int64_t i = 0; i < rows; i++, z += units) {
        real top = z[0];
        for (int64_t j = 1; j < units; j++) top = z[j] > top ? z[j] : top;
        for (int64_t j = 0; j < units; j++) z[j] -= top;
    }
}

WIDE static void softmax_value(real *z, int64_t rows, int64_t units) {
    below_top(z, rows, units);
    exp_rows(z, rows * units);
    for (int64_t i = 0; i < rows; i++, z += units) {
        const real total = NUMBER(sum(z, units));
        for (int64_t j = 0; j < units; j++) z[j] /= total;
    }
}

/* a (g - sum(g a)) */
WIDE static void softmax_pull(real *g, const real *a, int64_t rows, int64_t units) {
    for (int64_t i = 0; i < rows; i++, g += units, a += units) {
        real along = 0;
        for (int64_t j = 0; j < units; j++) along += g[j] * a[j];
        for (int64_t j = 0; j < units; j++) g[j] = a[j] * (g[j] - along);
    }
}

WIDE static void log_softmax_value(real *z, int64_t rows, int64_t units) {
    below_top(z, rows, units);
    for (int64_t i = 0; i < rows; i++, z += units) {
        real total = 0;
        for (int64_t j = 0; j < units; j++) total += exp_of(z[j]);
        total = log_of(total);
        for (int64_t j = 0; j < units; j++) z[j] -= total;
    }
}

/* g - exp(a) sum(g) */
WIDE static void log_softmax_pull(real *g, const real *a, int64_t rows, int64_t units) {
    for (int64_t i = 0; i < rows; i++, g += units, a += units) {
        const real total = NUMBER(sum(g, units));
        for (int64_t j = 0; j < units; j++) g[j] -= exp_of(a[j]) * total;
    }
}

INLINE int of_whole_rows(int64_t code) { return code == SOFTMAX || code == LOG_SOFTMAX; }

/* Whether `activate` saves the derivative. */
INLINE int saves_slope(int64_t code) { return code >= GELU && code <= HARD_SIGMOID; }

/* a = f(z) of some rows, in place; `saved` takes what `pull_back` will want, if it is anything. */
static void activate(int64_t code, real *z, real *saved, int64_t rows, int64_t units) {
    const int64_t n = rows * units;
    switch (code) {
    case STEP: step_value(z, n); break;
    case SIGMOID: sigmoid_value(z, n); break;
    case TANH: tanh_value(z, n); break;
    case RELU: relu_value(z, n); break;
    case LEAKY_RELU: leaky_relu_value(z, n); break;
    case ELU: elu_value(z, n); break;
    case SELU: selu_value(z, n); break;
    case EXPONENTIAL: exp_value(z, n); break;
    case GELU: gelu_both(z, saved, n); break;
    case SILU: silu_both(z, saved, n); break;
    case MISH: mish_both(z, saved, n); break;
    case SOFTPLUS: softplus_both(z, saved, n); break;
    case SOFTSIGN: softsign_both(z, saved, n); break;
    case HARD_SIGMOID: hard_sigmoid_both(z, saved, n); break;
    case SOFTMAX: softmax_value(z, rows, units); break;
    case LOG_SOFTMAX: log_softmax_value(z, rows, units); break;
    }
    if (of_whole_rows(code) && saved) memcpy(saved, z, (size_t)n * sizeof *z);
}

WIDE static void multiply(real *g, const real *slope, int64_t n) {
    for (int64_t i = 0; i < n; i++) g[i] *= slope[i];
}

WIDE static void scale_all(real *g, int64_t n, real factor) {
    for (int64_t i = 0; i < n; i++) g[i] *= factor;
}

WIDE static void add_to_rows(real *restrict z, const real *restrict b, int64_t rows,
                             int64_t units) {
    for (int64_t i = 0; i < rows; i++, z += units)
        for (int64_t j = 0; j < units; j++) z[j] += b[j];
}

/* The gradient before an activation, in place of the one after it. */
static void pull_back(int64_t code, real *g, const real *y, const real *saved, int64_t rows,
                      int64_t units, real unscale) {
    const int64_t n = rows * units;
    switch (code) {
    case IDENTITY: break;
    case SIGMOID: sigmoid_slope(g, y, n, unscale); break;
    case TANH: tanh_slope(g, y, n, unscale); break;
    case RELU: relu_slope(g, y, n, unscale); break;
    case LEAKY_RELU: leaky_relu_slope(g, y, n, unscale); break;
    case ELU: elu_slope(g, y, n, unscale); break;
    case SELU: selu_slope(g, y, n, unscale); break;
    case EXPONENTIAL: exp_slope(g, y, n, unscale); break;
    case SOFTMAX: softmax_pull(g, saved, rows, units); break;
    case LOG_SOFTMAX: log_softmax_pull(g, saved, rows, units); break;
    default: multiply(g, saved, n);
    }
}

#endif
