r"""Arithmetic and elementwise functions of truncated Taylor series, on which a network is evaluated (Taylor mode).

A *jet* is an element $u = \sum_a u_a e_a$ of a commutative algebra with $e_0 = 1$ and nilpotent $e_1, e_2, \dots$
(Griewank & Walther, Evaluating Derivatives, chapter 13). With $h = u - u_0$ a function acts on it by its own series,

$$ \varphi(u) = \sum_{n=0}^{N} \varphi^{(n)}(u_0)\, \frac{h^n}{n!}, $$

which ends where $h^{N+1} = 0$. Seeding the inputs with $x_j + \sum_s v_{sj}\,\varepsilon_s$ makes the coefficients of
the output the derivatives along the directions $v_s$. Two algebras serve all operators:

* `taylor(indices)`: polynomials in $\varepsilon$ truncated to a set of monomials; $u_\alpha = D^\alpha u / \alpha!$;
* `laplace(d)`: $\varepsilon_i \varepsilon_j = \delta_{ij}\,\omega$, so that $2 u_\omega$ is the Laplacian: d + 2
  coefficients where the monomials need 2 d + 1.

On a layer of curves a power of h is the weight of `functional.edge_sum`:
$y_a = \sum_n \text{edge\_sum}(x_0,\ (h^n / n!)_a,\ n)$.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases import nested_derivative
from edgewise.bases.residual import autonomous_derivatives, horner
from edgewise.jets.algebra import Algebra, Index, unit

ELEMENTWISE = frozenset(
    {torch.sin, torch.cos, torch.tan, torch.exp, torch.log, torch.sqrt, torch.tanh, torch.sinh, torch.cosh}
    | {torch.sigmoid, torch.atan, torch.erf, torch.square, torch.abs}
)


class Jet:
    r"""The coefficients $u_a$ of $\sum_a u_a e_a$, shape (size, *b), with arithmetic and elementwise functions."""

    def __init__(self, coef: Tensor, algebra: Algebra) -> None:
        self.coef, self.algebra = coef, algebra

    @property
    def value(self) -> Tensor:
        return self.coef[0]

    def derivative(self, index: Index) -> Tensor:
        r"""$D^\alpha u$ in the directions of the seed."""
        if index not in self.algebra.readout:
            raise ValueError(f"this jet does not carry the derivative {index}; it has {sorted(self.algebra.readout)}")
        position, factor = self.algebra.readout[index]
        return self.coef[position] if factor == 1 else factor * self.coef[position]

    def laplacian(self) -> Tensor:
        """The Laplacian over all directions of the seed."""
        if () in self.algebra.readout:
            return self.derivative(())
        d = len(self.algebra.seeds)
        return sum((self.derivative(unit(d, j, 2)) for j in range(1, d)), self.derivative(unit(d, 0, 2)))

    def map(self, coef: Tensor) -> Jet:
        """A jet of the same algebra with new coefficients."""
        return Jet(coef, self.algebra)

    def powers(self) -> list[Tensor]:
        r"""$h^n / n!$ for n = 1..N; the n-th holds only the elements of degree n and more, the others are zero."""
        powers = [self.coef[1:]]
        for n in range(2, self.algebra.order + 1):
            powers.append(_product(self.algebra, powers[-1], n - 1, self.coef[1:], 1) / n)
        return powers

    def compose(self, derivatives: Sequence[Tensor]) -> Jet:
        r"""$\varphi(u)$ from $\varphi^{(n)}(u_0)$ for n = 0..N."""
        rows = [derivatives[0][None], self.coef[1:] * derivatives[1]]
        for n, h in enumerate(self.powers()[1:], 2):
            rows[-1], top = rows[-1][: -len(h)], rows[-1][-len(h) :] + h * derivatives[n]
            rows.append(top)
        return self.map(torch.cat(rows))

    def __getitem__(self, key: Any) -> Jet:
        """The jet of some of the values, such as `u[..., 0]`."""
        return self.map(self.coef[(slice(None), *(key if isinstance(key, tuple) else (key,)))])

    def __add__(self, other: Jet | Tensor | float) -> Jet:
        if isinstance(other, Jet):
            return self.map(self.coef + other.coef)
        value = self.coef[:1] + other
        return self.map(torch.cat([value, self.coef[1:].expand(-1, *value.shape[1:])]))

    def __mul__(self, other: Jet | Tensor | float) -> Jet:
        if not isinstance(other, Jet):
            return self.map(self.coef * other)
        u, v = self.coef, other.coef
        linear = u[1:] * v[:1] + u[:1] * v[1:]
        start = self.algebra.first(2) - 1
        nilpotent = _product(self.algebra, u[1:], 1, v[1:], 1)
        return self.map(torch.cat([u[:1] * v[:1], linear[:start], linear[start:] + nilpotent]))

    def __neg__(self) -> Jet:
        return self.map(-self.coef)

    def __abs__(self) -> Jet:
        return self.compose(derivatives(torch.abs, self.value, self.algebra.order))

    def __sub__(self, other: Jet | Tensor | float) -> Jet:
        return self + (-other)

    def __rsub__(self, other: Tensor | float) -> Jet:
        return -self + other

    def __truediv__(self, other: Jet | Tensor | float) -> Jet:
        return self * other**-1 if isinstance(other, Jet) else self * (1 / other)

    def __rtruediv__(self, other: Tensor | float) -> Jet:
        return self**-1 * other

    def __pow__(self, exponent: float) -> Jet:
        return self.compose(power(self.value, exponent, self.algebra.order))

    __radd__ = __add__
    __rmul__ = __mul__

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Jet:
        if func in _OPERATORS:
            return _OPERATORS[func](*reversed(args))
        if func in ELEMENTWISE and len(args) == 1 and not kwargs:
            return args[0].compose(derivatives(func, args[0].value, args[0].algebra.order))
        raise TypeError(
            f"{getattr(func, '__name__', func)} of a jet is not known; use arithmetic and the elementwise functions "
            + ", ".join(sorted(f.__name__ for f in ELEMENTWISE))
        )


def seed(x: Float[Tensor, "*b d"], algebra: Algebra, directions: Float[Tensor, "s *b d"] | None = None) -> Jet:
    r"""$x_j + \sum_s v_{sj}\,\varepsilon_s$; without `directions`, $\varepsilon_j$ belongs to $x_j$."""
    coef = x.new_zeros((algebra.size, *x.shape))
    if directions is None:
        directions = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        directions = directions.reshape(-1, *(1,) * (x.ndim - 1), x.shape[-1])
    if len(directions) != len(algebra.seeds):
        raise ValueError(f"the algebra has {len(algebra.seeds)} variables, there are {len(directions)} directions")
    rows = {0: x} | dict(zip(algebra.seeds, directions, strict=True))
    return Jet(torch.stack([rows[a].expand_as(x) if a in rows else coef[a] for a in range(algebra.size)]), algebra)


def _product(algebra: Algebra, u: Tensor, m: int, v: Tensor, n: int) -> Tensor:
    """The product of parts of degree m and n and more; its rows are the elements of degree m + n and more."""
    first_u, first_v = algebra.first(m), algebra.first(n)
    rows = []
    for c in range(algebra.first(m + n), algebra.size):
        pairs = [(a, b) for a, b in algebra.factors(c) if a >= first_u and b >= first_v]
        terms = [u[a - first_u] * v[b - first_v] for a, b in pairs]
        rows.append(sum(terms[1:], terms[0]))
    return torch.stack(rows) if rows else u[:0]


# `tensor * jet` calls the operator of the jet with the arguments exchanged.
_OPERATORS: dict[Any, Callable[[Any, Any], Jet]] = {
    **dict.fromkeys((torch.Tensor.add, torch.Tensor.__add__, torch.Tensor.__radd__), Jet.__radd__),
    **dict.fromkeys((torch.Tensor.mul, torch.Tensor.__mul__, torch.Tensor.__rmul__), Jet.__rmul__),
    **dict.fromkeys((torch.Tensor.sub, torch.Tensor.__sub__), Jet.__rsub__),
    **dict.fromkeys((torch.Tensor.div, torch.Tensor.__truediv__), Jet.__rtruediv__),
}


def derivatives(func: Callable[[Tensor], Tensor], x: Tensor, order: int) -> list[Tensor]:
    r"""$\varphi^{(n)}(x)$ for n = 0..order: in closed form where one is known, else by nested forward mode."""
    if func in _CLOSED_FORMS:
        return _CLOSED_FORMS[func](x, order)
    return [nested_derivative(func, x, n) for n in range(order + 1)]


def _tanh(x: Tensor, order: int) -> list[Tensor]:
    t = torch.tanh(x)
    return [t, *(horner(p, t) for p in autonomous_derivatives((1.0, 0.0, -1.0), order)[1:])]


def _sigmoid(x: Tensor, order: int) -> list[Tensor]:
    s = torch.sigmoid(x)
    return [s, *(horner(p, s) for p in autonomous_derivatives((0.0, 1.0, -1.0), order)[1:])]


def _sin(x: Tensor, order: int) -> list[Tensor]:
    s, c = torch.sin(x), torch.cos(x)
    return [(s, c, -s, -c)[n % 4] for n in range(order + 1)]


def _cos(x: Tensor, order: int) -> list[Tensor]:
    return _sin(x, order + 1)[1:]


def _exp(x: Tensor, order: int) -> list[Tensor]:
    return [torch.exp(x)] * (order + 1)


def power(x: Tensor, exponent: float, order: int) -> list[Tensor]:
    r"""The derivatives of $x^p$."""
    values, factor = [], 1.0
    for n in range(order + 1):
        # A whole power ends: 0 * x^(-1) at x = 0 would be NaN.
        values.append(factor * x ** (exponent - n) if factor else torch.zeros_like(x))
        factor *= exponent - n
    return values


_CLOSED_FORMS: dict[Callable[..., Any], Callable[[Tensor, int], list[Tensor]]] = {
    torch.tanh: _tanh,
    torch.sigmoid: _sigmoid,
    torch.sin: _sin,
    torch.cos: _cos,
    torch.exp: _exp,
}
