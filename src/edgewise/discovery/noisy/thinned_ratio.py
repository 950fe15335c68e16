r"""Fits formulas $y = o + A\,B / C$ of sums A, B, C of terms $a\,x_j$ and $a\,x_j^2$, and selects their inputs.

This is a network with one product of three sums, whose edges are quadratics and whose last factor is inverted; many
laws of nature have the form. It is fitted with all terms, then thinned term by term until the error begins to rise.
Inputs are scaled, not shifted, because $x^2$ is shorter than $(x - 0.2)^2$. Inputs are selected by forward selection.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy
from jaxtyping import Float

from edgewise.discovery.terms import exact_number
from edgewise.progress import Budget

Array = np.ndarray
Inputs = tuple[int, ...]

OFFSET = 3

TRIED = 14
"""With at most this many terms every removal is tried; with more, those that the curvature calls cheapest."""

STARTS = 4
"""Random starts of the fits that select inputs."""

RUNNERS_UP, CLOSE = 3, 0.05
"""The number of sets kept per size, and the share by which their error may exceed that of the best one."""

WORTH = 0.03
"""An input is added when it lowers the error by more than this share."""


@dataclass(frozen=True)
class Ratio:
    """A formula in scaled inputs: of every term the factor (0, 1, denominator 2, offset 3), input, power and value."""

    factors: tuple[int, ...]
    inputs: tuple[int, ...]
    powers: tuple[int, ...]
    values: Float[Array, " terms"]

    def __len__(self) -> int:
        return len(self.factors)

    def columns(self, x: Float[Array, "rows features"]) -> Float[Array, "rows terms"]:
        """The power of an input that every coefficient multiplies."""
        return np.column_stack([x[:, j] ** k for j, k in zip(self.inputs, self.powers, strict=True)])

    @np.errstate(all="ignore")
    def jacobian(self, columns: Float[Array, "rows terms"]) -> Float[Array, "rows terms"]:
        """The derivative by the coefficient of every term."""
        return columns * _slopes(*_Sums(self.factors, columns)(self.values))[list(self.factors)].T

    def without(self, n: int) -> Ratio:
        """The formula without its n-th term."""
        kept = [m for m in range(len(self)) if m != n]
        factors, inputs, powers = (tuple(part[m] for m in kept) for part in (self.factors, self.inputs, self.powers))
        return Ratio(factors, inputs, powers, self.values[kept])

    def removable(self) -> list[int]:
        """The terms that may be removed: every factor keeps at least one."""
        return [n for n, f in enumerate(self.factors) if f == OFFSET or self.factors.count(f) > 1]

    def expression(self, symbols: Sequence[sympy.Expr]) -> sympy.Expr:
        """The formula in these symbols for the scaled inputs, one common constant in front."""
        values = self.values.copy()
        kinds = np.array(self.factors)
        gain = 1.0
        for f in (0, 1, 2):
            members = np.flatnonzero(kinds == f)
            lead = values[members[np.abs(values[members]).argmax()]]
            values[members] /= lead
            gain = gain / lead if f == 2 else gain * lead
        sums = [
            sympy.Add(
                *(
                    exact_number(values[n]) * symbols[self.inputs[n]] ** self.powers[n]
                    for n in np.flatnonzero(kinds == f)
                )
            )
            for f in range(4)
        ]
        return sympy.Float(gain, 17) * sums[0] * sums[1] / sums[2] + sums[3]


def forward_selection(
    x: Float[Array, "rows features"],
    y: Float[Array, " rows"],
    candidates: Sequence[int],
    *,
    seed: int,
    most: int = 5,
    budget: Budget | None = None,
) -> list[Inputs]:
    """Sets of inputs that a short formula may need, judged by the ratio of sums that they allow.

    The best single input, with it the best second one, and so on, each set after an attempt to exchange one member.
    The best sets of every size are returned, the very best first: equal information can have different formulas.
    Permutation importance cannot replace this: of two inputs with the same information it shows neither. No set is
    judged after the time of `budget`.
    """
    known: dict[Inputs, float] = {}

    def error(inputs: Inputs) -> float:
        key = tuple(sorted(inputs))
        if key not in known:
            if budget is not None and budget.over:
                return float("inf")
            known[key] = fit_ratio(x[:, key], y, seed, starts=STARTS)[0][1] if key else float(np.var(y))
        return known[key]

    sets: list[Inputs] = []
    chosen: Inputs = ()
    while len(chosen) < min(most, len(candidates)):
        others = [j for j in candidates if j not in chosen]
        options: list[Inputs] = [(*chosen, j) for j in others]
        best = min(options, key=error)
        if not error(best) < (1 - WORTH) * error(chosen):  # two factors of a product, each useless alone
            options = [(*chosen, *pair) for pair in itertools.combinations(others, 2)]
            best = min([best, *options], key=error)
        if len(best) > 2:
            others = [j for j in candidates if j not in best]
            options = [(*(m for m in best if m != out), j) for out in best for j in others]
            best = min([best, *options], key=error)
        if not error(best) < (1 - WORTH) * error(chosen):
            break
        chosen = best
        level = sorted((key for key in known if len(key) == len(chosen)), key=error)
        sets += [key for key in level[:RUNNERS_UP] if error(key) <= (1 + CLOSE) * error(chosen)]
    return sets


def fit_ratio(
    x: Float[Array, "rows features"], y: Float[Array, " rows"], seed: int, *, starts: int = 10
) -> list[tuple[Ratio, float]]:
    """The form with all terms from several random starts, on some rows; the best first, with its mean square error."""
    rng = np.random.default_rng(seed)
    full = _all_terms(x)
    some = rng.permutation(len(x))[: max(1000, 15 * len(full))]
    columns = full.columns(x[some])
    denominator = np.array(full.factors) == 2
    found = []
    for _ in range(starts):
        values = rng.normal(size=len(full))
        values[denominator] = np.abs(values[denominator])
        found.append(_fitted(replace(full, values=values), columns, y[some], 25))
    return sorted(found, key=lambda pair: pair[1])


def thin(ratio: Ratio, x: Float[Array, "rows features"], y: Float[Array, " rows"]) -> Iterator[Ratio]:
    """Remove term after term, each time the one that matters least, and refit; yields every formula on the way."""
    some = slice(0, max(2000, 15 * len(ratio)))
    columns = ratio.columns(x)
    ratio, _ = _fitted(ratio, columns, y, 40)
    yield ratio
    while len(ratio) > 2 and ratio.removable():
        candidates = ratio.removable()
        if len(ratio) > TRIED:
            candidates = _cheapest(ratio, columns[some], candidates)[:4]
        trials = []
        for n in candidates:
            trial, error = _fitted(ratio.without(n), np.delete(columns[some], n, axis=1), y[some], 12)
            trials.append((error, n, trial))
        error, n, ratio = min(trials, key=lambda trial: trial[0])
        if not np.isfinite(error):
            return
        columns = np.delete(columns, n, axis=1)
        ratio, _ = _fitted(ratio, columns, y, 20)
        yield ratio


def _cheapest(ratio: Ratio, columns: Array, candidates: list[int]) -> list[int]:
    r"""The terms by the cost of their removal in the quadratic model, $\theta_n^2 / (H^{-1})_{nn}$."""
    J = ratio.jacobian(columns)
    gram = J.T @ J
    gram += 1e-9 * np.diag(gram).max() * np.eye(len(gram))
    cost = ratio.values**2 / np.diag(np.linalg.inv(gram))
    return sorted(candidates, key=lambda n: cost[n])


def _all_terms(x: Array) -> Ratio:
    """Every input and its square in every factor (an input of two values needs no square), and constants."""
    two_valued = [len(np.unique(column[:1000])) <= 2 for column in x.T]
    terms = [(j, k) for j in range(x.shape[1]) for k in (1, 2) if k == 1 or not two_valued[j]] + [(0, 0)]
    every = [(f, *term) for f in range(3) for term in terms] + [(OFFSET, 0, 0)]
    factors, inputs, powers = zip(*every, strict=True)
    return Ratio(factors, inputs, powers, np.zeros(len(every)))


@np.errstate(all="ignore")
def _fitted(ratio: Ratio, columns: Array, y: Array, steps: int) -> tuple[Ratio, float]:
    """Levenberg-Marquardt with multiplicative damping; the mean square error, infinite where it is undefined."""
    factors, sums = list(ratio.factors), _Sums(ratio.factors, columns)

    def tried(values: Array) -> tuple[Array, list[Array], Array, float]:
        parts = sums(values)
        residual = _value(*parts) - y
        error = float((residual**2).mean())
        return values, parts, residual, error if np.isfinite(error) else np.inf

    values, parts, residual, error = tried(ratio.values)
    damping = 1e-2
    for _ in range(steps if np.isfinite(error) else 0):
        J = columns * _slopes(*parts)[factors].T
        gram, slope = J.T @ J, J.T @ residual
        diagonal = np.diag(gram)
        scale = diagonal + 1e-12 * diagonal.max()
        before = error
        for _ in range(6):
            try:
                step = np.linalg.solve(gram + damping * np.diag(scale), slope)
            except np.linalg.LinAlgError:
                damping *= 10
                continue
            trial = tried(values - step)
            if trial[-1] < error:
                values, parts, residual, error = trial
                damping = max(damping / 10, 1e-12)
                break
            damping *= 10
        if not error < before * (1 - 1e-6):
            break
    return replace(ratio, values=values), error


class _Sums:
    """The two factors, the denominator and the offset; the columns are taken apart once for all steps of a fit."""

    def __init__(self, factors: Sequence[int], columns: Array) -> None:
        kinds = np.array(factors)
        self.members = [np.flatnonzero(kinds == f) for f in range(4)]
        self.columns = [columns[:, members] for members in self.members]

    def __call__(self, values: Array) -> list[Array]:
        return [columns @ values[members] for columns, members in zip(self.columns, self.members, strict=True)]


def _value(a: Array, b: Array, c: Array, offset: Array) -> Array:
    return offset + a * b / c


def _slopes(a: Array, b: Array, c: Array, offset: Array) -> Array:
    """The derivatives of the value by the four sums."""
    return np.stack([b / c, a / c, -a * b / c**2, np.ones_like(offset)])
