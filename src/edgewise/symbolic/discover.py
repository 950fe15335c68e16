r"""From a table to a law: $y = F\big(c + \sum_j h_j(u_j) + \sum_m \prod_j g_{mj}(u_j)\big)$ and its functions.

The structure is found first, with curves: which variables act only together, which outer function F makes the rest a sum
of curves and products of curves (a network with multiplication nodes). The functions are found second, the numbers last,
and what is announced as a law has been verified on samples outside the region that it was found in.
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from edgewise.nn import DEFAULT_LIBRARY, Library
from edgewise.symbolic.canonical import canonical
from edgewise.symbolic.constants import refit_constants, snap
from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.factors import Factors, fit_factors
from edgewise.symbolic.formula import Formula
from edgewise.symbolic.rational import rational_laws
from edgewise.symbolic.simplify import simplify
from edgewise.symbolic.univariate import Member, search_curve, search_space
from edgewise.symbolic.variables import PAIRINGS, Variables, join_variables

log = logging.getLogger(__name__)


MAX_NUMBERS = 40
"""An expression with more numbers than this is a table, not a law."""


@dataclass(frozen=True)
class Outer:
    """An outer function F of a law, by its inverse on the targets."""

    name: str
    inverse: Callable[[Tensor], Tensor]
    sympy: Callable[[Any], Any]
    torch: Callable[[Tensor], Tensor]
    low: float = -math.inf
    high: float = math.inf


OUTERS = (
    Outer("identity", lambda y: y, lambda z: z, lambda z: z),
    Outer("1/z", lambda y: 1 / y, lambda z: 1 / z, lambda z: 1 / z),
    Outer("sqrt", lambda y: y**2, sympy.sqrt, torch.sqrt, low=0.0),
    Outer("1/sqrt", lambda y: y**-2.0, lambda z: 1 / sympy.sqrt(z), torch.rsqrt, low=0.0),
    Outer("exp", torch.log, sympy.exp, torch.exp, low=0.0),
    Outer("log", torch.exp, sympy.log, torch.log, low=-20, high=20),
    Outer("z^2", torch.sqrt, lambda z: z**2, lambda z: z**2, low=0.0),
    Outer("arcsin", torch.sin, sympy.asin, torch.asin, low=-math.pi / 2, high=math.pi / 2),
    Outer("arccos", torch.cos, sympy.acos, torch.acos, low=0.0, high=math.pi),
    Outer("arctan", torch.tan, sympy.atan, torch.atan, low=-math.pi / 2, high=math.pi / 2),
    Outer("tanh", torch.atanh, sympy.tanh, torch.tanh, low=-1.0, high=1.0),
)


@dataclass(frozen=True)
class Structure:
    """Variables, outer function and number of products that a fit with curves supports."""

    variables: Variables
    outer: Outer
    products: int
    sums: bool
    error: float
    bits: float

    def __str__(self) -> str:
        kind = f"{'sums + ' if self.sums else ''}{self.products} products"
        names = ", ".join(map(str, self.variables.expressions))
        return f"{self.outer.name} of {kind} in ({names}), curves leave {self.error:.2g}"


@dataclass(frozen=True)
class Law:
    """A formula with its evidence: errors relative to the standard deviation of y."""

    formula: Formula
    error: float
    extrapolation_error: float
    complexity: int
    structure: str

    def to_json(self) -> dict[str, Any]:
        """The law as a JSON object."""
        return {
            "formula": self.formula.to_json(),
            "error": self.error,
            "extrapolation_error": self.extrapolation_error,
            "complexity": self.complexity,
            "structure": self.structure,
        }


@dataclass(frozen=True)
class Discovery:
    """The answer of `discover`.

    Attributes:
        law: the recommended law, or None where none is announced.
        exact: True where the law leaves rounding only, inside and outside the region that it was found in.
        reason: a sentence: why this law, or why none.
        alternatives: the front of error against complexity, simplest first.
        curves_error: relative held-out error of the best structure of curves, which no law of that form can beat.
    """

    law: Law | None
    exact: bool
    reason: str
    alternatives: tuple[Law, ...]
    curves_error: float
    seconds: float

    @property
    def formula(self) -> Formula:
        """The formula of the law; raises `ValueError` with the reason where there is none."""
        if self.law is None:
            raise ValueError(f"no law was found: {self.reason}")
        return self.law.formula

    def to_json(self) -> dict[str, Any]:
        """The answer as a JSON object."""
        return {
            "law": None if self.law is None else self.law.to_json(),
            "exact": self.exact,
            "reason": self.reason,
            "alternatives": [a.to_json() for a in self.alternatives],
            "curves_error": self.curves_error,
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        return f"{self.law.formula if self.law else 'no law'}\n{self.reason}"


def discover(
    x: Any,
    y: Any,
    *,
    names: Sequence[str] | None = None,
    library: Library = DEFAULT_LIBRARY,
    max_seconds: float = 60.0,
    seed: int = 0,
) -> Discovery:
    """Look for a law y = f(x), and say so when there is none.

    Args:
        x: samples of shape (samples, variables): array or tensor.
        y: targets of shape (samples,) or (samples, 1).
        names: names of the variables; x1, x2, ... by default.
        library: functions that a law may be made of.
        max_seconds: start nothing new after this time.
        seed: of the split and of the starts of the fits.
    """
    began = time.monotonic()
    x, y = _checked(x, y)
    names = list(names) if names is not None else [f"x{j + 1}" for j in range(x.shape[1])]
    if len(names) != x.shape[1] or len(set(names)) != len(names):
        raise ValueError(f"names must be {x.shape[1]} different names, got {names}")
    inputs = tuple(sympy.Symbol(str(name), real=True) for name in names)
    data = _split(x, y, seed)
    laws: list[Law] = []
    errors: list[float] = []

    def late() -> bool:
        return time.monotonic() - began > max_seconds

    for rough, structure, error in _rough_laws(data, inputs, library, seed, late):
        errors.append(error)
        law = _finish(rough, structure, inputs, data)
        if law is not None:
            log.info("%s: %s, error %.3g, outside %.3g", structure, law.formula, law.error, law.extrapolation_error)
            laws.append(law)
            if _is_exact(law):
                break
        if late():
            break
    return _answer(laws, min(errors, default=math.inf), time.monotonic() - began)


@dataclass(frozen=True)
class _Data:
    """Samples to find a law with, held-out ones from the same region, and ones from outside of it."""

    x: Tensor
    y: Tensor
    x_held_out: Tensor
    y_held_out: Tensor
    x_outside: Tensor
    y_outside: Tensor


def _checked(x: Any, y: Any) -> tuple[Tensor, Tensor]:
    x = torch.as_tensor(np.asarray(x.detach() if isinstance(x, Tensor) else x, dtype=np.float64))
    y = torch.as_tensor(np.asarray(y.detach() if isinstance(y, Tensor) else y, dtype=np.float64))
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y):
        raise ValueError(f"x must be (samples, variables) and y (samples,); got {tuple(x.shape)} and {tuple(y.shape)}")
    bad = (~(torch.isfinite(x).all(-1) & torch.isfinite(y))).nonzero()[:, 0].tolist()
    if bad:
        raise ValueError(f"{len(bad)} rows are not finite, the first is row {bad[0]}; drop them")
    if len(x) < 30:
        raise ValueError(f"{len(x)} samples cannot single out a law; give at least 30")
    if y.amax() == y.amin():
        raise ValueError(f"y is constant ({y[0].item():.6g}); there is nothing to explain")
    return x, y


def _split(x: Tensor, y: Tensor, seed: int) -> _Data:
    """The rows nearest to the ends of any variable are the outside, a tenth of all; a sixth of the rest is held out."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    x, y = x[order], y[order]
    rank = x.argsort(0).argsort(0).double() / (len(x) - 1)
    centrality = torch.minimum(rank, 1 - rank).amin(-1)
    outside = centrality <= torch.quantile(centrality, 0.1)
    x_in, y_in, x_out, y_out = x[~outside], y[~outside], x[outside], y[outside]
    cut = len(x_in) // 6
    return _Data(x_in[cut:], y_in[cut:], x_in[:cut], y_in[:cut], x_out, y_out)


def _rough_laws(
    data: _Data, inputs: tuple[sympy.Symbol, ...], library: Library, seed: int, late: Callable[[], bool]
) -> Iterator[tuple[Any, str, float]]:
    """Laws with rough numbers, the most promising first, with the structure they come from and its error."""
    x, y = data.x[:2000], data.y[:2000]
    varying = [j for j in range(x.shape[1]) if x[:, j].amax() > x[:, j].amin()]
    start = Variables(x[:, varying], tuple(inputs[j] for j in varying))
    chain = join_variables(start, _smoothest(start.x, y))
    spread = y.std(correction=0)
    for variables in reversed(chain):
        for law in rational_laws(variables.x, y, variables.expressions):
            value = evaluate((law,), inputs, x)[:, 0]
            error = ((value - y).square().mean().sqrt() / spread).item()
            if error < 1e-7:
                yield law, "ratio of polynomials", error
    structures = [s for v in chain for s in _structures(v, y, seed)]
    structures.sort(key=lambda s: s.bits)
    if structures and structures[0].error > 1e-3 and len(inputs) > 1:
        for variables in _exchanges(chain[-1]):
            if late():
                break
            structures += _structures(variables, y, seed, extra=6.0)
        structures.sort(key=lambda s: s.bits)
    for structure in structures[:8]:
        for law in _symbolic(structure, y, library, seed):
            yield law, str(structure), structure.error


def _smoothest(x: Tensor, y: Tensor) -> Tensor:
    """The transform of y that a polynomial fits best; which variables act together does not depend on it."""
    from edgewise.symbolic.variables import surface

    candidates = [o.inverse(y) for o in OUTERS[:5] if o.low < y.amin() and y.amax() < o.high]
    usable = [z for z in candidates if torch.isfinite(z).all() and z.std() > 0]
    return min(usable, key=lambda z: surface(x, z)[0])


def _structures(variables: Variables, y: Tensor, seed: int, extra: float = 0.0) -> list[Structure]:
    """Every outer function with sums and up to three products, by how well curves fit."""
    found = []
    spread = y.std(correction=0)
    d = variables.x.shape[1]
    x, y = variables.x[:800], y[:800]
    if not torch.isfinite(x).all():
        return []
    for outer in OUTERS:
        if not (outer.low <= y.amin() and y.amax() <= outer.high):
            continue
        z = outer.inverse(y)
        if not torch.isfinite(z).all() or z.abs().amax() > 1e8 * z.abs().median():
            continue
        for products, sums in ((0, True), (1, False), (1, True), (2, True), (3, True)):
            if (products and d == 1) or (products == 3 and d < 4) or (products == 2 and d == 2 and False):
                continue
            cut = len(x) - max(len(x) // 5, 1)
            best = math.inf
            for size in (6, 11):
                fit = fit_factors(x, z, products, sums=sums, size=size, starts=2, steps=25, seed=seed)
                error = ((outer.torch(fit(x[cut:])) - y[cut:]).square().mean().sqrt() / spread).item()
                best = min(best, error) if math.isfinite(error) else best
            if best < 0.3:
                bits = 8 * math.log2(max(best, 1e-7)) + 6 * products + 2 * sums + 3 * (outer.name != "identity") + extra
                found.append(Structure(variables, outer, products, sums, best, bits))
    return found


def _exchanges(variables: Variables) -> Iterator[Variables]:
    """The variables with one of them replaced by its pairing with another."""
    for i, j in itertools.permutations(range(len(variables.expressions)), 2):
        for pairing in PAIRINGS[:4]:
            if pairing.name in ("difference", "sum") and i > j:
                continue
            new = variables.exchanged(i, j, pairing)
            if torch.isfinite(new.x).all():
                yield new


def _symbolic(structure: Structure, y: Tensor, library: Library, seed: int) -> Iterator[Any]:
    """Expressions with rough numbers for the curves of a structure."""
    x = structure.variables.x
    z = structure.outer.inverse(y)
    sizes = (9, 13, 18) if len(x) > 300 else (6, 9)
    fits = [
        fit_factors(x, z, structure.products, sums=structure.sums, size=s, starts=3, steps=60, seed=seed) for s in sizes
    ]
    fit = min(fits, key=lambda f: f.error)
    grids = [torch.linspace(low, high, 128, dtype=torch.float64) for low, high in zip(fit.low, fit.high, strict=True)]
    if structure.products == 1 and not structure.sums:
        yield from _product(structure, fit, grids, library, z)
    elif structure.products == 0 and structure.outer.name == "exp":
        yield from _exponential(structure, fit, grids, library, y)
        yield from _expanded(structure, fit, grids, z, library)
    elif structure.products == 0 and x.shape[1] == 1:
        yield from _single(structure, fit, grids[0], library)
    else:
        yield from _expanded(structure, fit, grids, z, library)


def _single(structure: Structure, fit: Factors, t: Tensor, library: Library) -> Iterator[Any]:
    values = fit(t[:, None])
    for term in search_curve(t, values, library, resolution=max(1e-7, fit.error))[:3]:
        yield structure.outer.sympy(term.expression(structure.variables.expressions[0]))


def _product(structure: Structure, fit: Factors, grids: list[Tensor], library: Library, z: Tensor) -> Iterator[Any]:
    """A pure product: every factor is known up to its scale, so that compositions can be searched."""
    options = []
    for j, t in enumerate(grids):
        g = fit.curves(j, t)[:, 1]
        g = g / g.abs().amax() * g.mean().sign()
        options.append(search_curve(t, g, library, resolution=max(1e-7, 2 * fit.error))[:3])
    yield from _combined(structure, options, z)


def _exponential(structure: Structure, fit: Factors, grids: list[Tensor], library: Library, y: Tensor) -> Iterator[Any]:
    """exp of a sum is a product of factors exp(h_j)."""
    options = []
    for j, t in enumerate(grids):
        h = fit.curves(j, t)[:, 0]
        if h.amax() - h.amin() > 50:
            return
        g = torch.exp(h - h.mean())
        options.append(search_curve(t, g, library, resolution=max(1e-7, 2 * fit.error))[:3])
    yield from _combined(structure, options, y, outer=False)


def _combined(structure: Structure, options: list[list[Any]], z: Tensor, outer: bool = True) -> Iterator[Any]:
    """The best products of one function per variable, scaled to z."""
    combinations = sorted(itertools.product(*options), key=lambda c: sum(t.bits for t in c))
    for terms in combinations[:3]:
        factors = [t.expression(v) for t, v in zip(terms, structure.variables.expressions, strict=True)]
        product = reduce(lambda p, q: p * q, factors)
        values = [t.value(structure.variables.x[:, j]) for j, t in enumerate(terms)]
        value = reduce(torch.mul, values)
        scale = ((value @ z) / (value @ value)).item()
        if math.isfinite(scale):
            yield structure.outer.sympy(sympy.Float(scale, 17) * product) if outer else sympy.Float(scale, 17) * product


def _expanded(structure: Structure, fit: Factors, grids: list[Tensor], z: Tensor, library: Library) -> Iterator[Any]:
    """Sums and products of library functions: the functions of every variable first, then which products of them."""
    spread = z.std(correction=0).item()
    resolution = max(10 * fit.error * spread, 1e-7 * spread)
    bases = [search_space(t, fit.curves(j, t), resolution, library) for j, t in enumerate(grids)]
    if not all(bases):
        return
    choices = sorted(itertools.product(*(range(len(b)) for b in bases)), key=sum)[:4]
    x = structure.variables.x
    for choice in choices:
        picked = [basis[k] for basis, k in zip(bases, choice, strict=True)]
        if math.prod(len(p) + 1 for p in picked) > 300:
            continue
        expression = _tensor_fit(structure, picked, x, z)
        if expression is not None:
            yield structure.outer.sympy(expression)


def _tensor_fit(structure: Structure, picked: list[tuple[Member, ...]], x: Tensor, z: Tensor) -> Any:
    """Least squares on products of the functions of different variables; useless ones are dropped one by one."""
    variables = structure.variables.expressions
    values = [[torch.ones(len(x), dtype=x.dtype), *(m.value(x[:, j]) for m in p)] for j, p in enumerate(picked)]
    symbols = [[sympy.Integer(1), *(m.expression(v) for m in p)] for p, v in zip(picked, variables, strict=True)]
    columns = torch.stack([reduce(torch.mul, c) for c in itertools.product(*values)], -1)
    terms = [sympy.Mul(*c) for c in itertools.product(*symbols)]
    if not torch.isfinite(columns).all():
        return None
    size = columns.square().mean(0).sqrt().clamp_min(1e-300)
    A = columns / size
    keep = list(range(len(terms)))
    c = torch.linalg.lstsq(A, z[:, None]).solution[:, 0]
    full = (A @ c - z).square().mean().item()
    floor = 1e-24 * z.square().mean().item()
    while len(keep) > 1:
        Q, R = torch.linalg.qr(A[:, keep])
        c = torch.linalg.solve_triangular(R, Q.T @ z[:, None], upper=True)[:, 0]
        inverse = torch.linalg.inv(R) if torch.isfinite(c).all() else None
        if inverse is None:
            keep.pop()
            continue
        rise = c.square() / inverse.square().sum(1) / len(z)
        k = int(rise.argmin())
        # Curves known to a part in 10^4 leave a small systematic residual that needless terms soak up.
        if rise[k] > max(20.0 / len(z), 0.0) * full + floor and rise[k] > 0.5 * full:
            break
        if rise[k] > 30.0 / len(z) * full + floor and full > 1e-6 * z.var().item():
            break
        keep.pop(k)
    c = torch.linalg.lstsq(A[:, keep], z[:, None]).solution[:, 0] / size[keep]
    return sympy.Add(*(sympy.Float(v, 17) * terms[k] for v, k in zip(c.tolist(), keep, strict=True)))


def _finish(rough: Any, structure: str, inputs: tuple[sympy.Symbol, ...], data: _Data) -> Law | None:
    """Refit in the units of y, snap the numbers, simplify, and measure on what was held out."""
    spread = data.y.std(correction=0).item()
    y = data.y[:, None]
    few = slice(0, 600)
    if len(canonical(rough).atoms(sympy.Float)) > MAX_NUMBERS:
        return None
    (expression,), cost = refit_constants((canonical(rough),), inputs, data.x[few], y[few], steps=25)
    if not math.sqrt(cost) < 0.5 * spread:
        return None
    (expression,) = snap((expression,), inputs, data.x[few], y[few])
    if expression.atoms(sympy.Float):
        (expression,) = snap((expression,), inputs, data.x[:2000], y[:2000])
    expression = simplify(expression, inputs, {})

    def error(x: Tensor, y: Tensor) -> float:
        value = evaluate((expression,), inputs, x)[:, 0]
        e = ((value - y).square().mean().sqrt() / spread).item()
        return e if math.isfinite(e) else math.inf

    return Law(
        Formula((expression,), inputs, ("y",)),
        error(data.x_held_out, data.y_held_out),
        error(data.x_outside, data.y_outside),
        int(sympy.count_ops(expression)) + len(expression.atoms(sympy.Float)),
        structure,
    )


def _is_exact(law: Law) -> bool:
    return law.error < 1e-9 and law.extrapolation_error < 1e-9


def _answer(laws: list[Law], curves_error: float, seconds: float) -> Discovery:
    finite = [law for law in laws if math.isfinite(law.error)]
    front: list[Law] = []
    for law in sorted(finite, key=lambda s: (s.complexity, s.error)):
        if not front or law.error < front[-1].error * (1 - 1e-6):
            front.append(law)
    alternatives = tuple(front)
    if not front:
        reason = "no structure of curves and products fits the samples, so that there were no functions to look for"
        return Discovery(None, False, reason, alternatives, curves_error, seconds)
    best = min(front, key=lambda law: 100 * math.log2(max(law.error, 1e-12)) + 4 * law.complexity)
    if _is_exact(best):
        reason = (
            f"exact: rounding alone is left, inside ({best.error:.1g}) and outside ({best.extrapolation_error:.1g})"
        )
        return Discovery(best, True, reason, alternatives, curves_error, seconds)
    if best.error > max(1.15 * curves_error, 1e-6) or best.error > 0.5:
        reason = (
            f"the best formula leaves {best.error:.2g} of the spread of y where curves leave {curves_error:.2g}; "
            "the functions are not in the library or the structure is another"
        )
        return Discovery(None, False, reason, alternatives, curves_error, seconds)
    if best.extrapolation_error > 2 * best.error + 1e-6:
        reason = (
            f"the best formula leaves {best.error:.2g} of the spread of y inside the region it was found in, but "
            f"{best.extrapolation_error:.2g} outside"
        )
        return Discovery(None, False, reason, alternatives, curves_error, seconds)
    reason = (
        f"explains all but {best.error:.2g} of the spread of y, as well as curves do ({curves_error:.2g}), and "
        f"{best.extrapolation_error:.2g} outside: a law up to that noise, not proven exact"
    )
    return Discovery(best, False, reason, alternatives, curves_error, seconds)
