// A whole small network in one call, one sample per lane: forward, backward, and the mean squared error with its
// gradient. Samples go through all layers in chunks that stay in cache.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "few.h"
#include "parallel.h"
#include "sums.h"

namespace ew {

template <class T> struct NetworkArgs {
  const NetworkLayer<T>* layers;  // null: they follow this struct in memory
  int64_t count, batch;
  const T *x, *g, *target;  // (batch, first in), (batch, last out); with a target: of the mean squared error
  T *y, *dx, *jacobian;
  T* gradient;  // in all parameters: per layer the coefficients as stored, then the bias
};

template <class T> struct Network {
  static constexpr int L = lanes<T>, chunk = network_chunk<T>;

  NetworkArgs<T> a;
  std::vector<Buffer<T>> coef;  // per layer (in, out, padded size): look-ups need the coefficients of an edge side by side
  std::vector<char> even;  // per layer: coefficients and gradients are those of B-splines with uniform knots (see Plan::mix)

  // `exact`: no layer is converted to B-splines with uniform knots.
  explicit Network(const NetworkArgs<T>& args, bool exact = false) : a(args) {
    if (!a.layers) a.layers = (const NetworkLayer<T>*)(&args + 1);
    for (int64_t l = 0; l < a.count; ++l) {
      const NetworkLayer<T>& layer = a.layers[l];
      bool all = !exact;
      for (int64_t j = 0; j < layer.in; ++j) all &= own_plan(layer, j).even();
      even.push_back(all);
      coef.push_back(buffer<T>(layer.in * layer.out * padded_size(layer) + 2 * L));
      const int64_t rows = layer.rows(), out = layer.out;
      if (layer.coef) pack(l, [&](int64_t j, int64_t i, int64_t k) { return layer.coef[(j * rows + k) * out + i]; });
    }
  }

  // Takes the coefficients of a layer from from(j, i, k).
  template <class From> void pack(int64_t l, const From& from) {
    const NetworkLayer<T>& layer = a.layers[l];
    const int64_t size = layer.size(), rows = layer.rows(), padded = padded_size(layer);
    for (int64_t j = 0; j < layer.in; ++j) {
      const auto plan = own_plan(layer, j);
      for (int64_t i = 0; i < layer.out; ++i) {
        T* edge = coef[l].get() + (j * layer.out + i) * padded;
        edge[size] = 0;
        for (int64_t k = 0; k < rows; ++k) edge[k] = from(j, i, k);
        if (even[l]) mix(plan, edge);
      }
    }
  }

  // Calls body(k) for the coefficients that mixing changes: those whose B-splines depend on the ends of the grid.
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
  // The transpose: from gradients in those coefficients to gradients in the stored ones.
  static void unmix(const Plan<T>& plan, T* edge) {
    T mixed[2 * max_degree];
    int n = 0, m = 0;
    at_the_ends(plan, [&](int k) { mixed[n++] = edge[k], edge[k] = 0; });
    at_the_ends(plan, [&](int k) {
      for (int q = 0; q <= plan.degree; ++q) edge[plan.window(k) + q] += plan.mix[k * (plan.degree + 1) + q] * mixed[m];
      ++m;
    });
  }
  static Plan<T> own_plan(const NetworkLayer<T>& layer, int64_t j) { return Plan<T>::at(layer.plan, j, layer.intervals, layer.degree); }
  // The plan of an input; `even` decides which functions it has.
  template <int degree> Plan<T> plan(int64_t l, int64_t j) const {
    auto p = Plan<T>::at(a.layers[l].plan, j, a.layers[l].intervals, degree);
    if (!even[l]) p.shared = nullptr;
    return p;
  }

  static int64_t padded_size(const NetworkLayer<T>& layer) { return (layer.size() + L) / L * L; }
  int64_t last() const { return a.layers[a.count - 1].out; }

  struct State {
    std::vector<Kept<T>> layers;
    std::vector<Sums<T>> sums;
    Buffer<T> y, g, h;  // [widest][chunk]
    double loss = 0;
    std::vector<Kept<T>> first;  // the first layer of every chunk, where all steps have the same samples
    bool first_known = false;

    State(const Network& net, bool backward, bool with_sums) {
      int64_t widest = 1;
      for (int64_t l = 0; l < net.a.count; ++l) {
        const NetworkLayer<T>& layer = net.a.layers[l];
        widest = std::max({widest, layer.in, layer.out});
        Kept<T> kept;
        kept.x = buffer<T>(layer.in * chunk);
        if (backward) {
          kept.slope = buffer<T>(layer.in * layer.out * chunk);
          room_for_basis(layer, kept);
        }
        layers.push_back(std::move(kept));
        if (!with_sums) continue;
        sums.emplace_back();
        sums.back().begin(layer);
      }
      y = buffer<T>(widest * chunk), g = buffer<T>(widest * chunk), h = buffer<T>(widest * chunk);
    }
    static void room_for_basis(const NetworkLayer<T>& layer, Kept<T>& kept) {
      kept.basis = buffer<T>(layer.in * (layer.degree + 2) * chunk);
      kept.interval = buffer<typename IntegerOf<T>::type>(layer.in * chunk);
    }
    void clear(const Network& net) {
      for (size_t l = 0; l < sums.size(); ++l) sums[l].clear(net.a.layers[l]);
      loss = 0;
    }
  };

  // ---- forward -------------------------------------------------------------------------------------------------------

  // With `keep` the local functions are kept for the backward pass; with `slopes` also the derivatives of the edges.
  template <int degree, int tables, bool keep, bool slopes> void layer_forward(int64_t l, Kept<T>& kept, T* y) const {
    const NetworkLayer<T>& layer = a.layers[l];
    constexpr int orders = slopes ? 2 : 1;
    const int64_t size = layer.size(), padded = padded_size(layer), out = layer.out;
    for (int64_t i = 0; i < out; ++i) std::fill_n(y + i * chunk, chunk, layer.bias ? layer.bias[i] : T(0));
    for (int64_t j = 0; j < layer.in; ++j) {
      const auto plan = this->template plan<degree>(l, j);
      const T *x = kept.x.get() + j * chunk, *edges = coef[l].get() + j * out * padded;
      T* slope = slopes ? kept.slope.get() + j * out * chunk : nullptr;
      alignas(64) T residuals[orders * chunk];
      residual_rows<T, orders>(x, chunk, Residual(layer.residual), residuals, chunk);
      for (int b = 0; b < chunk; b += L) {
        const LocalCurves<T, degree, orders> local(load(x + b), plan, residuals + b, chunk);
        if constexpr (keep) {
          *(VI<T>*)(kept.interval.get() + j * chunk + b) = local.interval;
          T* rows = kept.basis.get() + j * (degree + 2) * chunk + b;
          for (int m = 0; m <= degree; ++m) store(rows + m * chunk, local.basis[0][m]);
          store(rows + (degree + 1) * chunk, local.residual[0]);
        }
        add_edges<tables, slopes>(local, edges, int(size), padded, out, y + b, slope + b);
      }
    }
  }
  template <int tables, bool slopes, class Local>
  static EW_INLINE void add_edges(const Local& local, const T* edges, int size, int64_t padded, int64_t out, T* y, T* slope) {
    for (int64_t i = 0; i < out; ++i) {
      V<T> phi[slopes ? 2 : 1];
      local.template edge<tables>(edges + i * padded, size, phi);
      store(y + i * chunk, load(y + i * chunk) + phi[0]);
      if constexpr (slopes) store(slope + i * chunk, phi[1]);
    }
  }

  // The same from local functions that were kept.
  template <int degree, int tables> void layer_again(int64_t l, const Kept<T>& kept, T* y) const {
    const NetworkLayer<T>& layer = a.layers[l];
    const int64_t size = layer.size(), padded = padded_size(layer), out = layer.out;
    for (int64_t i = 0; i < out; ++i) std::fill_n(y + i * chunk, chunk, layer.bias ? layer.bias[i] : T(0));
    for (int64_t j = 0; j < layer.in; ++j)
      for (int b = 0; b < chunk; b += L) {
        const VI<T> interval = *(const VI<T>*)(kept.interval.get() + j * chunk + b);
        const LocalCurves<T, degree, 1> local(interval, kept.basis.get() + j * (degree + 2) * chunk + b, chunk);
        add_edges<tables, false>(local, coef[l].get() + j * out * padded, int(size), padded, out, y + b, (T*)nullptr);
      }
  }

  void read_inputs(State& state, int64_t b0, int count) const {
    const int64_t in = a.layers[0].in;
    T* x = state.layers[0].x.get();
    for (int64_t j = 0; j < in; ++j)
      for (int b = 0; b < chunk; ++b) x[j * chunk + b] = b < count ? a.x[(b0 + b) * in + j] : T(0);
  }

  // Leaves the outputs in state.y, [last out][chunk]. Lanes past `count` hold zeros as inputs.
  template <bool keep> void forward(State& state, int64_t b0, int count, bool need_dx) const {
    if (!state.first_known) read_inputs(state, b0, count);
    for (int64_t l = 0; l < a.count; ++l) {
      T* y = l + 1 < a.count ? state.layers[l + 1].x.get() : state.y.get();
      with_layer(a.layers[l], [&](auto degree, auto tables) {
        if (l == 0 && state.first_known) layer_again<degree, tables>(l, state.layers[l], y);
        else if (keep && (l > 0 || need_dx)) layer_forward<degree, tables, keep, keep>(l, state.layers[l], y);
        else layer_forward<degree, tables, keep, false>(l, state.layers[l], y);
      });
    }
  }

  // ---- backward ------------------------------------------------------------------------------------------------------

  // From state.g, the gradient of the outputs [last out][chunk]; leaves the gradient of the inputs in state.g.
  void backward(State& state, bool need_dx) const {
    for (int64_t l = a.count - 1; l >= 0; --l) {
      const NetworkLayer<T>& layer = a.layers[l];
      with_degree(layer.degree, [&](auto degree) { state.sums[l].template add<degree>(layer, state.layers[l], state.g.get()); });
      if (l > 0 || need_dx) pull(state, l);
    }
  }
  // From the gradient at a layer's outputs to that at its inputs, both in state.g.
  void pull(State& state, int64_t l) const {
    const NetworkLayer<T>& layer = a.layers[l];
    for (int64_t j = 0; j < layer.in; ++j) {
      const T* slope = state.layers[l].slope.get() + j * layer.out * chunk;
      for (int b = 0; b < chunk; b += L) {
        V<T> total{};
        for (int64_t i = 0; i < layer.out; ++i) total += load(state.g.get() + i * chunk + b) * load(slope + i * chunk + b);
        store(state.h.get() + j * chunk + b, total);
      }
    }
    std::swap(state.g, state.h);
  }

  // state.g of the outputs: as given, or that of the mean squared error; zero past the last sample.
  void outer_gradient(State& state, int64_t b0, int count) const {
    const int64_t out = last();
    const T scale = T(2) / T(std::max<int64_t>(1, a.batch * out));
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

  // ---- the calls -----------------------------------------------------------------------------------------------------

  // As many tasks as threads, if each gets enough work: `least` edges times samples, about the cost of waking a thread.
  int64_t tasks(const Threads& threads, int64_t least = 1 << 14) const {
    int64_t edges = 0;
    for (int64_t l = 0; l < a.count; ++l) edges += a.layers[l].in * a.layers[l].out;
    const int64_t most = std::min((a.batch + 2 * chunk - 1) / (2 * chunk), edges * a.batch / least);
    return std::max<int64_t>(1, std::min<int64_t>(threads.count, most));
  }
  // Parts of the batch are whole chunks.
  int64_t first_sample(int64_t task, int64_t tasks) const {
    return std::min(a.batch, part((a.batch + chunk - 1) / chunk, task, tasks) * chunk);
  }
  // Calls body(first sample, count) for the chunks of a task.
  template <class Body> void chunks(int64_t task, int64_t tasks, const Body& body) const {
    for (int64_t b0 = first_sample(task, tasks), end = first_sample(task + 1, tasks); b0 < end; b0 += chunk)
      body(b0, int(std::min<int64_t>(chunk, end - b0)));
  }

  void evaluate(const Threads& threads) const {
    const int64_t n = tasks(threads), out = last();
    threads.run(n, [&](int64_t task) {
      State state(*this, false, false);
      chunks(task, n, [&](int64_t b0, int count) {
        forward<false>(state, b0, count, false);
        for (int b = 0; b < count; ++b)
          for (int64_t i = 0; i < out; ++i) a.y[(b0 + b) * out + i] = state.y[i * chunk + b];
      });
    });
  }

  // The sums over the samples of one task.
  void add_task(State& state, int64_t task, int64_t tasks) const {
    size_t n = 0;
    chunks(task, tasks, [&](int64_t b0, int count) {
      const bool known = !state.first.empty();
      if (known) std::swap(state.layers[0], state.first[n]);
      forward<true>(state, b0, count, a.dx != nullptr);
      outer_gradient(state, b0, count);
      backward(state, a.dx != nullptr);
      if (known) std::swap(state.layers[0], state.first[n++]);
      if (!a.dx) return;
      const int64_t in = a.layers[0].in;
      for (int b = 0; b < count; ++b)
        for (int64_t j = 0; j < in; ++j) a.dx[(b0 + b) * in + j] = state.g[j * chunk + b];
    });
  }
  // Evaluates the first layer's functions for all calls of `add_task` that follow.
  void keep_first(State& state, int64_t task, int64_t tasks) const {
    const NetworkLayer<T>& layer = a.layers[0];
    chunks(task, tasks, [&](int64_t b0, int count) {
      Kept<T> kept;
      kept.x = buffer<T>(layer.in * chunk);
      State::room_for_basis(layer, kept);
      std::swap(state.layers[0], kept);
      read_inputs(state, b0, count);
      with_layer(layer, [&](auto degree, auto tables) {
        layer_forward<degree, tables, true, false>(0, state.layers[0], state.y.get());
      });
      std::swap(state.layers[0], kept);
      state.first.push_back(std::move(kept));
    });
    state.first_known = true;
  }
  T mean_loss(const std::vector<std::unique_ptr<State>>& states) const {
    double total = 0;
    for (const auto& state : states) total += state->loss;
    return T(total / std::max<int64_t>(1, a.batch * last()));
  }
  std::vector<std::unique_ptr<State>> states(int64_t count) const {
    std::vector<std::unique_ptr<State>> all(count);
    for (auto& state : all) state.reset(new State(*this, true, true));
    return all;
  }

  // The gradients of sum(g * y).
  void gradients(const Threads& threads) const {
    const int64_t n = tasks(threads);
    const auto all = states(n);
    threads.run(n, [&](int64_t task) { add_task(*all[task], task, n); });
    T* to = a.gradient;
    for (int64_t l = 0; l < a.count; to += a.layers[l++].parameters()) give(l, parts(all, l), to);
  }

  static std::vector<Sums<T>*> parts(const std::vector<std::unique_ptr<State>>& states, int64_t l) {
    std::vector<Sums<T>*> of_layer;
    for (const auto& state : states) of_layer.push_back(&state->sums[l]);
    return of_layer;
  }
  // Adds the parts of the threads, in their order, and writes the gradients of a layer.
  void give(int64_t l, const std::vector<Sums<T>*>& parts, T* to) const {
    const NetworkLayer<T>& layer = a.layers[l];
    const int64_t rows = layer.rows(), out = layer.out;
    if (layer.bias) Sums<T>::total_bias(layer, parts, to + layer.weights());
    const Buffer<T> total = buffer<T>(layer.in * out * rows + L);
    totals(l, parts, total.get());
    for (int64_t j = 0; j < layer.in; ++j)
      for (int64_t i = 0; i < out; ++i)
        for (int64_t k = 0; k < rows; ++k) to[(j * rows + k) * out + i] = total[(j * out + i) * rows + k];
  }

  // The gradients of the coefficients of a layer, (in, out, rows).
  void totals(int64_t l, const std::vector<Sums<T>*>& parts, T* to) const {
    const NetworkLayer<T>& layer = a.layers[l];
    Sums<T>::total(layer, parts, to);
    if (even[l])
      for (int64_t j = 0; j < layer.in; ++j) {
        const auto plan = own_plan(layer, j);
        for (int64_t i = 0; i < layer.out; ++i) unmix(plan, to + (j * layer.out + i) * layer.rows());
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
  // Calls body(degree tag, tag of the registers that hold the coefficients of an edge).
  template <class Body> static void with_layer(const NetworkLayer<T>& layer, const Body& body) {
    with_degree(layer.degree, [&](auto degree) {
      with_registers<T>(layer.size(), [&](auto tables) { body(degree, tables); });
    });
  }
};

// Writes the outputs of a few samples; false where there are more, or wider layers than this keeps.
template <class T> bool evaluate_few(const NetworkArgs<T>& a) {
  constexpr int64_t widest = 64;
  const NetworkLayer<T>* layers = a.layers ? a.layers : (const NetworkLayer<T>*)(&a + 1);
  if (a.batch > few_samples) return false;
  for (int64_t l = 0; l + 1 < a.count; ++l)
    if (layers[l].out > widest) return false;
  T between[2][widest];
  for (int64_t b = 0; b < a.batch; ++b) {
    const T* x = a.x + b * layers[0].in;
    for (int64_t l = 0; l < a.count; ++l) {
      const NetworkLayer<T>& layer = layers[l];
      T* y = l + 1 == a.count ? a.y + b * layer.out : between[l % 2];
      if (layer.bias) std::copy_n(layer.bias, layer.out, y);
      else std::fill_n(y, layer.out, T(0));
      Network<T>::with_degree(layer.degree, [&](auto degree) {
        const Residual kind = Residual(layer.residual);
        Sample<T, degree>{layer.plan, layer.in, layer.out, layer.intervals, kind, layer.coef}.sum(x, nullptr, y, 0, layer.out);
      });
      x = y;
    }
  }
  return true;
}

}  // namespace ew
