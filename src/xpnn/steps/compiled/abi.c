#include "xpnn.h"

/* Which arguments the functions of this library take. */
XPNN_EXPORT int32_t xpnn_abi(void) { return XPNN_ABI; }

/* The best tiles of this processor: 2 with AVX-512, 1 with AVX2, else 0. */
XPNN_EXPORT int32_t xpnn_tiles(void) {
#if XPNN_HAS_TILES
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f")) return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
    return 0;
}
