/* Numbers that one thread writes and the others read in every step.

   A store into a line of memory that another processor's caches hold waits until they have let go
   of it, line after line: between processors without a cache in common that takes several times
   as long as the update. So what is learned is stored past the caches there. It comes back in one
   pass from front to end, which the processor reads ahead of; a product reads it in strides, which
   it does not. Where they have a cache in common the way through memory is the longer one: a step
   of 784-256-128-10 in two threads takes 1.07 times as long by it in float32, 1.12 in float64. CSR
   rows ask for few of the weights, so those stay where they are. */
#ifndef XPNN_CACHES_H
#define XPNN_CACHES_H

#include "plan.h"

#define LINE ((int64_t)(64 / sizeof(real)))

#if defined(__x86_64__) || defined(_M_X64)
#include <emmintrin.h>
#define STORES_PAST_CACHES 1

/* Copy n numbers; `end_of_stores` has to follow before another thread reads them. */
static void store_past_caches(real *restrict to, const real *restrict from, int64_t n) {
    const int64_t part = 16 / (int64_t)sizeof(real);
    int64_t i = 0;
    for (; i < n && (uintptr_t)(to + i) % 64; i++) to[i] = from[i]; /* whole lines alone */
    for (const int64_t stop = i + (n - i) / LINE * LINE; i < stop; i += part)
        _mm_stream_si128((__m128i *)(to + i), _mm_loadu_si128((const __m128i *)(from + i)));
    for (; i < n; i++) to[i] = from[i];
}

static void end_of_stores(void) { _mm_sfence(); }
#else
#define STORES_PAST_CACHES 0

static void store_past_caches(real *restrict to, const real *restrict from, int64_t n) {
    memcpy(to, from, (size_t)n * sizeof *to);
}

static void end_of_stores(void) {}
#endif

/* Whether what is learned is stored so. */
static int stores_past_caches(const plan *p) {
    return STORES_PAST_CACHES && p->parts > 1 && !p->row_starts && pool_is_apart(p->pool);
}

/* Have n numbers in the caches. */
static void bring_near(const real *x, int64_t n) {
    volatile real seen;
    real sum = 0;
    for (int64_t i = 0; i < n; i += LINE) sum += x[i];
    seen = sum;
    (void)seen;
}

#endif
