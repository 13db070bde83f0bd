/* A tile of C = A B or C += A B, whose sums stay in registers: included by tiles.h for each kind of
   processor, with the names of its instructions.

   A is packed as n times `rows` numbers, B as n times whole vectors. Each sum is made in the order
   of k, one fused multiply-add after the other, wherever in a tile it is. */

TARGET INLINE void TILE(sums_of)(const int rows, const int vectors, int64_t n,
                                 const real *restrict a, const real *restrict b, real *restrict c,
                                 int64_t ldc, int add) {
    VECTOR sum[TILE(ROWS)][2];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) sum[i][j] = OF(setzero)();
    for (int64_t k = 0; k < n; k++, a += rows, b += vectors * TILE(LANES)) {
        VECTOR right[2];
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) right[j] = OF(loadu)(b + j * TILE(LANES));
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            const VECTOR left = OF(set1)(a[i]);
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

#define CASE(rows)                                              \
    case rows:                                                  \
        if (vectors == 2)                                       \
            TILE(sums_of)(rows, 2, n, a, b, c, ldc, add);       \
        else                                                    \
            TILE(sums_of)(rows, 1, n, a, b, c, ldc, add);       \
        break;

TARGET static void TILE(tile)(int64_t rows, int64_t vectors, int64_t n, const real *a,
                              const real *b, real *c, int64_t ldc, int add) {
    switch (rows) {
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#if MOST_ROWS > 6
        CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
#endif
    }
}

#undef CASE
