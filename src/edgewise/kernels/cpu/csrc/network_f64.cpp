#define EW_T double
#define EW_SUFFIX f64
#include "network.inc"
