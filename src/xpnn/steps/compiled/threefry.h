/* Inverted dropout from a counter: the masks of arrays/random.py, to the bit.

   Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, 2011) makes two words of the
   counters (row, group); a group is four units, each of which takes 16 of the 64 bits. */
#ifndef XPNN_THREEFRY_H
#define XPNN_THREEFRY_H

#include "real.h"

#define KEEP_ALL 65536
#define DRAWN 1024 /* counters of one draw at least: their words stay in the first cache */

typedef struct {
    int64_t kept; /* of 65,536 draws; KEEP_ALL: no dropout */
    uint32_t key[2];
    int64_t first_row; /* in the step's batch */
} drop;

INLINE int64_t draw_room(int64_t units) { return larger((units + 3) / 4, DRAWN); }

#define MIX(rotation) \
    a += b; b = (b << rotation | b >> (32 - rotation)) ^ a;
#define FOUR_ROUNDS(r0, r1, r2, r3, add_a, add_b) \
    MIX(r0) MIX(r1) MIX(r2) MIX(r3) a += add_a; b += add_b;

/* The words of the counters (row, group) that lie in `draws` as row + 2^32 group, in their place. */
WIDE static void draw_words(uint64_t *draws, int64_t n, uint32_t k0, uint32_t k1) {
    const uint32_t k2 = k0 ^ k1 ^ 0x1BD11BDAu;
    for (int64_t i = 0; i < n; i++) {
        uint32_t a = (uint32_t)draws[i] + k0, b = (uint32_t)(draws[i] >> 32) + k1;
        FOUR_ROUNDS(13, 15, 26, 6, k1, k2 + 1)
        FOUR_ROUNDS(17, 29, 16, 24, k2, k0 + 2)
        FOUR_ROUNDS(13, 15, 26, 6, k0, k1 + 3)
        FOUR_ROUNDS(17, 29, 16, 24, k1, k2 + 4)
        FOUR_ROUNDS(13, 15, 26, 6, k2, k0 + 5)
        draws[i] = a | (uint64_t)b << 32;
    }
}

WIDE static void keep_some(real *x, const uint16_t *draws, int64_t n, uint32_t kept, real scale) {
    for (int64_t i = 0; i < n; i++) x[i] *= draws[i] < kept ? scale : 0; /* NaN stays NaN */
}

/* Some rows times their mask; and `also`, if it is there, times the same. */
static void drop_rows(real *x, real *also, int64_t rows, int64_t units, const drop *d,
                      uint64_t *draws) {
    const int64_t groups = (units + 3) / 4, most = larger(1, draw_room(units) / groups);
    const real scale = NUMBER(65536.0 / (double)d->kept);
    const uint32_t kept = (uint32_t)d->kept;
    for (int64_t first = 0; first < rows; first += most) {
        const int64_t count = smaller(most, rows - first);
        for (int64_t i = 0; i < count; i++) {
            const uint64_t row = (uint32_t)(d->first_row + first + i);
            for (int64_t j = 0; j < groups; j++) draws[i * groups + j] = row | (uint64_t)j << 32;
        }
        draw_words(draws, count * groups, d->key[0], d->key[1]);
        for (int64_t i = 0; i < count; i++) {
            const uint16_t *drawn = (const uint16_t *)(draws + i * groups);
            const int64_t at = (first + i) * units;
            keep_some(x + at, drawn, units, kept, scale);
            if (also) keep_some(also + at, drawn, units, kept, scale);
        }
    }
}

#endif
