r"""Verifies a law on the last part of the times, which it was not fitted to: solved forward, and in weak form.

The solution starts from the measured fields at the begin of that part, smoothed, and is compared with the measured
ones, whose noise is subtracted: $\mathrm{error}^2 = \langle (u - \hat u)^2 \rangle - \sigma^2$ in units of the spread
of the fields. Fields that stay as they were at the begin are the baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgewise.discovery.fields.equation_search import WeakEquation
from edgewise.discovery.fields.errors_in_variables import Whitened
from edgewise.discovery.fields.field_data import FieldData, Recording
from edgewise.discovery.fields.field_law import HeldOutFields
from edgewise.discovery.fields.method_of_lines import MAX_GROWTH, Grid, LawOnGrid, boundary_values
from edgewise.discovery.fields.smooth_fields import smooth_fields
from edgewise.discovery.fields.window_plan import WindowPlan, weak_systems

HOLDS = 0.3
"""A solution holds as long as its error is below this share of the spread of the fields."""

TRUSTED = 0.1
"""A solution with a smaller error is right, even where the fields hardly change."""


@dataclass(frozen=True)
class HeldOut:
    """What a law is worth on times that it was not fitted to.

    Attributes:
        weak_error: residual of the weak form beyond noise, as a share of its left side; the worst field.
        error: of the solution until its horizon, relative to the spread of the fields; NaN where it was not solved.
        baseline: the same of fields that do not change.
        horizon: for how long the error stays below `HOLDS`, in units of t.
        span: length of the held-out times.
        ill_posed: why it was not solved forward, or empty.
        fields: measured and predicted fields, None where it was not solved.
    """

    weak_error: float
    error: float
    baseline: float
    horizon: float
    span: float
    ill_posed: str = ""
    fields: HeldOutFields | None = None

    @property
    def whole(self) -> bool:
        """Whether the law holds to the end of the held-out times."""
        return self.horizon >= self.span * (1 - 1e-9)


def held_out(
    data: FieldData,
    last: FieldData,
    equations: Sequence[WeakEquation],
    plan: WindowPlan,
    generator: np.random.Generator,
    tick: Callable[[str], None],
) -> HeldOut:
    """The check of equations on the last part of every recording; the worst recording counts."""
    weak = max(_weak_error(last, n, e, plan, generator) for n, e in enumerate(equations) if e.terms)
    terms = tuple(e.terms for e in equations)
    law = LawOnGrid(Grid(data.space, data.periodic), terms, tuple(tuple(e.constants.values) for e in equations))
    checks = [
        _solved(data, law, whole, part, plan, weak, tick)
        for whole, part in zip(data.recordings, last.recordings, strict=True)
    ]
    return min(checks, key=lambda c: (c.horizon / c.span, -c.error))


def _weak_error(
    last: FieldData, field: int, equation: WeakEquation, plan: WindowPlan, generator: np.random.Generator
) -> float:
    """The share of the left side that the law leaves beyond noise, in the metric of its own residual."""
    systems = weak_systems(last, plan, max(term.order for term in equation.terms))
    raw = [(s.columns(equation.terms), s.target(s.u[field])) for s in systems]
    white = Whitened.of(systems, field, raw, equation.terms, equation.constants.values)
    residual = white.target - white.columns @ equation.constants.values
    doubt = 4 * np.sqrt(2 / len(residual))  # the spread of a mean of squares of independent noise
    beyond = max(float(residual @ residual) / len(residual) - 1 - doubt, 0.0)
    return float(np.sqrt(beyond / np.mean(white.target**2)))


def _solved(
    data: FieldData,
    law: LawOnGrid,
    whole: Recording,
    part: Recording,
    plan: WindowPlan,
    weak: float,
    tick: Callable[[str], None],
) -> HeldOut:
    fields, t = len(law.terms), part.t
    span = float(t[-1] - t[0])
    noise = np.array(plan.noise)
    smooth = smooth_fields(data, whole, plan.noise)[:, len(whole.t) - len(t) :]
    if law.growth(smooth[:, 0]) * span > MAX_GROWTH:
        reason = "short waves grow so fast that the law cannot be solved forward on this grid"
        return HeldOut(weak, float("nan"), float("nan"), 0.0, span, reason)
    solution, reached = law.solve(smooth[:, 0], t, boundary_values(t, smooth), tick)
    free = ~law.grid.given()
    real = part.u[:fields, :, free]
    spread = np.maximum(real.std(axis=(1, 2)) ** 2 - noise[:fields] ** 2, 1e-300)
    errors = _errors(solution[:, :, free], real[:, :reached], noise[:fields], spread)
    stays = _errors(np.repeat(smooth[:fields, :1, free], len(t), 1), real, noise[:fields], spread)
    good = int(np.argmax(errors > HOLDS**2)) if (errors > HOLDS**2).any() else len(errors)
    horizon = float(t[max(good - 1, 0)] - t[0])
    rows = slice(1, max(good, 2))
    mean = float(np.sqrt(max(errors[rows].mean(), 0.0))), float(np.sqrt(max(stays[rows].mean(), 0.0)))
    return HeldOut(weak, *mean, horizon, span, "", HeldOutFields(t, part.u[:fields], solution))


def _errors(guess: np.ndarray, real: np.ndarray, noise: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Mean squared error at every time beyond noise, in units of the variance of the fields."""
    return (((guess - real) ** 2).mean(2) - noise[:, None] ** 2).__truediv__(spread[:, None]).mean(0)
