// The three inner loops. Samples come sorted by interval, so the degree + 1 coefficient rows of an interval (or their
// gradients) stay in registers while its samples stream by, and one row enters and one leaves from interval to interval.
// A tile holds `blocks` vectors of outputs for every sample of a chunk.
#pragma once
#include "sort.h"

namespace ew {

template <class T, int degree, bool residual, int blocks> struct Walk {
  static constexpr int size = degree + 1, L = lanes<T>;
  using W = V<T>;

  // Rows of c for one block of outputs: row k is c + k * ldc, the residual row is the last.
  struct Rows {
    W c[size][blocks], r[blocks];
    EW_INLINE void begin(const T* p, ptrdiff_t ldc, const T* last) {
      for (int v = 0; v < blocks; ++v) {
        c[0][v] = W{};
        for (int m = 0; m < degree; ++m) c[m + 1][v] = load(p + m * ldc + v * L);
        if (residual) r[v] = load(last + v * L);
      }
    }
    EW_INLINE void slide(const T* next) {
      for (int v = 0; v < blocks; ++v) {
        for (int m = 0; m < degree; ++m) c[m][v] = c[m + 1][v];
        c[degree][v] = load(next + v * L);
      }
    }
  };

  // tile[b] += sum_m w_m(b) c_{s+m}
  static void sum(const Column<T>& column, int intervals, const T* w, ptrdiff_t stride, const T* c, ptrdiff_t ldc, T* tile) {
    Rows rows;
    rows.begin(c, ldc, c + (intervals + degree) * ldc);
    for (int s = 0; s < intervals; ++s) {
      rows.slide(c + (s + degree) * ldc);
      for (int n = column.start[s], end = column.start[s + 1]; n < end; ++n) {
        T* out = tile + column.offset[n];
        W y[blocks];
        for (int v = 0; v < blocks; ++v) y[v] = load(out + v * L);
        for (int m = 0; m < size; ++m)
          for (int v = 0; v < blocks; ++v) y[v] += w[m * stride + n] * rows.c[m][v];
        if (residual)
          for (int v = 0; v < blocks; ++v) y[v] += w[size * stride + n] * rows.r[v];
        for (int v = 0; v < blocks; ++v) store(out + v * L, y[v]);
      }
    }
  }

  // dc_{s+m} += sum_b w_m(b) tile[b]; the first chunk stores instead of adding, so that dc need not be zero before.
  static void outer(const Column<T>& column, int intervals, const T* w, ptrdiff_t stride, const T* tile, T* dc, ptrdiff_t ldc, bool add) {
    W a[size][blocks] = {}, r[blocks] = {};
    const auto retire = [&](T* row, const W* values) {
      for (int v = 0; v < blocks; ++v) store(row + v * L, add ? load(row + v * L) + values[v] : values[v]);
    };
    for (int s = 0; s < intervals; ++s) {
      for (int n = column.start[s], end = column.start[s + 1]; n < end; ++n) {
        const T* g = tile + column.offset[n];
        W y[blocks];
        for (int v = 0; v < blocks; ++v) y[v] = load(g + v * L);
        for (int m = 0; m < size; ++m)
          for (int v = 0; v < blocks; ++v) a[m][v] += w[m * stride + n] * y[v];
        if (residual)
          for (int v = 0; v < blocks; ++v) r[v] += w[size * stride + n] * y[v];
      }
      retire(dc + s * ldc, a[0]);
      for (int v = 0; v < blocks; ++v) {
        for (int m = 0; m < degree; ++m) a[m][v] = a[m + 1][v];
        a[degree][v] = W{};
      }
    }
    for (int m = 0; m < degree; ++m) retire(dc + (intervals + m) * ldc, a[m]);
    if (residual) retire(dc + (intervals + degree) * ldc, r);
  }

  // pulled[n] += sum_{m,i} w_m(n) c_{s+m,i} tile[n, i], in sorted order. Sums over lanes are taken a whole vector of
  // samples at a time.
  static void pull(const Column<T>& column, int intervals, const T* w, ptrdiff_t stride, const T* c, ptrdiff_t ldc, const T* tile, T* pulled) {
    alignas(64) T partial[L * L] = {};
    Rows rows;
    rows.begin(c, ldc, c + (intervals + degree) * ldc);
    for (int s = 0; s < intervals; ++s) {
      rows.slide(c + (s + degree) * ldc);
      for (int n = column.start[s], end = column.start[s + 1]; n < end; ++n) {
        const T* g = tile + column.offset[n];
        W total{};
        for (int v = 0; v < blocks; ++v) {
          W e = w[n] * rows.c[0][v];
          for (int m = 1; m < size; ++m) e += w[m * stride + n] * rows.c[m][v];
          if (residual) e += w[size * stride + n] * rows.r[v];
          total += e * load(g + v * L);
        }
        store(partial + n % L * L, total);
        if (n % L == L - 1) store(pulled + n - (L - 1), load(pulled + n - (L - 1)) + sums_of<T>(partial));
      }
    }
    const int done = column.count / L * L;  // the lanes past the last sample are never read
    if (done < column.count) store(pulled + done, load(pulled + done) + sums_of<T>(partial));
  }
};

}  // namespace ew
