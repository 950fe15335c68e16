// The samples of a chunk, sorted by grid interval in every column of a block of inputs.
#pragma once
#include <algorithm>

#include "local.h"

namespace ew {

// Up to this many intervals, comparing with every break point (a vector of inputs at a time) beats a table of cells.
constexpr int few_intervals = 32;

template <class T> struct IntervalFinder {
  const char* plan;
  int intervals, degree;
  int64_t j0, n;     // the block of inputs
  T* edges;          // [rows(intervals)][n]: ends of the grid and cells per unit of x, or all break points where they are few
  int32_t* outside;  // [n]

  static int64_t rows(int intervals) { return intervals <= few_intervals ? intervals + 1 : 3; }

  void begin() const {
    for (int64_t j = 0; j < n; ++j) {
      const auto p = Plan<T>::at(plan, j0 + j, intervals, degree);
      if (intervals <= few_intervals)
        for (int s = 0; s <= intervals; ++s) edges[s * n + j] = p.t[s];
      else
        edges[j] = p.low(), edges[n + j] = p.cell_scale, edges[2 * n + j] = p.high();
      outside[j] = 0;
    }
  }

  // The interval of every input of one sample; 0 for a NaN.
  void find(const T* x, int32_t* interval) const {
    const bool few = intervals <= few_intervals;
    const T *low = edges, *scale = edges + n, *high = edges + (rows(intervals) - 1) * n;
    const T last_cell = T(Plan<T>::cells_for(intervals) - 1);
    int64_t j = 0;
    for (; j + lanes<T> <= n; j += lanes<T>) {
      const V<T> y = load(x + j);
      const VI<T> in_range = (y >= load(low + j)) & (y <= load(high + j));
      VI<T> s{};
      if (few)
        for (int e = 1; e < intervals; ++e) s -= y >= load(edges + e * n + j);
      else {
        V<T> cell = (y - load(low + j)) * load(scale + j);
        cell = cell > 0 ? cell : V<T>{};  // a NaN becomes 0 too
        s = __builtin_convertvector(vmin<T>(cell, splat<T>(last_cell)), VI<T>);
      }
      for (int l = 0; l < lanes<T>; ++l) interval[j + l] = int32_t(s[l]), outside[j + l] |= int32_t(in_range[l]) + 1;
    }
    for (; j < n; ++j) {
      outside[j] |= !(x[j] >= low[j] && x[j] <= high[j]);
      int32_t s = 0;
      if (few)
        for (int e = 1; e < intervals; ++e) s += x[j] >= edges[e * n + j];
      else
        s = Plan<T>::at(plan, j0 + j, intervals, degree).cell(x[j]);
      interval[j] = s;
    }
    if (!few) {
      const auto p = Plan<T>::at(plan, j0, intervals, degree);
      const size_t step = Plan<T>::bytes(intervals, degree);
      const char *first = (const char*)p.first, *edge = (const char*)p.edge;
      for (j = 0; j < n; ++j, first += step, edge += step)
        interval[j] = Plan<T>::refined(x[j], ((const int32_t*)first)[interval[j]], (const T*)edge);
    }
  }
};

// A counting sort of every column, sample by sample: neighbouring increments then belong to different columns, and none
// waits for the store of the one before. x and h are rows of `in` values; `interval` is scratch for count * n.
template <class T>
void sort_columns(const T* x, const T* h, int64_t in, int count, int width, const IntervalFinder<T>& finder, int32_t* interval,
                  Column<T>* columns) {
  const int64_t n = finder.n;
  const int intervals = finder.intervals;
  finder.begin();
  for (int64_t j = 0; j < n; ++j) std::fill_n(columns[j].start, intervals + 1, 0);
  for (int b = 0; b < count; ++b) {
    int32_t* row = interval + b * n;
    finder.find(x + b * in, row);
    for (int64_t j = 0; j < n; ++j) ++columns[j].start[row[j]];
  }
  for (int64_t j = 0; j < n; ++j) {
    Column<T>& column = columns[j];
    for (int s = 0, total = 0; s <= intervals; ++s) {
      const int here = column.start[s];
      column.start[s] = total, total += here;
    }
    column.count = count, column.outside = finder.outside[j];
  }
  for (int b = 0; b < count; ++b)
    for (int64_t j = 0; j < n; ++j) {
      const Column<T>& column = columns[j];
      const int place = column.start[interval[b * n + j]]++;
      column.x[place] = x[b * in + j];
      column.offset[place] = b * width;
      if (h) column.h[place] = h[b * in + j];
    }
  for (int64_t j = 0; j < n; ++j) {  // every start has moved to the next one
    int32_t* start = columns[j].start;
    for (int s = intervals; s > 0; --s) start[s] = start[s - 1];
    start[0] = 0;
  }
}

}  // namespace ew
