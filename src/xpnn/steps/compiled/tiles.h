/* The tiles that processors have registers for: 14 rows of 2 vectors with AVX-512, 6 with AVX2. */
#ifndef XPNN_TILES_H
#define XPNN_TILES_H

#include "real.h"

typedef void tile_function(int64_t rows, int64_t vectors, int64_t n, const real *a, int64_t lda,
                           const real *b, real *c, int64_t ldc, int add);
typedef void across_function(int64_t vectors, int64_t m, int64_t n, const real *a, int64_t lda,
                             const real *b, real *c);

typedef struct {
    int64_t rows, lanes; /* of a tile, and numbers of a vector; a tile has two columns of vectors */
    int64_t panel;       /* bytes of B that stay in the second cache */
    int64_t fewest;      /* multiplications of a product from which on tiles pay: OpenBLAS packs
                            all with AVX2, and with AVX-512 nothing of less than a million */
    int64_t narrow;      /* the same of products of few columns, of which OpenBLAS packs all, too */
    tile_function *run;
    across_function *across;
} tile_kind;

#define MOST_TILE_ROWS 14
#define MOST_TILE_COLUMNS ((int64_t)(128 / sizeof(real)))

#if XPNN_HAS_TILES
#include <immintrin.h>

#if XPNN_BITS == 32
#define OF_256(name) _mm256_##name##_ps
#define OF_512(name) _mm512_##name##_ps
#define VECTOR_256 __m256
#define VECTOR_512 __m512
#else
#define OF_256(name) _mm256_##name##_pd
#define OF_512(name) _mm512_##name##_pd
#define VECTOR_256 __m256d
#define VECTOR_512 __m512d
#endif

enum { ROWS_avx2 = 6, ROWS_avx512 = 14 };
enum { LANES_avx2 = 32 / sizeof(real), LANES_avx512 = 64 / sizeof(real) };

#define TARGET __attribute__((target("avx2,fma")))
#define TILE(name) name##_avx2
#define VECTOR VECTOR_256
#define OF OF_256
#define MOST_ROWS 6
#include "tile.h"
#undef TARGET
#undef TILE
#undef VECTOR
#undef OF
#undef MOST_ROWS

#define TARGET __attribute__((target("avx512f")))
#define TILE(name) name##_avx512
#define VECTOR VECTOR_512
#define OF OF_512
#define MOST_ROWS 14
#include "tile.h"
#undef TARGET
#undef TILE
#undef VECTOR
#undef OF
#undef MOST_ROWS

/* In the order of `xpnn_tiles`, from 1 on. */
static const tile_kind TILES[] = {
    {ROWS_avx2, LANES_avx2, (int64_t)384 << 10, 30000, 1, tile_avx2, across_avx2},
    {ROWS_avx512, LANES_avx512, (int64_t)512 << 10, 1000000, INT64_MAX, tile_avx512, across_avx512},
};
#else
static const tile_kind TILES[] = {{1, 1, 1, 1, 1, NULL, NULL}};
#endif

#endif
