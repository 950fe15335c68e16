r"""The law of a threshold: $g(x)$ such that a class shows whether $t < g(x)$, from samples of x, t and the class.

$g = \sum_k c_k T_k$, every T a product of functions of the library of at most two variables. The sets of terms follow
the likelihood of a boundary, their numbers get names where these cost little, and the shortest good law is announced.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.boundary import Samples, fit_boundary, logits, near_rows, polynomial, shortlist
from edgewise.expressions.constants import named_near
from edgewise.expressions.evaluate import evaluate
from edgewise.expressions.formula import Formula
from edgewise.expressions.simplify import pareto
from edgewise.nn import DEFAULT_LIBRARY, Library
from edgewise.symbolic.edges import check_library

log = logging.getLogger(__name__)

BLOCKS = 10
"""Parts that are left out in turn for the standard errors of the numbers."""

TOLERANCE = 1.5
"""The law chosen may be wrong for this many times as many samples as the best one: wrong classes shift a threshold."""


@dataclass(frozen=True)
class Threshold:
    """A law of a threshold with its evidence.

    Attributes:
        formula: of the threshold.
        accuracy: share of the samples on the side of it that their class says.
        complexity: operations of the formula, and two for every number without a name.
        alternatives: laws from the shortest to the most accurate one, this among them.
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
        groups: a number per sample; samples of one group are taken to be wrong together. By default each is its own.
        names: of the variables; x1, x2, ... by default.
        output: name of the threshold.
        library: functions that a law may be made of.
        max_terms: at most so many terms, up to three.
        seed: of the samples that the search looks at.
    """
    if not 1 <= max_terms <= 3:
        raise ValueError(f"max_terms must be 1, 2 or 3, got {max_terms}")
    check_library(library)
    s, inputs, spread = _checked(x, t, below, groups, names)
    some = s.rows(near_rows(s, seed))
    terms = _terms(s.x, some.x, inputs, library)
    T = torch.stack([value for _, value in terms], -1)
    z = polynomial(some)[0]
    found: dict[tuple[int, ...], tuple[float, Tensor]] = {}
    for _ in range(3):
        before = min((nll for nll, _ in found.values()), default=math.inf)
        for chosen in shortlist(T, some, z, max_terms):
            if chosen not in found:
                found[chosen] = fit_boundary(T[:, chosen], some)
        best = min(found, key=lambda c: found[c][0])
        if not found[best][0] < before - 0.1:
            break
        z = logits(T[:, best], some.t, found[best][1])
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
    """More samples on the wrong side, by three times what chance explains where groups are wrong together."""
    more = wrong - than
    return bool(more.sum() > 3 * more.std(correction=0) * math.sqrt(len(more)))


def _checked(
    x: Any, t: Any, below: Any, groups: Any, names: Sequence[str] | None
) -> tuple[Samples, tuple[sympy.Symbol, ...], float]:
    x, t = (torch.as_tensor(np.asarray(part, dtype=np.float64)) for part in (x, t))
    below = torch.as_tensor(np.asarray(below)).double()
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or t.shape != x.shape[:1] or below.shape != t.shape:
        raise ValueError(
            f"x must be (samples, variables), t and below (samples,); got {tuple(x.shape)}, {tuple(t.shape)} and "
            f"{tuple(below.shape)}"
        )
    bad = (~(torch.isfinite(x).all(-1) & torch.isfinite(t))).nonzero()[:, 0].tolist()
    if bad:
        raise ValueError(f"{len(bad)} rows are not finite, the first is row {bad[0]}; drop them")
    if groups is not None and np.shape(groups) != (len(t),):
        raise ValueError(f"groups has shape {np.shape(groups)}; give a number for each of the {len(t)} samples")
    if not 0 < below.mean() < 1:
        raise ValueError("all samples are on one side of the threshold; there is nothing to explain")
    names = list(names) if names is not None else [f"x{j + 1}" for j in range(x.shape[1])]
    if len(names) != x.shape[1] or len(set(names)) != len(names):
        raise ValueError(f"names must be {x.shape[1]} different names, got {names}")
    group = torch.arange(len(t)) if groups is None else torch.as_tensor(np.unique(groups, return_inverse=True)[1])
    spread = t.std().item()
    inputs = tuple(sympy.Symbol(str(name), real=True) for name in names)
    return Samples(x, t / spread, below, group), inputs, spread


def _terms(
    x: Tensor, some: Tensor, inputs: tuple[sympy.Symbol, ...], library: Library
) -> list[tuple[Any, Float[Tensor, " rows"]]]:
    """One, functions of one variable that are defined at all x, and products of those of two; their values at some."""
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
    s: Samples,
    start: Tensor,
    inputs: tuple[sympy.Symbol, ...],
    output: str,
    spread: float,
) -> Threshold:
    """The numbers fitted to all samples, with names where these are within their errors and cost little."""
    T = evaluate(tuple(parts), inputs, s.x)
    _, w = fit_boundary(T, s, start)
    c = w[:-1] / w[-1] * spread
    block = s.group % BLOCKS
    others = []
    for n in range(BLOCKS):
        kept = block != n
        _, v = fit_boundary(T[kept], s.rows(kept), w)
        others.append(v[:-1] / v[-1] * spread)
    errors = (torch.stack(others) - c).square().sum(0).mul((BLOCKS - 1) / BLOCKS).sqrt()

    def wrong(c: Tensor) -> Float[Tensor, " groups"]:
        missed = ((s.t * spread < T @ c).double() != s.below).double()
        return torch.zeros(int(s.group.max()) + 1, dtype=torch.float64).index_add(0, s.group, missed)

    least = wrong(c)
    share = least.sum().item() / len(s.t)
    options: list[list[tuple[float, Any]]] = []
    for value, error in zip(c.tolist(), errors.tolist(), strict=True):
        # Classes that are wrong near the threshold shift it: no number is known better than their share.
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
