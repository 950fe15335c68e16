// The peak rate of multiply-adds on this machine: chains of FMA in registers, for the roofline of the benchmarks.
#pragma once
#include <utility>

#include "parallel.h"
#include "vec.h"

namespace ew {

// The compiler must neither fold nor drop what is in this register.
template <class T> inline __attribute__((always_inline)) void keep(V<T>& v) {
#if defined(__AVX512F__)
  asm volatile("" : "+v"(v));  // x would mean the lower half of the registers
#elif defined(__x86_64__)
  asm volatile("" : "+x"(v));
#else
  asm volatile("" : "+w"(v));
#endif
}

// One step of every chain; the indices are constants, so that the chains stay in registers.
template <class T, size_t... I>
inline __attribute__((always_inline)) void advance(V<T>* sums, V<T> factor, std::index_sequence<I...>) {
  ((sums[I] = sums[I] * factor + factor, keep<T>(sums[I])), ...);
}

// Returns the floating-point operations done by all threads.
template <class T> double multiply_add(const Threads& threads, int64_t rounds) {
  constexpr int chains = registers - 4;  // enough to hide the latency of one
  threads.run(threads.count, [&](int64_t task) {
    V<T> factor = splat<T>(T(1) / T(task + 2)), sums[chains] = {};
    for (int64_t n = 0; n < rounds; ++n) advance<T>(sums, factor, std::make_index_sequence<chains>());
  });
  return 2.0 * chains * lanes<T> * double(rounds) * threads.count;
}

}  // namespace ew
