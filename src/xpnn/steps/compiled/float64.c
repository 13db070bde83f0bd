/* The steps in double precision. */
#define XPNN_BITS 64
#include "exports.h"
