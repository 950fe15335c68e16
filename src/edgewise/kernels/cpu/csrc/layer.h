// One layer: edge_sum, and edge_pull with edge_outer, as walks over chunks of samples and blocks of inputs and outputs.
#pragma once
#include <algorithm>
#include <vector>

#include "buffer.h"
#include "few.h"
#include "parallel.h"
#include "walk.h"

namespace ew {

// All arrays are dense and row major: x, h (batch, in); coef (in, rows, out); bias (out); y, g (batch, out).
template <class T> struct LayerArgs {
  const T *x, *h, *coef, *bias, *g;
  T *y, *pulled, *outer, *bias_sum;
  const char* plan;
  int64_t batch, in, out;
  int intervals, degree, order, residual;
  int chunk;  // samples; 0 lets the kernel choose
};

template <class T, int degree, bool residual> struct Layer {
  static constexpr int L = lanes<T>, rows = degree + 1 + residual;
  // As many vectors of outputs as leave room for the coefficient rows in registers.
  static constexpr int blocks = (degree + 3) * 4 + 2 <= registers ? 4 : (degree + 3) * 2 + 2 <= registers ? 2 : 1;
  static constexpr int half = blocks > 1 ? blocks / 2 : 1;

  const LayerArgs<T>& a;
  const int64_t vectors = (a.out + L - 1) / L, coef_rows = a.intervals + degree + residual, padded = vectors * L;
  const int64_t tile_blocks = (vectors + blocks - 1) / blocks;
  const int64_t width = (vectors >= blocks ? blocks : vectors == 3 ? 4 : vectors) * L;  // of a tile row: a power of two
  const bool ragged = padded != a.out;

  // Enough samples per interval to pay for its coefficient rows, few enough that a tile stays in the first cache level,
  // and more when the coefficients are not in cache.
  int chunk_size(int64_t samples, int64_t inputs) const {
    if (a.chunk) return a.chunk;
    const int64_t far = inputs * coef_rows * padded * int64_t(sizeof(T)) > (int64_t(1) << 19) ? 512 : 128;
    const int64_t wanted = std::max<int64_t>(far, std::min<int64_t>(1024, 16 * a.intervals));
    return int(std::max<int64_t>(1, std::min(samples, wanted)));
  }

  // Too little work for another thread.
  bool few() const { return a.batch * a.in * a.out < (1 << 14); }

  // The local problems of a block of inputs on one chunk of samples.
  struct Block {
    int64_t stride, row_sets, inputs;
    Buffer<T> x, h, values, pulled, unsorted;
    Buffer<int32_t> start, offset, interval;
    std::vector<Column<T>> columns;

    Block(const Layer& layer, int chunk, int row_sets, int64_t in) : row_sets(row_sets) {
      stride = (chunk + L - 1) / L * L + 2 * L;  // odd multiples of a line: rows a power of two apart share cache sets
      if (stride / L % 2 == 0) stride += L;
      const int64_t bytes = stride * sizeof(T) * (rows * row_sets + 3), starts = layer.a.intervals + 1;
      inputs = std::max<int64_t>(1, std::min(in, (int64_t(1) << 18) / bytes));
      if (inputs > L) inputs = inputs / L * L;
      values = buffer<T>(inputs * rows * row_sets * stride);
      x = buffer<T>(inputs * stride), pulled = buffer<T>(inputs * stride);
      if (layer.a.h) h = buffer<T>(inputs * stride);
      unsorted = buffer<T>((layer.a.h ? 2 : 1) * L * stride);
      start = buffer<int32_t>(inputs * starts), offset = buffer<int32_t>(inputs * stride);
      interval = buffer<int32_t>(stride);
      for (int64_t j = 0; j < inputs; ++j)
        columns.push_back({0, start.get() + j * starts, offset.get() + j * stride, x.get() + j * stride,
                           h ? h.get() + j * stride : nullptr, false});
    }

    T* row_set(int64_t input, int64_t set) { return values.get() + (input * row_sets + set) * rows * stride; }

    // Sorts the inputs [j0, j1) of samples [b0, b1).
    void sort(const LayerArgs<T>& a, int64_t j0, int64_t j1, int64_t b0, int64_t b1, int width) {
      const T* h = a.h ? a.h + b0 * a.in : nullptr;
      sort_columns<T>(a.x + b0 * a.in, h, a.in, j0, j1 - j0, int(b1 - b0), width, a.plan, a.intervals, degree, unsorted.get(), stride,
                      interval.get(), columns.data());
    }
    void evaluate(const LayerArgs<T>& a, int64_t j0, int64_t j1, int order, int set) {
      for (int64_t j = 0; j < j1 - j0; ++j) {
        const auto plan = Plan<T>::at(a.plan, j0 + j, a.intervals, degree);
        const auto kind = Residual(a.residual);
        T* to = row_set(j, set);
        if (order == 0) local_rows<T, degree, 0>(columns[j], plan, kind, to, stride);
        if (order == 1) local_rows<T, degree, 1>(columns[j], plan, kind, to, stride);
        if (order == 2) local_rows<T, degree, 2>(columns[j], plan, kind, to, stride);
        if (order == 3) local_rows<T, degree, 3>(columns[j], plan, kind, to, stride);
        if (order == 4) local_rows<T, degree, 4>(columns[j], plan, kind, to, stride);
      }
    }
  };

  // Calls body(width tag, first vector) for the pieces of one tile block: all `blocks` vectors, or the rest in halves.
  template <class Body> void pieces(int64_t tile_block, const Body& body) const {
    int64_t v = 0, n = std::min<int64_t>(blocks, vectors - tile_block * blocks);
    if (n == blocks) return body(std::integral_constant<int, blocks>{}, 0);
    if (half > 1)
      for (; n - v >= half; v += half) body(std::integral_constant<int, half>{}, v);
    for (; v < n; ++v) body(std::integral_constant<int, 1>{}, v);
  }

  Buffer<T> padded_copy(const T* from, const Threads& threads) const {
    Buffer<T> to = buffer<T>(a.in * coef_rows * padded);
    threads.run(threads.count, [&](int64_t task) {
      for (int64_t r = part(a.in * coef_rows, task, threads.count); r < part(a.in * coef_rows, task + 1, threads.count); ++r)
        for (int64_t i = 0; i < padded; ++i) to[r * padded + i] = i < a.out ? from[r * a.out + i] : T(0);
    });
    return to;
  }

  // ---- y = bias + sum over edges ---------------------------------------------------------------------------------

  void sum(const Threads& threads) const {
    if (a.batch <= few_samples && a.order == 0) return sum_few(threads);
    Buffer<T> copy;
    const T* coef = a.coef;
    if (ragged) copy = padded_copy(coef, threads), coef = copy.get();
    // Threads share the outputs when every thread gets a whole tile block, or the inputs when a part of the samples would be
    // too few for an interval, and then add up (either way each reads only its part of the coefficients); else the samples.
    const int64_t n = few() ? 1 : threads.count;
    const bool by_output = tile_blocks % n == 0 && (tile_blocks >= 2 * n || a.batch < 64 * n);
    const bool by_input = !by_output && n > 1 && a.in >= 2 * n && a.batch < 16 * n * a.intervals && a.batch >= 64 * n;
    if (by_input) return sum_by_input(coef, threads, n);
    threads.run(n, [&](int64_t task) {
      if (by_output) sum_part(coef, 0, a.batch, part(tile_blocks, task, n), part(tile_blocks, task + 1, n), 0, a.in, a.y);
      else sum_part(coef, part(a.batch, task, n), part(a.batch, task + 1, n), 0, tile_blocks, 0, a.in, a.y);
    });
  }

  // Threads share the outputs.
  void sum_few(const Threads& threads) const {
    const Sample<T, degree> sample{a.plan, a.in, a.out, a.intervals, Residual(a.residual), a.coef};
    const int64_t n = few() ? 1 : std::min<int64_t>(threads.count, tile_blocks);
    threads.run(n, [&](int64_t task) {
      const int64_t o0 = part(tile_blocks, task, n) * blocks * L, o1 = std::min(a.out, part(tile_blocks, task + 1, n) * blocks * L);
      for (int64_t b = 0; b < a.batch; ++b) {
        T* y = a.y + b * a.out;
        for (int64_t o = o0; o < o1; ++o) y[o] = a.bias ? a.bias[o] : T(0);
        sample.sum(a.x + b * a.in, a.h ? a.h + b * a.in : nullptr, y, o0, o1);
      }
    });
  }

  void sum_by_input(const T* coef, const Threads& threads, int64_t n) const {
    const int64_t size = a.batch * a.out;
    const Buffer<T> others = buffer<T>((n - 1) * size);
    threads.run(n, [&](int64_t task) {
      T* to = task == 0 ? a.y : others.get() + (task - 1) * size;
      sum_part(coef, 0, a.batch, 0, tile_blocks, part(a.in, task, n), part(a.in, task + 1, n), to);
    });
    threads.run(n, [&](int64_t task) {
      for (int64_t other = 0; other < n - 1; ++other) {
        const T* from = others.get() + other * size;
        for (int64_t i = part(size, task, n); i < part(size, task + 1, n); ++i) a.y[i] += from[i];
      }
    });
  }

  // Adds the inputs [in0, in1), and with the first of these the bias, to rows of all outputs.
  void sum_part(const T* coef, int64_t b0, int64_t b1, int64_t block0, int64_t block1, int64_t in0, int64_t in1, T* y) const {
    if (b0 == b1 || block0 == block1) return;
    const int chunk = chunk_size(b1 - b0, in1 - in0);
    Block local(*this, chunk, 1, in1 - in0);
    const T* bias = in0 == 0 ? a.bias : nullptr;
    const bool in_place = !ragged && a.out == width;
    Buffer<T> own;
    if (!in_place) own = buffer<T>((block1 - block0) * chunk * width);
    for (int64_t b = b0; b < b1; b += chunk) {
      const int64_t count = std::min<int64_t>(chunk, b1 - b);
      T* tile = in_place ? y + b * width : own.get();
      for (int64_t block = block0; block < block1; ++block)
        for (int64_t n = 0; n < count; ++n)
          for (int64_t i = 0; i < width; ++i) {
            const int64_t o = block * width + i;
            tile[((block - block0) * chunk + n) * width + i] = bias && o < a.out ? bias[o] : T(0);
          }
      for (int64_t j0 = in0; j0 < in1; j0 += local.inputs) {
        const int64_t j1 = std::min(in1, j0 + local.inputs);
        local.sort(a, j0, j1, b, b + count, int(width));
        local.evaluate(a, j0, j1, a.order, 0);
        for (int64_t block = block0; block < block1; ++block)
          pieces(block, [&](auto size, int64_t v) {
            for (int64_t j = j0; j < j1; ++j)
              Walk<T, degree, residual, size>::sum(local.columns[j - j0], a.intervals, local.row_set(j - j0, 0), local.stride,
                  coef + j * coef_rows * padded + block * width + v * L, padded, tile + (block - block0) * chunk * width + v * L);
          });
      }
      if (!in_place)
        for (int64_t block = block0; block < block1; ++block) {
          const int64_t used = std::min(width, a.out - block * width);
          for (int64_t n = 0; n < count; ++n)
            std::copy_n(tile + ((block - block0) * chunk + n) * width, used, y + (b + n) * a.out + block * width);
        }
    }
  }

  // ---- the gradients: pulled with the derivative of order + shift, outer with order -----------------------------------

  // Any result may be null; bias_sum is the sum of g over the samples. Threads share the inputs; with fewer inputs than
  // threads they share the samples too, and the parts of the outer gradient are added in a fixed order.
  void gradients(const Threads& threads, int pull_order) const {
    if (a.out == 0) return a.pulled ? (void)std::fill_n(a.pulled, a.batch * a.in, T(0)) : void();
    Buffer<T> copy, own_outer;
    const T* coef = a.coef;
    if (ragged && a.pulled) copy = padded_copy(coef, threads), coef = copy.get();
    const int64_t inputs = few() ? 1 : std::max<int64_t>(1, std::min<int64_t>(a.in, threads.count));
    const int64_t groups = few() ? 1 : std::max<int64_t>(1, std::min<int64_t>(threads.count / inputs, a.batch / 64));
    const int64_t size = a.in * coef_rows * padded;
    if (a.outer && (ragged || groups > 1)) own_outer = buffer<T>(size * groups);
    threads.run(inputs * groups, [&](int64_t task) {
      const int64_t group = task / inputs, i = task % inputs;
      T* outer = !a.outer ? nullptr : own_outer ? own_outer.get() + size * group : a.outer;
      gradients_part(coef, outer, pull_order, part(a.batch, group, groups), part(a.batch, group + 1, groups),
                     part(a.in, i, inputs), part(a.in, i + 1, inputs));
      const int64_t n = inputs * groups;
      if (a.bias_sum) sum_samples(part(vectors, task, n) * L, std::min(a.out, part(vectors, task + 1, n) * L));
    });
    if (!own_outer) return;
    threads.run(threads.count, [&](int64_t task) {
      for (int64_t r = part(a.in * coef_rows, task, threads.count); r < part(a.in * coef_rows, task + 1, threads.count); ++r)
        for (int64_t i = 0; i < a.out; ++i) {
          T total = own_outer[r * padded + i];
          for (int64_t group = 1; group < groups; ++group) total += own_outer[size * group + r * padded + i];
          a.outer[r * a.out + i] = total;
        }
    });
  }

  // bias_sum[o0, o1) = sum_b g[b][o0, o1), in parts, so that rounding does not grow with the length of the batch
  void sum_samples(int64_t o0, int64_t o1) const {
    constexpr int wide = 4 * L, run = 256;
    for (int64_t o = o0; o < o1; o += wide) {
      const int64_t here = std::min<int64_t>(wide, o1 - o);
      T total[wide] = {};
      for (int64_t b0 = 0; b0 < a.batch; b0 += run) {
        T sums[wide] = {};
        for (int64_t b = b0; b < std::min(a.batch, b0 + run); ++b) {
          const T* g = a.g + b * a.out + o;
          if (here == wide)
            for (int i = 0; i < wide; ++i) sums[i] += g[i];
          else
            for (int i = 0; i < here; ++i) sums[i] += g[i];
        }
        for (int i = 0; i < wide; ++i) total[i] += sums[i];
      }
      std::copy_n(total, here, a.bias_sum + o);
    }
  }

  void gradients_part(const T* coef, T* outer, int pull_order, int64_t b0, int64_t b1, int64_t in0, int64_t in1) const {
    if (in0 == in1) return;
    if (b0 == b1) {
      if (outer) std::fill(outer + in0 * coef_rows * padded, outer + in1 * coef_rows * padded, T(0));
      return;
    }
    const int chunk = chunk_size(b1 - b0, in1 - in0);
    const int sets = (a.pulled != nullptr) + (outer != nullptr), outer_set = sets - 1;
    Block local(*this, chunk, sets, in1 - in0);
    const bool in_place = !ragged && a.out == width;
    Buffer<T> own;
    if (!in_place) own = buffer<T>(tile_blocks * chunk * width);
    for (int64_t b = b0; b < b1; b += chunk) {
      const int64_t count = std::min<int64_t>(chunk, b1 - b);
      const T* tile = in_place ? a.g + b * width : own.get();
      if (!in_place)
        for (int64_t block = 0; block < tile_blocks; ++block) {
          const int64_t used = std::min(width, a.out - block * width);
          for (int64_t n = 0; n < count; ++n) {
            T* to = own.get() + (block * chunk + n) * width;
            std::copy_n(a.g + (b + n) * a.out + block * width, used, to);
            std::fill(to + used, to + width, T(0));
          }
        }
      for (int64_t j0 = in0; j0 < in1; j0 += local.inputs) {
        const int64_t j1 = std::min(in1, j0 + local.inputs);
        local.sort(a, j0, j1, b, b + count, int(width));
        if (a.pulled) {
          local.evaluate(a, j0, j1, pull_order, 0);
          std::fill(local.pulled.get(), local.pulled.get() + (j1 - j0) * local.stride, T(0));
        }
        if (outer) local.evaluate(a, j0, j1, a.order, outer_set);
        for (int64_t block = 0; block < tile_blocks; ++block)
          pieces(block, [&](auto size, int64_t v) {
            using Loops = Walk<T, degree, residual, size>;
            const T* g = tile + block * chunk * width + v * L;
            for (int64_t j = j0; j < j1; ++j) {
              const int64_t row0 = j * coef_rows * padded + block * width + v * L;
              if (outer)
                Loops::outer(local.columns[j - j0], a.intervals, local.row_set(j - j0, outer_set), local.stride, g, outer + row0,
                             padded, b > b0);
              if (a.pulled)
                Loops::pull(local.columns[j - j0], a.intervals, local.row_set(j - j0, 0), local.stride, coef + row0, padded, g,
                            local.pulled.get() + (j - j0) * local.stride);
            }
          });
        if (a.pulled)
          for (int64_t j = j0; j < j1; ++j) {
            const Column<T>& column = local.columns[j - j0];
            const T* from = local.pulled.get() + (j - j0) * local.stride;
            const int shift = __builtin_ctz(unsigned(width));
            for (int64_t n = 0; n < count; ++n) a.pulled[(b + (column.offset[n] >> shift)) * a.in + j] = from[n];
          }
      }
    }
  }
};

// Calls body(Layer) for the degree and the residual function that the arguments name; false where none is compiled.
template <class T, class Body> bool with_layer(const LayerArgs<T>& a, const Body& body) {
#define EW_DEGREE(d)                                                   \
  case d:                                                              \
    if (a.residual) body(Layer<T, d, true>{a});                        \
    else body(Layer<T, d, false>{a});                                  \
    return true;
  switch (a.degree) {
    EW_DEGREE(1) EW_DEGREE(2) EW_DEGREE(3) EW_DEGREE(4) EW_DEGREE(5)
  }
  return false;
}

}  // namespace ew
