/* The steps in single precision. */
#define XPNN_BITS 32
#include "exports.h"
