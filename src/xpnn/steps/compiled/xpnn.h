/* What all files of the library share. */
#ifndef XPNN_H
#define XPNN_H

#include <stddef.h>
#include <stdint.h>

/* One more whenever a function's arguments change; __init__.py compares. */
#define XPNN_ABI 13

#if defined(_WIN32)
#define XPNN_EXPORT __declspec(dllexport)
#else
#define XPNN_EXPORT __attribute__((visibility("default")))
#endif

/* Before a function: it is compiled for AVX-512, AVX2 and any x86-64, and the best is chosen when
   the library is loaded. Only gcc with glibc can; a build with sanitizers says XPNN_NO_CLONES. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) \
    && !defined(XPNN_NO_CLONES)
#define XPNN_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define XPNN_CLONES
#endif

/* Whether there are matrix products of our own (tiles.h). On Windows gcc aligns no stack for them. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(_WIN32)
#define XPNN_HAS_TILES 1
#else
#define XPNN_HAS_TILES 0
#endif

#if defined(_MSC_VER)
#define XPNN_INLINE static __forceinline
#define XPNN_PREFETCH(address) ((void)(address))
#define XPNN_PREFETCH_FAR(address) ((void)(address))
#else
#define XPNN_INLINE static inline __attribute__((always_inline))
#define XPNN_PREFETCH(address) __builtin_prefetch(address)
#define XPNN_PREFETCH_FAR(address) __builtin_prefetch(address, 0, 2) /* second cache */
#endif

#endif
