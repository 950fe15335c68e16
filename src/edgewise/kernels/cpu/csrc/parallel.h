// Threads come from the caller: torch's own pool, passed as a function pointer, or nothing (then tasks run in order).
#pragma once
#include <cstdint>

namespace ew {

using TaskRange = void (*)(int64_t begin, int64_t end, void* context);
using ParallelFor = int (*)(int64_t begin, int64_t end, int64_t grain, TaskRange, void* context);

struct Threads {
  ParallelFor parallel_for;
  int count;

  // Runs task(0) .. task(tasks - 1). How the work is cut into tasks depends on `count` alone, so results do too.
  template <class Task> void run(int64_t tasks, const Task& task) const {
    const TaskRange range = [](int64_t begin, int64_t end, void* context) {
      for (int64_t i = begin; i < end; ++i) (*(const Task*)context)(i);
    };
    if (parallel_for && tasks > 1) parallel_for(0, tasks, 1, range, (void*)&task);
    else range(0, tasks, (void*)&task);
  }
};

// The i-th of n nearly equal parts of [0, total).
inline int64_t part(int64_t total, int64_t i, int64_t n) { return total * i / n; }

}  // namespace ew
