// The local problem of one input column: its samples sorted by grid interval, and the degree + 1 basis functions (and the
// residual function) that do not vanish at each, evaluated in that order, one row per function.
#pragma once
#include "plan.h"
#include "vec.h"

namespace ew {

enum Residual : int { none = 0, identity = 1, silu = 2 };

// d^order of the residual function. The logistic function s has s' = p = s (1 - s), s'' = p (1 - 2 s), s''' = p (1 - 6 p),
// s'''' = p (1 - 2 s)(1 - 12 p), and x s(x) has n-th derivative n s^(n-1) + x s^(n).
template <class T, int order> EW_INLINE V<T> residual_at(V<T> x, Residual kind) {
  if (kind == identity) return order == 0 ? x : splat<T>(order == 1 ? T(1) : T(0));
  const V<T> s = logistic<T>(x), p = s * (1 - s);
  if constexpr (order == 0) return x * s;
  if constexpr (order == 1) return s + x * p;
  if constexpr (order == 2) return 2 * p + x * p * (1 - 2 * s);
  if constexpr (order == 3) return 3 * p * (1 - 2 * s) + x * p * (1 - 6 * p);
  return 4 * p * (1 - 6 * p) + x * p * (1 - 2 * s) * (1 - 12 * p);
}

// d^order/du^order of sum_p c_p u^p
template <class T, int degree, int order> EW_INLINE V<T> polynomial(const T* c, V<T> u) {
  if constexpr (order > degree) return V<T>{};
  else {
    V<T> y{};
#pragma GCC unroll 8
    for (int p = degree; p >= order; --p) {
      T factor = 1;
      for (int q = 0; q < order; ++q) factor *= T(p - q);
      y = p == degree ? splat<T>(factor * c[p]) : y * u + factor * c[p];
    }
    return y;
  }
}

// One input column of a chunk of samples, sorted by grid interval.
template <class T> struct Column {
  int count;        // samples
  int32_t* start;   // [intervals + 1]: where the samples of each interval begin in the sorted order
  int32_t* offset;  // [count]: position of the sorted sample in the tile, in elements
  T* x;             // [count + lanes]: the inputs in sorted order
  T* h;             // the same for the weights, or null
  bool outside;     // any input outside the grid, infinite or NaN
};

// rows[m][n] = h_n B_{s+m}^(order)(x_n), s the interval of n; the residual function is row degree + 1.
// Outside the grid a curve continues with its value and slope at the end; derivatives above the first are zero there.
template <class T, int degree, int order>
void local_rows(const Column<T>& column, const Plan<T>& plan, Residual kind, T* rows, ptrdiff_t stride) {
  const T low = plan.low(), high = plan.high();
  for (int s = 0; s < plan.intervals; ++s) {
    const T inverse = plan.inverse[s];
    T scale = 1;
    for (int q = 0; q < order; ++q) scale *= inverse;
    const T* c = plan.table + ptrdiff_t(s) * (degree + 1) * (degree + 1);
    // A vector may run past the interval's last sample: the next interval overwrites what it wrote there.
    for (int n = column.start[s]; n < column.start[s + 1]; n += lanes<T>) {
      const V<T> x = load(column.x + n);
      if (!column.outside) {
        const V<T> u = (x - plan.t[s]) * inverse;
#pragma GCC unroll 8
        for (int m = 0; m <= degree; ++m) {
          V<T> y = polynomial<T, degree, order>(c + m * (degree + 1), u);
          store(rows + m * stride + n, order ? y * scale : y);
        }
      } else {
        const V<T> inside = vmin<T>(vmax<T>(x, splat<T>(low)), splat<T>(high));
        const V<T> u = (inside - plan.t[s]) * inverse;
        const V<T> beyond = x - inside, bad = x - x;  // bad: 0, or NaN for an infinite or NaN input
#pragma GCC unroll 8
        for (int m = 0; m <= degree; ++m) {
          V<T> y = polynomial<T, degree, order>(c + m * (degree + 1), u) * scale;
          if (order == 0) y += beyond * (polynomial<T, degree, 1>(c + m * (degree + 1), u) * inverse);
          if (order >= 2) y = beyond == 0 ? y : splat<T>(0);
          store(rows + m * stride + n, y + bad);
        }
      }
    }
  }
  if (kind != none) {
    T* row = rows + (degree + 1) * stride;
    for (int n = 0; n < column.count; n += lanes<T>) {
      const V<T> x = load(column.x + n);
      store(row + n, residual_at<T, order>(x, kind) + (x - x));
    }
  }
  if (column.h) {
    const int used = degree + 1 + (kind != none);
    for (int m = 0; m < used; ++m)
      for (int n = 0; n < column.count; n += lanes<T>)
        store(rows + m * stride + n, load(rows + m * stride + n) * load(column.h + n));
  }
}

}  // namespace ew
