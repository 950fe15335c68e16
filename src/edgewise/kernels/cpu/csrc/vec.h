// Vectors of the widest register of the target, written with GCC/Clang vector extensions: the same source is AVX-512,
// AVX2, SSE2 or NEON, chosen by -march alone.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#define EW_VECTOR_BYTES 64
#elif defined(__AVX__)
#define EW_VECTOR_BYTES 32
#else
#define EW_VECTOR_BYTES 16
#endif
#define EW_INLINE inline __attribute__((always_inline))

namespace ew {

template <class T> struct IntegerOf;
template <> struct IntegerOf<float> { using type = int32_t; };
template <> struct IntegerOf<double> { using type = int64_t; };

template <class T> struct VecOf {
  using Int = typename IntegerOf<T>::type;
  typedef T V __attribute__((vector_size(EW_VECTOR_BYTES)));
  typedef Int I __attribute__((vector_size(EW_VECTOR_BYTES)));
  // The same vector at any element address; may_alias because the memory belongs to plain arrays.
  typedef T U __attribute__((vector_size(EW_VECTOR_BYTES), aligned(sizeof(T)), may_alias));
};
template <class T> using V = typename VecOf<T>::V;
template <class T> using VI = typename VecOf<T>::I;
template <class T> constexpr int lanes = EW_VECTOR_BYTES / int(sizeof(T));
#if EW_VECTOR_BYTES == 64
constexpr int registers = 32;
#else
constexpr int registers = 16;
#endif

template <class T> EW_INLINE V<T> load(const T* p) { return *(const typename VecOf<T>::U*)p; }
template <class T> EW_INLINE void store(T* p, V<T> v) { *(typename VecOf<T>::U*)p = v; }
template <class T> EW_INLINE V<T> splat(T s) { return s - V<T>{}; }  // one broadcast; s + 0 would turn -0 into +0

template <class T> EW_INLINE V<T> vmin(V<T> a, V<T> b) { return b < a ? b : a; }  // keeps a NaN in a
template <class T> EW_INLINE V<T> vmax(V<T> a, V<T> b) { return a < b ? b : a; }

// ---- sums over lanes -------------------------------------------------------------------------------------------

// Adds neighbours: lane i of the result is the sum of two lanes, the first half from a, the second from b (by blocks of
// `step`), so that log2(lanes) rounds over `lanes` vectors give the vector of their sums.
template <class T, int step> EW_INLINE V<T> fold(V<T> a, V<T> b);

#define EW_FOLD4(T, step, i0, i1, i2, i3, j0, j1, j2, j3)                              \
  template <> EW_INLINE V<T> fold<T, step>(V<T> a, V<T> b) {                           \
    return __builtin_shufflevector(a, b, i0, i1, i2, i3) + __builtin_shufflevector(a, b, j0, j1, j2, j3); \
  }
#if EW_VECTOR_BYTES == 16
EW_FOLD4(float, 1, 0, 4, 2, 6, 1, 5, 3, 7)
EW_FOLD4(float, 2, 0, 1, 4, 5, 2, 3, 6, 7)
template <> EW_INLINE V<double> fold<double, 1>(V<double> a, V<double> b) {
  return __builtin_shufflevector(a, b, 0, 2) + __builtin_shufflevector(a, b, 1, 3);
}
#elif EW_VECTOR_BYTES == 32
EW_FOLD4(double, 1, 0, 4, 2, 6, 1, 5, 3, 7)
EW_FOLD4(double, 2, 0, 1, 4, 5, 2, 3, 6, 7)
#define EW_FOLD8(T, step, i0, i1, i2, i3, i4, i5, i6, i7, j0, j1, j2, j3, j4, j5, j6, j7)  \
  template <> EW_INLINE V<T> fold<T, step>(V<T> a, V<T> b) {                               \
    return __builtin_shufflevector(a, b, i0, i1, i2, i3, i4, i5, i6, i7) +                 \
           __builtin_shufflevector(a, b, j0, j1, j2, j3, j4, j5, j6, j7);                  \
  }
EW_FOLD8(float, 1, 0, 8, 2, 10, 4, 12, 6, 14, 1, 9, 3, 11, 5, 13, 7, 15)
EW_FOLD8(float, 2, 0, 1, 8, 9, 4, 5, 12, 13, 2, 3, 10, 11, 6, 7, 14, 15)
EW_FOLD8(float, 4, 0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15)
#else
#define EW_FOLD8(T, step, i0, i1, i2, i3, i4, i5, i6, i7, j0, j1, j2, j3, j4, j5, j6, j7)  \
  template <> EW_INLINE V<T> fold<T, step>(V<T> a, V<T> b) {                               \
    return __builtin_shufflevector(a, b, i0, i1, i2, i3, i4, i5, i6, i7) +                 \
           __builtin_shufflevector(a, b, j0, j1, j2, j3, j4, j5, j6, j7);                  \
  }
EW_FOLD8(double, 1, 0, 8, 2, 10, 4, 12, 6, 14, 1, 9, 3, 11, 5, 13, 7, 15)
EW_FOLD8(double, 2, 0, 1, 8, 9, 4, 5, 12, 13, 2, 3, 10, 11, 6, 7, 14, 15)
EW_FOLD8(double, 4, 0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15)
template <> EW_INLINE V<float> fold<float, 1>(V<float> a, V<float> b) {
  return __builtin_shufflevector(a, b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30) +
         __builtin_shufflevector(a, b, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
}
template <> EW_INLINE V<float> fold<float, 2>(V<float> a, V<float> b) {
  return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
         __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}
template <> EW_INLINE V<float> fold<float, 4>(V<float> a, V<float> b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27) +
         __builtin_shufflevector(a, b, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
}
template <> EW_INLINE V<float> fold<float, 8>(V<float> a, V<float> b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
         __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}
#endif

template <class T, int n = lanes<T>> EW_INLINE V<T> sums_of(const T* rows) {
  // The vector whose lane i is the sum of the lanes of row i, for rows 0 .. n-1 (n a power of two).
  if constexpr (n == 1) return load(rows);
  else {
    constexpr int half = n / 2;
    // Rows i and i + 2^r meet in round r: the recursion splits even from odd last, so the order of lanes is kept.
    return fold<T, half>(sums_of<T, half>(rows), sums_of<T, half>(rows + half * lanes<T>));
  }
}

template <class T> EW_INLINE T sum_lanes(V<T> v) {
  T total = 0;
  for (int i = 0; i < lanes<T>; ++i) total += v[i];
  return total;
}

// ---- the exponential and the logistic function -----------------------------------------------------------------

template <class T> EW_INLINE V<T> ldexp2(V<T> mantissa, VI<T> n) {  // mantissa * 2^n for n within the normal range
  constexpr int bits = sizeof(T) == 4 ? 23 : 52, bias = sizeof(T) == 4 ? 127 : 1023;
  return mantissa * (V<T>)((n + bias) << bits);
}

// e^x by x = n ln2 + r, |r| <= ln2 / 2, and the Taylor series of e^r (the remainder is below half an ulp).
template <class T> EW_INLINE V<T> vexp(V<T> x) {
  constexpr bool single = sizeof(T) == 4;
  constexpr T limit = single ? T(87) : T(708), round = single ? T(12582912) : T(6755399441055744);
  x = vmax<T>(vmin<T>(x, splat<T>(limit)), splat<T>(-limit));
  V<T> shifted = x * T(1.44269504088896340736) + round;  // the integer part appears in the low mantissa bits
  V<T> n = shifted - round;
  constexpr T ln2_hi = single ? T(0.693359375) : T(0.693147180369123816490);
  constexpr T ln2_lo = single ? T(-2.12194440e-4) : T(1.90821492927058770002e-10);
  V<T> r = x - n * ln2_hi - n * ln2_lo;
  constexpr int terms = single ? 7 : 13;
  constexpr double inverse_factorial[14] = {1, 1, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320,
      1. / 362880, 1. / 3628800, 1. / 39916800, 1. / 479001600, 1. / 6227020800};
  V<T> p = splat<T>(T(inverse_factorial[terms]));
#pragma GCC unroll 16
  for (int i = terms - 1; i >= 0; --i) p = p * r + T(inverse_factorial[i]);
  return ldexp2<T>(p, (VI<T>)shifted - (VI<T>)splat<T>(round));
}

template <class T> EW_INLINE V<T> logistic(V<T> x) { return T(1) / (T(1) + vexp<T>(-x)); }

}  // namespace ew
