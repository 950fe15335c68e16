// A whole small network in one call, one sample per lane: forward, backward, the mean squared error with its gradient,
// and rows of the Jacobian. Samples go through all layers in chunks that stay in cache.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "buffer.h"
#include "curves.h"
#include "parallel.h"

namespace ew {

template <class T> struct NetworkLayer {
  const char* plan;
  const T *coef, *bias;    // (in, size [+ 1], out); bias may be null
  T *dcoef, *dbias;        // gradients, or null
  int64_t in, out;
  int intervals, degree, residual;

  int64_t size() const { return intervals + degree; }
  int64_t rows() const { return size() + (residual != none); }
};

template <class T> struct NetworkArgs {
  const NetworkLayer<T>* layers;  // null: right behind this struct
  int64_t count, batch;
  const T *x, *g, *target;  // (batch, first in), (batch, last out) twice
  T *y, *dx, *loss, *jacobian;
};

template <class T> struct Network {
  static constexpr int L = lanes<T>, vectors = 8, chunk = vectors * L;  // samples that go through the layers together

  NetworkArgs<T> a;
  std::vector<Buffer<T>> coef;  // per layer (in, out, padded size): the look-ups want an edge's coefficients together

  std::vector<char> even;  // per layer: coefficients and gradients are those of B-splines with uniform knots (see Plan::mix)

  // `exact`: every layer keeps its own B-splines.
  explicit Network(const NetworkArgs<T>& args, bool exact = false) : a(args) {
    if (!a.layers) a.layers = (const NetworkLayer<T>*)(&args + 1);
    for (int64_t l = 0; l < a.count; ++l) {
      const NetworkLayer<T>& layer = a.layers[l];
      const int64_t size = layer.size(), rows = layer.rows();
      const int64_t padded = padded_size(layer);
      Buffer<T> to = buffer<T>(layer.in * layer.out * padded + 2 * L);
      bool all = !exact;
      for (int64_t j = 0; j < layer.in; ++j) all &= Plan<T>::at(layer.plan, j, layer.intervals, layer.degree).even();
      even.push_back(all);
      for (int64_t j = 0; j < layer.in; ++j)
        for (int64_t i = 0; i < layer.out; ++i) {
          T* edge = to.get() + (j * layer.out + i) * padded;
          edge[size] = 0;
          for (int64_t k = 0; k < rows; ++k) edge[k] = layer.coef[(j * rows + k) * layer.out + i];
          if (all) mix(Plan<T>::at(layer.plan, j, layer.intervals, layer.degree), edge);
        }
      coef.push_back(std::move(to));
    }
  }

  // Calls body(k) for the coefficients that mixing changes: those whose B-splines feel the ends of the grid.
  template <class Body> static void at_the_ends(const Plan<T>& plan, const Body& body) {
    const int size = plan.intervals + plan.degree;
    for (int k = 0; k < plan.degree - 1; ++k) body(k);
    for (int k = std::max(plan.degree - 1, plan.intervals + 1); k < size; ++k) body(k);
  }
  // From the coefficients of an edge to those of B-splines with uniform knots.
  static void mix(const Plan<T>& plan, T* edge) {
    T changed[2 * max_degree];
    int n = 0, m = 0;
    at_the_ends(plan, [&](int k) {
      T total = 0;
      for (int q = 0; q <= plan.degree; ++q) total += plan.mix[k * (plan.degree + 1) + q] * edge[plan.window(k) + q];
      changed[n++] = total;
    });
    at_the_ends(plan, [&](int k) { edge[k] = changed[m++]; });
  }
  // The transpose: from gradients in those coefficients to gradients in the own.
  static void unmix(const Plan<T>& plan, T* edge) {
    T mixed[2 * max_degree];
    int n = 0, m = 0;
    at_the_ends(plan, [&](int k) { mixed[n++] = edge[k], edge[k] = 0; });
    at_the_ends(plan, [&](int k) {
      for (int q = 0; q <= plan.degree; ++q) edge[plan.window(k) + q] += plan.mix[k * (plan.degree + 1) + q] * mixed[m];
      ++m;
    });
  }
  // The plan of an input; what `even` says decides about its functions.
  template <int degree> Plan<T> plan(int64_t l, int64_t j) const {
    auto p = Plan<T>::at(a.layers[l].plan, j, a.layers[l].intervals, degree);
    if (!even[l]) p.shared = nullptr;
    return p;
  }

  static int64_t padded_size(const NetworkLayer<T>& layer) { return (layer.size() + L) / L * L; }
  int64_t last() const { return a.layers[a.count - 1].out; }

  // What one chunk leaves behind for its backward pass.
  struct LayerState {
    Buffer<T> x;      // [in][chunk]
    Buffer<T> slope;  // [in][out][chunk]: derivative of every edge at its input
    Buffer<T> basis;  // [in][degree + 2][chunk]: local basis functions, then the residual function
    Buffer<typename IntegerOf<T>::type> interval;  // [in][chunk]
    Buffer<T> sums;   // [in][out][rows][L]: gradients of the coefficients, a vector of partial sums each
    Buffer<T> bias_sums;  // [out]
  };
  struct State {
    std::vector<LayerState> layers;
    Buffer<T> y, g, h;  // [widest][chunk]
    Buffer<T> dense;    // [largest size + 1][chunk]
    double loss = 0;

    State(const Network& net, bool backward) {
      int64_t widest = 1, largest = 1;
      for (int64_t l = 0; l < net.a.count; ++l) {
        const NetworkLayer<T>& layer = net.a.layers[l];
        const int64_t edges = layer.in * layer.out;
        widest = std::max({widest, layer.in, layer.out}), largest = std::max(largest, layer.size() + 1);
        LayerState s;
        s.x = buffer<T>(layer.in * chunk);
        if (backward) {
          s.slope = buffer<T>(edges * chunk);
          s.basis = buffer<T>(layer.in * (layer.degree + 2) * chunk);
          s.interval = buffer<typename IntegerOf<T>::type>(layer.in * chunk);
          s.sums = buffer<T>(edges * layer.rows() * L), s.bias_sums = buffer<T>(layer.out);
          std::fill_n(s.sums.get(), edges * layer.rows() * L, T(0));
          std::fill_n(s.bias_sums.get(), layer.out, T(0));
        }
        layers.push_back(std::move(s));
      }
      y = buffer<T>(widest * chunk), g = buffer<T>(widest * chunk), h = buffer<T>(widest * chunk);
      dense = buffer<T>(largest * chunk);
    }
  };

  // ---- forward -------------------------------------------------------------------------------------------------------

  template <int degree, bool backward>
  void layer_forward(int64_t l, LayerState& state, T* y) const {
    const NetworkLayer<T>& layer = a.layers[l];
    const T* coef = this->coef[l].get();
    constexpr int orders = backward ? 2 : 1;
    const int64_t size = layer.size(), padded = padded_size(layer);
    for (int64_t i = 0; i < layer.out; ++i)
      std::fill_n(y + i * chunk, chunk, layer.bias ? layer.bias[i] : T(0));
    for (int64_t j = 0; j < layer.in; ++j) {
      const auto plan = this->template plan<degree>(l, j);
      const T* x = state.x.get() + j * chunk;
      alignas(64) T residuals[orders * chunk];
      residual_rows<T, orders>(x, chunk, Residual(layer.residual), residuals, chunk);
      for (int b = 0; b < chunk; b += L) {
        const LocalCurves<T, degree, orders> local(load(x + b), plan, residuals + b, chunk);
        if constexpr (backward) {
          *(VI<T>*)(state.interval.get() + j * chunk + b) = local.interval;
          T* rows = state.basis.get() + j * (degree + 2) * chunk + b;
          for (int m = 0; m <= degree; ++m) store(rows + m * chunk, local.basis[0][m]);
          store(rows + (degree + 1) * chunk, local.residual[0]);
        }
        for (int64_t i = 0; i < layer.out; ++i) {
          V<T> phi[orders];
          local.edge(coef + (j * layer.out + i) * padded, int(size), phi);
          store(y + i * chunk + b, load(y + i * chunk + b) + phi[0]);
          if constexpr (backward) store(state.slope.get() + (j * layer.out + i) * chunk + b, phi[1]);
        }
      }
    }
  }

  // Leaves the outputs in state.y, [last out][chunk]. Lanes past `count` hold zeros as inputs.
  template <bool backward> void forward(State& state, int64_t b0, int count) const {
    T* x = state.layers[0].x.get();
    for (int64_t j = 0; j < a.layers[0].in; ++j)
      for (int b = 0; b < chunk; ++b) x[j * chunk + b] = b < count ? a.x[(b0 + b) * a.layers[0].in + j] : T(0);
    for (int64_t l = 0; l < a.count; ++l) {
      T* y = l + 1 < a.count ? state.layers[l + 1].x.get() : state.y.get();
      with_degree(a.layers[l].degree, [&](auto degree) {
        layer_forward<degree, backward>(l, state.layers[l], y);
      });
    }
  }

  // ---- backward ------------------------------------------------------------------------------------------------------

  // dense[k][b] = B_k(x_b) from the local functions; row `size` is the residual function.
  template <int degree> static void spread(const NetworkLayer<T>& layer, const LayerState& state, int64_t j, T* dense) {
    constexpr int window = degree + 1;
    const int intervals = layer.intervals;
    const T* rows = state.basis.get() + j * (degree + 2) * chunk;
    for (int b = 0; b < chunk; b += L) {
      const VI<T> interval = *(const VI<T>*)(state.interval.get() + j * chunk + b);
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
  template <int outputs> static void add_products(const T* g, const T* dense, int64_t rows, T* sums) {
    int64_t k = 0;
    for (; k + 4 <= rows; k += 4) add_tile<outputs, 4>(g, dense + k * chunk, rows, sums + k * L);
    for (; k < rows; ++k) add_tile<outputs, 1>(g, dense + k * chunk, rows, sums + k * L);
  }
  template <int outputs, int height> static void add_tile(const T* g, const T* dense, int64_t rows, T* sums) {
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

  // From state.g, the gradient of the outputs [last out][chunk]; leaves the gradient of the inputs in state.g.
  void backward(State& state, bool need_dx) const {
    for (int64_t l = a.count - 1; l >= 0; --l) {
      const NetworkLayer<T>& layer = a.layers[l];
      LayerState& kept = state.layers[l];
      const T* g = state.g.get();
      const int64_t rows = layer.rows();
      for (int64_t i = 0; i < layer.out; ++i) {
        V<T> total{};
        for (int b = 0; b < chunk; b += L) total += load(g + i * chunk + b);
        kept.bias_sums[i] += sum_lanes<T>(total);
      }
      for (int64_t j = 0; j < layer.in; ++j) {
        with_degree(layer.degree, [&](auto degree) { spread<degree>(layer, kept, j, state.dense.get()); });
        constexpr int wide = registers == 32 ? 4 : 2;
        T* sums = kept.sums.get() + j * layer.out * rows * L;
        int64_t i = 0;
        for (; i + wide <= layer.out; i += wide) add_products<wide>(g + i * chunk, state.dense.get(), rows, sums + i * rows * L);
        for (; i < layer.out; ++i) add_products<1>(g + i * chunk, state.dense.get(), rows, sums + i * rows * L);
        if (l > 0 || need_dx)
          for (int b = 0; b < chunk; b += L) {
            V<T> total{};
            for (int64_t i = 0; i < layer.out; ++i)
              total += load(g + i * chunk + b) * load(kept.slope.get() + (j * layer.out + i) * chunk + b);
            store(state.h.get() + j * chunk + b, total);
          }
      }
      std::swap(state.g, state.h);
    }
  }

  // ---- the calls -----------------------------------------------------------------------------------------------------

  int64_t tasks(const Threads& threads) const {
    return std::max<int64_t>(1, std::min<int64_t>(threads.count, (a.batch + 2 * chunk - 1) / (2 * chunk)));
  }
  // Parts of the batch are whole chunks.
  int64_t first_sample(int64_t task, int64_t tasks) const {
    return std::min(a.batch, part((a.batch + chunk - 1) / chunk, task, tasks) * chunk);
  }

  void evaluate(const Threads& threads) const {
    const int64_t n = tasks(threads), out = last();
    threads.run(n, [&](int64_t task) {
      State state(*this, false);
      for (int64_t b0 = first_sample(task, n), end = first_sample(task + 1, n); b0 < end; b0 += chunk) {
        const int count = int(std::min<int64_t>(chunk, end - b0));
        forward<false>(state, b0, count);
        for (int b = 0; b < count; ++b)
          for (int64_t i = 0; i < out; ++i) a.y[(b0 + b) * out + i] = state.y[i * chunk + b];
      }
    });
  }

  // The gradients of sum(g * y), or with a target of the mean squared error, whose value goes to a.loss.
  void gradients(const Threads& threads) const {
    const int64_t n = tasks(threads), out = last();
    const T scale = T(2) / T(std::max<int64_t>(1, a.batch * out));
    std::vector<std::unique_ptr<State>> states(n);
    for (auto& state : states) state.reset(new State(*this, true));
    threads.run(n, [&](int64_t task) {
      State& state = *states[task];
      for (int64_t b0 = first_sample(task, n), end = first_sample(task + 1, n); b0 < end; b0 += chunk) {
        const int count = int(std::min<int64_t>(chunk, end - b0));
        forward<true>(state, b0, count);
        outer_gradient(state, b0, count, scale);
        backward(state, a.dx != nullptr);
        if (a.dx)
          for (int b = 0; b < count; ++b)
            for (int64_t j = 0; j < a.layers[0].in; ++j) a.dx[(b0 + b) * a.layers[0].in + j] = state.g[j * chunk + b];
      }
    });
    if (a.target) {
      double total = 0;
      for (const auto& state : states) total += state->loss;
      *a.loss = T(total / std::max<int64_t>(1, a.batch * out));
    }
    for (int64_t l = 0; l < a.count; ++l) {
      std::vector<const T*> sums, bias_sums;
      for (const auto& state : states) sums.push_back(state->layers[l].sums.get()), bias_sums.push_back(state->layers[l].bias_sums.get());
      collect(l, sums, bias_sums);
    }
  }

  // state.g of the outputs: as given, or that of the mean squared error; zero past the last sample.
  void outer_gradient(State& state, int64_t b0, int count, T scale) const {
    const int64_t out = last();
    const T* from = (a.target ? a.target : a.g) + b0 * out;
    for (int64_t i = 0; i < out; ++i) {
      T* g = state.g.get() + i * chunk;
      const T* y = state.y.get() + i * chunk;
      for (int b = 0; b < count; ++b) g[b] = from[b * out + i];
      for (int b = count; b < chunk; ++b) g[b] = a.target ? y[b] : T(0);
      if (!a.target) continue;
      V<T> squares{};
      for (int b = 0; b < chunk; b += L) {
        const V<T> error = load(y + b) - load(g + b);
        squares += error * error;
        store(g + b, scale * error);
      }
      state.loss += sum_lanes<T>(squares);
    }
  }

  // Adds the parts of the threads, in a fixed order.
  void collect(int64_t l, const std::vector<const T*>& sums, const std::vector<const T*>& bias_sums) const {
    const NetworkLayer<T>& layer = a.layers[l];
    const int64_t rows = layer.rows();
    const Buffer<T> total = buffer<T>(rows + L);
    if (layer.dcoef)
      for (int64_t j = 0; j < layer.in; ++j)
        for (int64_t i = 0; i < layer.out; ++i) {
          for (int64_t k = 0; k < rows; ++k) {
            V<T> lanes_of{};
            for (const T* part : sums) lanes_of += load(part + ((j * layer.out + i) * rows + k) * L);
            total[k] = sum_lanes<T>(lanes_of);
          }
          if (even[l]) unmix(Plan<T>::at(layer.plan, j, layer.intervals, layer.degree), total.get());
          for (int64_t k = 0; k < rows; ++k) layer.dcoef[(j * rows + k) * layer.out + i] = total[k];
        }
    if (layer.dbias)
      for (int64_t i = 0; i < layer.out; ++i) {
        T total = 0;
        for (const T* part : bias_sums) total += part[i];
        layer.dbias[i] = total;
      }
  }

  // Rows of the Jacobian, (batch, last out, parameters): per layer the coefficients as stored, then the bias; and the
  // outputs. Every row has the degree + 2 entries of each edge on it and is otherwise zero.
  void jacobian(const Threads& threads) const {
    const int64_t out = last();
    int64_t parameters = 0;
    for (int64_t l = 0; l < a.count; ++l)
      parameters += a.layers[l].in * a.layers[l].rows() * a.layers[l].out + (a.layers[l].bias ? a.layers[l].out : 0);
    const int64_t n = tasks(threads);
    threads.run(n, [&](int64_t task) {
      State state(*this, true);
      for (int64_t b0 = first_sample(task, n), end = first_sample(task + 1, n); b0 < end; b0 += chunk) {
        const int count = int(std::min<int64_t>(chunk, end - b0));
        forward<true>(state, b0, count);
        for (int64_t o = 0; o < out; ++o) {
          for (int b = 0; b < count; ++b) a.y[(b0 + b) * out + o] = state.y[o * chunk + b];
          for (int64_t i = 0; i < out; ++i) std::fill_n(state.g.get() + i * chunk, chunk, T(i == o));
          jacobian_rows(state, a.jacobian + (b0 * out + o) * parameters, out * parameters, parameters, count);
        }
      }
    });
  }

  void jacobian_rows(State& state, T* rows, int64_t stride, int64_t parameters, int count) const {
    for (int b = 0; b < count; ++b) std::fill_n(rows + b * stride, parameters, T(0));
    int64_t place = parameters;
    for (int64_t l = a.count - 1; l >= 0; --l) {
      const NetworkLayer<T>& layer = a.layers[l];
      const LayerState& kept = state.layers[l];
      const int64_t out = layer.out, height = layer.rows();
      const T* g = state.g.get();
      if (layer.bias) {
        place -= out;
        for (int b = 0; b < count; ++b)
          for (int64_t i = 0; i < out; ++i) rows[b * stride + place + i] = g[i * chunk + b];
      }
      place -= layer.in * height * out;
      T slopes[256];
      for (int b = 0; b < count; ++b) {
        for (int64_t i0 = 0; i0 < out; i0 += 256) {
          const int64_t n = std::min<int64_t>(256, out - i0);
          for (int64_t i = 0; i < n; ++i) slopes[i] = g[(i0 + i) * chunk + b];
          for (int64_t j = 0; j < layer.in; ++j) {
            const T* basis = kept.basis.get() + j * (layer.degree + 2) * chunk + b;
            T* to = rows + b * stride + place + (j * height + kept.interval[j * chunk + b]) * out + i0;
            for (int m = 0; m <= layer.degree; ++m)
              for (int64_t i = 0; i < n; ++i) to[m * out + i] = basis[m * chunk] * slopes[i];
            if (layer.residual) {
              to = rows + b * stride + place + (j * height + height - 1) * out + i0;
              for (int64_t i = 0; i < n; ++i) to[i] = basis[(layer.degree + 1) * chunk] * slopes[i];
            }
          }
        }
      }
      if (l > 0)
        for (int64_t j = 0; j < layer.in; ++j)
          for (int b = 0; b < chunk; b += L) {
            V<T> total{};
            for (int64_t i = 0; i < out; ++i)
              total += load(g + i * chunk + b) * load(kept.slope.get() + (j * out + i) * chunk + b);
            store(state.h.get() + j * chunk + b, total);
          }
      std::swap(state.g, state.h);
    }
  }

  template <class Body> static void with_degree(int degree, const Body& body) {
    switch (degree) {
      case 1: return body(std::integral_constant<int, 1>{});
      case 2: return body(std::integral_constant<int, 2>{});
      case 3: return body(std::integral_constant<int, 3>{});
      case 4: return body(std::integral_constant<int, 4>{});
      case 5: return body(std::integral_constant<int, 5>{});
    }
  }
};

}  // namespace ew
