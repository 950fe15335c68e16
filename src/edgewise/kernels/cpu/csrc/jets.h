// Taylor jets through a whole small network: values y, derivatives a_r = D_r y along given directions, and weighted sums
// of second derivatives q_m = sum_r W_mr D_r^2 y (a Laplacian is one such sum), with their gradients in the parameters.
//
// Forward, per layer, with t_mj = sum_r W_mr a_rj^2:
//   y_i = sum_j phi(x_j)    a_ri = sum_j phi' a_rj    q_mi = sum_j phi'' t_mj + phi' q_mj
// Backward, with the slopes of the loss written Y, A, Q, every edge has three factors,
//   alpha = Y_i    beta = sum_r A_ri a_rj + sum_m Q_mi q_mj    gamma = sum_m Q_mi t_mj,
// and its coefficients receive alpha B_k + beta B_k' + gamma B_k'', its input alpha phi' + beta phi'' + gamma phi'''.
#pragma once
#include "network.h"

namespace ew {

template <class T> struct JetArgs {
  int64_t directions, sums;         // R, M
  const T *direction, *weight;      // (R, first in), (M, R)
  T *y, *first, *second;            // (batch, out), (R, batch, out), (M, batch, out)
  const T *g, *g_first, *g_second;  // slopes of the loss of the same shapes
};

template <class T> struct Jets {
  static constexpr int L = lanes<T>, chunk = Network<T>::chunk;
  static constexpr int max_sums = 8;
  const Network<T>& net;
  const JetArgs<T>& jet;
  const int64_t R = jet.directions, M = jet.sums, channels = 1 + R + M;

  // Channels of one layer's inputs: [1 + R + M][features][chunk].
  struct State {
    std::vector<Buffer<T>> inputs;
    Buffer<T> outputs, g, h;  // the same of the last layer, and slopes at two neighbouring layers
    Buffer<T> dense;          // [3][largest size + 1][chunk]
    Buffer<T> t;              // [M][chunk]: t_mj of one input
    std::vector<Sums<T>> sums;

    explicit State(const Jets& jets) {
      int64_t widest = 1, largest = 1;
      for (int64_t l = 0; l < jets.net.a.count; ++l) {
        const NetworkLayer<T>& layer = jets.net.a.layers[l];
        widest = std::max({widest, layer.in, layer.out}), largest = std::max(largest, layer.size() + 1);
        inputs.push_back(buffer<T>(jets.channels * layer.in * chunk));
        sums.emplace_back();
        sums.back().begin(layer, false);
      }
      outputs = buffer<T>(jets.channels * widest * chunk);
      g = buffer<T>(jets.channels * widest * chunk), h = buffer<T>(jets.channels * widest * chunk);
      dense = buffer<T>(3 * largest * chunk), t = buffer<T>(std::max<int64_t>(1, jets.M) * chunk);
    }
  };

  // t_mj = sum_r W_mr a_rj^2 of one input on the whole chunk
  void squares(const T* inputs, int64_t in, int64_t j, T* t) const {
    for (int64_t m = 0; m < M; ++m)
      for (int b = 0; b < chunk; b += L) {
        V<T> total{};
        for (int64_t r = 0; r < R; ++r) {
          const V<T> a = load(inputs + ((1 + r) * in + j) * chunk + b);
          total += jet.weight[m * R + r] * a * a;
        }
        store(t + m * chunk + b, total);
      }
  }

  template <int degree, int tables> void layer_forward(int64_t l, State& state, T* y) const {
    const NetworkLayer<T>& layer = net.a.layers[l];
    const int64_t size = layer.size(), padded = Network<T>::padded_size(layer), in = layer.in, out = layer.out;
    const T* x = state.inputs[l].get();
    for (int64_t i = 0; i < out; ++i) std::fill_n(y + i * chunk, chunk, layer.bias ? layer.bias[i] : T(0));
    std::fill_n(y + out * chunk, (R + M) * out * chunk, T(0));
    for (int64_t j = 0; j < in; ++j) {
      const auto plan = net.template plan<degree>(l, j);
      alignas(64) T residuals[3 * chunk];
      residual_rows<T, 3>(x + j * chunk, chunk, Residual(layer.residual), residuals, chunk);
      squares(x, in, j, state.t.get());
      for (int b = 0; b < chunk; b += L) {
        const LocalCurves<T, degree, 3> local(load(x + j * chunk + b), plan, residuals + b, chunk);
        for (int64_t i = 0; i < out; ++i) {
          V<T> phi[3];
          local.template edge<tables>(net.coef[l].get() + (j * out + i) * padded, int(size), phi);
          T* to = y + i * chunk + b;
          store(to, load(to) + phi[0]);
          for (int64_t r = 0; r < R; ++r) {
            to += out * chunk;
            store(to, load(to) + phi[1] * load(x + ((1 + r) * in + j) * chunk + b));
          }
          for (int64_t m = 0; m < M; ++m) {
            to += out * chunk;
            store(to, load(to) + phi[2] * load(state.t.get() + m * chunk + b) + phi[1] * load(x + ((1 + R + m) * in + j) * chunk + b));
          }
        }
      }
    }
  }

  void forward(State& state, int64_t b0, int count) const {
    const int64_t in = net.a.layers[0].in;
    T* x = state.inputs[0].get();
    for (int64_t j = 0; j < in; ++j)
      for (int b = 0; b < chunk; ++b) x[j * chunk + b] = b < count ? net.a.x[(b0 + b) * in + j] : T(0);
    for (int64_t r = 0; r < R; ++r)
      for (int64_t j = 0; j < in; ++j) std::fill_n(x + ((1 + r) * in + j) * chunk, chunk, jet.direction[r * in + j]);
    std::fill_n(x + (1 + R) * in * chunk, M * in * chunk, T(0));
    for (int64_t l = 0; l < net.a.count; ++l) {
      T* y = l + 1 < net.a.count ? state.inputs[l + 1].get() : state.outputs.get();
      Network<T>::with_layer(net.a.layers[l], [&](auto degree, auto tables) { layer_forward<degree, tables>(l, state, y); });
    }
  }

  // dense[order][k][b] = B_k^(order)(x_b) for one vector of samples; row `size` is the residual function.
  template <int degree> static void spread(const LocalCurves<T, degree, 4>& local, int intervals, T* dense, int64_t stride) {
    for (int order = 0; order < 3; ++order, dense += stride) {
      V<T> sum[degree + 1] = {};
      for (int s = 0; s < intervals; ++s) {
        const VI<T> here = local.interval == s;
        for (int m = 0; m <= degree; ++m) sum[m] = here ? local.basis[order][m] : sum[m];
        store(dense + s * chunk, sum[0]);
        for (int m = 0; m < degree; ++m) sum[m] = sum[m + 1];
        sum[degree] = V<T>{};
      }
      for (int m = 0; m < degree; ++m) store(dense + (intervals + m) * chunk, sum[m]);
      store(dense + (intervals + degree) * chunk, local.residual[order]);
    }
  }

  // From the slopes at the outputs in state.g to those at the inputs, in state.g again.
  template <int degree, int tables> void layer_backward(int64_t l, State& state) const {
    const NetworkLayer<T>& layer = net.a.layers[l];
    const int64_t size = layer.size(), padded = Network<T>::padded_size(layer), in = layer.in, out = layer.out;
    const int64_t stride = (size + 1) * chunk, rows = layer.rows();
    const T *x = state.inputs[l].get(), *g = state.g.get();
    T *h = state.h.get(), *t = state.t.get(), *dense = state.dense.get();
    alignas(64) T residuals[4 * chunk], alpha_beta_gamma[3 * chunk];
    for (int64_t i = 0; i < out; ++i) {
      V<T> total{};
      for (int b = 0; b < chunk; b += L) total += load(g + i * chunk + b);
      state.sums[l].bias[i] += sum_lanes<T>(total);
    }
    std::fill_n(h, channels * in * chunk, T(0));
    for (int64_t j = 0; j < in; ++j) {
      const auto plan = net.template plan<degree>(l, j);
      residual_rows<T, 4>(x + j * chunk, chunk, Residual(layer.residual), residuals, chunk);
      squares(x, in, j, t);
      for (int b = 0; b < chunk; b += L) {
        const LocalCurves<T, degree, 4> local(load(x + j * chunk + b), plan, residuals + b, chunk);
        spread<degree>(local, layer.intervals, dense + b, stride);
        if (l == 0) continue;
        V<T> x_slope{}, curved[max_sums] = {};  // curved: sum_i Q_mi phi''
        for (int64_t i = 0; i < out; ++i) {
          V<T> phi[4];
          local.template edge<tables>(net.coef[l].get() + (j * out + i) * padded, int(size), phi);
          V<T> beta{}, gamma{};
          for (int64_t r = 0; r < R; ++r) {
            const V<T> slope = load(g + ((1 + r) * out + i) * chunk + b);
            beta += slope * load(x + ((1 + r) * in + j) * chunk + b);
            T* to = h + ((1 + r) * in + j) * chunk + b;
            store(to, load(to) + slope * phi[1]);
          }
          for (int64_t m = 0; m < M; ++m) {
            const V<T> slope = load(g + ((1 + R + m) * out + i) * chunk + b);
            beta += slope * load(x + ((1 + R + m) * in + j) * chunk + b);
            gamma += slope * load(t + m * chunk + b);
            curved[m] += slope * phi[2];
            T* to = h + ((1 + R + m) * in + j) * chunk + b;
            store(to, load(to) + slope * phi[1]);
          }
          x_slope += load(g + i * chunk + b) * phi[1] + beta * phi[2] + gamma * phi[3];
        }
        store(h + j * chunk + b, x_slope);
        for (int64_t r = 0; r < R; ++r) {
          V<T> total{};
          for (int64_t m = 0; m < M; ++m) total += jet.weight[m * R + r] * curved[m];
          T* to = h + ((1 + r) * in + j) * chunk + b;
          store(to, load(to) + 2 * load(x + ((1 + r) * in + j) * chunk + b) * total);
        }
      }
      for (int64_t i = 0; i < out; ++i) {
        for (int b = 0; b < chunk; b += L) {
          V<T> beta{}, gamma{};
          for (int64_t r = 0; r < R; ++r)
            beta += load(g + ((1 + r) * out + i) * chunk + b) * load(x + ((1 + r) * in + j) * chunk + b);
          for (int64_t m = 0; m < M; ++m) {
            const V<T> slope = load(g + ((1 + R + m) * out + i) * chunk + b);
            beta += slope * load(x + ((1 + R + m) * in + j) * chunk + b);
            gamma += slope * load(t + m * chunk + b);
          }
          store(alpha_beta_gamma + b, load(g + i * chunk + b));
          store(alpha_beta_gamma + chunk + b, beta);
          store(alpha_beta_gamma + 2 * chunk + b, gamma);
        }
        T* sums = state.sums[l].values.get() + (j * out + i) * rows * L;
        for (int order = 0; order < 3; ++order)
          Sums<T>::template products<1>(alpha_beta_gamma + order * chunk, dense + order * stride, rows, sums);
      }
    }
    std::swap(state.g, state.h);
  }

  void evaluate(const Threads& threads) const {
    const int64_t n = net.tasks(threads), out = net.last(), batch = net.a.batch;
    threads.run(n, [&](int64_t task) {
      State state(*this);
      for (int64_t b0 = net.first_sample(task, n), end = net.first_sample(task + 1, n); b0 < end; b0 += chunk) {
        const int count = int(std::min<int64_t>(chunk, end - b0));
        forward(state, b0, count);
        for (int64_t channel = 0; channel < channels; ++channel) {
          T* to = channel == 0 ? jet.y : channel <= R ? jet.first + (channel - 1) * batch * out : jet.second + (channel - 1 - R) * batch * out;
          for (int b = 0; b < count; ++b)
            for (int64_t i = 0; i < out; ++i) to[(b0 + b) * out + i] = state.outputs[(channel * out + i) * chunk + b];
        }
      }
    });
  }

  void gradients(const Threads& threads) const {
    const int64_t n = net.tasks(threads), out = net.last(), batch = net.a.batch;
    std::vector<std::unique_ptr<State>> states(n);
    for (auto& state : states) state.reset(new State(*this));
    threads.run(n, [&](int64_t task) {
      State& state = *states[task];
      for (int64_t b0 = net.first_sample(task, n), end = net.first_sample(task + 1, n); b0 < end; b0 += chunk) {
        const int count = int(std::min<int64_t>(chunk, end - b0));
        forward(state, b0, count);
        for (int64_t channel = 0; channel < channels; ++channel) {
          const T* from = channel == 0 ? jet.g : channel <= R ? jet.g_first + (channel - 1) * batch * out : jet.g_second + (channel - 1 - R) * batch * out;
          for (int64_t i = 0; i < out; ++i)
            for (int b = 0; b < chunk; ++b)
              state.g[(channel * out + i) * chunk + b] = b < count ? from[(b0 + b) * out + i] : T(0);
        }
        for (int64_t l = net.a.count - 1; l >= 0; --l)
          Network<T>::with_layer(net.a.layers[l], [&](auto degree, auto tables) { layer_backward<degree, tables>(l, state); });
      }
    });
    T* to = net.a.gradient;
    for (int64_t l = 0; l < net.a.count; to += net.a.layers[l++].parameters()) {
      std::vector<Sums<T>*> parts;
      for (const auto& state : states) parts.push_back(&state->sums[l]);
      net.give(l, parts, to);
    }
  }
};

}  // namespace ew
