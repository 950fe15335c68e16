#define EW_T float
#define EW_SUFFIX f32
#include "network.inc"
