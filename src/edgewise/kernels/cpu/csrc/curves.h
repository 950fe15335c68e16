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
    const V<T> beyond = x - inside, bad = x - x;
    const V<T> inverse = lookup<T>(plan.inverse, intervals, interval);
    const V<T> u = (inside - lookup<T>(plan.t, intervals, interval)) * inverse;
    const VI<T> within = beyond == 0;
    const auto evaluate = [&](const auto& coefficient) __attribute__((always_inline)) {
#pragma GCC unroll 8
      for (int m = 0; m <= degree; ++m) {
        V<T> c[degree + 1];
#pragma GCC unroll 8
        for (int p = 0; p <= degree; ++p) c[p] = coefficient(m * (degree + 1) + p);
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
        basis[0][m] = y[0] + beyond * y[1] + bad;
        if constexpr (orders > 1) basis[1][m] = y[1] + bad;
#pragma GCC unroll 8
        for (int order = 2; order < orders; ++order) basis[order][m] = (within ? y[order] : V<T>{}) + bad;
      }
    };
    if (plan.shared) evaluate([&](int place) { return splat<T>(plan.shared[place]); });
    else evaluate([&](int place) { return lookup<T>(plan.by_power + place * intervals, intervals, interval); });
#pragma GCC unroll 8
    for (int order = 0; order < orders; ++order) residual[order] = load(residuals + order * stride) + bad;
  }

  // The derivatives of one edge, whose coefficients are contiguous and whose residual weight is the last of them.
  EW_INLINE void edge(const T* coef, int size, V<T> (&phi)[orders]) const {
    const T weight = coef[size];
    for (int order = 0; order < orders; ++order) phi[order] = weight * residual[order];
#pragma GCC unroll 8
    for (int m = 0; m <= degree; ++m) {
      const V<T> c = lookup<T>(coef, size, interval + m);
      for (int order = 0; order < orders; ++order) phi[order] += c * basis[order][m];
    }
  }
};

}  // namespace ew
