// The gradients of the coefficients of one small layer, summed over the samples that one thread sees.
#pragma once
#include <algorithm>
#include <vector>

#include "buffer.h"
#include "curves.h"

namespace ew {

template <class T> struct NetworkLayer {
  const char* plan;
  const T *coef, *bias;    // (in, size [+ 1], out); bias may be null
  int64_t in, out;
  int intervals, degree, residual;

  int64_t size() const { return intervals + degree; }
  int64_t rows() const { return size() + (residual != none); }
  int64_t weights() const { return in * rows() * out; }
  int64_t parameters() const { return weights() + (bias ? out : 0); }
};

// Samples that go through the layers together, one per lane of this many vectors.
template <class T> constexpr int network_vectors = 8;
template <class T> constexpr int network_chunk = network_vectors<T> * lanes<T>;

// What a chunk keeps of a layer for the backward pass.
template <class T> struct Kept {
  Buffer<T> x;      // [in][chunk]
  Buffer<T> slope;  // [in][out][chunk]: derivative of every edge at its input
  Buffer<T> basis;  // [in][degree + 2][chunk]: local basis functions, then the residual function
  Buffer<typename IntegerOf<T>::type> interval;  // [in][chunk]
};

// With few intervals: products of the slopes with the dense basis, a vector of partial sums per coefficient. With many:
// for every sample, the rows of outputs of its degree + 1 functions are added to, a vector of outputs each; or with one
// output the window of its interval, a vector of functions.
template <class T> struct Sums {
  static constexpr int L = lanes<T>, chunk = network_chunk<T>;
  static constexpr int most_by_products = 8;  // intervals: measured

  bool by_rows = false;
  int64_t width = 0;     // of a row of outputs, or of a window of functions
  // [in][out][rows][L]; or [in][size][width], or [in][intervals][width], and then [in][out][L] of the residual function
  Buffer<T> values;
  Buffer<T> scratch;     // [size + 1][chunk], or [chunk][width] and a vector
  Buffer<T> bias;        // [out]
  int64_t count = 0, residuals = 0;  // elements of values; where those of the residual function begin

  void begin(const NetworkLayer<T>& layer, bool rows_may_serve = true) {
    by_rows = rows_may_serve && layer.intervals > most_by_products;
    width = 4;
    while (width < (layer.out == 1 ? layer.degree + 1 : layer.out)) width *= 2;
    residuals = layer.in * layer.size() * width;
    count = by_rows ? residuals + layer.in * layer.out * L : layer.in * layer.rows() * layer.out * L;
    values = buffer<T>(count), bias = buffer<T>(layer.out);
    scratch = buffer<T>((by_rows ? width : layer.size() + 1) * chunk + L);
    clear(layer);
  }
  void clear(const NetworkLayer<T>& layer) {
    std::fill_n(values.get(), count, T(0));
    std::fill_n(bias.get(), layer.out, T(0));
  }

  // Adds a chunk with the slopes g, [out][chunk].
  template <int degree> void add(const NetworkLayer<T>& layer, const Kept<T>& kept, const T* g) {
    for (int64_t i = 0; i < layer.out; ++i) {
      V<T> total{};
      for (int b = 0; b < chunk; b += L) total += load(g + i * chunk + b);
      bias[i] += sum_lanes<T>(total);
    }
    if (!by_rows) return add_products<degree>(layer, kept, g);
    if (layer.residual != none)
      for (int64_t j = 0; j < layer.in; ++j)
        outputs_of(layer, [&](auto wide, int64_t i) {
          const T* row = kept.basis.get() + (j * (degree + 2) + degree + 1) * chunk;
          tile<wide, 1>(g + i * chunk, row, 1, values.get() + residuals + (j * layer.out + i) * L);
        });
    if (layer.out == 1) return add_windows<degree>(layer, kept, g);
    turn(g, layer.out);
    if (width == 4) add_rows<degree, 4>(layer, kept);
    else if (width == 8) add_rows<degree, 8>(layer, kept);
    else if (width == 16) add_rows<degree, 16>(layer, kept);
    else add_rows<degree, 32>(layer, kept);
  }

  // to[(j * out + i) * rows + k] = the sums of all parts, in their order; `to` has room for one more vector.
  static void total(const NetworkLayer<T>& layer, const std::vector<Sums*>& parts, T* to) {
    const int64_t rows = layer.rows(), size = layer.size(), edges = layer.in * layer.out;
    const Sums& first = *parts[0];
    if (!first.by_rows) return total_lanes(parts, 0, edges * rows, [&](int64_t r, T sum) { to[r] = sum; });
    if (layer.residual != none)
      total_lanes(parts, first.residuals, edges, [&](int64_t edge, T sum) { to[edge * rows + size] = sum; });
    if (layer.out == 1) return total_windows(layer, parts, to);
    for (int64_t j = 0; j < layer.in; ++j)
      for (int64_t i = 0; i < layer.out; ++i) {
        const int64_t from = j * size * first.width + i;
        T* edge = to + (j * layer.out + i) * rows;
        for (int64_t k = 0; k < size; ++k) edge[k] = first.values[from + k * first.width];
        for (size_t p = 1; p < parts.size(); ++p)
          for (int64_t k = 0; k < size; ++k) edge[k] += parts[p]->values[from + k * first.width];
      }
  }
  static void total_windows(const NetworkLayer<T>& layer, const std::vector<Sums*>& parts, T* to) {
    const int64_t width = parts[0]->width;
    for (int64_t j = 0; j < layer.in; ++j, to += layer.rows()) {
      std::fill_n(to, layer.size(), T(0));
      for (const Sums* part : parts)
        for (int64_t s = 0; s < layer.intervals; ++s)
          for (int m = 0; m <= layer.degree; ++m) to[s + m] += part->values[(j * layer.intervals + s) * width + m];
    }
  }
  // Calls give(r, sum) with the sums over the lanes of the r-th of n vectors of all parts.
  template <class Give> static void total_lanes(const std::vector<Sums*>& parts, int64_t begin, int64_t n, const Give& give) {
    alignas(64) T lanes_of[L * L];
    for (int64_t r = 0; r < n; r += L) {
      const int64_t here = std::min<int64_t>(L, n - r);
      for (int64_t m = 0; m < here; ++m) {
        V<T> sum{};
        for (const Sums* part : parts) sum += load(part->values.get() + begin + (r + m) * L);
        store(lanes_of + m * L, sum);
      }
      std::fill(lanes_of + here * L, lanes_of + L * L, T(0));
      const V<T> sums = sums_of<T>(lanes_of);
      for (int64_t m = 0; m < here; ++m) give(r + m, sums[m]);
    }
  }
  static void total_bias(const NetworkLayer<T>& layer, const std::vector<Sums*>& parts, T* to) {
    for (int64_t i = 0; i < layer.out; ++i) {
      to[i] = 0;
      for (const Sums* part : parts) to[i] += part->bias[i];
    }
  }

  // ---- rows of outputs -----------------------------------------------------------------------------------------------

  // scratch[b][i] = g[i][b]
  void turn(const T* g, int64_t out) {
    for (int64_t i0 = 0; i0 < out; i0 += L)
      for (int b = 0; b < chunk; b += L) {
        V<T> rows[L];
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) rows[i] = i0 + i < out ? load(g + (i0 + i) * chunk + b) : V<T>{};
        transpose<T>(rows);
        // Where a row is shorter than a vector, the next row overwrites the excess.
        for (int l = 0; l < L; ++l) store(scratch.get() + (b + l) * width + i0, rows[l]);
      }
  }

  // A vector of `w` outputs, whatever the width of registers; the compiler cuts it.
  template <int w> struct Row {
    typedef T type __attribute__((vector_size(w * sizeof(T)), aligned(sizeof(T)), may_alias));
  };

  // Inputs in the inner loop: the next sample of the same input may add to the row that was stored just now.
  template <int degree, int w> void add_rows(const NetworkLayer<T>& layer, const Kept<T>& kept) {
    using R = typename Row<w>::type;
    const int64_t size = layer.size(), in = layer.in;
    const auto* interval = kept.interval.get();
    const T* basis = kept.basis.get();
    for (int b = 0; b < chunk; ++b) {
      const R g = *(const R*)(scratch.get() + b * w);
      T* first = values.get();
      for (int64_t j = 0; j < in; ++j, first += size * w) {
        const T* weight = basis + j * (degree + 2) * chunk + b;
        R* to = (R*)(first + int64_t(interval[j * chunk + b]) * w);
        R sum[degree + 1];
#pragma GCC unroll 8
        for (int m = 0; m <= degree; ++m) sum[m] = to[m] + weight[m * chunk] * g;
#pragma GCC unroll 8
        for (int m = 0; m <= degree; ++m) to[m] = sum[m];
      }
    }
  }

  template <int degree> void add_windows(const NetworkLayer<T>& layer, const Kept<T>& kept, const T* g) {
    using R = typename Row<(degree < 4 ? 4 : 8)>::type;
    const int64_t in = layer.in;
    for (int b = 0; b < chunk; ++b) {
      R* first = (R*)values.get();
      const T* weight = kept.basis.get() + b;
      for (int64_t j = 0; j < in; ++j, first += layer.intervals, weight += (degree + 2) * chunk) {
        R w{};
#pragma GCC unroll 8
        for (int m = 0; m <= degree; ++m) w[m] = weight[m * chunk];
        first[kept.interval[j * chunk + b]] += w * g[b];
      }
    }
  }

  // ---- products with the dense basis ---------------------------------------------------------------------------------

  template <int degree> void add_products(const NetworkLayer<T>& layer, const Kept<T>& kept, const T* g) {
    const int64_t rows = layer.rows();
    for (int64_t j = 0; j < layer.in; ++j) {
      spread<degree>(layer, kept, j, scratch.get());
      T* sums = values.get() + j * layer.out * rows * L;
      outputs_of(layer, [&](auto wide, int64_t i) { products<wide>(g + i * chunk, scratch.get(), rows, sums + i * rows * L); });
    }
  }
  // Calls body(tag of how many, first) for the outputs, as many at a time as leave room in registers.
  template <class Body> static void outputs_of(const NetworkLayer<T>& layer, const Body& body) {
    constexpr int wide = registers == 32 ? 4 : 2;
    int64_t i = 0;
    for (; i + wide <= layer.out; i += wide) body(std::integral_constant<int, wide>{}, i);
    for (; i < layer.out; ++i) body(std::integral_constant<int, 1>{}, i);
  }

  // dense[k][b] = B_k(x_b) from the local functions; row `size` is the residual function.
  template <int degree> static void spread(const NetworkLayer<T>& layer, const Kept<T>& kept, int64_t j, T* dense) {
    constexpr int window = degree + 1;
    const int intervals = layer.intervals;
    const T* rows = kept.basis.get() + j * (degree + 2) * chunk;
    for (int b = 0; b < chunk; b += L) {
      const VI<T> interval = *(const VI<T>*)(kept.interval.get() + j * chunk + b);
      V<T> w[window], sum[window] = {};
      for (int m = 0; m < window; ++m) w[m] = load(rows + m * chunk + b);
      for (int s = 0; s < intervals; ++s) {
        const VI<T> here = interval == s;
        for (int m = 0; m < window; ++m) sum[m] = here ? w[m] : sum[m];
        store(dense + s * chunk + b, sum[0]);
        for (int m = 0; m < degree; ++m) sum[m] = sum[m + 1];
        sum[degree] = V<T>{};
      }
      for (int m = 0; m < degree; ++m) store(dense + (intervals + m) * chunk + b, sum[m]);
      store(dense + (intervals + degree) * chunk + b, load(rows + (degree + 1) * chunk + b));
    }
  }

  // sums[i][k] += sum_b g[i][b] dense[k][b], a vector of partial sums each, for `outputs` rows of g
  template <int outputs> static void products(const T* g, const T* dense, int64_t rows, T* sums) {
    int64_t k = 0;
    for (; k + 4 <= rows; k += 4) tile<outputs, 4>(g, dense + k * chunk, rows, sums + k * L);
    for (; k < rows; ++k) tile<outputs, 1>(g, dense + k * chunk, rows, sums + k * L);
  }
  template <int outputs, int height> static void tile(const T* g, const T* dense, int64_t rows, T* sums) {
    V<T> total[outputs][height] = {};
    for (int b = 0; b < chunk; b += L)
      for (int i = 0; i < outputs; ++i)
        for (int k = 0; k < height; ++k) total[i][k] += load(g + i * chunk + b) * load(dense + k * chunk + b);
    for (int i = 0; i < outputs; ++i)
      for (int k = 0; k < height; ++k) {
        T* to = sums + (i * rows + k) * L;
        store(to, load(to) + total[i][k]);
      }
  }
};

}  // namespace ew
