r"""Refits the constants of expressions to data and snaps them to integers, rationals, pi, e and roots.

A value with standard error $\sigma$ costs $\log_2(|\theta|/\sigma)$ bits to write down. A named constant within a few
$\sigma$ of it costs the bits of its name. The snap that saves most goes first, the others are refitted, and so on: a
name is given only where the data determine the value sharply enough to single that name out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.expressions.evaluate import Program
from edgewise.expressions.simplify import canonical
from edgewise.optim import LeastSquares, ResidualLeastSquares, RowwiseLeastSquares, levenberg_marquardt

WINDOW = 4.0
"""A snap may move a constant by at most this many standard errors."""

CHANCE = 0.01
"""Where noise is left, names are inside intervals that hold all true values but with this probability (Bonferroni)."""

NOISE = 1e-6
"""A root mean square residual above this share of the largest value is noise or a wrong form."""

RELATIVE_FLOOR = 1e-8
"""The smallest relative standard error of a constant: a refit may stop short of what its residual promises."""

UNKNOWN_NAME = 16.0
"""The bits of an exact number that has no short name."""


@dataclass(frozen=True)
class Parametric:
    """Expressions whose floating point constants are symbols, and the values of these symbols."""

    expressions: tuple[Any, ...]
    parameters: tuple[sympy.Symbol, ...]
    values: tuple[float, ...]

    def with_values(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """The expressions with constants in place of the symbols: floats with 17 digits, exact numbers as they are."""
        table = {
            p: v if isinstance(v, sympy.Basic) else sympy.Float(v, 17)
            for p, v in zip(self.parameters, values, strict=True)
        }
        return tuple(e.xreplace(table) for e in self.expressions)

    def residual(
        self,
        inputs: tuple[sympy.Symbol, ...],
        x: Tensor,
        y: Tensor,
        functions: Mapping[str, Callable[[Tensor], Tensor]] | None,
        weight: Float[Tensor, " samples"] | None = None,
    ) -> Callable[[Tensor], Tensor]:
        """The residual of y as a function of parameters of every sample: (samples, parameters) -> (samples, out)."""
        program = Program.of(self.expressions, (*inputs, *self.parameters), functions)
        if weight is None:
            return lambda rows: program(torch.cat([x, rows], -1)) - y
        return lambda rows: (program(torch.cat([x, rows], -1)) - y) * weight[:, None]


def parametric(expressions: Sequence[Any]) -> Parametric:
    """The expressions with their floating point constants as parameters.

    Constants equal to the last digit, but for the sign, are one parameter: they are copies that an expansion made.
    """
    known: dict[float, sympy.Symbol] = {}

    def walk(e: Any) -> Any:
        if e.is_Float:
            symbol = known.setdefault(abs(float(e)), sympy.Dummy(f"p{len(known)}", real=True))
            return symbol if e >= 0 else -symbol
        if not e.args:
            return e
        return e.func(*(walk(a) for a in e.args), evaluate=False) if _opaque(e) else e.func(*map(walk, e.args))

    done = tuple(walk(e) for e in expressions)
    return Parametric(done, tuple(known.values()), tuple(known))


def _opaque(e: Any) -> bool:
    return bool(e.is_Add or e.is_Mul or e.is_Pow)


def refit_constants(
    expressions: Sequence[Any],
    inputs: tuple[sympy.Symbol, ...],
    x: Float[Tensor, "samples features"],
    y: Float[Tensor, "samples out"],
    functions: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
    steps: int = 30,
    weight: Float[Tensor, " samples"] | None = None,
) -> tuple[tuple[Any, ...], float]:
    """The expressions with their floating point constants refitted to y, and the mean squared error.

    Residuals are times the weight, where there is one: the inverse of the standard deviation of their noise.
    """
    form = parametric(expressions)
    residual = form.residual(inputs, x.double(), y.double(), functions, weight)
    problem = RowwiseLeastSquares(residual, len(x))
    theta, cost = minimize(problem, torch.tensor(form.values, dtype=torch.float64), steps=steps)
    return form.with_values(theta.tolist()), cost


def snap(
    expressions: Sequence[Any],
    inputs: tuple[sympy.Symbol, ...],
    x: Float[Tensor, "samples features"],
    y: Float[Tensor, "samples out"],
    functions: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
    tick: Callable[[], None] | None = None,
    weight: Float[Tensor, " samples"] | None = None,
) -> tuple[Any, ...]:
    """The expressions with their constants refitted to y, and replaced by names that the data single out.

    Constants that the data do not tell from zero are dropped. A name is inside the interval of its constant, and the
    mean squared error may rise by no more than chance explains (the cost of each freed degree, at `WINDOW` standard
    errors). `tick` is called before every evaluation; residuals are times the weight, where there is one.
    """
    x, y = x.double(), y.double()
    form = parametric([canonical(e) for e in expressions])
    free = list(range(len(form.values)))
    exact: dict[int, Any] = {}
    theta = torch.tensor(form.values, dtype=torch.float64)
    refused: set[tuple[int, Any]] = set()
    plain = form.residual(inputs, x, y, functions, weight)

    def residual(rows: Tensor) -> Tensor:
        if tick is not None:
            tick()
        return plain(rows)

    full = RowwiseLeastSquares(residual, len(x))
    largest = (y if weight is None else y * weight[:, None]).abs().amax()
    floor = (1e-13 * largest.clamp_min(1e-300).item()) ** 2

    def fit(fixed: Mapping[int, Any], start: Tensor) -> tuple[Tensor, float]:
        values = start.clone()
        for n, v in fixed.items():
            values[n] = float(v)
        open_ = [n for n in range(len(values)) if n not in fixed]
        if not open_:
            return values, full.losses(values[None]).item()
        place = torch.tensor(open_)
        some = RowwiseLeastSquares(lambda rows: residual(values.expand(len(x), -1).index_copy(1, place, rows)), len(x))
        part, cost = minimize(some, values[open_], steps=15, target=floor * 1e-2)
        values[open_] = part
        return values, cost

    scale = largest.item() ** 2
    inside = NormalDist().inv_cdf(1 - CHANCE / (2 * max(len(free), 1)))
    theta, cost = fit(exact, theta)
    while free:
        errors = _standard_errors(full, theta, free, cost, floor)
        proposals = [
            (saved, n, name)
            for n, sigma in zip(free, errors, strict=True)
            for saved, name in named_near(theta[n].item(), sigma, WINDOW if cost < NOISE**2 * scale else inside)
            if (n, name) not in refused
        ]
        if not proposals:
            break
        _, n, name = max(proposals, key=lambda p: p[0])
        trial, trial_cost = fit({**exact, n: name}, theta)
        if trial_cost <= cost * (1 + 2 * WINDOW**2 / y.numel()) + floor:
            exact[n], theta, cost = name, trial, trial_cost
            free.remove(n)
        else:
            refused.add((n, name))
    values = [exact.get(n, theta[n].item()) for n in range(len(theta))]
    return form.with_values(values)


def minimize_residual(
    residual: Callable[[Tensor], Tensor],
    theta: Float[Tensor, " P"],
    *,
    steps: int = 50,
    target: float = 1e-30,
    mu: float = 1e-4,
) -> tuple[Float[Tensor, " P"], float]:
    r"""A minimiser of the mean of $r(\theta)^2$ near the given parameters of any size, and the mean square there.

    Args:
        residual: parameters -> residual, made of operations with a forward derivative.
        theta: where to begin.
        steps: at most so many.
        target: the mean square at which to stop.
        mu: the first damping.
    """
    return minimize(ResidualLeastSquares(residual), theta, steps=steps, target=target, mu=mu)


def minimize(
    problem: LeastSquares,
    theta: Float[Tensor, " P"],
    *,
    steps: int = 50,
    target: float = 1e-30,
    mu: float = 1e-4,
) -> tuple[Float[Tensor, " P"], float]:
    """`minimize_residual` of a problem with normal equations of its own."""
    start = theta.detach()[None]
    loss = problem.losses(start)
    if not loss.isfinite() or len(theta) == 0:
        return start[0], loss.item()
    end = levenberg_marquardt(problem, start, steps, damping="diagonal", mu=mu, tolerance=1e-5, target=target)
    return end.theta[0], end.losses.item()


def _standard_errors(
    problem: RowwiseLeastSquares, theta: Tensor, free: list[int], cost: float, floor: float
) -> list[float]:
    r"""$\sigma_n = \sqrt{s^2 (J^T J)^{-1}_{nn}}$, never below the relative floor."""
    J = problem.jacobian(theta)[1].flatten(0, 1)[:, free]
    if not torch.isfinite(J).all():  # a sample is at the end of a domain, such as that of a square root
        return [math.inf] * len(free)
    size = J.norm(dim=0).clamp_min(1e-300)
    covariance = torch.linalg.pinv((J / size).T @ (J / size), rtol=1e-15, hermitian=True)
    spread = (max(cost, floor) * covariance.diagonal().clamp_min(0)).sqrt() / size
    spread = torch.where(torch.isfinite(spread), spread, torch.inf)
    return [max(s, RELATIVE_FLOOR * abs(v)) for s, v in zip(spread.tolist(), theta[free].tolist(), strict=True)]


def named_near(value: float, sigma: float, window: float = WINDOW) -> list[tuple[float, Any]]:
    """(bits saved, name) of the named constants within so many standard errors that save any bits."""
    if not math.isfinite(sigma) or not math.isfinite(value):
        return []
    if abs(value) <= WINDOW * sigma:
        return [(60.0 - math.log2(1 + abs(value) / sigma), sympy.Integer(0))]
    digits = math.log2(max(abs(value) / sigma, 1))
    numbers, bits, names = _named()
    ends = np.searchsorted(numbers, [abs(value) - window * sigma, abs(value) + window * sigma])
    left, right = int(ends[0]), int(ends[1])
    if right - left > 200:
        near = sorted(range(left, right), key=lambda k: bits[k])[:5]
    else:
        near = range(left, right)
    sign = 1 if value > 0 else -1
    return [(digits - bits[k] - 3, sign * names[k]) for k in near if digits - bits[k] - 3 > 0]


def name_bits(name: Any) -> float:
    """The bits of an exact number: those of its short name, or of numerator and denominator."""
    value = abs(float(name))
    numbers, bits, _ = _named()
    k = int(np.searchsorted(numbers, value * (1 - 1e-12)))
    if k < len(numbers) and abs(numbers[k] - value) <= 1e-12 * value:
        return bits[k]
    if name.is_Rational:
        return 2 * math.log2(abs(name.p) or 1) + 2 * math.log2(name.q) + (1 if name.q > 1 else 0)
    return UNKNOWN_NAME


@lru_cache(maxsize=1)
def _named() -> tuple[np.ndarray, list[float], list[Any]]:
    """Sorted positive constants with short names, the bits of each name, and the names."""
    table: dict[float, tuple[float, Any]] = {}

    def add(value: float, bits: float, name: Any) -> None:
        key = float(f"{value:.13g}")
        if key not in table or bits < table[key][0]:
            table[key] = (bits, name)

    factors: list[tuple[float, Any]] = [
        (0, sympy.Integer(1)),
        (3, sympy.pi),
        (5, 1 / sympy.pi),
        (6, sympy.pi**2),
        (7, 1 / sympy.pi**2),
        (5, sympy.E),
        (6, 1 / sympy.E),
        (4, sympy.sqrt(2)),
        (5, sympy.sqrt(3)),
        (6, sympy.sqrt(5)),
        (6, sympy.sqrt(sympy.pi)),
        (7, 1 / sympy.sqrt(sympy.pi)),
        (7, 1 / sympy.sqrt(2 * sympy.pi)),
        (7, sympy.sqrt(2 * sympy.pi)),
        (6, sympy.log(2)),
    ]
    for q in range(1, 25):
        for p in range(1, 101 if q < 3 else 4 * q):
            if math.gcd(p, q) != 1:
                continue
            size = 2 * math.log2(p) + 2 * math.log2(q) + (1 if q > 1 else 0)
            for bits, factor in factors:
                if bits == 0 or size <= 12:
                    add(p / q * float(factor), size + bits, sympy.Rational(p, q) * factor)
    for k in range(-6, 7):
        add(10.0**k, 4 + abs(k), sympy.Integer(10) ** k)
    for p in range(1, 10):
        for k in range(1, 4):
            add(round(p * 10.0**-k, 12), 5 + 2 * k, sympy.Rational(p, 10**k))
    order = sorted(table)
    return np.array(order), [table[k][0] for k in order], [table[k][1] for k in order]
