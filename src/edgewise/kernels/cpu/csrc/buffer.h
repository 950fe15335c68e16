// Aligned scratch memory. Every call has its own, so the kernels are re-entrant. A thread keeps the blocks that it frees, up
// to a limit, because fresh pages from the operating system cost more than the computation of a small network.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <vector>

namespace ew {

class BlockCache {
 public:
  void* take(size_t bytes) {
    for (size_t i = kept.size(); i-- > 0;)
      if (size_of(kept[i]) >= bytes && size_of(kept[i]) <= 2 * bytes + 4096) {
        void* block = kept[i];
        kept.erase(kept.begin() + i), total -= size_of(block);
        return block;
      }
    char* block = (char*)aligned(header + bytes);
    *(size_t*)block = bytes;
    return block + header;
  }
  void give(void* block) {
    if (total + size_of(block) > limit || kept.size() >= 256) return release(block);
    kept.push_back(block), total += size_of(block);
  }
  ~BlockCache() {
    for (void* block : kept) release(block);
  }

 private:
  static constexpr size_t header = 64, limit = size_t(1) << 24;
  static size_t size_of(void* block) { return *(size_t*)((char*)block - header); }
#if defined(_WIN32)  // its C library has no aligned_alloc
  static void* aligned(size_t bytes) { return _aligned_malloc(bytes, 64); }
  static void release(void* block) { _aligned_free((char*)block - header); }
#else
  static void* aligned(size_t bytes) { return std::aligned_alloc(64, bytes); }
  static void release(void* block) { std::free((char*)block - header); }
#endif
  std::vector<void*> kept;
  size_t total = 0;
};

inline BlockCache& block_cache() {
  static thread_local BlockCache cache;
  return cache;
}

struct GiveBack { void operator()(void* p) const { block_cache().give(p); } };
template <class T> using Buffer = std::unique_ptr<T[], GiveBack>;
template <class T> Buffer<T> buffer(size_t n) {
  return Buffer<T>((T*)block_cache().take((n * sizeof(T) + 127) / 64 * 64));
}

}  // namespace ew
