r"""Taylor mode: a network evaluated on truncated Taylor series instead of numbers, in one forward sweep.

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

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise import functional
from edgewise.bases import nested_derivative
from edgewise.bases.residual import autonomous_derivatives, horner
from edgewise.kernels import EdgeSpec, design, select
from edgewise.kernels.cpu import jets as cpu_jets
from edgewise.kernels.cpu.network import CurveLayer
from edgewise.nn import KAN, Affine, KANLinear, ProductNodes, SymbolicEdges

Index = tuple[int, ...]


def gradient(model: nn.Module, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b out d"]:
    r"""$\partial u_i / \partial x_j$."""
    d = x.shape[-1]
    u = along_axes(model, x, taylor([_unit(d, j) for j in range(d)]))
    return torch.stack([u.derivative(_unit(d, j)) for j in range(d)], dim=-1)


def directional(
    model: nn.Module, x: Float[Tensor, "*b d"], v: Float[Tensor, "*b d"], order: int = 1
) -> Float[Tensor, "*b out"]:
    r"""$\frac{d^n}{ds^n} u(x + s v)$ at $s = 0$."""
    return push(model, seed(x, taylor([(order,)]), v[None])).derivative((order,))


def hessian_vector(model: nn.Module, x: Float[Tensor, "*b d"], v: Float[Tensor, "*b d"]) -> Float[Tensor, "*b out d"]:
    r"""$\sum_k v_k\, \partial_k \partial_j u_i$, without the Hessian."""
    d = x.shape[-1]
    axes = torch.eye(d, dtype=x.dtype, device=x.device).reshape(d, *(1,) * (x.ndim - 1), d).expand(d, *x.shape)
    mixed = [(1, *_unit(d, j)) for j in range(d)]
    u = push(model, seed(x, taylor(mixed), torch.cat([v[None], axes])))
    return torch.stack([u.derivative(a) for a in mixed], dim=-1)


def laplacian(model: nn.Module, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b out"]:
    r"""$\sum_j \partial_j^2 u_i$."""
    return along_axes(model, x, laplace(x.shape[-1])).laplacian()


def bilaplacian(model: nn.Module, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b out"]:
    r"""$\sum_{jk} \partial_j^2 \partial_k^2 u_i$."""
    terms = [
        _plus(_unit(x.shape[-1], j, 2), _unit(x.shape[-1], k, 2)) for j in range(x.shape[-1]) for k in range(j + 1)
    ]
    u = along_axes(model, x, taylor(terms))
    return sum((u.derivative(a) * (1 if 4 in a else 2) for a in terms[1:]), u.derivative(terms[0]))


def partial(model: nn.Module, x: Float[Tensor, "*b d"], *indices: Index) -> tuple[Tensor, ...]:
    r"""The mixed derivatives $D^\alpha u$ of every multi-index $\alpha$, each (*b, out), in one sweep.

    `partial(model, x, (0, 0), (2, 1))` is $u$ and $\partial_1^2 \partial_2 u$.
    """
    u = along_axes(model, x, taylor(indices))
    return tuple(u.derivative(a) for a in indices)


@dataclass(frozen=True)
class Algebra:
    r"""A commutative algebra with $e_0 = 1$ and, for $a, b \ge 1$, $e_a e_b = e_c$ or 0.

    Attributes:
        degrees: the least power of the nilpotent part in which every $e_a$ appears, in increasing order.
        products: the triples (a, b, c), $a, b \ge 1$, of the products that are not zero.
        seeds: the position of $\varepsilon_s$ for every variable s.
        readout: (position, factor) of every derivative that a jet can tell; the Laplacian has the index ().
    """

    degrees: tuple[int, ...]
    products: tuple[tuple[int, int, int], ...]
    seeds: tuple[int, ...]
    readout: dict[Index, tuple[int, int]] = field(hash=False, compare=False)

    @property
    def size(self) -> int:
        return len(self.degrees)

    @property
    def order(self) -> int:
        """The highest power N of the nilpotent part that is not zero."""
        return self.degrees[-1]

    def first(self, degree: int) -> int:
        """The position from which on the elements have at least this degree."""
        return next((a for a, d in enumerate(self.degrees) if d >= degree), self.size)

    def factors(self, c: int) -> list[tuple[int, int]]:
        """The pairs (a, b) with $e_a e_b = e_c$."""
        return [(a, b) for a, b, product in self.products if product == c]


def taylor(indices: Iterable[Sequence[int]]) -> Algebra:
    """Polynomials truncated to the monomials that divide one of these multi-indices, which have one length."""
    return _taylor(frozenset(tuple(a) for a in indices))


@cache
def laplace(d: int, axes: tuple[int, ...] | None = None) -> Algebra:
    r"""Value, gradient and Laplacian in d variables: $\varepsilon_i \varepsilon_j = \delta_{ij}\,\omega$.

    With `axes` the Laplacian is the sum over these variables alone, as in the heat equation.
    """
    readout = {_unit(d, j): (j + 1, 1) for j in range(d)} | {(0,) * d: (0, 1), (): (d + 1, 2)}
    squares = tuple((j + 1, j + 1, d + 1) for j in (range(d) if axes is None else axes))
    return Algebra((0, *(1,) * d, 2), squares, tuple(range(1, d + 1)), readout)


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
        return sum((self.derivative(_unit(d, j, 2)) for j in range(1, d)), self.derivative(_unit(d, 0, 2)))

    def map(self, coef: Tensor) -> Jet:
        """A jet of the same algebra with other coefficients."""
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
        for n, power in enumerate(self.powers()[1:], 2):
            rows[-1], top = rows[-1][: -len(power)], rows[-1][-len(power) :] + power * derivatives[n]
            rows.append(top)
        return self.map(torch.cat(rows))

    def __getitem__(self, key: Any) -> Jet:
        """The jet of a part of the values, such as `u[..., 0]`."""
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

    def __sub__(self, other: Jet | Tensor | float) -> Jet:
        return self + (-other)

    def __rsub__(self, other: Tensor | float) -> Jet:
        return -self + other

    def __truediv__(self, other: Jet | Tensor | float) -> Jet:
        return self * other**-1 if isinstance(other, Jet) else self * (1 / other)

    def __rtruediv__(self, other: Tensor | float) -> Jet:
        return self**-1 * other

    def __pow__(self, exponent: float) -> Jet:
        return self.compose(_power(self.value, exponent, self.algebra.order))

    __radd__ = __add__
    __rmul__ = __mul__

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Jet:
        if func in _OPERATORS:
            return _OPERATORS[func](*reversed(args))
        if func in _ELEMENTWISE and len(args) == 1 and not kwargs:
            return args[0].compose(_derivatives(func, args[0].value, args[0].algebra.order))
        raise TypeError(
            f"{getattr(func, '__name__', func)} of a jet is not known; use arithmetic and the elementwise functions "
            + ", ".join(sorted(f.__name__ for f in _ELEMENTWISE))
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


def along_axes(model: nn.Module, x: Float[Tensor, "*b d"], algebra: Algebra) -> Jet:
    """The model at x with a direction along every axis: in one native call where there is one, else by `push`."""
    native = _native(model, x, algebra)
    return push(model, seed(x, algebra)) if native is None else native


@dataclass(frozen=True)
class Record:
    r"""What one parameter needs for its Jacobian: $\partial y_{abi} / \partial p = W_{ab\cdot}$ at output i.

    Attributes:
        parameter: the parameter p.
        output: the coefficients y, (size, b, out); or the copy of p for every sample, (b, *p).
        design: W, (size, b, n); None for a copy.
        transposed: p is (out, n) instead of (n, out).
        mask: (n, out), False where the parameter has no effect; None where it always has.
    """

    parameter: Tensor
    output: Tensor
    design: Tensor | None = None
    transposed: bool = False
    mask: Tensor | None = None


Tape = list[Record]


def push(module: nn.Module, u: Jet, tape: Tape | None = None) -> Jet:
    """The module applied to a jet of inputs. A tape, if given, notes what `pde.jacobian` needs."""
    for kind in type(module).__mro__:
        if kind in _RULES:
            return _RULES[kind](module, u, tape)
    raise TypeError(
        f"there is no Taylor rule for a {type(module).__name__}; there are rules for "
        f"{', '.join(sorted(kind.__name__ for kind in _RULES))}"
    )


class Sine(nn.Module):
    """The activation sin(x), for sine networks."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x)


def _native(model: nn.Module, x: Tensor, algebra: Algebra) -> Jet | None:
    """Value, gradient and sums of unmixed second derivatives of a small KAN by the native sweep, or None."""
    squares = [(a, c) for a, b, c in algebra.products if a == b]
    if not isinstance(model, KAN) or algebra.order > 2 or len(squares) < len(algebra.products) or x.ndim != 2:
        return None
    layers = [layer for layer in model.layers if isinstance(layer, KANLinear)]
    if len(layers) < len(model.layers) or any(len(m.symbolic) > 0 or m.adapter is not None for m in layers):
        return None
    network = [CurveLayer(m.curves(), m.bias, m.grid, EdgeSpec(m.basis, m.residual)) for m in layers]
    backends = [select(part.spec, x) for part in network]
    # The native sweep has one reverse pass, and no rules for the transforms of torch.func.
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return None
    if any(b is None or b.name != "cpu" for b in backends):
        return None
    first = algebra.first(2)
    weights = x.new_zeros(algebra.size - first, x.shape[1])
    for a, c in squares:
        weights[c - first, algebra.seeds.index(a)] = 0.5
    if cpu_jets.refuses(network, x, max(1, len(weights))) is not None:
        return None
    directions = torch.eye(x.shape[1], dtype=x.dtype)
    if model.input_affine is not None:
        x, directions = model.input_affine(x), directions * model.input_affine.scale
    value, slopes, sums = cpu_jets.jet(network, x, directions, weights if len(weights) else x.new_zeros(1, x.shape[1]))
    u = Jet(torch.cat([value[None], slopes, sums[: len(weights)]]), algebra)
    return u if model.output_affine is None else _affine(model.output_affine, u, None)


def _kan(model: KAN, u: Jet, tape: Tape | None) -> Jet:
    ends = [[m] if m is not None else [] for m in (model.input_affine, model.output_affine)]
    return _chain([*ends[0], *model.layers, *ends[1]], u, tape)


def _chain(modules: Iterable[nn.Module], u: Jet, tape: Tape | None) -> Jet:
    for module in modules:
        u = push(module, u, tape)
    return u


def _curves(layer: KANLinear, u: Jet, tape: Tape | None) -> Jet:
    layer._check(u.value)
    spec = EdgeSpec(layer.basis, layer.residual)
    if tape is None and select(spec, u.value) is not None:
        y = _edge_jet(layer, u)
    else:
        W = _edge_design(layer, u, spec)
        y = W @ layer.curves().flatten(0, 1)
        if tape is not None:
            if layer.adapter is not None:
                raise ValueError("a layer has an adapter; merge it into the layer before you solve")
            mask = None if bool(layer.mask.all()) else layer.mask.repeat_interleave(spec.size, 0)
            tape.append(Record(layer.coef, y, W, mask=mask))
            if layer.bias is not None:
                tape.append(Record(layer.bias, y))
    if layer.bias is not None:
        y = torch.cat([y[:1] + layer.bias, y[1:]])
    return u.map(y) if len(layer.symbolic) == 0 else _add_symbols(layer.symbolic, u, y, tape)


def _edge_jet(layer: KANLinear, u: Jet) -> Tensor:
    r"""$y_a = \sum_n \text{edge\_sum}(x_0, (h^n / n!)_a, n)$ by the kernels: one call per order, all rows together."""
    x, coef, grid = u.value, layer.curves(), layer.grid
    rows = [functional.edge_sum(x, coef, grid, layer.basis, layer.residual)[None]]
    for n, h in enumerate(u.powers(), 1):
        term = functional.edge_sum(x.expand_as(h), coef, grid, layer.basis, layer.residual, h=h, order=n)
        if n > 1:
            rows[-1], term = rows[-1][: -len(h)], rows[-1][-len(h) :] + term
        rows.append(term)
    return torch.cat(rows)


def _edge_design(layer: KANLinear, u: Jet, spec: EdgeSpec) -> Float[Tensor, "size *b n"]:
    r"""$W_{abjk} = \sum_n (h^n / n!)_{abj}\, B_k^{(n)}(x_{bj})$, flat in (j, k): y is W times the coefficients."""
    B = [design(u.value, layer.grid, spec._replace(order=n)) for n in range(u.algebra.order + 1)]
    rows = [B[0][None]]
    for n, h in enumerate(u.powers(), 1):
        term = h[..., None] * B[n]
        if n > 1:
            rows[-1], term = rows[-1][: -len(h)], rows[-1][-len(h) :] + term
        rows.append(term)
    return torch.cat(rows).flatten(-2)


def _add_symbols(symbols: SymbolicEdges, u: Jet, y: Tensor, tape: Tape | None) -> Jet:
    parameter = cast(nn.Parameter, symbols.affine)
    copies = parameter if tape is None else parameter.expand(*u.value.shape[:-1], *parameter.shape).clone()
    if tape is not None:
        tape.append(Record(parameter, copies))
    a, b, c, d = copies.unbind(-1)
    inner = u[..., symbols.sources] * a + b
    for fn, members in symbols.groups().items():
        part = inner[..., members]
        value = part.compose(_derivatives(fn, part.value, part.algebra.order)) * c[..., members] + d[..., members]
        y = y.index_add(-1, symbols.targets[members], value.coef)
    return u.map(y)


def _products(nodes: ProductNodes, u: Jet, tape: Tape | None) -> Jet:
    parts = [u[..., : nodes.sums].coef]
    for group in nodes.groups()[nodes.sums :]:
        product = u[..., group.start]
        for j in group[1:]:
            product = product * u[..., j]
        parts.append(product.coef[..., None])
    return u.map(torch.cat(parts, dim=-1))


def _affine(module: Affine, u: Jet, tape: Tape | None) -> Jet:
    return u * module.scale + module.shift


def _linear(layer: nn.Linear, u: Jet, tape: Tape | None) -> Jet:
    y = u.coef @ layer.weight.T
    if tape is not None:
        tape.append(Record(layer.weight, y, u.coef, transposed=True))
        if layer.bias is not None:
            tape.append(Record(layer.bias, y))
    return u.map(y) if layer.bias is None else u.map(y) + layer.bias


def _elementwise(func: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Jet, Tape | None], Jet]:
    return lambda module, u, tape: u.compose(_derivatives(func, u.value, u.algebra.order))


_RULES: dict[type[nn.Module], Callable[..., Jet]] = {
    KAN: _kan,
    KANLinear: _curves,
    ProductNodes: _products,
    Affine: _affine,
    nn.Sequential: _chain,
    nn.ModuleList: _chain,
    nn.Linear: _linear,
    nn.Identity: lambda module, u, tape: u,
    nn.Tanh: _elementwise(torch.tanh),
    nn.Sigmoid: _elementwise(torch.sigmoid),
    nn.SiLU: _elementwise(torch.nn.functional.silu),
    nn.Softplus: _elementwise(torch.nn.functional.softplus),
    Sine: _elementwise(torch.sin),
}


@cache
def _taylor(indices: frozenset[Index]) -> Algebra:
    variables = {len(a) for a in indices}
    if len(variables) != 1 or any(n < 0 for a in indices for n in a):
        raise ValueError(f"multi-indices are tuples of one length with entries of at least 0, got {sorted(indices)}")
    (d,) = variables
    units = [_unit(d, j) for j in range(d)]
    divisors = {a for top in indices for a in itertools.product(*(range(n + 1) for n in top))}
    monomials = sorted(divisors | set(units), key=lambda a: (sum(a), tuple(-n for n in a)))
    position = {a: n for n, a in enumerate(monomials)}
    products = tuple(
        (position[a], position[b], position[_plus(a, b)])
        for a in monomials[1:]
        for b in monomials[1:]
        if _plus(a, b) in position
    )
    readout = {a: (n, math.prod(map(math.factorial, a))) for a, n in position.items()}
    return Algebra(tuple(map(sum, monomials)), products, tuple(position[e] for e in units), readout)


def _product(algebra: Algebra, u: Tensor, m: int, v: Tensor, n: int) -> Tensor:
    """The product of parts of degree m and n and more; its rows are the elements of degree m + n and more."""
    first_u, first_v = algebra.first(m), algebra.first(n)
    rows = []
    for c in range(algebra.first(m + n), algebra.size):
        pairs = [(a, b) for a, b in algebra.factors(c) if a >= first_u and b >= first_v]
        terms = [u[a - first_u] * v[b - first_v] for a, b in pairs]
        rows.append(sum(terms[1:], terms[0]))
    return torch.stack(rows) if rows else u[:0]


def _derivatives(func: Callable[[Tensor], Tensor], x: Tensor, order: int) -> list[Tensor]:
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


def _power(x: Tensor, exponent: float, order: int) -> list[Tensor]:
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

_ELEMENTWISE = frozenset(
    {torch.sin, torch.cos, torch.tan, torch.exp, torch.log, torch.sqrt, torch.tanh, torch.sinh, torch.cosh}
    | {torch.sigmoid, torch.atan, torch.erf, torch.square, torch.abs}
)

# What a tensor on the left of a jet asks for: the jet's own operator with the arguments exchanged.
_OPERATORS: dict[Any, Callable[[Any, Any], Jet]] = {
    **dict.fromkeys((torch.Tensor.add, torch.Tensor.__add__, torch.Tensor.__radd__), Jet.__radd__),
    **dict.fromkeys((torch.Tensor.mul, torch.Tensor.__mul__, torch.Tensor.__rmul__), Jet.__rmul__),
    **dict.fromkeys((torch.Tensor.sub, torch.Tensor.__sub__), Jet.__rsub__),
    **dict.fromkeys((torch.Tensor.div, torch.Tensor.__truediv__), Jet.__rtruediv__),
}


def _unit(d: int, j: int, n: int = 1) -> Index:
    return tuple(n if k == j else 0 for k in range(d))


def _plus(a: Index, b: Index) -> Index:
    return tuple(m + n for m, n in zip(a, b, strict=True))
