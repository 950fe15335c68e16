// One step of Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1) over one flat array of parameters.
#pragma once
#include <cmath>
#include <cstdint>

namespace ew {

template <class T>
void adam(T* p, const T* g, T* m, T* v, int64_t n, double lr, double beta1, double beta2, double eps, double decay, int64_t step) {
  // p -= lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps)
  const T rate = T(lr / (1 - std::pow(beta1, double(step)))), root = T(1 / std::sqrt(1 - std::pow(beta2, double(step))));
  const T b1 = T(beta1), b2 = T(beta2), e = T(eps), shrink = T(1 - lr * decay), keep1 = T(1 - beta1), keep2 = T(1 - beta2);
  for (int64_t i = 0; i < n; ++i) {
    m[i] = b1 * m[i] + keep1 * g[i];
    v[i] = b2 * v[i] + keep2 * g[i] * g[i];
    p[i] = p[i] * shrink - rate * m[i] / (std::sqrt(v[i]) * root + e);
  }
}

}  // namespace ew
