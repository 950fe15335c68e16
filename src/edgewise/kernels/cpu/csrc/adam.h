// Steps of Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1) over the tensors of a model.
#pragma once
#include <cmath>
#include <cstdint>

namespace ew {

template <class T> struct AdamTensor {
  T* p;
  const T* g;
  T *m, *v;
  int64_t n;
};

// The tensors lie right behind this struct.
template <class T> struct AdamArgs {
  double lr, beta1, beta2, eps, decay;
  int64_t count;

  const AdamTensor<T>& tensor(int64_t i) const { return ((const AdamTensor<T>*)(this + 1))[i]; }
};

// p -= lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps)
template <class T> void adam(const AdamArgs<T>& a, int64_t step) {
  const T rate = T(a.lr / (1 - std::pow(a.beta1, double(step)))), root = T(1 / std::sqrt(1 - std::pow(a.beta2, double(step))));
  const T b1 = T(a.beta1), b2 = T(a.beta2), eps = T(a.eps), shrink = T(1 - a.lr * a.decay);
  const T keep1 = T(1 - a.beta1), keep2 = T(1 - a.beta2);
  for (int64_t tensor = 0; tensor < a.count; ++tensor) {
    const AdamTensor<T>& t = a.tensor(tensor);
#pragma GCC ivdep
    for (int64_t i = 0; i < t.n; ++i) {
      const T m = b1 * t.m[i] + keep1 * t.g[i], v = b2 * t.v[i] + keep2 * t.g[i] * t.g[i];
      t.m[i] = m, t.v[i] = v;
      t.p[i] = t.p[i] * shrink - rate * m / (std::sqrt(v) * root + eps);
    }
  }
}

}  // namespace ew
