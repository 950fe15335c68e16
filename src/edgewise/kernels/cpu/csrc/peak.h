// The fastest that this machine multiplies and adds: chains of FMA in registers, for the roofline of the benchmarks.
#pragma once
#include "parallel.h"
#include "vec.h"

// The compiler must neither fold nor drop what is in this register.
#if defined(__x86_64__)
#define EW_KEEP(v) asm volatile("" : "+x"(v))
#else
#define EW_KEEP(v) asm volatile("" : "+w"(v))
#endif

namespace ew {

// Returns the floating-point operations done by all threads.
template <class T> double multiply_add(const Threads& threads, int64_t rounds) {
  constexpr int chains = registers - 4;  // enough to hide the latency of one
  threads.run(threads.count, [&](int64_t task) {
    V<T> sums[chains], factor = splat<T>(T(1) / T(task + 2));
    for (auto& sum : sums) sum = factor;
    for (int64_t n = 0; n < rounds; ++n)
#pragma GCC unroll 32
      for (int i = 0; i < chains; ++i) {
        sums[i] = sums[i] * factor + factor;
        EW_KEEP(sums[i]);
      }
  });
  return 2.0 * chains * lanes<T> * double(rounds) * threads.count;
}

}  // namespace ew
