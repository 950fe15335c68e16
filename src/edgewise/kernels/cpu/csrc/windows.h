// The local functions of B-splines of any degree up to 9 at many samples, and the sums of curves from them: what the normal
// equations of a small network need. A window is the degree + 1 functions that do not vanish at a sample.
#pragma once
#include <algorithm>
#include <vector>

#include "buffer.h"
#include "local.h"
#include "lookup.h"
#include "parallel.h"
#include "sort.h"

namespace ew {

constexpr int window_degree = 9;
constexpr int window_chunk = 64;  // samples of a task's inner loop
// Doubles between two windows, zero past the window.
inline int64_t window_stride(int functions) { return (functions + 3) / 4 * 4; }

// Whether least <= values[n] < end for all n.
inline bool within(const int32_t* values, int64_t count, int32_t least, int64_t end) {
  int32_t low = least, high = least;
  for (int64_t n = 0; n < count; ++n) low = std::min(low, values[n]), high = std::max(high, values[n]);
  return low >= least && (count == 0 || high < end);
}

enum Extrapolation : int { linear = 0, constant = 1, polynomial_piece = 2, zero = 3 };

struct CurvesArgs {
  const double *x, *knots, *coef, *bias;  // (xs, in, n), (knot_sets, in, intervals + 1 + 2 degree), (S, in, rows, out), (S, out) or null
  int32_t* interval;                      // (sets, in, n)
  double *window, *residual;              // (sets, in, n, stride), (sets, in, n) or null
  double *y, *slope;                      // (S, out, n), (S, in, out, n) or null
  int64_t starts, xs, knot_sets, in, out, n;
  int32_t intervals, degree, kind, extrapolation;
  int64_t known;  // window, interval and residual are there already; then no slopes
};

// The intervals of the x inside the grid: the inner break points up to each. The guess is that of an even grid.
EW_INLINE VI<double> intervals_on(const double* grid, int intervals, double scale, V<double> x) {
  const V<double> place = (x - grid[0]) * scale;
  VI<double> s = __builtin_convertvector(vmin<double>(place > 0 ? place : V<double>{}, splat<double>(intervals - 1)), VI<double>);
  for (int n = 1; n < intervals; ++n) {
    const VI<double> up = (x >= lookup<double>(grid + 1, intervals, s)) & (s < intervals - 1);
    const VI<double> down = (x < lookup<double>(grid, intervals, s)) & (s > 0);
    if (all_true<double>(~(up | down))) break;
    s += down - up;  // true is -1
  }
  return s;
}

// The knots t of an input and 1 / (t[i + d] - t[i]) for every d, with readable memory behind them.
struct Knots {
  const double *t, *inverse;  // (count), (degree, count)
  int count, intervals;
  double scale;

  static int64_t size(int count, int degree) { return int64_t(count) * (degree + 1); }

  Knots(const double* from, int count, int intervals, int degree, double* to) : t(to), inverse(to + count), count(count), intervals(intervals) {
    std::copy_n(from, count, to);
    scale = intervals / (t[degree + intervals] - t[degree]);
    for (int d = 1; d <= degree; ++d)
      for (int i = 0; i < count; ++i) to[d * count + i] = i + d < count ? 1 / (from[i + d] - from[i]) : 0;
  }
};

// The recursion of Cox and de Boor for a vector of samples. A table is looked up from its first entry that some interval
// needs, because a short one stays in registers.
template <int degree> struct Window {
  using W = V<double>;
  W value[degree + 1], slope[degree + 1];
  VI<double> interval;

  Window(W x, const Knots& knots, int extrapolation) {
    const int intervals = knots.intervals;
    const double* grid = knots.t + degree;
    const W inside = vmin<double>(vmax<double>(x, splat<double>(grid[0])), splat<double>(grid[intervals]));
    interval = intervals_on(grid, intervals, knots.scale, inside);
    const W at = extrapolation == polynomial_piece ? x : inside;
    W t[2 * degree + 1], share[degree + 1] = {};
#pragma GCC unroll 32
    for (int m = 1; m <= 2 * degree; ++m) t[m] = lookup<double>(knots.t + m, intervals, interval);
    value[0] = splat<double>(1) + (at - at);
#pragma GCC unroll 16
    for (int d = 1; d <= degree; ++d) {
      W saved{};
#pragma GCC unroll 16
      for (int r = 0; r < d; ++r) {
        const int left = degree + 1 - d + r, right = degree + 1 + r;
        share[r] = value[r] * lookup<double>(knots.inverse + (d - 1) * knots.count + left, intervals, interval);
        value[r] = saved + (t[right] - at) * share[r];
        saved = (at - t[left]) * share[r];
      }
      value[d] = saved;
    }
    slope[0] = -degree * share[0];
    for (int m = 1; m < degree; ++m) slope[m] = degree * (share[m - 1] - share[m]);
    slope[degree] = degree * share[degree - 1];
    outside(x, inside, extrapolation);
  }

  void outside(W x, W inside, int extrapolation) {
    const auto beyond = x != inside;
    for (int m = 0; m <= degree; ++m) {
      if (extrapolation == linear) value[m] += (x - inside) * slope[m];
      if (extrapolation == constant || extrapolation == zero) slope[m] = beyond ? W{} : slope[m];
      if (extrapolation == zero) value[m] = beyond ? W{} : value[m];
    }
  }
};

template <class Body> void with_window_degree(int degree, const Body& body) {
  switch (degree) {
    case 1: return body(std::integral_constant<int, 1>{});
    case 2: return body(std::integral_constant<int, 2>{});
    case 3: return body(std::integral_constant<int, 3>{});
    case 4: return body(std::integral_constant<int, 4>{});
    case 5: return body(std::integral_constant<int, 5>{});
    case 6: return body(std::integral_constant<int, 6>{});
    case 7: return body(std::integral_constant<int, 7>{});
    case 8: return body(std::integral_constant<int, 8>{});
    case 9: return body(std::integral_constant<int, 9>{});
  }
}

struct Curves {
  static constexpr int L = lanes<double>, chunk = window_chunk;
  const CurvesArgs& a;
  const int64_t sets, functions, rows, stride, wide;  // `wide`: outputs in whole vectors
  const int count;                                    // knots
  Buffer<double> coef;                                // (S, in, rows, wide)

  explicit Curves(const CurvesArgs& args)
      : a(args), sets(std::max(a.xs, a.knot_sets)), functions(a.intervals + a.degree), rows(functions + (a.kind != none)),
        stride(window_stride(a.degree + 1)), wide((a.out + L - 1) / L * L), count(a.intervals + 1 + 2 * a.degree),
        coef(buffer<double>(a.starts * a.in * rows * wide)) {
    for (int64_t r = 0; r < a.starts * a.in * rows; ++r)
      for (int64_t i = 0; i < wide; ++i) coef[r * wide + i] = i < a.out ? a.coef[r * a.out + i] : 0;
  }

  void run(const Threads& threads) const {
    const int64_t parts = (a.n + chunk - 1) / chunk, shared = sets == 1 ? a.starts : 1;
    const int64_t work = a.starts * a.in * a.n * (8 + wide), tasks = std::min<int64_t>(threads.count, work >> 17);
    const int64_t cuts = std::max<int64_t>(1, std::min(tasks, parts * sets));
    threads.run(cuts, [&](int64_t task) {
      const Buffer<double> scratch = buffer<double>(a.in * (chunk * stride + chunk) + chunk * wide + L);
      const int64_t table = Knots::size(count, a.degree);
      const Buffer<double> tables = buffer<double>(a.known ? 1 : a.in * table + 2 * L);
      std::vector<Knots> knots;
      int64_t last = -1;  // the set of knots that the tables are of
      for (int64_t c = part(parts * sets, task, cuts), end = part(parts * sets, task + 1, cuts); c < end; ++c) {
        const int64_t set = c / parts, b0 = c % parts * chunk;
        const int size = int(std::min<int64_t>(chunk, a.n - b0));
        if (const int64_t own = a.knot_sets > 1 ? set : 0; !a.known && own != last) {
          last = own, knots.clear();
          for (int64_t j = 0; j < a.in; ++j)
            knots.emplace_back(a.knots + (own * a.in + j) * count, count, a.intervals, a.degree, tables.get() + j * table);
        }
        if (!a.known) windows(set, b0, size, knots, scratch.get());
        for (int64_t s = shared > 1 ? 0 : set; s < (shared > 1 ? shared : set + 1); ++s) sums(s, set, b0, size, scratch.get());
      }
    });
  }

  // Scratch: slopes of the windows (in, chunk, stride), of the residual (in, chunk), a tile (chunk, wide).
  double* residual_slopes(double* scratch) const { return scratch + a.in * chunk * stride; }
  double* tile(double* scratch) const { return residual_slopes(scratch) + a.in * chunk; }

  void windows(int64_t set, int64_t b0, int size, const std::vector<Knots>& knots, double* scratch) const {
    for (int64_t j = 0; j < a.in; ++j) {
      const double* x = a.x + ((a.xs > 1 ? set : 0) * a.in + j) * a.n + b0;
      const int64_t at = (set * a.in + j) * a.n + b0;
      with_window_degree(a.degree, [&](auto degree) { feature<degree>(x, size, knots[j], at, scratch + j * chunk * stride); });
      if (a.kind == none) continue;
      double* slopes = residual_slopes(scratch) + j * chunk;
      alignas(64) double v[L];
      for (int b = 0; b < size; b += L) {
        for (int l = 0; l < L; ++l) v[l] = b + l < size ? x[b + l] : 0;
        const V<double> value = residual_at<double, 0>(load(v), Residual(a.kind));
        store(slopes + b, residual_at<double, 1>(load(v), Residual(a.kind)) + (load(v) - load(v)));
        for (int l = 0; l < L && b + l < size; ++l) a.residual[at + b + l] = value[l] + (v[l] - v[l]);
      }
    }
  }

  template <int degree> void feature(const double* x, int size, const Knots& knots, int64_t at, double* slopes) const {
    alignas(64) double v[L];
    for (int b = 0; b < size; b += L) {
      for (int l = 0; l < L; ++l) v[l] = b + l < size ? x[b + l] : x[b];
      const Window<degree> window(load(v), knots, a.extrapolation);
      const int some = std::min(L, size - b);
      for (int l = 0; l < some; ++l) a.interval[at + b + l] = int32_t(window.interval[l]);
      spread<degree>(window.value, some, a.window + (at + b) * stride);
      if (a.slope) spread<degree>(window.slope, some, slopes + b * stride);
    }
  }
  // Lane after lane, with zeros up to the stride.
  template <int degree> static void spread(const V<double> (&rows)[degree + 1], int some, double* to) {
    constexpr int stride = (degree + 4) / 4 * 4;
    for (int l = 0; l < some; ++l)
#pragma GCC unroll 16
      for (int m = 0; m < stride; ++m) to[l * stride + m] = m <= degree ? rows[m <= degree ? m : 0][l] : 0;
  }

  void sums(int64_t s, int64_t set, int64_t b0, int size, double* scratch) const {
    double* y = tile(scratch);
    for (int b = 0; b < size; ++b)
      for (int64_t i = 0; i < wide; ++i) y[b * wide + i] = a.bias && i < a.out ? a.bias[s * a.out + i] : 0;
    for (int64_t j = 0; j < a.in; ++j) {
      const int64_t at = (set * a.in + j) * a.n + b0;
      add(s, j, at, size, a.window + at * stride, a.kind == none ? nullptr : a.residual + at, y);
    }
    give(y, size, a.y + s * a.out * a.n + b0);
    if (!a.slope) return;
    for (int64_t j = 0; j < a.in; ++j) {
      std::fill_n(y, size * wide, 0.0);
      add(s, j, (set * a.in + j) * a.n + b0, size, scratch + j * chunk * stride, a.kind == none ? nullptr : residual_slopes(scratch) + j * chunk, y);
      give(y, size, a.slope + (s * a.in + j) * a.out * a.n + b0);
    }
  }

  // y[b] += sum_m window[b][m] c[interval + m] + residual[b] c[last]
  void add(int64_t s, int64_t j, int64_t at, int size, const double* window, const double* residual, double* y) const {
    const double* c = coef.get() + (s * a.in + j) * rows * wide;
    with_window_degree(a.degree, [&](auto degree) { add<degree>(c, a.interval + at, size, window, residual, y); });
  }
  template <int degree> void add(const double* c, const int32_t* interval, int size, const double* window, const double* residual, double* y) const {
    for (int64_t v = 0; v < wide; v += L)
      for (int b = 0; b < size; ++b) {
        const double *w = window + b * stride, *row = c + interval[b] * wide + v;
        V<double> total = load(y + b * wide + v);
#pragma GCC unroll 16
        for (int m = 0; m <= degree; ++m) total += w[m] * load(row + m * wide);
        if (residual) total += residual[b] * load(c + functions * wide + v);
        store(y + b * wide + v, total);
      }
  }

  void give(const double* y, int size, double* to) const {
    for (int64_t i = 0; i < a.out; ++i)
      for (int b = 0; b < size; ++b) to[i * a.n + b] = y[b * wide + i];
  }
};

// v[s, r, j, b] = sum_i u[s, r, i, b] slope[s, j, i, b]
inline void pull_back(const double* u, const double* slope, double* v, int64_t starts, int64_t combinations, int64_t in, int64_t out, int64_t n) {
  for (int64_t s = 0; s < starts; ++s)
    for (int64_t r = 0; r < combinations; ++r)
      for (int64_t j = 0; j < in; ++j) {
        double* to = v + ((s * combinations + r) * in + j) * n;
        for (int64_t i = 0; i < out; ++i) {
          const double *from = u + ((s * combinations + r) * out + i) * n, *by = slope + ((s * in + j) * out + i) * n;
          if (i == 0)
            for (int64_t b = 0; b < n; ++b) to[b] = from[b] * by[b];
          else
            for (int64_t b = 0; b < n; ++b) to[b] += from[b] * by[b];
        }
      }
}

}  // namespace ew
