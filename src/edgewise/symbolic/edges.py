r"""Searches a library for functions that explain sampled curves, by fits of $c f(a x + b) + d$.

The inner parameters (a, b) of every function are found in `inner`; the outer ones (c, d) follow in closed form.
Candidates are ranked by their description length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.nn import DEFAULT_LIBRARY, KANLinear, Library, SymbolicFn
from edgewise.nn.layers import EdgeLike, find_edge
from edgewise.symbolic.inner import polish, scan, value_and_slope
from edgewise.tracing import trace

MIN_POINTS = 8
"""Fewer different inputs cannot determine the four parameters of a function."""

BITS_PER_COMPLEXITY = 4.0
"""What one unit of a function's complexity costs, in bits, against the bits that its residual saves."""

AT_ONCE = 16
"""Edges of one input that are searched together."""

Affine = tuple[float, float, float, float]

_POWERS = {
    **{"x": 1, "abs": 1, "sqrt": 0.5, "x^1.5": 1.5, "1/sqrt": -0.5, "1/x": -1},
    **{f"x^{n}": n for n in range(2, 6)},
    **{f"1/x^{n}": -n for n in range(2, 6)},
}
_EVEN = {"abs", "cosh", "gaussian", "x^2", "x^4", "1/x^2", "1/x^4"}
_ODD = {"x", "x^3", "x^5", "1/x", "1/x^3", "1/x^5", "sin", "tan", "sinh", "tanh", "arcsin", "arctan", "arctanh", "erf"}


@dataclass(frozen=True)
class Candidate:
    r"""A function for an edge, $c f(a x + b) + d$, with its evidence.

    Attributes:
        fn: the function f.
        affine: the parameters (a, b, c, d).
        r2: share of the curve's variance that is explained.
        rmse: root mean square of the residual, in units of the edge.
        max_error: its largest absolute value.
        complexity: description length of f.
        score: bits to describe the curve by this candidate, up to a constant; the smallest is the best.
    """

    fn: SymbolicFn
    affine: tuple[float, float, float, float]
    r2: float
    rmse: float
    max_error: float
    complexity: float
    score: float

    def expression(self, x: Any) -> Any:
        """$c f(a x + b) + d$ as a sympy expression of x."""
        return edge_expression(self.fn, self.affine, x)

    def value(self, x: Tensor) -> Tensor:
        """$c f(a x + b) + d$ at x."""
        a, b, c, d = self.affine
        return c * self.fn(a * x + b) + d

    def to_json(self) -> dict[str, Any]:
        """The candidate as a JSON object; the function by name."""
        return {
            "function": self.fn.name,
            "affine": list(self.affine),
            "r2": self.r2,
            "rmse": self.rmse,
            "max_error": self.max_error,
            "complexity": self.complexity,
            "score": self.score,
        }

    def __str__(self) -> str:
        a, b, c, d = self.affine
        return f"{c:.4g} * {self.fn.name}({a:.4g} x {b:+.4g}) {d:+.4g}, r2 = {self.r2:.8g}"


def suggest(
    model: nn.Module, x: Tensor, edge: EdgeLike, *, library: Library = DEFAULT_LIBRARY, margin: float = 0.0
) -> tuple[Candidate, ...]:
    """The functions that explain one edge of the model on the inputs x, best first.

    Args:
        model: any module with KAN layers.
        x: inputs of the model; the edge is judged on the values that reach it.
        edge: an `EdgeKey`, or a tuple (layer, source, target) with the name or the index of the layer.
        library: functions to try.
        margin: share of the data range, on both sides, on which a function must also be defined.
    """
    name, layer = find_edge(model, edge)
    _, source, target = edge
    with torch.no_grad():
        inputs = trace(model, x)[name].inputs
    points, values = sample_edges(layer, inputs, name)
    return search_edge(points[:, source], values[:, source, target], library=library, margin=margin)


def search_edge(
    x: Float[Tensor, " samples"],
    v: Float[Tensor, " samples"],
    *,
    library: Library = DEFAULT_LIBRARY,
    margin: float = 0.0,
    resolution: float = 1e-7,
) -> tuple[Candidate, ...]:
    """The functions that explain the curve v(x), best first; only those defined on the whole range of x.

    Below `resolution`, the relative error of the curve itself, a smaller residual is no argument for a function.
    """
    return search_layer(x[:, None], v[:, None, None], library=library, margin=margin, resolution=resolution)[0, 0]


def search_layer(
    x: Float[Tensor, "samples features"],
    v: Float[Tensor, "samples features out"],
    *,
    library: Library = DEFAULT_LIBRARY,
    margin: float = 0.0,
    resolution: float = 1e-7,
    edges: Tensor | None = None,
    tick: Callable[[str], None] = lambda stage: None,
) -> Mapping[tuple[int, int], tuple[Candidate, ...]]:
    """`search_edge` for every edge (j, i) of a layer, or for those where `edges` is True; `tick` before every few."""
    _check_curves(x, v)
    check_library(library)
    wanted = torch.ones(v.shape[1:], dtype=torch.bool) if edges is None else edges.cpu()
    found: dict[tuple[int, int], tuple[Candidate, ...]] = {}
    for j in range(x.shape[1]):
        every = wanted[j].nonzero()[:, 0].tolist()
        for targets in (every[n : n + AT_ONCE] for n in range(0, len(every), AT_ONCE)):
            tick(f"functions for {len(targets)} of {int(wanted.sum())} edges")
            ranked = _search_input(
                x[:, j].double(), v[:, j, targets].double().T, tuple(library.values()), margin, resolution
            )
            found |= {(j, i): candidates for i, candidates in zip(targets, ranked, strict=True)}
    return found


def sample_edges(layer: KANLinear, inputs: Tensor, name: str = "", points: int = 192) -> tuple[Tensor, Tensor]:
    """Points for the edges of a layer, half at quantiles of its inputs and half evenly spaced, and the values there.

    Curves are known everywhere, so that few samples do not limit the number of points, which lie in their range.
    """
    bad = (~torch.isfinite(inputs)).nonzero()
    if len(bad):
        raise ValueError(
            f"layer {name!r}: input {bad[0, 1].item()} is not finite at sample {bad[0, 0].item()} "
            f"({len(bad)} such values); clean the data, or release the symbol that is undefined there"
        )
    if len(inputs) == 0:
        raise ValueError("no samples were given; the symbolic search needs inputs to know the range of every edge")
    half = points // 2
    t = torch.linspace(0, 1, half, dtype=torch.float64, device=inputs.device)
    inputs = inputs.detach().double()
    low, high = inputs.amin(0), inputs.amax(0)
    spread = torch.sort(inputs, dim=0).values[(t * (len(inputs) - 1)).round().long()]
    x = torch.cat([spread, low + (high - low) * t[:, None]]).sort(dim=0).values
    with torch.no_grad():
        values = layer.edge_values(x.to(layer.coef.dtype))
    return x.cpu(), values.double().cpu()


def check_library(library: Library) -> None:
    """Raise `ValueError` for a function that fails, is nowhere finite or is not elementwise."""
    for fn in library.values():
        if DEFAULT_LIBRARY.get(fn.name) is not fn if fn.name in DEFAULT_LIBRARY else True:
            _check_function(fn)


def _check_function(fn: SymbolicFn) -> None:
    low, high = max(fn.domain[0], -3.0), min(fn.domain[1], 3.0)
    u = low + (high - low) * torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
    try:
        f, slope = value_and_slope(fn, u[None])
    except Exception as error:
        raise ValueError(
            f"library function {fn.name!r} fails on a float64 tensor ({type(error).__name__}: {error}); "
            "its torch form must be elementwise and differentiable"
        ) from error
    if f.shape != u[None].shape:
        raise ValueError(
            f"library function {fn.name!r} returns shape {tuple(f.shape)} for {(1, 7)}; make it elementwise"
        )
    if not (torch.isfinite(f) & torch.isfinite(slope)).any():
        raise ValueError(f"library function {fn.name!r} is finite nowhere in [{low:.3g}, {high:.3g}]; give its domain")


def _check_curves(x: Tensor, v: Tensor) -> None:
    for what, values in (("x", x), ("v", v)):
        bad = (~torch.isfinite(values)).nonzero()
        if len(bad):
            raise ValueError(
                f"{what} is not finite at sample {bad[0, 0].item()} ({len(bad)} such values); drop these rows"
            )
    if len(x) == 0:
        raise ValueError("the curve has no points")


def _search_input(
    x: Float[Tensor, " samples"],
    v: Float[Tensor, "edges samples"],
    functions: tuple[SymbolicFn, ...],
    margin: float,
    resolution: float,
) -> list[tuple[Candidate, ...]]:
    """The ranked candidates of all edges that leave one input."""
    spread = v.std(-1, correction=0)
    scale = v.abs().amax(-1).clamp_min(torch.finfo(torch.float64).tiny)
    flat = (spread <= 1e-12 * scale) | (x.amax() <= x.amin())
    if flat.all():
        return [(_constant(curve, functions),) for curve in v]
    different = len(torch.unique(x))
    if different < MIN_POINTS:
        raise ValueError(
            f"the curve is known at {different} different inputs, and {MIN_POINTS} are needed to tell functions apart; "
            "give more samples"
        )
    middle, half = (x.amax() + x.amin()) / 2, (x.amax() - x.amin()) / 2
    t = (x - middle) / half
    w = torch.where(flat, 1.0, spread)[:, None]
    unit = (v - v.mean(-1, keepdim=True)) / w
    inner, functions_left = scan(t, unit, functions, 1 + 2 * margin)
    if not functions_left:
        return [(_constant(curve, functions),) if flat[e] else () for e, curve in enumerate(v)]
    inner, cost = polish(t, unit, inner, functions_left, 1 + 2 * margin)
    ranked = []
    for e, curve in enumerate(v):
        if flat[e]:
            ranked.append((_constant(curve, functions),))
            continue
        candidates = []
        for f, fn in enumerate(functions_left):
            if not math.isfinite(cost[f, e]):
                continue
            alpha, beta = inner[f, e].tolist()
            a = alpha / half.item()
            b = beta - a * middle.item()
            candidates.append(judge(fn, a, b, x, curve, resolution))
        ranked.append(tuple(sorted(candidates, key=lambda c: (round(c.score, 2), c.complexity))))
    return ranked


def judge(fn: SymbolicFn, a: float, b: float, x: Tensor, v: Tensor, resolution: float) -> Candidate:
    """The candidate with inner parameters (a, b): the outer ones by least squares, and its evidence."""
    f = fn(a * x + b)
    mean = f.mean()
    energy = ((f - mean) ** 2).sum()
    c = ((f - mean) * (v - v.mean())).sum() / energy if energy > 0 else torch.zeros(())
    d = v.mean() - c * mean
    residual = v - (c * f + d)
    variance = v.var(correction=0)
    missing = (residual.square().mean() / variance).item()
    lost = (c * f).abs().amax().item() / variance.sqrt().item()
    return Candidate(
        fn=fn,
        affine=tidy(fn.name, (a, b, c.item(), d.item())),
        r2=1 - missing,
        rmse=residual.square().mean().sqrt().item(),
        max_error=residual.abs().amax().item(),
        complexity=fn.complexity,
        score=_description_length(max(missing, resolution**2), fn.complexity, len(x), lost),
    )


def _description_length(missing: float, complexity: float, points: int, lost: float) -> float:
    r"""$\tfrac n2 \log_2(1 - R^2) + \lambda\,\text{complexity} + \log_2(\max|c f| / \sigma)$ in bits.

    Neighbouring points of a curve repeat each other, so n counts at most 32 of them. The last term charges for
    cancellation: a huge function whose far end imitates another one needs that many more digits in its parameters.
    """
    accuracy = 0.5 * min(points, 32) * math.log2(missing)
    return accuracy + BITS_PER_COMPLEXITY * complexity + math.log2(max(lost, 4.0)) - 2


def _constant(v: Tensor, functions: tuple[SymbolicFn, ...]) -> Candidate:
    """The candidate for a constant curve: its value as the shift of the function "0"."""
    zero = next((fn for fn in functions if fn.name == "0"), DEFAULT_LIBRARY["0"])
    d = v.mean()
    error = (v - d).abs().amax().item()
    return Candidate(zero, (1.0, 0.0, 0.0, d.item()), 1.0, error, error, zero.complexity, zero.complexity)


def edge_expression(fn: SymbolicFn, affine: Sequence[float], x: sympy.Expr) -> sympy.Expr:
    """$c f(a x + b) + d$ as a sympy expression; parameters that are small integers become exact."""
    a, b, c, d = map(exact, affine)
    return c * fn.sympy(a * x + b) + d


def exact(value: float) -> sympy.Expr:
    """Small integers exactly, so that 1 * x is x; everything else with the 17 digits of a double."""
    return sympy.Integer(int(value)) if value == int(value) and abs(value) < 1000 else sympy.Float(value, 17)


def tidy(name: str, affine: Affine) -> Affine:
    r"""The same edge with the fewest free parameters: unit inner scale or no inner shift where the function allows it.

    Several parameters give the same curve: a power $f(su) = |s|^p f(\pm u)$ needs no inner scale, an exponential no
    inner shift, a sine no negative amplitude.

    >>> tidy("exp", (2.0, 0.0, 3.0, 1.0))
    (2.0, 0.0, 3.0, 1.0)
    >>> tidy("x^2", (2.0, 4.0, 3.0, 1.0))
    (1.0, 2.0, 12.0, 1.0)
    """
    a, b, c, d = affine
    if a == 0 or c == 0 or not all(map(math.isfinite, affine)):
        return affine
    if name == "x":
        return 1.0, 0.0, c * a, d + c * b
    if a < 0 and (name in _EVEN or name in _ODD):
        a, b, c = -a, -b, c if name in _EVEN else -c
    if name in _POWERS and abs(_POWERS[name] * math.log10(abs(a))) < 300:  # beyond that, powers overflow
        scale = abs(a)
        a, b, c = math.copysign(1.0, a), b / scale, c * scale ** _POWERS[name]
    elif name == "sign":
        a, b = math.copysign(1.0, a), b / abs(a)
    elif name == "exp" and abs(b) < 300:
        b, c = 0.0, c * math.exp(b)
    elif name == "log":
        a, b, d = math.copysign(1.0, a), b / abs(a), d + c * math.log(abs(a))
    elif name in ("sin", "cos"):
        b, c = (b, c) if c > 0 else (b + math.pi, -c)
        b = (b + math.pi) % (2 * math.pi) - math.pi
    return (a, b, c, d) if all(map(math.isfinite, (a, b, c, d))) else affine
