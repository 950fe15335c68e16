// One step of Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1) over one flat array of parameters.
#pragma once
#include <cmath>
#include <cstdint>

namespace ew {

template <class T> struct AdamArgs {
  T* p;
  const T* g;
  T *m, *v;
  int64_t n;
  double lr, beta1, beta2, eps, decay;
};

template <class T> void adam(const AdamArgs<T>& a, int64_t step) {
  // p -= lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps)
  const T rate = T(a.lr / (1 - std::pow(a.beta1, double(step)))), root = T(1 / std::sqrt(1 - std::pow(a.beta2, double(step))));
  const T b1 = T(a.beta1), b2 = T(a.beta2), eps = T(a.eps), shrink = T(1 - a.lr * a.decay);
  const T keep1 = T(1 - a.beta1), keep2 = T(1 - a.beta2);
#pragma GCC ivdep
  for (int64_t i = 0; i < a.n; ++i) {
    const T m = b1 * a.m[i] + keep1 * a.g[i], v = b2 * a.v[i] + keep2 * a.g[i] * a.g[i];
    a.m[i] = m, a.v[i] = v;
    a.p[i] = a.p[i] * shrink - rate * m / (std::sqrt(v) * root + eps);
  }
}

}  // namespace ew
