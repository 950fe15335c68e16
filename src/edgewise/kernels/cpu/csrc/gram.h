// The Gauss-Newton matrix and the gradient of small networks from local functions. The row of a coefficient is
// u_i(b) w_k(b): the upstream derivative of its node times a function of its input. For two inputs (features) f and g
//
//   G[(f, k, i), (g, l, j)] = sum_b w^f_k(b) w^g_l(b) U_ij(b),   U_ij(b) = sum_r u_ri(b) u_rj(b),
//
// and only degree + 1 functions of each do not vanish. Samples are sorted by the intervals of both, so that the sums over a
// cell stay in registers: the work does not grow with the number of intervals.
#pragma once
#include <algorithm>
#include <vector>

#include "buffer.h"
#include "parallel.h"
#include "vec.h"
#include "windows.h"
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace ew {

struct GramFeature {
  const double* window;     // (n, stride) of every start, or null for ones
  const int32_t* interval;  // (n) of every start, or null for zeros
  const int32_t* places;    // (rows, nodes): the position of every coefficient in the parameters; -1 where there is none
  int64_t window_start, interval_start;  // elements from one start to the next, 0 where all share them
  int32_t functions, stride, rows, intervals, layer, unused;
};
struct GramLayer {
  const double* u;  // (S, combinations + 1, nodes, n); the last combination is that of the gradient
  int64_t nodes;
};
struct GramArgs {
  const GramFeature* features;
  const GramLayer* layers;
  double *gram, *gradient;  // (S, P, P) and (S, P), zero before
  int64_t feature_count, layer_count, starts, combinations, n, parameters;
};

// The rows of a tile of accumulators with that many columns: the others stay free for a weight and a product.
constexpr int tile_rows(int columns) {
  const int rows = (registers - 4) / columns;
  return rows < 1 ? 1 : rows > 6 ? 6 : rows;
}

constexpr int distance = 16;  // samples ahead whose memory is asked for: their order is random

// The first `count` lanes from memory and zeros: a window ends at a multiple of four.
EW_INLINE V<double> first_lanes(const double* p, int count) {
#if defined(__AVX512F__)
  return (V<double>)_mm512_maskz_loadu_pd(__mmask8(count < 8 ? (1 << count) - 1 : 255), p);
#else
  (void)count;
  return load(p);
#endif
}

// The sums over one cell, c[k, l, :] += sum_b a_k(b) b_l(b) w(b, :) for one vector of weights.
template <int K, int M> struct Tile {
  static constexpr int L = lanes<double>;
  using W = V<double>;
  static void add(const int32_t* order, int begin, int end, const double* a, int as, const double* b, int bs, const double* w, int64_t ws, double* c, int64_t row, int64_t column) {
    W sum[K][M] = {};
    for (int n = begin; n < end; ++n) {
      const int64_t at = order[n], ahead = order[n + distance];
      const double *x = a + at * as, *y = b + at * bs;
      __builtin_prefetch(a + ahead * as), __builtin_prefetch(b + ahead * bs), __builtin_prefetch(w + ahead * ws);
      const W weight = load(w + at * ws);
#pragma GCC unroll 8
      for (int k = 0; k < K; ++k) {
        const W t = x[k] * weight;
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) sum[k][m] += t * y[m];
      }
    }
    for (int k = 0; k < K; ++k)
      for (int m = 0; m < M; ++m) {
        double* to = c + k * row + m * column;
        store(to, load(to) + sum[k][m]);
      }
  }
  // The same for one weight, the columns in the lanes of M vectors: c[k, l] += sum_b a_k b_l w.
  static void add_one(const int32_t* order, int begin, int end, const double* a, int as, const double* b, int bs, const double* w, int64_t ws, double* c, int64_t row, int columns) {
    W sum[K][M] = {};
    for (int n = begin; n < end; ++n) {
      const int64_t at = order[n], ahead = order[n + distance];
      const double *x = a + at * as, *y = b + at * bs;
      __builtin_prefetch(a + ahead * as), __builtin_prefetch(b + ahead * bs), __builtin_prefetch(w + ahead * ws);
      W part[M];
      for (int m = 0; m < M; ++m) part[m] = w[at * ws] * first_lanes(y + m * L, columns - m * L);
#pragma GCC unroll 8
      for (int k = 0; k < K; ++k)
        for (int m = 0; m < M; ++m) sum[k][m] += x[k] * part[m];
    }
    for (int k = 0; k < K; ++k)
      for (int m = 0; m < M; ++m) {
        double* to = c + k * row + m * L;
        store(to, load(to) + sum[k][m]);
      }
  }
};

template <class Body> void with_count(int count, const Body& body) {
  switch (count) {
    case 1: return body(std::integral_constant<int, 1>{});
    case 2: return body(std::integral_constant<int, 2>{});
    case 3: return body(std::integral_constant<int, 3>{});
    case 4: return body(std::integral_constant<int, 4>{});
    case 5: return body(std::integral_constant<int, 5>{});
    case 6: return body(std::integral_constant<int, 6>{});
    case 7: return body(std::integral_constant<int, 7>{});
    case 8: return body(std::integral_constant<int, 8>{});
    case 9: return body(std::integral_constant<int, 9>{});
    case 10: return body(std::integral_constant<int, 10>{});
  }
}

struct Gram {
  static constexpr int L = lanes<double>;
  // A pair of layers: the weights U_ij of its nodes, those of one layer with itself once (i <= j). Without a second layer
  // the weights are the derivatives of the loss.
  struct Weights {
    int first, second;
    int64_t count, wide, at;
    std::vector<int> index;  // (first nodes, second nodes)
  };
  // Samples by cells: those of equal intervals of two features, or of one.
  struct Cells {
    Buffer<int32_t> order;
    std::vector<int32_t> end;  // of every cell; the first begins at 0

    void sort(const int32_t* first, int rows, const int32_t* second, int columns, int size) {
      if (!order) order = buffer<int32_t>(size + distance);
      end.assign(rows * columns + 1, 0);
      const auto cell = [&](int b) { return (first ? first[b] * columns : 0) + (second ? second[b] : 0); };
      for (int b = 0; b < size; ++b) ++end[cell(b) + 1];
      for (size_t n = 1; n < end.size(); ++n) end[n] += end[n - 1];
      for (int b = 0; b < size; ++b) order[end[cell(b)]++] = b;
      std::fill_n(order.get() + size, distance, size - 1);
    }
  };
  // What a block of samples of one start needs.
  struct Block {
    int64_t b0;
    int size;
    Buffer<double> weights;  // per pair of layers (size, wide), then per layer the derivatives of the loss
    std::vector<Cells> cells;  // of every feature alone: of most pairs one feature at most has intervals
  };

  const GramArgs& a;
  std::vector<Weights> pairs_of_layers, slopes_of_layers;
  std::vector<std::vector<char>> nodes;  // of every feature: whether it has parameters on the way to a node
  int64_t weights_per_sample = 0, longest = 0, work = 0;

  explicit Gram(const GramArgs& args) : a(args) {
    for (int first = 0; first < a.layer_count; ++first)
      for (int second = first; second < a.layer_count; ++second) {
        Weights w{first, second, 0, 0, weights_per_sample, {}};
        const int64_t rows = a.layers[first].nodes, columns = a.layers[second].nodes;
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < columns; ++j) {
            if (first == second && j < i) w.index.push_back(w.index[j * columns + i]);
            else w.index.push_back(int(w.count++));
          }
        w.wide = (w.count + 7) / 8 * 8;
        weights_per_sample += w.wide;
        pairs_of_layers.push_back(std::move(w));
      }
    for (int l = 0; l < a.layer_count; ++l) {
      const int64_t nodes = a.layers[l].nodes, wide = (nodes + 7) / 8 * 8;
      slopes_of_layers.push_back({l, -1, nodes, wide, weights_per_sample, {}});
      for (int64_t i = 0; i < nodes; ++i) slopes_of_layers[l].index.push_back(int(i));
      weights_per_sample += wide;
    }
    for (int64_t f = 0; f < a.feature_count; ++f) {
      nodes.push_back(nodes_of(a.features[f]));
      longest = std::max(longest, a.features[f].rows * slopes_of_layers[a.features[f].layer].wide);
      for (int64_t g = f; g < a.feature_count; ++g) {
        const GramFeature &p = a.features[f], &q = a.features[g];
        const Weights& w = weights(p, q);
        longest = std::max(longest, std::max(p.rows * (q.rows + 8) * w.count, p.rows * q.rows * w.wide));
        work += p.functions * q.functions * w.wide + 16;
      }
    }
  }

  // 1 + the first feature that would be read or written outside the arrays; 0 where there is none.
  int wrong_feature() const {
    for (int64_t f = 0; f < a.feature_count; ++f) {
      const GramFeature& p = a.features[f];
      bool good = within(p.places, p.rows * a.layers[p.layer].nodes, -1, a.parameters);
      for (int64_t s = 0; s < (p.interval_start ? a.starts : 1) && p.interval; ++s)
        good &= within(p.interval + s * p.interval_start, a.n, 0, p.intervals);
      if (!good) return int(f) + 1;
    }
    return 0;
  }

  const Weights& weights(const GramFeature& f, const GramFeature& g) const {
    for (const Weights& w : pairs_of_layers)
      if (w.first == f.layer && w.second == g.layer) return w;
    std::abort();  // features come in the order of their layers
  }

  // Blocks of samples whose windows and weights stay in the second cache, unless writing the matrix would take longer.
  int64_t blocks() const {
    const int64_t pairs = std::max<int64_t>(1, a.feature_count * (a.feature_count + 1) / 2);
    int64_t width = weights_per_sample;
    for (int64_t f = 0; f < a.feature_count; ++f) width += a.features[f].stride + 1;
    int64_t size = std::max<int64_t>((int64_t(3) << 16) / width, a.parameters * a.parameters / pairs);
    size = std::max<int64_t>(64, std::min(size, (int64_t(1) << 23) / std::max<int64_t>(1, weights_per_sample)));
    return std::max<int64_t>(1, (a.n + size - 1) / size);
  }

  void run(const Threads& threads) const {
    const int64_t total = work * a.n * a.starts;
    const Threads own{threads.parallel_for, int(std::max<int64_t>(1, std::min<int64_t>(threads.count, total >> 22)))};
    const int64_t cuts = blocks();
    if (a.starts > 1) {
      const int64_t tasks = std::min<int64_t>(own.count, a.starts);
      own.run(tasks, [&](int64_t task) {
        for (int64_t s = part(a.starts, task, tasks); s < part(a.starts, task + 1, tasks); ++s)
          sum(s, cuts, {nullptr, 1});
      });
      return;
    }
    if (a.starts == 1) sum(0, cuts, own);
  }
  void sum(int64_t s, int64_t cuts, const Threads& threads) const {
    for (int64_t c = 0; c < cuts; ++c) block(s, c, cuts, threads);
    mirror(s);
  }

  void block(int64_t s, int64_t c, int64_t cuts, const Threads& threads) const {
    Block at;
    at.b0 = part(a.n, c, cuts), at.size = int(part(a.n, c + 1, cuts) - at.b0);
    at.weights = buffer<double>(weights_per_sample * at.size + L);
    for (const Weights& w : pairs_of_layers) fill(s, at, w);
    for (const Weights& w : slopes_of_layers) fill(s, at, w);
    at.cells.resize(a.feature_count);
    for (int64_t f = 0; f < a.feature_count; ++f) at.cells[f].sort(intervals(s, at, a.features[f]), a.features[f].intervals, nullptr, 1, at.size);
    const int64_t pairs = a.feature_count * (a.feature_count + 1) / 2, tasks = threads.count > 1 ? std::min<int64_t>(4 * threads.count, pairs) : 1;
    threads.run(tasks, [&](int64_t task) {
      Cells cells;
      const Buffer<double> sums = buffer<double>(longest + L);
      int64_t n = 0;
      for (int64_t f = 0; f < a.feature_count; ++f) {
        if (f % tasks == task) slope(s, at, f, sums.get());
        for (int64_t g = f; g < a.feature_count; ++g)
          if (n++ % tasks == task) pair(s, at, f, g, cells, sums.get());
      }
    });
  }

  const double* upstream(int64_t s, int layer, int64_t r, int64_t node) const {
    const int64_t nodes = a.layers[layer].nodes;
    return a.layers[layer].u + ((s * (a.combinations + 1) + r) * nodes + node) * a.n;
  }

  // Tiles of samples stay in the first cache while all weights are written.
  void fill(int64_t s, Block& at, const Weights& w) const {
    constexpr int tile = 128;
    const int64_t rows = a.layers[w.first].nodes, columns = w.second < 0 ? 1 : a.layers[w.second].nodes;
    alignas(64) double sum[tile];
    for (int b0 = 0; b0 < at.size; b0 += tile) {
      const int size = std::min(tile, at.size - b0);
      double* to = at.weights.get() + w.at * at.size + b0 * w.wide;
      for (int b = 0; b < size; ++b) std::fill(to + b * w.wide + w.count, to + (b + 1) * w.wide, 0.0);
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = w.first == w.second ? i : 0; j < columns; ++j) {
          const double* product = sum;
          if (w.second < 0) product = upstream(s, w.first, a.combinations, i) + at.b0 + b0;
          else products(s, w, i, j, at.b0 + b0, size, sum);
          double* from = to + w.index[i * columns + j];
          for (int b = 0; b < size; ++b) from[b * w.wide] = product[b];
        }
    }
  }
  void products(int64_t s, const Weights& w, int64_t i, int64_t j, int64_t b0, int size, double* sum) const {
    std::fill_n(sum, size, 0.0);
    for (int64_t r = 0; r < a.combinations; ++r) {
      const double *p = upstream(s, w.first, r, i) + b0, *q = upstream(s, w.second, r, j) + b0;
      for (int b = 0; b < size; ++b) sum[b] += p[b] * q[b];
    }
  }

  const int32_t* intervals(int64_t s, const Block& at, const GramFeature& f) const {
    return f.intervals > 1 ? f.interval + s * f.interval_start + at.b0 : nullptr;
  }
  const double* window(int64_t s, const Block& at, const GramFeature& f, int* stride) const {
    static const double one = 1;
    *stride = f.window ? f.stride : 0;
    return f.window ? f.window + s * f.window_start + at.b0 * f.stride : &one;
  }

  // Adds the sums of two features to their two blocks of the matrix.
  void pair(int64_t s, const Block& at, int64_t f, int64_t g, Cells& own, double* sums) const {
    const GramFeature &p = a.features[f], &q = a.features[g];
    const Weights& w = weights(p, q);
    const std::vector<char> wanted = chunks(f, g, w);
    const bool single = w.count <= 2 && q.stride >= 4;
    const int64_t column = single ? 1 : w.wide, row = single ? q.rows + 8 : q.rows * w.wide, plane = single ? p.rows * row : 1;
    std::fill_n(sums, single ? w.count * plane : p.rows * row, 0.0);
    const bool both = f != g && p.intervals > 1 && q.intervals > 1;
    if (both) own.sort(intervals(s, at, p), p.intervals, intervals(s, at, q), q.intervals, at.size);
    const Cells& cells = both ? own : at.cells[p.intervals > 1 ? f : g];
    const int32_t* order = cells.order.get();
    int as, bs;
    const double *x = window(s, at, p, &as), *y = window(s, at, q, &bs), *weight = at.weights.get() + w.at * at.size;
    const int columns = f == g ? 1 : q.intervals;
    for (int k = 0, begin = 0, n = 0; k < p.intervals; ++k)
      for (int m = 0; m < columns; ++m, begin = cells.end[n++]) {
        const int end = cells.end[n];
        if (begin == end) continue;
        double* to = sums + k * row + (f == g ? k : m) * column;
        if (single)
          for (int64_t v = 0; v < w.count; ++v) cell_one(p.functions, q.functions, order, begin, end, x, as, y, bs, weight + v, w.wide, to + v * plane, row);
        else
          for (int64_t v = 0; v < w.wide; v += L)
            if (wanted[v / L]) cell(p.functions, q.functions, order, begin, end, x, as, y, bs, weight + v, w.wide, to + v, row, column);
      }
    give(s, f, g, w, sums, row, column, plane);
  }

  static void cell(int rows, int columns, const int32_t* order, int begin, int end, const double* a, int as, const double* b, int bs, const double* w, int64_t ws, double* c, int64_t row, int64_t column) {
    with_count(columns, [&](auto M) {
      constexpr int most = tile_rows(M);
      const int parts = (rows + most - 1) / most;
      for (int n = 0; n < parts; ++n) {
        const int k0 = rows * n / parts, k = rows * (n + 1) / parts - k0;
        with_count(k, [&](auto K) {
          if constexpr (K <= most) Tile<K, M>::add(order, begin, end, a + k0, as, b, bs, w, ws, c + k0 * row, row, column);
        });
      }
    });
  }
  static void cell_one(int rows, int columns, const int32_t* order, int begin, int end, const double* a, int as, const double* b, int bs, const double* w, int64_t ws, double* c, int64_t row) {
    with_count((columns + L - 1) / L, [&](auto M) {
      if constexpr (M <= 5) {
        constexpr int most = tile_rows(M + 1);
        const int parts = (rows + most - 1) / most;
        for (int n = 0; n < parts; ++n) {
          const int k0 = rows * n / parts, k = rows * (n + 1) / parts - k0;
          with_count(k, [&](auto K) {
            if constexpr (K <= most) Tile<K, M>::add_one(order, begin, end, a + k0, as, b, bs, w, ws, c + k0 * row, row, columns);
          });
        }
      }
    });
  }

  // Which vectors of weights belong to two nodes that the features have parameters for.
  std::vector<char> chunks(int64_t f, int64_t g, const Weights& w) const {
    std::vector<char> wanted(w.wide / L, 0);
    const int64_t rows = a.layers[w.first].nodes, columns = a.layers[w.second].nodes;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        if (nodes[f][i] && nodes[g][j]) wanted[w.index[i * columns + j] / L] = 1;
    return wanted;
  }
  std::vector<char> nodes_of(const GramFeature& f) const {
    const int64_t count = a.layers[f.layer].nodes;
    std::vector<char> used(count, 0);
    for (int64_t n = 0; n < f.rows * count; ++n) used[n % count] |= f.places[n] >= 0;
    return used;
  }

  // Adds above the diagonal: a feature alone would give every sum twice, and the parameters of two may be mixed.
  void give(int64_t s, int64_t f, int64_t g, const Weights& w, const double* sums, int64_t row, int64_t column, int64_t plane) const {
    const GramFeature &p = a.features[f], &q = a.features[g];
    const int64_t rows = a.layers[w.first].nodes, columns = a.layers[w.second].nodes, size = a.parameters;
    double* gram = a.gram + s * size * size;
    for (int64_t k = 0; k < p.rows; ++k)
      for (int64_t i = 0; i < rows; ++i) {
        const int32_t place = p.places[k * rows + i];
        if (place < 0) continue;
        const int* index = w.index.data() + i * columns;
        double* to = gram + place * size;
        for (int64_t m = 0; m < q.rows; ++m) {
          const int32_t* others = q.places + m * columns;
          const double* from = sums + k * row + m * column;
          for (int64_t j = 0; j < columns; ++j) {
            const int32_t other = others[j];
            if (other < 0) continue;
            if (other >= place) to[other] += from[index[j] * plane];
            else if (f != g) gram[other * size + place] += from[index[j] * plane];
          }
        }
      }
  }
  void mirror(int64_t s) const {
    constexpr int64_t tile = 32;
    const int64_t size = a.parameters;
    double* gram = a.gram + s * size * size;
    for (int64_t i0 = 0; i0 < size; i0 += tile)
      for (int64_t j0 = 0; j0 <= i0; j0 += tile)
        for (int64_t i = i0; i < std::min(size, i0 + tile); ++i)
          for (int64_t j = j0, end = std::min(i, j0 + tile); j < end; ++j) gram[i * size + j] = gram[j * size + i];
  }

  // Adds the gradient in the coefficients of a feature.
  void slope(int64_t s, const Block& at, int64_t number, double* sums) const {
    const GramFeature& f = a.features[number];
    const Cells& cells = at.cells[number];
    const Weights& w = slopes_of_layers[f.layer];
    const double one = 1;
    int stride;
    const double *x = window(s, at, f, &stride), *weight = at.weights.get() + w.at * at.size;
    std::fill_n(sums, f.rows * w.wide, 0.0);
    for (int k = 0, begin = 0; k < f.intervals; begin = cells.end[k++])
      for (int64_t v = 0; v < w.wide && begin < cells.end[k]; v += L)
        cell(f.functions, 1, cells.order.get(), begin, cells.end[k], x, stride, &one, 0, weight + v, w.wide, sums + k * w.wide + v, w.wide, 0);
    for (int64_t k = 0; k < f.rows; ++k)
      for (int64_t i = 0; i < w.count; ++i)
        if (f.places[k * w.count + i] >= 0) a.gradient[s * a.parameters + f.places[k * w.count + i]] += sums[k * w.wide + i];
  }
};

}  // namespace ew
