// What the kernels know about a grid, computed once per grid: for every feature and interval, the degree + 1 local
// B-splines as polynomials in u = (x - t_s) / (t_{s+1} - t_s), and a table of cells that finds the interval of an x.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace ew {

constexpr int max_degree = 5;

// The plan of one feature, a view into the buffer that Python owns.
template <class T> struct Plan {
  const T* t;            // intervals + 1 break points
  const T* edge;         // the same, with NaN at both ends: a comparison that is always false
  const T* inverse;      // 1 / width of each interval
  const T* table;        // [interval][degree + 1 functions][degree + 1 powers of u]
  const T* by_power;     // the same as [function][power][interval], for look-ups with an interval per lane
  const T* shared;       // on an even grid: [function][power], the polynomials of B-splines with uniform knots
  const T* mix;          // and [intervals + degree][degree + 1]: their coefficients are combinations of those here
  const int32_t* first;  // cell -> the interval of its left end
  T cell_scale;          // cells per unit of x
  T even_scale;          // intervals per unit of x where all are equally wide, else 0
  T doubt;               // x is in the interval that this scale says if it is farther from a break point, in intervals
  int intervals, degree, cells;

  bool even() const { return shared[0] != 0; }
  // The window of coefficients that the k-th row of `mix` combines.
  int window(int k) const { return k < intervals ? k : intervals - 1; }
  static int cells_for(int intervals) { return 2 * intervals; }
  static size_t bytes(int intervals, int degree) {
    const size_t window = degree + 1;
    size_t values = 2 * (intervals + 1) + intervals + 3 + (2 * intervals + 1) * window * window + (intervals + degree) * window;
    size_t total = values * sizeof(T) + cells_for(intervals) * sizeof(int32_t) + 128;  // look-ups read whole vectors
    return (total + 63) / 64 * 64;
  }
  static Plan at(const char* buffer, int64_t feature, int intervals, int degree) {
    Plan p;
    p.intervals = intervals, p.degree = degree, p.cells = cells_for(intervals);
    p.t = (const T*)(buffer + feature * bytes(intervals, degree));
    p.edge = p.t + intervals + 1;
    p.inverse = p.edge + intervals + 1;
    p.cell_scale = p.inverse[intervals], p.even_scale = p.inverse[intervals + 1], p.doubt = p.inverse[intervals + 2];
    p.table = p.inverse + intervals + 3;
    p.by_power = p.table + size_t(intervals) * (degree + 1) * (degree + 1);
    p.shared = p.by_power + size_t(intervals) * (degree + 1) * (degree + 1);
    p.mix = p.shared + (degree + 1) * (degree + 1);
    p.first = (const int32_t*)(p.mix + (intervals + degree) * (degree + 1));
    return p;
  }

  T low() const { return t[0]; }
  T high() const { return t[intervals]; }

  // The cell of x: any cell for a NaN, the outer ones for an infinity.
  int32_t cell(T x) const {
    T c = (x - t[0]) * cell_scale;
    c = c > 0 ? c : T(0);
    return int32_t(c < T(cells - 1) ? c : T(cells - 1));
  }

  int interval(T x, int32_t cell) const { return refined(x, first[cell], edge); }

  // The interval with t_s <= x < t_{s+1}; the first and the last reach to infinity. The guess s may be off, by rounding or
  // because the grid is not uniform, so the break points decide. The first step either way is taken without a branch: on a
  // uniform grid no other is needed, and a mispredicted branch costs more than the rest of the sort.
  static int refined(T x, int s, const T* edge) {
    s += x >= edge[s + 1];
    s -= x < edge[s];
    while (x >= edge[s + 1]) ++s;
    while (x < edge[s]) --s;
    return s;
  }
};

// The Cox-de Boor recursion on polynomials in u, in double whatever T is: rounding then happens once.
inline void local_polynomials(const double* knots, int i, int degree, double (*poly)[max_degree + 1]) {
  const double origin = knots[i], width = knots[i + 1] - knots[i];
  for (int m = 0; m <= degree; ++m)
    for (int p = 0; p <= degree; ++p) poly[m][p] = m == 0 && p == 0;
  for (int d = 1; d <= degree; ++d) {
    double saved[max_degree + 1] = {};
    for (int m = 0; m < d; ++m) {
      const double right = knots[i + m + 1], left = knots[i + 1 - d + m], scale = 1 / (right - left);
      double previous[max_degree + 1];
      for (int p = 0; p <= degree; ++p) previous[p] = poly[m][p] * scale;
      for (int p = 0; p <= degree; ++p) {
        const double shifted = p ? previous[p - 1] : 0;  // u times the polynomial
        poly[m][p] = saved[p] + (right - origin) * previous[p] - width * shifted;
        saved[p] = (origin - left) * previous[p] + width * shifted;
      }
    }
    for (int p = 0; p <= degree; ++p) poly[d][p] = saved[p];
  }
}

// The scale that maps x - t_0 to the index of its interval, wrong by at most one; 0 where there is no such scale.
template <class T> T even_scale(const T* t, int intervals) {
  const T scale = T(intervals / (double(t[intervals]) - t[0]));
  for (int s = 0; s < intervals; ++s) {
    const int here = int((t[s] - t[0]) * scale), next = int((t[s + 1] - t[0]) * scale);
    if (here < s - 1 || next > s + 1) return 0;
  }
  return scale;
}

// Whether all intervals are equally wide up to rounding.
template <class T> bool is_even(const T* t, int intervals) {
  const double width = (double(t[intervals]) - t[0]) / intervals;
  const double slack = 4 * double(std::numeric_limits<T>::epsilon()) * std::max(std::abs(double(t[0])), std::abs(double(t[intervals])));
  for (int s = 0; s <= intervals; ++s)
    if (!(std::abs(t[0] + s * width - t[s]) <= slack)) return false;
  return true;
}

// Rows of X with A^T X = B^T: what B's functions are in terms of A's, by elimination (n <= 6, well conditioned).
inline void solve_transposed(const double (*A)[max_degree + 1], const double (*B)[max_degree + 1], int n, double (*X)[max_degree + 1]) {
  double m[max_degree + 1][2 * (max_degree + 1)];
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) m[i][j] = A[j][i], m[i][n + j] = B[j][i];
  for (int i = 0; i < n; ++i) {
    int best = i;
    for (int r = i + 1; r < n; ++r)
      if (std::abs(m[r][i]) > std::abs(m[best][i])) best = r;
    for (int c = 0; c < 2 * n; ++c) std::swap(m[i][c], m[best][c]);
    for (int r = 0; r < n; ++r) {
      const double factor = r == i ? 0 : m[r][i] / m[i][i];
      for (int c = i; c < 2 * n; ++c) m[r][c] -= factor * m[i][c];
    }
  }
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) X[i][j] = m[i][n + j] / m[i][i];
}

template <class T> void make_plan(const T* grid, int intervals, int degree, bool clamped, char* out) {
  const int powers = degree + 1;
  T* t = (T*)out;
  T *edge = t + intervals + 1, *inverse = edge + intervals + 1, *table = inverse + intervals + 3;
  T* by_power = table + size_t(intervals) * powers * powers;
  T *shared = by_power + size_t(intervals) * powers * powers, *mix = shared + powers * powers;
  int32_t* first = (int32_t*)(mix + (intervals + degree) * powers);
  std::vector<double> knots(intervals + 1 + 2 * degree);
  for (int s = 0; s <= intervals; ++s) knots[degree + s] = t[s] = edge[s] = grid[s];
  edge[0] = edge[intervals] = std::numeric_limits<T>::quiet_NaN();
  const double low = grid[0], high = grid[intervals];
  for (int r = 1; r <= degree; ++r) {
    knots[degree - r] = clamped ? low : low - r * (double(grid[1]) - low);
    knots[degree + intervals + r] = clamped ? high : high + r * (high - grid[intervals - 1]);
  }
  const bool even = is_even(t, intervals);
  double uniform[max_degree + 1][max_degree + 1];
  std::vector<double> unit(2 * degree + 2);
  for (int r = 0; r < 2 * degree + 2; ++r) unit[r] = r;
  local_polynomials(unit.data(), degree, degree, uniform);
  for (int m = 0; m < powers; ++m)
    for (int p = 0; p < powers; ++p) shared[m * powers + p] = even ? T(uniform[m][p]) : T(0);
  for (int s = 0; s < intervals; ++s) {
    inverse[s] = T(1 / (double(grid[s + 1]) - grid[s]));
    double poly[max_degree + 1][max_degree + 1];
    local_polynomials(knots.data(), degree + s, degree, poly);
    for (int m = 0; m < powers; ++m)
      for (int p = 0; p < powers; ++p)
        table[(size_t(s) * powers + m) * powers + p] = by_power[(size_t(m) * powers + p) * intervals + s] = T(poly[m][p]);
    if (!even) continue;
    double x[max_degree + 1][max_degree + 1];
    solve_transposed(uniform, poly, powers, x);
    for (int m = 0; m < (s == intervals - 1 ? powers : 1); ++m)
      for (int q = 0; q < powers; ++q) mix[(s + m) * powers + q] = T(x[m][q]);
  }
  const int cells = Plan<T>::cells_for(intervals);
  inverse[intervals] = T(cells / (high - low));
  inverse[intervals + 1] = even_scale(t, intervals);
  // Rounding of x - t_0, of the scale, of their product and of the break points: a few units of the largest of them.
  inverse[intervals + 2] =
      even ? T(16 * std::numeric_limits<T>::epsilon() * (intervals + std::max(std::abs(low), std::abs(high)) * intervals / (high - low)))
           : std::numeric_limits<T>::infinity();
  for (int c = 0, s = 0; c < cells; ++c) {
    const double left = low + (c + 1e-3) * ((high - low) / cells);  // on a uniform grid: not just below a break point
    while (s + 1 < intervals && left >= grid[s + 1]) ++s;
    first[c] = s;
  }
}

}  // namespace ew
