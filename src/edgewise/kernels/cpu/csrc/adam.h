// Steps of Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1) over the tensors of a model.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "parallel.h"

namespace ew {

template <class T> struct AdamTensor {
  T* p;
  const T* g;
  T *m, *v;
  int64_t n;
};

// The tensors follow this struct in memory.
template <class T> struct AdamArgs {
  double lr, beta1, beta2, eps, decay;
  int64_t count;

  const AdamTensor<T>& tensor(int64_t i) const { return ((const AdamTensor<T>*)(this + 1))[i]; }
};

// p -= lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps) after step t
template <class T> struct AdamStep {
  T rate, root, b1, b2, eps, shrink, keep1, keep2;

  AdamStep(const AdamArgs<T>& a, double t)
      : rate(T(a.lr / (1 - std::pow(a.beta1, t)))), root(T(1 / std::sqrt(1 - std::pow(a.beta2, t)))), b1(T(a.beta1)), b2(T(a.beta2)),
        eps(T(a.eps)), shrink(T(1 - a.lr * a.decay)), keep1(T(1 - a.beta1)), keep2(T(1 - a.beta2)) {}

  void apply(const AdamTensor<T>& t, int64_t begin, int64_t end) const {
    T *p = t.p, *first = t.m, *second = t.v;
    const T* slope = t.g;
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) {
      const T g = slope[i], m = b1 * first[i] + keep1 * g, v = b2 * second[i] + keep2 * g * g;
      first[i] = m, second[i] = v;
      p[i] = p[i] * shrink - rate * m / (std::sqrt(v) * root + eps);
    }
  }
};

template <class T> void adam(const AdamArgs<T>& a, int64_t step) {
  const AdamStep<T> now(a, double(step));
  for (int64_t i = 0; i < a.count; ++i) now.apply(a.tensor(i), 0, a.tensor(i).n);
}

// The same for tensors with step counts of their own, which have type S and are incremented.
template <class T, class S> void adam_counting(const AdamArgs<T>& a, S* const* counts, const Threads& threads) {
  int64_t total = 0;
  for (int64_t i = 0; i < a.count; ++i) total += a.tensor(i).n;
  const int64_t tasks = total < (1 << 14) ? 1 : threads.count;
  threads.run(tasks, [&](int64_t task) {
    for (int64_t i = 0; i < a.count; ++i) {
      const AdamTensor<T>& t = a.tensor(i);
      constexpr int64_t line = 64 / int64_t(sizeof(T));  // no two threads write to one
      const int64_t lines = (t.n + line - 1) / line;
      AdamStep<T>(a, double(*counts[i] + 1)).apply(t, part(lines, task, tasks) * line, std::min(t.n, part(lines, task + 1, tasks) * line));
    }
  });
  for (int64_t i = 0; i < a.count; ++i) ++*counts[i];
}

}  // namespace ew
