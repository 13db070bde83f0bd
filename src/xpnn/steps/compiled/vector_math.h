/* Elementary functions without a branch or a call, so that a loop over them is vectorized.

   Each is within 4 units in the last place of the exact value over the whole range, and takes and
   gives infinity, NaN and subnormal numbers (tests/test_vector_math.py). */
#ifndef XPNN_VECTOR_MATH_H
#define XPNN_VECTOR_MATH_H

#include "real.h"

#if XPNN_BITS == 32
#define SHIFT 12582912.0f /* 1.5 * 2^23: what is added to it is rounded to a whole number */
#define LN2_HIGH 0.693359375f /* few bits, so that a whole number times it is exact */
#define LN2_LOW -2.12194440e-4f
#define EXP_LOWEST -104.0f /* where exp is 0 and infinite */
#define EXP_HIGHEST 89.0f
#define EXP_HELD 88.0f /* arrays/numeric.py, largest_exponent */
#define LIFT 64 /* 2^(n + LIFT) is a normal number for every n of exp(x) that is not 0 */
#define TANH_FAR 20.0f /* where tanh(x / 2) is 1 */
#define ROOT_HALF 0x3f3504f3u
#define ONE_BITS 0x3f800000u
#define LOG_LN2_HIGH 6.9313812256e-01f
#define LOG_LN2_LOW 9.0580006145e-06f
#define SMALLEST 1.17549435e-38f
#else
#define SHIFT 6755399441055744.0
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define EXP_LOWEST -746.0
#define EXP_HIGHEST 710.0
#define EXP_HELD 709.0
#define LIFT 128
#define TANH_FAR 40.0
#define ROOT_HALF 0x3fe6a09e00000000u
#define ONE_BITS 0x3ff0000000000000u
#define LOG_LN2_HIGH LN2_HIGH
#define LOG_LN2_LOW LN2_LOW
#define SMALLEST 2.2250738585072014e-308
#endif

INLINE real nearest(real x) { return (x + SHIFT) - SHIFT; }

/* 2^n of a whole number n. */
INLINE real power_of_two(real n) {
    return to_real((to_bits(n + SHIFT) - to_bits(SHIFT) + BIAS) << MANTISSA);
}

/* exp(r) - 1 = r + r^2 q(r) for |r| <= ln(2) / 2; q is the polynomial of least largest error. Its
   even and odd terms are added apart: one chain of all of them would be waited for. */
INLINE real expm1_near(real r) {
    const real z = r * r;
#if XPNN_BITS == 32
    real even = 1.3926213466e-3f, odd = 8.3632029716e-3f;
    even = even * z + 4.1666554438e-2f;
    odd = odd * z + 1.6666576846e-1f;
    even = even * z + 0.5f;
#else
    real even = 2.7620138719733994e-07, odd = 2.5100424157005067e-08;
    even = even * z + 2.480152119021773e-05;
    odd = odd * z + 2.7557268378684192e-06;
    even = even * z + 0.0013888888917281794;
    odd = odd * z + 0.00019841269863105968;
    even = even * z + 0.04166666666662399;
    odd = odd * z + 0.008333333333330051;
    even = even * z + 0.5;
    odd = odd * z + 0.16666666666666669;
#endif
    return z * (odd * r + even) + r;
}

/* x = n ln(2) + r */
#define REDUCED                                                  \
    const real n = nearest(x * NUMBER(1.44269504088896341));     \
    const real r = (x - n * LN2_HIGH) - n * LN2_LOW;

/* exp(x) = 2^n exp(r), of an x held within bounds. 2^n is multiplied in halves: it may be too small,
   or too large. */
INLINE real exp_within(real x, real low, real high) {
    x = within(x, low, high);
    REDUCED
    const real half = nearest(n * NUMBER(0.5));
    return (1 + expm1_near(r)) * power_of_two(half) * power_of_two(n - half);
}

INLINE real exp_of(real x) { return exp_within(x, EXP_LOWEST, EXP_HIGHEST); }

/* exp(x), held at the largest power that arrays/numeric.py lets through. */
INLINE real exp_held(real x) { return exp_within(x, EXP_LOWEST, EXP_HELD); }

/* exp(x) of an x from EXP_LOWEST to 21, in fewer operations. */
INLINE real exp_lifted(real x) {
    REDUCED
    return (1 + expm1_near(r)) * power_of_two(n + LIFT) * (1 / power_of_two(LIFT));
}

/* exp(-|x|) */
INLINE real exp_below_of(real x) { return exp_lifted(at_least(-size_of(x), EXP_LOWEST)); }

/* exp(x) - 1 = 2 (2^(n-1) (exp(r) - 1) + 2^(n-1) - 1/2). */
INLINE real expm1_within(real x, real low, real high) {
    x = within(x, low, high);
    REDUCED
    const real s = power_of_two(n - 1);
    return 2 * (s * expm1_near(r) + (s - NUMBER(0.5)));
}

INLINE real expm1_of(real x) { return expm1_within(x, -TANH_FAR * 2, EXP_HIGHEST); }

/* tanh|x| = e / (e + 2), with e = exp(2|x|) - 1. */
INLINE real tanh_of(real x) {
    const real e = expm1_within(2 * size_of(x), 0, TANH_FAR), t = e / (e + 2);
    return to_real(to_bits(t) | (to_bits(x) & ((word)1 << (XPNN_BITS - 1))));
}

/* 1 / (1 + exp(-x)): accurate relative to its value also where that is tiny. exp is held as above,
   and where nothing is left of it beside 1. */
INLINE real sigmoid_of(real t) {
    const real x = within(-t, -TANH_FAR * 2, EXP_HELD);
    REDUCED
    return 1 / (1 + (1 + expm1_near(r)) * power_of_two(n));
}

/* R(s^2) of log(1 + f) = 2 s + s R(s^2), with s = f / (2 + f) (FreeBSD's msun). */
INLINE real log_series(real s) {
    const real z = s * s, w = z * z;
#if XPNN_BITS == 32
    const real even = w * (0.40000972152f + w * 0.24279078841f);
    const real odd = z * (0.66666662693f + w * 0.28498786688f);
#else
    const real even = w * (0.3999999999940941908 + w * (0.2222219843214978396 +
                      w * 0.1531383769920937332));
    const real odd = z * (0.6666666666666735130 + w * (0.2857142874366239149 +
                     w * (0.1818357216161805012 + w * 0.1479819860511658591)));
#endif
    return odd + even;
}

/* log(2^k (1 + f)); log(1 + f) as f - f^2/2 + s (f^2/2 + R(s^2)) loses least. */
INLINE real log_near(real f, real k) {
    const real s = f / (2 + f), half = NUMBER(0.5) * f * f, p = log_series(s);
    return k * LOG_LN2_HIGH - ((half - (s * (half + p) + k * LOG_LN2_LOW)) - f);
}

/* log(x) = k ln(2) + log(m), with x = 2^k m and m within [sqrt(1/2), sqrt(2)]. */
INLINE real log_of(real x) {
    const int tiny = x < SMALLEST;
    const real scaled = tiny ? x * (real)((uint64_t)1 << (MANTISSA + 1)) : x;
    const word bits = to_bits(scaled) + (ONE_BITS - ROOT_HALF);
    const real above = to_real(to_bits(SHIFT) + (bits >> MANTISSA)) - SHIFT;
    const real k = above - (tiny ? (real)(BIAS + MANTISSA + 1) : (real)BIAS);
    const real m = to_real((bits & (((word)1 << MANTISSA) - 1)) + ROOT_HALF);
    const real found = log_near(m - 1, k);
    const real special = x == 0 ? -NUMBER(INFINITY) : x > 0 ? x : NUMBER(NAN);
    return x > 0 && x < NUMBER(INFINITY) ? found : special;
}

/* log(1 + x) of an x from 0 to 1, such as exp(-|z|); of a large one it is log(2) + log((1 + x) / 2). */
INLINE real log1p_of(real x) {
    const real large = NUMBER(x > NUMBER(0.41421356237309505)); /* sqrt(2) - 1 */
    const real s = (x - large) / (x + (2 + large));
    return s * (2 + log_series(s)) + large * NUMBER(0.69314718055994530942);
}

#if XPNN_BITS == 32
#define QUARTER_1 1.5703125f /* a quarter of a turn in three parts */
#define QUARTER_2 4.837512969970703125e-4f
#define QUARTER_3 7.54978995489188216e-8f
#define TURNS_FAR 8192.0f /* beyond this the parts are too few */
#else
#define QUARTER_1 1.570796251296997070312
#define QUARTER_2 7.54978941586159635335e-8
#define QUARTER_3 5.39030285815811905290e-15
#define TURNS_FAR 1e6
#endif

/* cos and sin of r with |r| <= pi / 4 (Cephes, Moshier). */
INLINE real sin_near(real r, real z) {
#if XPNN_BITS == 32
    real q = -1.9515295891e-4f;
    q = q * z + 8.3321608736e-3f;
    q = q * z - 1.6666654611e-1f;
#else
    real q = 1.58962301576546568060e-10;
    q = q * z - 2.50507477628578072866e-8;
    q = q * z + 2.75573136213857245213e-6;
    q = q * z - 1.98412698295895385996e-4;
    q = q * z + 8.33333333332211858878e-3;
    q = q * z - 1.66666666666666307295e-1;
#endif
    return q * z * r + r;
}

INLINE real cos_near(real z) {
#if XPNN_BITS == 32
    real q = 2.443315711809948e-5f;
    q = q * z - 1.388731625493765e-3f;
    q = q * z + 4.166664568298827e-2f;
#else
    real q = -1.13585365213876817300e-11;
    q = q * z + 2.08757008419747316778e-9;
    q = q * z - 2.75573141792967388112e-7;
    q = q * z + 2.48015872888517045348e-5;
    q = q * z - 1.38888888888730564116e-3;
    q = q * z + 4.16666666666665929218e-2;
#endif
    return q * z * z - NUMBER(0.5) * z + 1;
}

/* cos(x), and sin(x) in place of x; x = n pi / 2 + r turns one into the other. */
WIDE UNUSED static void cos_and_sin_near(real *x, real *cosine, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        const real n = nearest(x[i] * NUMBER(0.63661977236758134308));
        const real r = ((x[i] - n * QUARTER_1) - n * QUARTER_2) - n * QUARTER_3;
        const word quarter = to_bits(n + SHIFT) & 3;
        const real s = sin_near(r, r * r), c = cos_near(r * r);
        const real first = quarter & 1 ? s : c, second = quarter & 1 ? c : s;
        cosine[i] = quarter == 1 || quarter == 2 ? -first : first;
        x[i] = quarter >= 2 ? -second : second;
    }
}

UNUSED static void cos_and_sin(real *x, real *cosine, int64_t count) {
    real most = 0;
    for (int64_t i = 0; i < count; i++) most = size_of(x[i]) <= most ? most : size_of(x[i]);
    if (most <= TURNS_FAR) {
        cos_and_sin_near(x, cosine, count);
        return;
    }
    for (int64_t i = 0; i < count; i++) { /* the C library's, for any number */
        cosine[i] = NUMBER(cos((double)x[i]));
        x[i] = NUMBER(sin((double)x[i]));
    }
}

/* The functions over rows. */
#define OVER_ROWS(name)                                          \
    WIDE UNUSED static void name##_rows(real *x, int64_t n) {    \
        for (int64_t i = 0; i < n; i++) x[i] = name##_of(x[i]);  \
    }
OVER_ROWS(exp)
OVER_ROWS(expm1)
OVER_ROWS(tanh)
OVER_ROWS(sigmoid)
OVER_ROWS(log)
OVER_ROWS(log1p)
OVER_ROWS(exp_below)

/* Sums that no order of addition is promised for: eight at a time, in double precision. */
#define SUM_OVER(name, arguments, term)                       \
    WIDE UNUSED static double name arguments {                \
        double s[8] = {0};                                    \
        const int64_t whole = n - n % 8;                      \
        for (int64_t i = 0; i < whole; i += 8)                \
            for (int k = 0; k < 8; k++) s[k] += term(i + k);  \
        for (int64_t i = whole; i < n; i++) s[0] += term(i);  \
        return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7])); \
    }
#define ITSELF(i) (double)x[i]
#define SQUARE(i) (double)x[i] * (double)x[i]
#define SCALED_SQUARE(i) ((double)x[i] * by) * ((double)x[i] * by)
#define SIZE(i) fabs((double)x[i])
#define PRODUCT(i) (double)x[i] * (double)y[i]
SUM_OVER(sum, (const real *x, int64_t n), ITSELF)
SUM_OVER(sum_of_squares, (const real *x, int64_t n), SQUARE)
SUM_OVER(sum_of_scaled_squares, (const real *x, int64_t n, double by), SCALED_SQUARE)
SUM_OVER(sum_of_sizes, (const real *x, int64_t n), SIZE)
SUM_OVER(sum_of_products, (const real *x, const real *y, int64_t n), PRODUCT)

#endif
