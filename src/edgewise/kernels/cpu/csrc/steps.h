// Many training steps of a small network in one call: forward, backward, Adam on the mean squared error, for all samples.
// Threads meet between steps at counters in memory: a step is too short to fork and join for.
#pragma once
#include <atomic>
#include <cmath>
#include <thread>

#include "adam.h"
#include "network.h"

namespace ew {

template <class T> struct Steps {
  using Net = Network<T>;
  using State = typename Net::State;
  // Parameters, gradients and moments as one array each, per layer (in, out, rows), then the bias: every edge together.
  enum { parameter, first, second, arrays };

  static constexpr int64_t most_kept = 1 << 20;  // bytes: what stays in cache is read faster than computed

  const AdamArgs<T>& adam;
  int64_t count = 0;  // of parameters, found by the next line
  std::vector<NetworkLayer<T>> layers;
  Buffer<T> all[arrays], best;
  Net net;
  std::vector<std::unique_ptr<State>> states;
  std::vector<Buffer<T>> gradients;  // per part

  Steps(const NetworkArgs<T>& args, const AdamArgs<T>& adam, const Threads& threads)
      : adam(adam), layers(laid_out(args)), net(relaid(args)), states(net.states(net.tasks(threads, 1 << 11))) {
    for (auto& array : all) array = buffer<T>(count + lanes<T>);
    best = buffer<T>(count);
    for (size_t part = 0; part < states.size(); ++part) gradients.push_back(buffer<T>(count + lanes<T>));
    int64_t offset = 0;
    for (auto& layer : layers) {
      if (layer.bias) layer.bias = all[parameter].get() + offset + layer.weights();
      offset += layer.parameters();
    }
    each_tensor([&](const AdamTensor<T>& t, int64_t, const auto& place) {
      for (int64_t n = 0; n < t.n; ++n) {
        const int64_t to = place(n);
        all[parameter][to] = t.p[n], all[first][to] = t.m[n], all[second][to] = t.v[n];
      }
    });
    pack();
    const NetworkLayer<T>& layer = layers[0];
    if (net.a.batch * layer.in * (layer.degree + 4) * int64_t(sizeof(T)) <= most_kept)
      for (size_t part = 0; part < states.size(); ++part) net.keep_first(*states[part], int64_t(part), int64_t(states.size()));
  }

  // Does up to `steps` steps after `done` earlier ones and returns how many; losses[n] is the loss before step n. Ends
  // before the first step whose loss is not finite. Where a loss is the least of all and below *least, the
  // parameters of that step are copied to `to_best`, one tensor after the other.
  int64_t run(const Threads& threads, int64_t done, int64_t steps, T* losses, T* least, T* to_best) {
    const int64_t parts = int64_t(states.size());
    std::vector<Claim> claims(parts);
    alignas(64) std::atomic<int64_t> now{0};
    alignas(64) std::atomic<int64_t> finished{0};
    int64_t ended = steps;
    bool improved = false;
    // Every worker takes parts that are not taken yet, its own first; the worker that finishes the last part ends the step.
    // No worker waits for another to begin, so any number of them may run at the same time.
    threads.run(parts, [&](int64_t worker) {
      for (;;) {
        const int64_t step = now.load(std::memory_order_acquire);
        if (step >= steps) return;
        for (int64_t n = 0; n < parts; ++n) {
          const int64_t part = (worker + n) % parts;
          int64_t unclaimed = step;
          if (!claims[part].taken.compare_exchange_strong(unclaimed, step + 1)) continue;
          do_part(part);
          if (finished.fetch_add(1, std::memory_order_acq_rel) + 1 < parts) continue;
          finished.store(0, std::memory_order_relaxed);
          const bool fine = end_step(done + step + 1, losses + step, least, improved);
          if (!fine) ended = step;
          now.store(fine ? step + 1 : steps, std::memory_order_release);
        }
        for (int waits = 0; now.load(std::memory_order_acquire) == step; ++waits) pause(waits);
      }
    });
    each_tensor([&](const AdamTensor<T>& t, int64_t, const auto& place) {
      for (int64_t n = 0; n < t.n; ++n) {
        const int64_t from = place(n);
        t.p[n] = all[parameter][from], t.m[n] = all[first][from], t.v[n] = all[second][from];
      }
    });
    if (improved)
      each_tensor([&](const AdamTensor<T>& t, int64_t offset, const auto& place) {
        for (int64_t n = 0; n < t.n; ++n) to_best[offset + n] = best[place(n)];
      });
    return ended;
  }

 private:
  struct alignas(64) Claim { std::atomic<int64_t> taken{0}; };

  static void pause(int waits) {
    if (waits > 4096) return std::this_thread::yield();  // the other thread may be waiting for this core
#if defined(__x86_64__) || defined(_M_X64)
    __builtin_ia32_pause();
#endif
  }

  void do_part(int64_t part) {
    State& state = *states[part];
    state.clear(net);
    net.add_task(state, part, int64_t(states.size()));
    T* g = gradients[part].get();
    for (size_t l = 0; l < layers.size(); ++l) {
      const std::vector<Sums<T>*> own{&state.sums[l]};
      net.totals(int64_t(l), own, g);
      if (layers[l].bias) Sums<T>::total_bias(layers[l], own, g + layers[l].weights());
      g += layers[l].parameters();
    }
  }

  // The end of a step: the loss, the gradients of all parts, Adam. False where the loss is not finite.
  bool end_step(int64_t step, T* loss, T* least, bool& improved) {
    *loss = net.mean_loss(states);
    if (!std::isfinite(*loss)) return false;
    if (*loss < *least) *least = *loss, improved = true, std::copy_n(all[parameter].get(), count, best.get());
    T* g = gradients[0].get();
    for (size_t part = 1; part < states.size(); ++part)
      for (int64_t n = 0; n < count; ++n) g[n] += gradients[part][n];
    AdamStep<T>(adam, double(step)).apply({all[parameter].get(), g, all[first].get(), all[second].get(), count}, 0, count);
    pack();
    return true;
  }

  void pack() {
    const T* from = all[parameter].get();
    for (size_t l = 0; l < layers.size(); ++l) {
      const int64_t rows = layers[l].rows(), out = layers[l].out;
      net.pack(int64_t(l), [&](int64_t j, int64_t i, int64_t k) { return from[(j * out + i) * rows + k]; });
      from += layers[l].parameters();
    }
  }

  // Calls body(tensor, offset, place) for the tensors in their order; place(n) is where element n lies in the arrays.
  template <class Body> void each_tensor(const Body& body) const {
    int64_t offset = 0, t = 0;
    for (const auto& layer : layers) {
      const int64_t rows = layer.rows(), out = layer.out;
      const int64_t start = offset;
      body(adam.tensor(t++), start, [=](int64_t n) {
        return start + (n / (rows * out) * out + n % out) * rows + n / out % rows;
      });
      offset += layer.in * rows * out;
      if (!layer.bias) continue;
      const int64_t bias = offset;
      body(adam.tensor(t++), bias, [=](int64_t n) { return bias + n; });
      offset += out;
    }
  }

  std::vector<NetworkLayer<T>> laid_out(const NetworkArgs<T>& args) {
    const NetworkLayer<T>* from = args.layers ? args.layers : (const NetworkLayer<T>*)(&args + 1);
    std::vector<NetworkLayer<T>> own(from, from + args.count);
    for (auto& layer : own) {
      layer.coef = nullptr;
      count += layer.parameters();
    }
    return own;
  }
  NetworkArgs<T> relaid(NetworkArgs<T> args) const {
    args.layers = layers.data();
    return args;
  }
};

}  // namespace ew
