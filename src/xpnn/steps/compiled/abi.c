#include "xpnn.h"

/* Which arguments the functions of this library take. */
XPNN_EXPORT int32_t xpnn_abi(void) { return XPNN_ABI; }
