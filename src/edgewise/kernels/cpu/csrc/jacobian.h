// Rows of the Jacobian of a small network's outputs in its parameters.
#pragma once
#include "network.h"

namespace ew {

// (batch, last out, parameters): per layer the coefficients as stored, then the bias; and the outputs. Every row has the
// degree + 2 entries of each edge on it and is otherwise zero.
template <class T> struct Jacobian {
  static constexpr int chunk = network_chunk<T>;
  using State = typename Network<T>::State;

  const Network<T>& net;  // built with `exact`

  void evaluate(const Threads& threads) const {
    const NetworkArgs<T>& a = net.a;
    const int64_t out = net.last(), n = net.tasks(threads);
    int64_t parameters = 0;
    for (int64_t l = 0; l < a.count; ++l) parameters += a.layers[l].parameters();
    threads.run(n, [&](int64_t task) {
      State state(net, true, false);
      net.chunks(task, n, [&](int64_t b0, int count) {
        net.template forward<true>(state, b0, count, false);
        for (int64_t o = 0; o < out; ++o) {
          for (int b = 0; b < count; ++b) a.y[(b0 + b) * out + o] = state.y[o * chunk + b];
          for (int64_t i = 0; i < out; ++i) std::fill_n(state.g.get() + i * chunk, chunk, T(i == o));
          rows(state, a.jacobian + (b0 * out + o) * parameters, out * parameters, parameters, count);
        }
      });
    });
  }

  void rows(State& state, T* rows, int64_t stride, int64_t parameters, int count) const {
    for (int b = 0; b < count; ++b) std::fill_n(rows + b * stride, parameters, T(0));
    int64_t place = parameters;
    for (int64_t l = net.a.count - 1; l >= 0; --l) {
      const NetworkLayer<T>& layer = net.a.layers[l];
      const Kept<T>& kept = state.layers[l];
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
      if (l > 0) net.pull(state, l);
    }
  }
};

}  // namespace ew
