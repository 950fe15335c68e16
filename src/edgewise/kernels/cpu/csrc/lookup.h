// table[index] with another index in every lane. Tables of up to two registers are shuffled instead of gathered.
#pragma once
#include "vec.h"
#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

namespace ew {

// Reads whole vectors: the table must be followed by two vectors of readable memory. Indices must be within the table.
template <class T> EW_INLINE V<T> lookup(const T* table, int size, VI<T> index) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const __m512i i = (__m512i)index;
    if (size <= 16) return (V<T>)_mm512_permutexvar_ps(i, (__m512)load(table));
    if (size <= 32) return (V<T>)_mm512_permutex2var_ps((__m512)load(table), i, (__m512)load(table + 16));
    return (V<T>)_mm512_i32gather_ps(i, table, 4);
  } else {
    const __m512i i = (__m512i)index;
    if (size <= 8) return (V<T>)_mm512_permutexvar_pd(i, (__m512d)load(table));
    if (size <= 16) return (V<T>)_mm512_permutex2var_pd((__m512d)load(table), i, (__m512d)load(table + 8));
    return (V<T>)_mm512_i64gather_pd(i, table, 8);
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    const __m256i i = (__m256i)index;
    if (size <= 8) return (V<T>)_mm256_permutevar8x32_ps((__m256)load(table), i);
    if (size <= 16) {
      const __m256 low = _mm256_permutevar8x32_ps((__m256)load(table), i);
      const __m256 high = _mm256_permutevar8x32_ps((__m256)load(table + 8), i);
      return (V<T>)_mm256_blendv_ps(low, high, (__m256)(index << 28));  // bit 3 of the index becomes the sign
    }
    return (V<T>)_mm256_i32gather_ps(table, i, 4);
  } else {
    return (V<T>)_mm256_i64gather_pd(table, (__m256i)index, 8);
  }
#else
  V<T> values;
  for (int l = 0; l < lanes<T>; ++l) values[l] = table[index[l]];
  return values;
#endif
}

}  // namespace ew
