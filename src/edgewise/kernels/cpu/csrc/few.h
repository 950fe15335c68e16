// A few samples through layers of curves, one after the other: nothing is sorted, packed or tiled, which for so few would
// cost several times the sums themselves.
#pragma once
#include <algorithm>

#include "local.h"

namespace ew {

constexpr int64_t few_samples = 4;  // measured: from 6 on, sorting is as fast for 64 inputs and outputs

// One sample at one layer, added to the outputs [o0, o1): x, h (in); coef (in, rows, out); y (out).
template <class T, int degree> struct Sample {
  static constexpr int L = lanes<T>, size = degree + 1, together = 64;  // inputs whose functions wait in the first cache level

  const char* plans;
  int64_t in, out;
  int intervals;
  Residual kind;
  const T* coef;

  void sum(const T* x, const T* h, T* y, int64_t o0, int64_t o1) const {
    for (int64_t j0 = 0; j0 < in; j0 += together) {
      const int n = int(std::min<int64_t>(together, in - j0));
      alignas(64) T weights[together][size + 1];
      const T* rows[together];
      evaluate(x + j0, h ? h + j0 : nullptr, j0, n, weights, rows);
      add(n, weights, rows, j0, y, o0, o1);
    }
  }

 private:
  int64_t coef_rows() const { return intervals + degree + (kind != none); }
  const T* coef_of(int64_t j) const { return coef + j * coef_rows() * out; }

  // The functions at n inputs that do not vanish there, the residual function last, and the coefficients of the first.
  void evaluate(const T* x, const T* h, int64_t j0, int n, T (*weights)[size + 1], const T** rows) const {
    alignas(64) T padded[together] = {}, residuals[together];
    std::copy_n(x, n, padded);
    if (kind != none)
      for (int j = 0; j < n; j += L) store(residuals + j, residual_at<T, 0>(load(padded + j), kind));
    for (int j = 0; j < n; ++j) {
      const auto plan = Plan<T>::at(plans, j0 + j, intervals, degree);
      const int s = plan.interval(x[j], plan.cell(x[j]));
      rows[j] = coef_of(j0 + j) + s * out;
      curve_functions(plan, s, x[j], weights[j]);
      weights[j][size] = kind == none ? T(0) : residuals[j] + (x[j] - x[j]);
      if (h)
        for (T& w : weights[j]) w *= h[j];
    }
  }

  // The same as `local_rows`: the value and slope of the ends go on outside, and what is not finite becomes NaN.
  static EW_INLINE void curve_functions(const Plan<T>& plan, int s, T x, T* w) {
    const T inverse = plan.inverse[s], low = plan.low(), high = plan.high();
    T inside = x < low ? low : x;
    inside = high < inside ? high : inside;
    const T u = (inside - plan.t[s]) * inverse, beyond = (x - inside) * inverse, bad = x - x;
    const T* c = plan.table + ptrdiff_t(s) * size * size;
    for (int m = 0; m < size; ++m, c += size) {
      T value = c[degree], slope = 0;
      for (int p = degree - 1; p >= 0; --p) slope = slope * u + value, value = value * u + c[p];
      w[m] = value + (beyond == 0 ? T(0) : beyond * slope) + bad;
    }
  }

  void add(int n, const T (*weights)[size + 1], const T* const* rows, int64_t j0, T* y, int64_t o, int64_t end) const {
    for (; o + 4 * L <= end; o += 4 * L) add_outputs<4>(n, weights, rows, j0, o, y);
    for (; o + L <= end; o += L) add_outputs<1>(n, weights, rows, j0, o, y);
    for (int j = 0; o < end && j < n; ++j) {
      const T* last = coef_of(j0 + j) + (intervals + degree) * out;
      for (int64_t i = o; i < end; ++i) {
        T e = kind == none ? T(0) : weights[j][size] * last[i];
        for (int m = 0; m < size; ++m) e += weights[j][m] * rows[j][m * out + i];
        y[i] += e;
      }
    }
  }
  template <int vectors>
  void add_outputs(int n, const T (*weights)[size + 1], const T* const* rows, int64_t j0, int64_t o, T* y) const {
    V<T> total[vectors];
    for (int v = 0; v < vectors; ++v) total[v] = load(y + o + v * L);
    for (int j = 0; j < n; ++j) {
      const T *first = rows[j] + o, *last = coef_of(j0 + j) + (intervals + degree) * out + o;
      for (int v = 0; v < vectors; ++v) {
        V<T> e = weights[j][0] * load(first + v * L);
        for (int m = 1; m < size; ++m) e += weights[j][m] * load(first + m * out + v * L);
        if (kind != none) e += weights[j][size] * load(last + v * L);
        total[v] += e;
      }
    }
    for (int v = 0; v < vectors; ++v) store(y + o + v * L, total[v]);
  }
};

}  // namespace ew
