// table[index] with an index per lane. Tables of up to two registers are shuffled instead of gathered.
#pragma once
#include <type_traits>

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

// The same for a table that is read repeatedly, held in 1 or 2 registers, or in 0 (it stays in memory).
template <class T, int registers> struct Table {
  const T* table;
  V<T> low, high;

  EW_INLINE explicit Table(const T* from) : table(from) {
    if constexpr (registers > 0) low = load(from);
    if constexpr (registers > 1) high = load(from + lanes<T>);
  }
  EW_INLINE V<T> operator()(VI<T> index) const {
#if defined(__AVX512F__)
    const __m512i i = (__m512i)index;
    if constexpr (sizeof(T) == 4 && registers == 1) return (V<T>)_mm512_permutexvar_ps(i, (__m512)low);
    else if constexpr (sizeof(T) == 4 && registers == 2) return (V<T>)_mm512_permutex2var_ps((__m512)low, i, (__m512)high);
    else if constexpr (registers == 1) return (V<T>)_mm512_permutexvar_pd(i, (__m512d)low);
    else if constexpr (registers == 2) return (V<T>)_mm512_permutex2var_pd((__m512d)low, i, (__m512d)high);
    else return lookup<T>(table, 1 << 20, index);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4 && registers > 0) {
      const V<T> first = (V<T>)_mm256_permutevar8x32_ps((__m256)low, (__m256i)index);
      if constexpr (registers == 1) return first;
      const __m256 second = _mm256_permutevar8x32_ps((__m256)high, (__m256i)index);
      return (V<T>)_mm256_blendv_ps((__m256)first, second, (__m256)(index << 28));  // bit 3 of the index becomes the sign
    } else return lookup<T>(table, 1 << 20, index);
#else
    return lookup<T>(table, 0, index);
#endif
  }
};

// Calls body(registers tag) for a table of that many elements.
template <class T, class Body> EW_INLINE void with_registers(int64_t size, const Body& body) {
  if (size <= lanes<T>) body(std::integral_constant<int, 1>{});
  else if (size <= 2 * lanes<T>) body(std::integral_constant<int, 2>{});
  else body(std::integral_constant<int, 0>{});
}

}  // namespace ew
