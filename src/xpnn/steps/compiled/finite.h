/* Whether all numbers are finite, as fast as they come from memory. */
#ifndef XPNN_FINITE_H
#define XPNN_FINITE_H

#include "pool.h"
#include "real.h"

#define READERS 16 /* threads, at most: memory serves no more */

typedef struct {
    const real *x;
    int64_t n, parts;
    word found[READERS];
} inspection;

/* An infinity or NaN has an exponent of ones: one more carries into the sign. */
WIDE static word carries(const real *x, int64_t n) {
    const word one = (word)1 << MANTISSA, exponent = (((word)2 * BIAS + 1) << MANTISSA);
    word found = 0;
#pragma omp simd reduction(| : found)
    for (int64_t i = 0; i < n; i++) found |= (to_bits(x[i]) & exponent) + one;
    return found;
}

static void inspect_part(void *argument, int64_t part) {
    inspection *a = argument;
    const int64_t first = a->n / a->parts * part;
    const int64_t n = part + 1 < a->parts ? a->n / a->parts : a->n - first;
    a->found[part] = carries(a->x + first, n);
}

static int all_finite(pool *p, const real *x, int64_t n, int64_t parts) {
    inspection a = {.x = x, .n = n, .parts = parts};
    word found = 0;
    pool_run(p, inspect_part, &a);
    for (int64_t i = 0; i < parts; i++) found |= a.found[i];
    return found >> (sizeof(word) * 8 - 1) == 0;
}

#endif
