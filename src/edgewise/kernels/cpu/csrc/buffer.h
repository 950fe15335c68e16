// Aligned scratch memory that frees itself. Every call has its own, so the kernels are re-entrant.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <memory>

namespace ew {

struct Free { void operator()(void* p) const { std::free(p); } };
template <class T> using Buffer = std::unique_ptr<T[], Free>;
template <class T> Buffer<T> buffer(size_t n) {
  return Buffer<T>((T*)std::aligned_alloc(64, (n * sizeof(T) + 63) / 64 * 64 + 64));
}

}  // namespace ew
