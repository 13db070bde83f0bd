/* Matrix products of our own, where the processor has tiles for them: C = A B, row-major.

   As in BLIS (Van Zee and van de Geijn 2015, ACM Trans. Math. Softw. 41(3)): A is packed as panels
   of a tile's rows, and of B as many panels of a tile's columns as stay in the second cache. A sum's
   order depends on the depth alone: however rows and columns are shared among threads, the bits are
   the same. */
#ifndef XPNN_PANELS_H
#define XPNN_PANELS_H

#include "tiles.h"

#define MOST_DEPTH ((int64_t)(3072 / sizeof(real))) /* of a panel */
#define MOST_LEFT ((int64_t)1024)                   /* rows of A that are packed together */

/* A matrix as a product reads it: its transpose, where that is what lies there row after row. */
typedef struct {
    const real *at;
    int64_t ld;
    int transposed;
} matrix;

/* Numbers of B, of (depth, n), that are packed together. */
static int64_t right_numbers(int64_t tiles, int64_t n, int64_t depth) {
    return smaller(TILES[tiles - 1].panel / (int64_t)sizeof(real),
                   (n + MOST_TILE_COLUMNS) * smaller(depth, MOST_DEPTH));
}

/* Numbers that a product of (m, depth) and (depth, n) packs into. */
static int64_t panel_numbers(int64_t tiles, int64_t m, int64_t n, int64_t depth) {
    return right_numbers(tiles, n, depth) + smaller(m, MOST_LEFT) * smaller(depth, MOST_DEPTH);
}

INLINE int64_t pieces(int64_t n, int64_t most) { return (n + most - 1) / most; }

#if XPNN_HAS_TILES
#define WITHIN (16 / (int64_t)sizeof(real)) /* numbers of the square that is transposed at once */

/* The square at `from`, its rows ld apart, transposed; its rows are `stride` apart then. */
INLINE void transpose_square(const real *from, int64_t ld, real *to, int64_t stride) {
#if XPNN_BITS == 32
    __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + ld);
    __m128 c = _mm_loadu_ps(from + 2 * ld), d = _mm_loadu_ps(from + 3 * ld);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(to, a);
    _mm_storeu_ps(to + stride, b);
    _mm_storeu_ps(to + 2 * stride, c);
    _mm_storeu_ps(to + 3 * stride, d);
#else
    const __m128d a = _mm_loadu_pd(from), b = _mm_loadu_pd(from + ld);
    _mm_storeu_pd(to, _mm_unpacklo_pd(a, b));
    _mm_storeu_pd(to + stride, _mm_unpackhi_pd(a, b));
#endif
}

/* to[k * stride + i] = from[i * ld + k] for i < count and k < n. The last rows that fill no square
   are taken together with some before them. */
static void pack_transposed(const real *from, int64_t ld, real *to, int64_t stride, int64_t count,
                            int64_t n) {
    const int64_t squares = count < WITHIN ? 0 : n - n % WITHIN;
    for (int64_t i = 0; squares && i < count; i += WITHIN) {
        const int64_t at = smaller(i, count - WITHIN);
        for (int64_t k = 0; k < squares; k += WITHIN)
            transpose_square(from + at * ld + k, ld, to + k * stride + at, stride);
    }
    for (int64_t k = squares; k < n; k++)
        for (int64_t i = 0; i < count; i++) to[k * stride + i] = from[i * ld + k];
}

/* to[k * stride + i] = from[k * ld + i] for i < count and k < n, in vectors of so many bytes; the
   last numbers that fill none are taken together with some before them. */
INLINE void pack_by(const int bytes, const real *restrict from, int64_t ld, real *restrict to,
                    int64_t stride, int64_t count, int64_t n) {
    const int64_t vector = bytes / (int64_t)sizeof(real);
    for (int64_t k = 0; k < n; k++, from += ld, to += stride)
        for (int64_t i = 0; i < count; i += vector) {
            const int64_t at = smaller(i, count - vector);
            memcpy(to + at, from + at, (size_t)bytes);
        }
}

WIDE static void pack_straight(const real *restrict from, int64_t ld, real *restrict to,
                               int64_t stride, int64_t count, int64_t n) {
    const int64_t bytes = count * (int64_t)sizeof(real);
    if (bytes >= 32)
        pack_by(32, from, ld, to, stride, count, n);
    else if (bytes >= 16)
        pack_by(16, from, ld, to, stride, count, n);
    else
        pack_by(sizeof(real), from, ld, to, stride, count, n);
}

/* Rows of A, `m` from i on, as panels of a tile's rows, for k.. to k + n. Where A lies across, they
   are read in short pieces, as the next tile's rows begin in the same lines of memory. */
static void pack_rows(const matrix *a, int64_t i, int64_t m, int64_t k, int64_t n, int64_t tiles,
                      real *to) {
    const int64_t most = a->transposed ? 8 : n;
    for (int64_t d = 0; d < n; d += most)
        for (int64_t s = 0; s < tiles; s++) {
            const int64_t first = m * s / tiles, rows = m * (s + 1) / tiles - first;
            real *here = to + first * n + d * rows;
            if (a->transposed)
                pack_straight(a->at + (k + d) * a->ld + i + first, a->ld, here, rows, rows,
                              smaller(most, n - d));
            else
                pack_transposed(a->at + (i + first) * a->ld + k, a->ld, here, rows, rows, n);
        }
}

/* Whole panels of columns, one or two lines of memory wide, row after row of B as it lies. */
INLINE void pack_panels(const int64_t width, const real *restrict from, int64_t ld,
                        real *restrict to, int64_t count, int64_t n) {
    const int64_t vector = 32 / (int64_t)sizeof(real);
    for (int64_t k = 0; k < n; k++, from += ld, to += width)
        for (int64_t j = 0; j < count; j += width)
            for (int64_t l = 0; l < width; l += vector) memcpy(to + j * n + l, from + j + l, 32);
}

WIDE static void pack_whole_panels(const real *restrict from, int64_t ld, real *restrict to,
                                   int64_t width, int64_t count, int64_t n) {
    if (width == MOST_TILE_COLUMNS)
        pack_panels(MOST_TILE_COLUMNS, from, ld, to, count, n);
    else
        pack_panels(MOST_TILE_COLUMNS / 2, from, ld, to, count, n);
}

/* Columns j.. of B's rows k.. as panels of `width` columns; zeros fill the last one's vectors. */
static void pack_columns(const matrix *b, int64_t k, int64_t j, int64_t n, int64_t columns,
                         const tile_kind *t, real *to) {
    const int64_t width = 2 * t->lanes, whole = columns - columns % width, rest = columns - whole;
    const int64_t stride = pieces(rest, t->lanes) * t->lanes;
    if (rest < stride) memset(to + whole * n, 0, (size_t)(stride * n) * sizeof *to);
    if (b->transposed) {
        const real *from = b->at + j * b->ld + k;
        for (int64_t i = 0; i < whole; i += width)
            pack_transposed(from + i * b->ld, b->ld, to + i * n, width, width, n);
        pack_transposed(from + whole * b->ld, b->ld, to + whole * n, stride, rest, n);
    } else {
        const real *from = b->at + k * b->ld + j;
        pack_whole_panels(from, b->ld, to, width, whole, n);
        pack_straight(from + whole, b->ld, to + whole * n, stride, rest, n);
    }
}

/* One row of tiles: `rows` rows of C, from packed columns; of A packed, or as it lies. */
static void row_of_tiles(const tile_kind *t, int64_t rows, int64_t columns, int64_t n,
                         const real *a, int64_t lda, const real *b, real *c, int64_t ldc, int add) {
    const int64_t width = 2 * t->lanes;
    real edge[MOST_TILE_ROWS * MOST_TILE_COLUMNS];
    for (int64_t j = 0; j < columns; j += width) {
        const int64_t here = smaller(width, columns - j), vectors = pieces(here, t->lanes);
        if (here % t->lanes == 0) {
            t->run(rows, vectors, n, a, lda, b + j * n, c + j, ldc, add);
            continue;
        }
        t->run(rows, vectors, n, a, lda, b + j * n, edge, width, 0);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t l = 0; l < here; l++) {
                real *to = c + i * ldc + j + l;
                *to = add ? *to + edge[i * width + l] : edge[i * width + l];
            }
    }
}

/* C = A B, or C += A B, of as many rows and as deep as panels may be. */
static void multiply_block(const tile_kind *t, const matrix *a, const matrix *b, real *c,
                           int64_t ldc, int64_t i, int64_t m, int64_t n, int64_t k, int64_t deep,
                           real *right, real *left, const int64_t *stop) {
    const int64_t width = 2 * t->lanes, tiles = pieces(m, t->rows);
    const int64_t most = t->panel / (deep * (int64_t)sizeof(real)) / width * width; /* columns */
    const int64_t columns = pieces(pieces(n, pieces(n, most)), width) * width;
    pack_rows(a, i, m, k, deep, tiles, left);
    for (int64_t j = 0; j < n && !is_set(stop); j += columns) {
        const int64_t here = smaller(columns, n - j);
        pack_columns(b, k, j, deep, here, t, right);
        for (int64_t s = 0; s < tiles && !is_set(stop); s++) {
            const int64_t first = m * s / tiles, rows = m * (s + 1) / tiles - first;
            row_of_tiles(t, rows, here, deep, left + first * deep, 0, right,
                         c + (i + first) * ldc + j, ldc, k > 0);
        }
    }
}

/* C = A B of (m, depth) and (depth, n), by tiles of one kind; part of it, once `stop` is set. */
static void multiply_panels(int64_t kind, matrix a, matrix b, real *c, int64_t ldc, int64_t m,
                            int64_t n, int64_t depth, real *room, const int64_t *stop) {
    const int64_t blocks = pieces(m, MOST_LEFT), depths = pieces(depth, MOST_DEPTH);
    real *left = room + right_numbers(kind, n, depth);
    for (int64_t r = 0; r < blocks; r++)
        for (int64_t d = 0; d < depths; d++) {
            const int64_t i = m * r / blocks, k = depth * d / depths;
            multiply_block(&TILES[kind - 1], &a, &b, c, ldc, i, m * (r + 1) / blocks - i, n, k,
                           depth * (d + 1) / depths - k, room, left, stop);
        }
}
#else
static void multiply_panels(int64_t kind, matrix a, matrix b, real *c, int64_t ldc, int64_t m,
                            int64_t n, int64_t depth, real *room, const int64_t *stop) {
    (void)kind, (void)a, (void)b, (void)c, (void)ldc, (void)m, (void)n, (void)depth, (void)room;
    (void)stop;
}
#endif

#endif
