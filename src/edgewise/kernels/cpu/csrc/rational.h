// Rational units, one per element: y = P(x) / (1 + |Q(x)|), P = a_0 + ... + a_5 x^5, Q = b_1 x + ... + b_4 x^4, and their
// gradients in one pass over memory each.
#pragma once
#include <algorithm>

#include "parallel.h"
#include "vec.h"

namespace ew {

// The coefficients repeat after `period` elements, a multiple of the lanes. The memory is cut into blocks of `rows`
// periods, one task each, so that results do not depend on the number of threads.
template <class T> struct RationalArgs {
  const T *x, *g, *a, *b;  // a: (6, period); b: (4, period)
  T *y, *dx, *sums;        // sums: (blocks, 10, period), the gradients of a and of b from every block
  int64_t count, period, rows;

  int64_t blocks() const { return (count + period * rows - 1) / (period * rows); }
};

template <class T> struct RationalUnit {
  V<T> a[6], b[4];

  EW_INLINE RationalUnit(const RationalArgs<T>& args, int64_t column) {
#pragma GCC unroll 8
    for (int n = 0; n < 6; ++n) a[n] = load(args.a + n * args.period + column);
#pragma GCC unroll 8
    for (int m = 0; m < 4; ++m) b[m] = load(args.b + m * args.period + column);
  }

  EW_INLINE V<T> p(V<T> x) const { return ((((a[5] * x + a[4]) * x + a[3]) * x + a[2]) * x + a[1]) * x + a[0]; }
  EW_INLINE V<T> q(V<T> x) const { return (((b[3] * x + b[2]) * x + b[1]) * x + b[0]) * x; }
  EW_INLINE V<T> dp(V<T> x) const { return (((T(5) * a[5] * x + T(4) * a[4]) * x + T(3) * a[3]) * x + T(2) * a[2]) * x + a[1]; }
  EW_INLINE V<T> dq(V<T> x) const { return ((T(4) * b[3] * x + T(3) * b[2]) * x + T(2) * b[1]) * x + b[0]; }
  EW_INLINE V<T> value(V<T> x) const {
    const V<T> qx = q(x);
    return p(x) / (T(1) + (qx < 0 ? -qx : qx));
  }
};

// Calls visit(column, element, length) for every vector of a block; `length` is below the lanes at the very end alone.
template <class T, class Begin, class Visit, class End>
EW_INLINE void over_block(const RationalArgs<T>& args, int64_t block, const Begin& begin, const Visit& visit, const End& end) {
  const int64_t first = block * args.rows * args.period, last = std::min(args.count, first + args.rows * args.period);
  for (int64_t column = 0; column < args.period; column += lanes<T>) {
    auto unit = begin(column);
    for (int64_t i = first + column; i < last; i += args.period) visit(unit, i, std::min<int64_t>(lanes<T>, last - i));
    end(unit, column);
  }
}

template <class T> EW_INLINE V<T> load_part(const T* p, int64_t length) {
  if (length == lanes<T>) return load(p);
  V<T> v{};
  for (int64_t i = 0; i < length; ++i) v[i] = p[i];
  return v;
}

template <class T> EW_INLINE void store_part(T* p, V<T> v, int64_t length) {
  if (length == lanes<T>) return store(p, v);
  for (int64_t i = 0; i < length; ++i) p[i] = v[i];
}

template <class T> void rational(const RationalArgs<T>& args, const Threads& threads) {
  threads.run(args.blocks(), [&](int64_t block) {
    over_block<T>(
        args, block, [&](int64_t column) { return RationalUnit<T>(args, column); },
        [&](const RationalUnit<T>& unit, int64_t i, int64_t length) {
          store_part(args.y + i, unit.value(load_part(args.x + i, length)), length);
        },
        [](const RationalUnit<T>&, int64_t) {});
  });
}

// With u = g / (1 + |Q|) and v = -u R sign(Q):  dx = u P' + v Q',  da_n = sum u x^n,  db_m = sum v x^m. The derivative of
// |Q| at 0 is that of Q.
template <class T> struct RationalGradient {
  RationalUnit<T> unit;
  V<T> sums[10];

  EW_INLINE RationalGradient(const RationalArgs<T>& args, int64_t column) : unit(args, column), sums{} {}

  EW_INLINE V<T> step(V<T> x, V<T> g) {
    const V<T> q = unit.q(x), inverse = T(1) / (T(1) + (q < 0 ? -q : q)), u = g * inverse;
    const V<T> ur = u * unit.p(x) * inverse, v = q < 0 ? ur : -ur;
    V<T> power = u;
#pragma GCC unroll 8
    for (int n = 0; n < 6; ++n, power *= x) sums[n] += power;
    power = v * x;
#pragma GCC unroll 8
    for (int m = 0; m < 4; ++m, power *= x) sums[6 + m] += power;
    return u * unit.dp(x) + v * unit.dq(x);
  }
};

template <class T> void rational_gradients(const RationalArgs<T>& args, const Threads& threads) {
  threads.run(args.blocks(), [&](int64_t block) {
    over_block<T>(
        args, block, [&](int64_t column) { return RationalGradient<T>(args, column); },
        [&](RationalGradient<T>& gradient, int64_t i, int64_t length) {
          store_part(args.dx + i, gradient.step(load_part(args.x + i, length), load_part(args.g + i, length)), length);
        },
        [&](const RationalGradient<T>& gradient, int64_t column) {
          for (int n = 0; n < 10; ++n) store(args.sums + (block * 10 + n) * args.period + column, gradient.sums[n]);
        });
  });
}

}  // namespace ew
