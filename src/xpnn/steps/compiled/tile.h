/* A tile of C = A B or C += A B, whose sums stay in registers: included by tiles.h for each kind of
   processor, with the names of its instructions.

   B is packed as n times whole vectors, A as n times `rows` numbers, or its rows lie `lda` apart.
   Each sum is made in the order of k, one fused multiply-add after the other, wherever in a tile it
   is. */

TARGET INLINE void TILE(sums_of)(const int rows, const int vectors, int64_t n,
                                 const real *restrict a, int64_t lda, const int packed,
                                 const real *restrict b, real *restrict c, int64_t ldc, int add) {
    const int64_t row = packed ? 1 : lda, step = packed ? rows : 1;
    VECTOR sum[TILE(ROWS)][2];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) sum[i][j] = OF(setzero)();
    for (int64_t k = 0; k < n; k++, a += step, b += vectors * TILE(LANES)) {
        VECTOR right[2];
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) right[j] = OF(loadu)(b + j * TILE(LANES));
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            const VECTOR left = OF(set1)(a[i * row]);
#pragma GCC unroll 2
            for (int j = 0; j < vectors; j++) sum[i][j] = OF(fmadd)(left, right[j], sum[i][j]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) {
            real *to = c + i * ldc + j * TILE(LANES);
            OF(storeu)(to, add ? OF(add)(OF(loadu)(to), sum[i][j]) : sum[i][j]);
        }
}

#define CASE(rows)                                                            \
    case rows:                                                                \
        if (vectors == 2 && !lda)                                             \
            TILE(sums_of)(rows, 2, n, a, lda, 1, b, c, ldc, add);             \
        else if (!lda)                                                        \
            TILE(sums_of)(rows, 1, n, a, lda, 1, b, c, ldc, add);             \
        else if (vectors == 2)                                                \
            TILE(sums_of)(rows, 2, n, a, lda, 0, b, c, ldc, add);             \
        else                                                                  \
            TILE(sums_of)(rows, 1, n, a, lda, 0, b, c, ldc, add);             \
        break;

TARGET static void TILE(tile)(int64_t rows, int64_t vectors, int64_t n, const real *a, int64_t lda,
                              const real *b, real *c, int64_t ldc, int add) {
    switch (rows) {
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#if MOST_ROWS > 6
        CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
#endif
    }
}

#undef CASE

/* C += A^T B of a few rows, in their order. */
TARGET INLINE void TILE(add_rows)(const int rows, const int vectors, int64_t m, const real *restrict a,
                                  int64_t lda, const real *restrict b, real *restrict c) {
    VECTOR right[4][2];
#pragma GCC unroll 4
    for (int k = 0; k < rows; k++)
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++)
            right[k][j] = OF(loadu)(b + (k * vectors + j) * TILE(LANES));
    for (int64_t i = 0; i < m; i++, c += vectors * TILE(LANES)) {
        VECTOR sum[2];
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) sum[j] = OF(loadu)(c + j * TILE(LANES));
#pragma GCC unroll 4
        for (int k = 0; k < rows; k++) {
            const VECTOR left = OF(set1)(a[k * lda + i]);
#pragma GCC unroll 2
            for (int j = 0; j < vectors; j++) sum[j] = OF(fmadd)(left, right[k][j], sum[j]);
        }
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) OF(storeu)(c + j * TILE(LANES), sum[j]);
    }
}

/* C += A^T B of n rows: m columns of A, and one or two vectors of B and C, packed row after row. */
TARGET static void TILE(across)(int64_t vectors, int64_t m, int64_t n, const real *a, int64_t lda,
                                const real *b, real *c) {
    int64_t k = 0;
    for (; k + 4 <= n; k += 4, a += 4 * lda, b += 4 * vectors * TILE(LANES))
        if (vectors == 2)
            TILE(add_rows)(4, 2, m, a, lda, b, c);
        else
            TILE(add_rows)(4, 1, m, a, lda, b, c);
    for (; k < n; k++, a += lda, b += vectors * TILE(LANES))
        if (vectors == 2)
            TILE(add_rows)(1, 2, m, a, lda, b, c);
        else
            TILE(add_rows)(1, 1, m, a, lda, b, c);
}
