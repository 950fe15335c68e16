// The samples of a chunk, sorted by grid interval in every column of a block of inputs.
#pragma once
#include <algorithm>
#include <utility>

#include "local.h"
#include "lookup.h"

namespace ew {

// Up to this many intervals a sort by packing beats one by counting, and comparing with all break points a guess.
constexpr int few_intervals = 16;

// ---- columns -------------------------------------------------------------------------------------------------------

// Lane i of one of two rows of a square of blocks: from a, or from b where bit `step` of i is set (high: the other way).
template <class T, int step, bool high, size_t... i> EW_INLINE V<T> exchanged(V<T> a, V<T> b, std::index_sequence<i...>) {
  return __builtin_shufflevector(a, b, (int(i) & step ? lanes<T> + int(i) - (high ? 0 : step) : int(i) + (high ? step : 0))...);
}

template <class T, int step = 1> EW_INLINE void transpose(V<T> (&rows)[lanes<T>]) {
  if constexpr (step < lanes<T>) {
    constexpr auto all = std::make_index_sequence<lanes<T>>{};
#pragma GCC unroll 16
    for (int i = 0; i < lanes<T>; ++i)
      if (!(i & step)) {
        const V<T> a = rows[i], b = rows[i + step];
        rows[i] = exchanged<T, step, false>(a, b, all), rows[i + step] = exchanged<T, step, true>(a, b, all);
      }
    transpose<T, 2 * step>(rows);
  }
}

// to[j][b] = from[b][j] for up to L columns; returns the row of `to` where column 0 is. Rows of `from` have `in` elements,
// of which `before` precede column 0.
template <class T> int64_t gather_columns(const T* from, int64_t in, int64_t before, int64_t n, int count, T* to, int64_t stride) {
  constexpr int L = lanes<T>;
  const int64_t shift = std::max<int64_t>(0, before + L - in);  // whole vectors, that end with the row at the latest
  const bool whole = shift <= before;
  int b = 0;
  if (whole)
    for (; b + L <= count; b += L) {
      V<T> rows[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) rows[i] = load(from + (b + i) * in - shift);
      transpose<T>(rows);
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) store(to + i * stride + b, rows[i]);
    }
  const int64_t first = whole ? shift : 0;
  for (; b < count; ++b)
    for (int64_t j = 0; j < n; ++j) to[(first + j) * stride + b] = from[b * in + j];
  return first;
}

// ---- one column ----------------------------------------------------------------------------------------------------

template <class T> EW_INLINE bool all_true(VI<T> lanes_of) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return _mm512_cmpeq_epi32_mask((__m512i)lanes_of, __m512i{}) == 0;
  else return _mm512_cmpeq_epi64_mask((__m512i)lanes_of, __m512i{}) == 0;
#elif defined(__AVX2__)
  return _mm256_movemask_epi8((__m256i)lanes_of) == -1;
#else
  bool all = true;
  for (int l = 0; l < lanes<T>; ++l) all &= lanes_of[l] != 0;
  return all;
#endif
}

// The interval of every lane; 0 for a NaN.
template <class T> EW_INLINE VI<T> intervals_of(V<T> x, const Plan<T>& plan) {
  VI<T> s{};
  if (plan.intervals <= few_intervals) {
    for (int e = 1; e < plan.intervals; ++e) s -= x >= splat<T>(plan.t[e]);
    return s;
  }
  const V<T> last = splat<T>(T((plan.even_scale ? plan.intervals : plan.cells) - 1));
  const V<T> place = (x - plan.t[0]) * (plan.even_scale ? plan.even_scale : plan.cell_scale);
  s = __builtin_convertvector(vmin<T>(place > 0 ? place : V<T>{}, last), VI<T>);  // a NaN becomes 0 too
  if (plan.even_scale) {
    // Near a break point the break point decides, which takes a look-up.
    const V<T> from_left = place - __builtin_convertvector(s, V<T>), doubt = splat<T>(plan.doubt);
    const VI<T> sure = (from_left < -doubt) | ((from_left > doubt) & (from_left < 1 - doubt)) | (from_left > 1 + doubt);
    if (all_true<T>(sure)) return s;
    s -= x >= lookup<T>(plan.edge + 1, plan.intervals, s);
    return s + (x < lookup<T>(plan.edge, plan.intervals, s));
  }
  for (int l = 0; l < lanes<T>; ++l) s[l] = Plan<T>::refined(x[l], plan.first[s[l]], plan.edge);
  return s;
}

template <class T> bool any_outside(const T* x, int count, const Plan<T>& plan) {
  const V<T> low = splat<T>(plan.low()), high = splat<T>(plan.high());
  VI<T> inside = ~VI<T>{};
  int b = 0;
  for (; b + lanes<T> <= count; b += lanes<T>) inside &= (load(x + b) >= low) & (load(x + b) <= high);
  bool all = true;
  for (int l = 0; l < lanes<T>; ++l) all &= inside[l] != 0;
  for (; b < count; ++b) all &= x[b] >= plan.low() && x[b] <= plan.high();
  return !all;
}

#if defined(__AVX512F__)
template <class T> EW_INLINE unsigned at_least(V<T> x, V<T> limit) {  // false for a NaN
  if constexpr (sizeof(T) == 4) return _mm512_cmp_ps_mask((__m512)x, (__m512)limit, _CMP_GE_OQ);
  else return _mm512_cmp_pd_mask((__m512d)x, (__m512d)limit, _CMP_GE_OQ);
}
template <class T> EW_INLINE void pack(T* to, unsigned which, V<T> x) {  // writes a whole vector: later calls overwrite the rest
  if constexpr (sizeof(T) == 4) store(to, (V<T>)_mm512_maskz_compress_ps(which, (__m512)x));
  else store(to, (V<T>)_mm512_maskz_compress_pd(which, (__m512d)x));
}
template <class T> EW_INLINE void pack_offsets(int32_t* to, unsigned which, int b, int width) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i offset = _mm512_mullo_epi32(_mm512_add_epi32(lane, _mm512_set1_epi32(b)), _mm512_set1_epi32(width));
  if constexpr (sizeof(T) == 4) _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(which, offset));
  else _mm256_storeu_si256((__m256i*)to, _mm256_maskz_compress_epi32(which, _mm512_castsi512_si256(offset)));
}

// Interval by interval, the samples are packed behind those of the previous interval.
template <class T> void sort_by_packing(const T* x, const T* h, int count, int width, const Plan<T>& plan, Column<T>& column) {
  constexpr int L = lanes<T>;
  int place = 0;
  for (int s = 0; s < plan.intervals; ++s) {
    column.start[s] = place;
    const V<T> left = splat<T>(plan.edge[s]), right = splat<T>(plan.edge[s + 1]);
    const unsigned first = s == 0 ? ~0u : 0u;
    for (int b = 0; b < count; b += L) {
      const V<T> v = load(x + b);
      const unsigned valid = count - b >= L ? (1u << L) - 1 : (1u << (count - b)) - 1;
      const unsigned which = (at_least<T>(v, left) | first) & ~at_least<T>(v, right) & valid;
      pack<T>(column.x + place, which, v);
      pack_offsets<T>(column.offset + place, which, b, width);
      if (h) pack<T>(column.h + place, which, load(h + b));
      place += __builtin_popcount(which);
    }
  }
  column.start[plan.intervals] = place;
}
#endif

template <class T>
void sort_by_counting(const T* x, const T* h, int count, int width, const Plan<T>& plan, int32_t* interval, Column<T>& column) {
  int32_t* start = column.start;
  std::fill_n(start, plan.intervals + 1, 0);
  for (int b = 0; b < count; b += lanes<T>) {
    const VI<T> s = intervals_of<T>(load(x + b), plan);
    if constexpr (sizeof(T) == 4) store((T*)interval + b, (V<T>)s);
    else
      for (int l = 0; l < lanes<T>; ++l) interval[b + l] = int32_t(s[l]);
  }
  for (int b = 0; b < count; ++b) ++start[interval[b]];
  for (int s = 0, total = 0; s <= plan.intervals; ++s) {
    const int here = start[s];
    start[s] = total, total += here;
  }
  for (int b = 0; b < count; ++b) {
    const int place = start[interval[b]]++;
    column.x[place] = x[b], column.offset[place] = b * width;
    if (h) column.h[place] = h[b];
  }
  for (int s = plan.intervals; s > 0; --s) start[s] = start[s - 1];  // every start had moved to the next one
  start[0] = 0;
}

// Sorts `n` columns, the first of which is column `j0`; x and h are rows of `in` values that start with column 0.
// Scratch: two squares of [L][stride] and one row of indices.
template <class T>
void sort_columns(const T* x, const T* h, int64_t in, int64_t j0, int64_t n, int count, int width, const char* plans, int intervals,
                  int degree, T* scratch, int64_t stride, int32_t* interval, Column<T>* columns) {
  constexpr int L = lanes<T>;
  for (int64_t j = 0; j < n; j += L) {
    const int64_t here = std::min<int64_t>(L, n - j), before = j0 + j;
    const int64_t first = gather_columns(x + before, in, before, here, count, scratch, stride);
    if (h) gather_columns(h + before, in, before, here, count, scratch + L * stride, stride);
    for (int64_t i = 0; i < here; ++i) {
      const auto plan = Plan<T>::at(plans, before + i, intervals, degree);
      const T* from = scratch + (first + i) * stride;
      const T* weights = h ? from + L * stride : nullptr;
      Column<T>& column = columns[j + i];
      column.count = count, column.outside = any_outside(from, count, plan);
#if defined(__AVX512F__)
      if (intervals <= few_intervals) {
        sort_by_packing(from, weights, count, width, plan, column);
        continue;
      }
#endif
      sort_by_counting(from, weights, count, width, plan, interval, column);
    }
  }
}

}  // namespace ew
