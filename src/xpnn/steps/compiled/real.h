/* The number type that a file is compiled for: float32.c and float64.c say XPNN_BITS.

   Functions that pass over whole rows are marked WIDE: gcc on Linux x86-64 compiles them for
   plain processors, for AVX2 and for AVX-512, and the one that fits is chosen when the library
   is loaded. No expression is contracted or reordered, so all of them give the same numbers. */
#ifndef XPNN_REAL_H
#define XPNN_REAL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "dropout's draws are read as the halves of little-endian words"
#endif

#if XPNN_BITS == 32
typedef float real;
typedef uint32_t word;
#define EXPORTED(name) SHARED xpnn_##name##_f32
#define EITHER(single, twice) single##f
#define MANTISSA 23
#define BIAS 127
#else
typedef double real;
typedef uint64_t word;
#define EXPORTED(name) SHARED xpnn_##name##_f64
#define EITHER(single, twice) twice
#define MANTISSA 52
#define BIAS 1023
#endif
#define NUMBER(x) ((real)(x))

#if defined(_WIN32)
#define SHARED __declspec(dllexport)
#elif defined(__GNUC__)
#define SHARED __attribute__((visibility("default")))
#else
#define SHARED
#endif

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WIDE __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define WIDE
#endif

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
INLINE real sign_of(real x) { return NUMBER(x > 0) - NUMBER(x < 0); }

#endif
