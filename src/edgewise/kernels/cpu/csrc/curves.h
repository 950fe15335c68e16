// The curves of a small layer with one sample per lane: intervals, basis functions and their derivatives for a vector of
// inputs, and the values of every edge from them.
#pragma once
#include "sort.h"

namespace ew {

// rows[order][b] = the residual function at x_b, differentiated: a loop of its own, because the chain of an exponential
// and a division is long and only many independent ones hide it.
template <class T, int orders> void residual_rows(const T* x, int count, Residual kind, T* rows, int64_t stride) {
  for (int b = 0; b < count; b += lanes<T>) {
    const V<T> v = load(x + b);
    if constexpr (orders > 0) store(rows + b, kind == none ? V<T>{} : residual_at<T, 0>(v, kind));
    if constexpr (orders > 1) store(rows + stride + b, kind == none ? V<T>{} : residual_at<T, 1>(v, kind));
    if constexpr (orders > 2) store(rows + 2 * stride + b, kind == none ? V<T>{} : residual_at<T, 2>(v, kind));
    if constexpr (orders > 3) store(rows + 3 * stride + b, kind == none ? V<T>{} : residual_at<T, 3>(v, kind));
  }
}

// The degree + 1 functions that do not vanish at x and the residual function, each with `orders` derivatives from 0 on.
// Where plan.shared is not null, the functions are those with uniform knots.
template <class T, int degree, int orders> struct LocalCurves {
  VI<T> interval;
  V<T> basis[orders][degree + 1], residual[orders];

  // `residuals` holds the derivatives of the residual function at x, one every `stride`; see residual_rows.
  EW_INLINE LocalCurves(V<T> x, const Plan<T>& plan, const T* residuals, int64_t stride) {
    const int intervals = plan.intervals;
    interval = intervals_of<T>(x, plan);
    const V<T> inside = vmin<T>(vmax<T>(x, splat<T>(plan.low())), splat<T>(plan.high()));
    const V<T> beyond = x - inside, bad = x - x;  // bad: 0, or NaN for an infinite or NaN input, and then so is u
    const V<T> u_inside = inside - lookup<T>(plan.t, intervals, interval);
    if (plan.shared) {
      const V<T> inverse = splat<T>(plan.inverse[0]);
      on_uniform_knots(u_inside * inverse + bad, inverse, beyond);
    } else {
      const V<T> inverse = lookup<T>(plan.inverse, intervals, interval);
      by_power(u_inside * inverse + bad, inverse, beyond, plan);
    }
#pragma GCC unroll 8
    for (int order = 2; order < orders; ++order)
#pragma GCC unroll 8
      for (int m = 0; m <= degree; ++m) basis[order][m] = (beyond == 0 ? basis[order][m] : V<T>{}) + bad;
#pragma GCC unroll 8
    for (int order = 0; order < orders; ++order) residual[order] = load(residuals + order * stride) + bad;
  }

  // The values as an earlier evaluation stored them, one row every `stride`.
  EW_INLINE LocalCurves(VI<T> interval, const T* rows, int64_t stride) : interval(interval) {
    static_assert(orders == 1);
#pragma GCC unroll 8
    for (int m = 0; m <= degree; ++m) basis[0][m] = load(rows + m * stride);
    residual[0] = load(rows + (degree + 1) * stride);
  }

  // The recursion of Cox and de Boor with unit spacing, W_d[m] = ((u + d - m) W_{d-1}[m-1] + (m + 1 - u) W_{d-1}[m]) / d,
  // one function of every degree from the sum of all, which is 1; derivatives are differences of lower degrees.
  EW_INLINE void on_uniform_knots(V<T> u, V<T> inverse, V<T> beyond) {
    V<T> W[degree + 1][degree + 1];
    W[0][0] = splat<T>(1);
#pragma GCC unroll 8
    for (int d = 1; d <= degree; ++d) {
      V<T> others{};
      const int middle = d / 2;
#pragma GCC unroll 8
      for (int m = 0; m <= d; ++m) {
        if (m == middle) continue;
        W[d][m] = V<T>{};
        if (m > 0) W[d][m] += (u + T(d - m)) * T(1. / d) * W[d - 1][m - 1];
        if (m < d) W[d][m] += (T(m + 1) - u) * T(1. / d) * W[d - 1][m];
        others += W[d][m];
      }
      W[d][middle] = 1 - others;
    }
    V<T> slope[degree + 1];
    differences<1>(W, slope);
    const V<T> beyond_u = beyond * inverse;
#pragma GCC unroll 8
    for (int m = 0; m <= degree; ++m) basis[0][m] = W[degree][m] + beyond_u * slope[m];
    if constexpr (orders > 1)
      for (int m = 0; m <= degree; ++m) basis[1][m] = slope[m] * inverse;
    if constexpr (orders > 2) differences<2>(W, basis[2]), times(inverse * inverse, basis[2]);
    if constexpr (orders > 3) differences<3>(W, basis[3]), times(inverse * inverse * inverse, basis[3]);
  }
  template <int order> static EW_INLINE void differences(const V<T> (&W)[degree + 1][degree + 1], V<T> (&d)[degree + 1]) {
    if constexpr (order > degree) {
      for (int m = 0; m <= degree; ++m) d[m] = W[0][0] - W[0][0];
    } else {
#pragma GCC unroll 8
      for (int m = 0; m <= degree - order; ++m) d[m] = W[degree - order][m];
#pragma GCC unroll 8
      for (int n = degree - order + 1; n <= degree; ++n) {
        d[n] = d[n - 1];
#pragma GCC unroll 8
        for (int m = n - 1; m > 0; --m) d[m] = d[m - 1] - d[m];
        d[0] = -d[0];
      }
    }
  }
  static EW_INLINE void times(V<T> factor, V<T> (&values)[degree + 1]) {
    for (int m = 0; m <= degree; ++m) values[m] *= factor;
  }

  // From the polynomials of every interval.
  EW_INLINE void by_power(V<T> u, V<T> inverse, V<T> beyond, const Plan<T>& plan) {
    const int intervals = plan.intervals;
#pragma GCC unroll 8
    for (int m = 0; m <= degree; ++m) {
      V<T> c[degree + 1];
#pragma GCC unroll 8
      for (int p = 0; p <= degree; ++p)
        c[p] = lookup<T>(plan.by_power + (m * (degree + 1) + p) * intervals, intervals, interval);
      V<T> scale = splat<T>(1), y[orders < 2 ? 2 : orders];
#pragma GCC unroll 8
      for (int order = 0; order < (orders < 2 ? 2 : orders); ++order) {
        V<T> value{};
#pragma GCC unroll 8
        for (int p = degree; p >= order; --p) {
          T factor = 1;
          for (int q = 0; q < order; ++q) factor *= T(p - q);
          value = p == degree ? factor * c[p] : value * u + factor * c[p];
        }
        y[order] = value * scale;
        scale *= inverse;
      }
      basis[0][m] = y[0] + beyond * y[1];
#pragma GCC unroll 8
      for (int order = 1; order < orders; ++order) basis[order][m] = y[order];
    }
  }

  // The derivatives of one edge, whose coefficients are contiguous and whose residual weight is the last of them.
  template <int registers> EW_INLINE void edge(const T* coef, int size, V<T> (&phi)[orders]) const {
    const Table<T, registers> table(coef);
    const T weight = coef[size];
#pragma GCC unroll 8
    for (int order = 0; order < orders; ++order) phi[order] = weight * residual[order];
#pragma GCC unroll 8
    for (int m = 0; m <= degree; ++m) {
      const V<T> c = table(interval + m);
#pragma GCC unroll 8
      for (int order = 0; order < orders; ++order) phi[order] += c * basis[order][m];
    }
  }
};

}  // namespace ew
