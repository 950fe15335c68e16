// Names of the C ABI: EW_NAME(sum) is ew_sum_f32 where EW_SUFFIX is f32.
#pragma once
#define EW_JOIN2(a, b) a##b
#define EW_JOIN(a, b) EW_JOIN2(a, b)
#define EW_NAME(name) EW_JOIN(ew_##name##_, EW_SUFFIX)
