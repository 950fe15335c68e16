r"""Finds the law of a threshold: $g(x)$ such that a class shows whether $t < g(x)$, from samples of x, t and the class.

$g = \sum_k c_k T_k$, every T a product of functions of the library of at most two variables. A class is wrong with
probability $\varepsilon$ everywhere, and near the boundary more often,

$$ p(t < g) = \varepsilon + (1 - 2\varepsilon)\,\sigma(\kappa\,(g(x) - t)). $$

Around the best boundary so far the likelihood is quadratic in the coefficients, so that every set of a few terms is
compared by one small linear system. Coefficients get names where these cost little accuracy, and the shortest law that
is not clearly worse than the most accurate one is announced.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise.discovery.rows import read_samples
from edgewise.discovery.separable import chebyshev, products_of, total_degree
from edgewise.expressions.constants import named_near
from edgewise.expressions.evaluate import evaluate
from edgewise.expressions.formula import Formula
from edgewise.expressions.simplify import pareto
from edgewise.functional import least_squares
from edgewise.nn import DEFAULT_LIBRARY, Library
from edgewise.symbolic.edges import check_library

log = logging.getLogger(__name__)

BLOCKS = 10
"""Parts that are left out in turn for the standard errors of the coefficients."""

TOLERANCE = 1.5
"""The law may be wrong for this many times as many samples as the most accurate one; wrong classes shift it."""

WRONG_SHARE = 0.01
"""The probability of a wrong class far from the boundary."""

SHORTLIST = 100
"""The number of sets of terms of every size that are fitted."""

ROWS = 6000
"""The number of rows that a boundary is searched with."""

LEAST_ROWS = 600
"""At least so many rows, where there are: a polynomial without wrong classes near it is too sure of itself."""


@dataclass(frozen=True)
class ClassifiedSamples:
    """x, t in units of its standard deviation, the class, and the group of every sample."""

    x: Float[Tensor, "samples variables"]
    t: Float[Tensor, " samples"]
    below: Float[Tensor, " samples"]
    group: Int[Tensor, " samples"]

    def rows(self, chosen: Tensor) -> ClassifiedSamples:
        """The chosen samples."""
        return ClassifiedSamples(self.x[chosen], self.t[chosen], self.below[chosen], self.group[chosen])


@dataclass(frozen=True)
class Threshold:
    """A law of a threshold with its evidence.

    Attributes:
        formula: of the threshold.
        accuracy: share of the samples whose class agrees with the law.
        complexity: operations of the formula, and two for every constant without a name.
        alternatives: the front of accuracy against length, this law included.
    """

    formula: Formula
    accuracy: float
    complexity: int
    alternatives: tuple[Threshold, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The law as a JSON object."""
        own = {"formula": self.formula.to_json(), "accuracy": self.accuracy, "complexity": self.complexity}
        return own | ({"alternatives": [law.to_json() for law in self.alternatives]} if self.alternatives else {})

    def __str__(self) -> str:
        return f"{self.formula}, right for {self.accuracy:.2%} of the samples"


def discover_threshold(
    x: Any,
    t: Any,
    below: Any,
    *,
    groups: Any = None,
    names: Sequence[str] | None = None,
    output: str = "t",
    library: Library = DEFAULT_LIBRARY,
    max_terms: int = 2,
    seed: int = 0,
) -> Threshold:
    """The shortest law of the threshold of t that is not clearly worse than the most accurate one.

    Args:
        x: samples of shape (samples, variables) that the threshold depends on.
        t: the value that is compared with it.
        below: True where t is below it, with some errors.
        groups: a label per sample; classes of one group are assumed to be wrong together. By default every sample is a
            group.
        names: of the variables; x1, x2, ... by default.
        output: name of the threshold.
        library: functions that a law may be made of.
        max_terms: the largest number of terms, one to three.
        seed: of the samples that terms are searched with.
    """
    if not 1 <= max_terms <= 3:
        raise ValueError(f"max_terms must be 1, 2 or 3, got {max_terms}")
    check_library(library)
    s, inputs, spread = _checked(x, t, below, groups, names)
    some = s.rows(_near_rows(s, seed))
    terms = _terms(s.x, some.x, inputs, library)
    T = torch.stack([value for _, value in terms], -1)
    z = _polynomial(some)[0]
    found: dict[tuple[int, ...], tuple[float, Tensor]] = {}
    for _ in range(3):
        before = min((nll for nll, _ in found.values()), default=math.inf)
        for chosen in _shortlist(T, some, z, max_terms):
            if chosen not in found:
                found[chosen] = _fit_boundary(T[:, chosen], some)
        best = min(found, key=lambda c: found[c][0])
        if not found[best][0] < before - 0.1:
            break
        z = _logits(T[:, best], some.t, found[best][1])
    laws: list[Threshold] = []
    for size in range(1, max_terms + 1):
        ranked = sorted((c for c in found if len(c) == size), key=lambda c: found[c][0])[:8]
        for c in ranked:
            laws.append(_law([terms[k][0] for k in c], s, found[c][1], inputs, output, spread))
            log.info("%s", laws[-1])
    return _answer(laws)


def _answer(laws: list[Threshold]) -> Threshold:
    front = pareto(laws, lambda law: law.complexity, lambda law: 1 - law.accuracy)
    bound = TOLERANCE * (1 - front[-1].accuracy)
    chosen = next(law for law in front if 1 - law.accuracy <= bound)
    return replace(chosen, alternatives=tuple(front))


def _worse(wrong: Float[Tensor, " groups"], than: Float[Tensor, " groups"]) -> bool:
    """True where more samples are on the wrong side than three standard errors over the groups explain."""
    more = wrong - than
    return bool(more.sum() > 3 * more.std(correction=0) * math.sqrt(len(more)))


def _checked(
    x: Any, t: Any, below: Any, groups: Any, names: Sequence[str] | None
) -> tuple[ClassifiedSamples, tuple[sympy.Symbol, ...], float]:
    x, t, inputs = read_samples(x, t, names)
    below = torch.as_tensor(np.asarray(below)).double()
    if below.shape != t.shape:
        raise ValueError(
            f"t has shape {tuple(t.shape)} and below {tuple(below.shape)}; give one class for every sample"
        )
    if groups is not None and np.shape(groups) != (len(t),):
        raise ValueError(f"groups has shape {np.shape(groups)}; give a label for each of the {len(t)} samples")
    if not 0 < below.mean() < 1:
        raise ValueError("all samples are on one side of the threshold; there is nothing to explain")
    group = torch.arange(len(t)) if groups is None else torch.as_tensor(np.unique(groups, return_inverse=True)[1])
    spread = t.std().item()
    return ClassifiedSamples(x, t / spread, below, group), inputs, spread


def _terms(
    x: Tensor, some: Tensor, inputs: tuple[sympy.Symbol, ...], library: Library
) -> list[tuple[Any, Float[Tensor, " rows"]]]:
    """One, functions of one variable that are defined at all x, and products of two; with their values at some x."""
    single: list[list[tuple[Any, Tensor]]] = []
    for u, v, symbol in zip(x.T, some.T, inputs, strict=True):
        functions: list[tuple[Any, Tensor]] = []
        for fn in library.values():
            f = fn(v) if fn.defined_on(u.amin().item(), u.amax().item()) else torch.zeros_like(v)
            varies = bool(torch.isfinite(f).all()) and bool(f.std() > 1e-6 * f.abs().amax())
            if varies and not any(torch.equal(f, other) for _, other in functions):  # |u| of a positive u is u
                functions.append((fn.sympy(symbol), f))
        single.append(functions)
    pairs = (itertools.product(p, q) for p, q in itertools.combinations(single, 2))
    products = [(a[0] * b[0], a[1] * b[1]) for a, b in itertools.chain(*pairs)]
    return [(sympy.Integer(1), torch.ones(len(some), dtype=some.dtype)), *itertools.chain(*single), *products]


def _law(
    parts: list[Any],
    s: ClassifiedSamples,
    start: Tensor,
    inputs: tuple[sympy.Symbol, ...],
    output: str,
    spread: float,
) -> Threshold:
    """The law with coefficients fitted to all samples, named where a name is within their errors and costs little."""
    T = evaluate(tuple(parts), inputs, s.x)
    _, w = _fit_boundary(T, s, start)
    c = w[:-1] / w[-1] * spread
    block = s.group % BLOCKS
    others = []
    for n in range(BLOCKS):
        kept = block != n
        _, v = _fit_boundary(T[kept], s.rows(kept), w)
        others.append(v[:-1] / v[-1] * spread)
    errors = (torch.stack(others) - c).square().sum(0).mul((BLOCKS - 1) / BLOCKS).sqrt()

    def wrong(c: Tensor) -> Float[Tensor, " groups"]:
        missed = ((s.t * spread < T @ c).double() != s.below).double()
        return torch.zeros(int(s.group.max()) + 1, dtype=torch.float64).index_add(0, s.group, missed)

    least = wrong(c)
    share = least.sum().item() / len(s.t)
    options: list[list[tuple[float, Any]]] = []
    for value, error in zip(c.tolist(), errors.tolist(), strict=True):
        # Wrong classes near the threshold shift it: no coefficient is known better than their share.
        names = sorted(named_near(value, max(error, share * abs(value))), key=lambda p: -p[0])
        options.append([*((saved, name) for saved, name in names[:3] if name != 0), (0.0, sympy.Float(value, 17))])
    choices = sorted(itertools.product(*options), key=lambda choice: -sum(saved for saved, _ in choice))
    tried = (([number for _, number in choice], wrong(_values(choice))) for choice in choices)
    numbers, missed = next(pair for pair in tried if not _worse(pair[1], least))
    expression = sympy.factor_terms(sympy.Add(*(n * part for n, part in zip(numbers, parts, strict=True))))
    complexity = int(sympy.count_ops(expression)) + 2 * len(expression.atoms(sympy.Float))
    return Threshold(Formula((expression,), inputs, (output,)), 1 - missed.sum().item() / len(s.t), complexity)


def _values(choice: Sequence[tuple[float, Any]]) -> Tensor:
    return torch.tensor([float(number) for _, number in choice], dtype=torch.float64)


def _near_rows(s: ClassifiedSamples, seed: int) -> Int[Tensor, " rows"]:
    """Rows near a polynomial threshold; nearly all laws agree on the side of the others."""
    order = torch.randperm(len(s.t), generator=torch.Generator().manual_seed(seed))
    _, columns, w = _polynomial(s.rows(order[:ROWS]))
    z = _logits(columns(s.x[order]), s.t[order], w).abs()
    least = z.sort().values[:LEAST_ROWS][-1].item()
    return order[(z < max(8, math.nextafter(least, math.inf))).nonzero()[:ROWS, 0]]


def _polynomial(s: ClassifiedSamples, size: int = 6) -> tuple[Tensor, Callable[[Tensor], Tensor], Tensor]:
    """A polynomial threshold, the start of the search: its logits, its terms and their coefficients."""
    low, high = s.x.amin(0), s.x.amax(0)
    powers = total_degree(s.x.shape[1], size - 1)

    def columns(x: Tensor) -> Tensor:
        return products_of(chebyshev(x, low, high, size), powers)

    here = columns(s.x)
    _, w = _fit_boundary(here, s)
    return _logits(here, s.t, w), columns, w


def _logits(T: Tensor, t: Tensor, w: Tensor) -> Tensor:
    r"""$\kappa\,(g(x) - t)$; the last entry of w is kappa, the others are the coefficients times kappa."""
    return T @ w[:-1] - w[-1] * t


def _weights(z: Tensor, below: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The negative log likelihood, its gradient by the logit, and its expected curvature."""
    q = torch.sigmoid(z)
    p = WRONG_SHARE + (1 - 2 * WRONG_SHARE) * q
    slope = (1 - 2 * WRONG_SHARE) * q * (1 - q)
    nll = -(below * p.log() + (1 - below) * (1 - p).log()).sum()
    return nll, (p - below) * slope / (p * (1 - p)), slope.square() / (p * (1 - p))


def _fit_boundary(
    T: Float[Tensor, "samples terms"], s: ClassifiedSamples, start: Tensor | None = None
) -> tuple[float, Tensor]:
    """Fisher scoring: the negative log likelihood, and the coefficients of the terms and kappa."""
    A = torch.cat([T, -s.t[:, None]], 1)
    size = A.square().mean(0).sqrt().clamp_min(1e-300)
    A = A / size
    w = least_squares(A, 4 * s.below[:, None] - 2)[:, 0] if start is None else start * size
    nll, slope, curvature = _weights(A @ w, s.below)
    for _ in range(60):
        H = (A * curvature[:, None]).T @ A
        H.diagonal().add_(1e-6 * len(A) / 100)
        step = torch.linalg.solve(H, A.T @ slope)
        scale = 1.0
        while scale > 1e-3:
            trial = w - scale * step
            new = _weights(A @ trial, s.below)
            if new[0] < nll:
                break
            scale /= 2
        else:
            break
        done = nll - new[0] < 1e-6 * nll
        w, (nll, slope, curvature) = trial, new
        if done:
            break
    return nll.item(), w / size


def _shortlist(T: Tensor, s: ClassifiedSamples, z: Tensor, most: int) -> list[tuple[int, ...]]:
    """The sets of terms with the least quadratic model of the likelihood around the logits z."""
    _, slope, curvature = _weights(z, s.below)
    curvature = curvature + 1e-3 * curvature.mean()
    target = (z - slope / curvature) * curvature.sqrt()
    A = torch.cat([T, -s.t[:, None]], 1) * curvature.sqrt()[:, None]
    A = A / A.norm(dim=0).clamp_min(1e-300)
    gram, b = A.T @ A, A.T @ target
    last = A.shape[1] - 1
    found: list[tuple[int, ...]] = []
    for size in range(1, most + 1):
        sets = torch.combinations(torch.arange(last), size)
        gains = torch.cat([_gain(gram, b, part, last) for part in sets.split(50_000)])
        top = gains.topk(min(SHORTLIST, len(gains))).indices
        found += [tuple(k) for k in sets[top].tolist()]
    return found


def _gain(gram: Tensor, b: Tensor, sets: Int[Tensor, "sets terms"], last: int) -> Float[Tensor, " sets"]:
    """The reduction of the quadratic model by every set of columns with the last one."""
    sets = torch.cat([sets, torch.full((len(sets), 1), last)], 1)
    G = gram[sets[:, :, None], sets[:, None, :]] + 1e-9 * torch.eye(sets.shape[1], dtype=torch.float64)
    h = b[sets]
    return (h * torch.linalg.solve(G, h)).sum(-1)
