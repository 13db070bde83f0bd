/* The number type that a file is compiled for: float32.c and float64.c say XPNN_BITS.

   Functions that pass over whole rows are marked WIDE: they are compiled for several kinds of
   processors (xpnn.h). No expression is contracted or reordered, so all give the same numbers. */
#ifndef XPNN_REAL_H
#define XPNN_REAL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "xpnn.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "dropout's draws are read as the halves of little-endian words"
#endif

#if XPNN_BITS == 32
typedef float real;
typedef uint32_t word;
#define EXPORTED(name) xpnn_##name##_f32
#define ROOT sqrtf
#define MANTISSA 23
#define BIAS 127
#else
typedef double real;
typedef uint64_t word;
#define EXPORTED(name) xpnn_##name##_f64
#define ROOT sqrt
#define MANTISSA 52
#define BIAS 1023
#endif
#define NUMBER(x) ((real)(x))
#define WIDE XPNN_CLONES

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline, unused))
#define UNUSED __attribute__((unused))
#else
#define INLINE static inline
#define UNUSED
#endif

INLINE word to_bits(real x) { word b; memcpy(&b, &x, sizeof b); return b; }
INLINE real to_real(word b) { real x; memcpy(&x, &b, sizeof x); return x; }
INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* NaN goes through all of these. */
INLINE real size_of(real x) { return to_real(to_bits(x) << 1 >> 1); }
INLINE real at_least(real x, real low) { return x < low ? low : x; }
INLINE real at_most(real x, real high) { return x > high ? high : x; }
/* Both conditions are of x: of one that depends on the other gcc makes two paths of all that comes
   after, and then computes both. */
INLINE real within(real x, real low, real high) {
    const real held = x > high ? high : x;
    return x < low ? low : held;
}
INLINE real sign_of(real x) { return NUMBER(x > 0) - NUMBER(x < 0); }

/* Whether a number has been set, perhaps by another thread just now; NULL never is. */
INLINE int is_set(const int64_t *number) {
#if defined(_MSC_VER) && !defined(__clang__)
    return number && *(const volatile int64_t *)number != 0;
#else
    return number && __atomic_load_n(number, __ATOMIC_RELAXED) != 0;
#endif
}

#endif
