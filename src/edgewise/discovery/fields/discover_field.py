r"""Finds the partial differential equation of fields on a grid: $u_t = \sum_j c_j\, D_j f_j(u)$.

The weak form integrates the equation against smooth windows, so that noise is not differentiated (Messenger and Bortz,
J. Comput. Phys. 2021); terms are chosen by evidence from normal equations that are corrected for noise in the terms;
the law is announced only where it holds, solved forward, on a last part of the times that it was not fitted to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edgewise.discovery.fields.equation_doubts import doubt, only_travels
from edgewise.discovery.fields.equation_search import WeakEquation, constants_again, search_equation
from edgewise.discovery.fields.errors_in_variables import Constants
from edgewise.discovery.fields.field_check import TRUSTED, HeldOut, held_out
from edgewise.discovery.fields.field_data import FieldData, read_fields
from edgewise.discovery.fields.field_law import FieldLaw, LawTerm, equation_text, law_formula, textbook
from edgewise.discovery.fields.field_terms import MAX_ORDER, MAX_POWER, candidate_terms
from edgewise.discovery.fields.method_of_lines import Grid
from edgewise.discovery.fields.window_plan import WindowPlan, weak_systems, window_plan
from edgewise.display import shows_progress
from edgewise.expressions import Constant
from edgewise.expressions.constants import named_near
from edgewise.progress import Budget, Listener, Pulse, TimeIsOver

EXPLAINED = 0.01
"""A law may leave this share of the left side unexplained beyond noise; more is structure that it lacks."""

WEAK_EXPLAINED = 0.1
"""The same on held-out times, where there are fewer windows."""

CLEARLY = 5.0
"""A residual is larger than noise where it is so many standard deviations larger."""

BETTER = 0.5
"""A law must leave less than this share of the error of fields that do not change."""


@shows_progress
def discover_field(
    t: Any,
    u: Any,
    space: Any,
    *,
    inputs: Mapping[str, Any] | None = None,
    periodic: Any = None,
    degree: int = MAX_POWER,
    order: int = MAX_ORDER,
    seconds: float = 120.0,
    seed: int = 0,
    clock: Callable[[], float] = time.thread_time,
    progress: bool | Listener | None = None,
) -> FieldLaw:
    """Search for the partial differential equation of measured fields, and say so when there is none.

    Args:
        t: times (n_t,), increasing; a list for several recordings with different times.
        u: one field (n_t, n_x[, n_y[, n_z]]), several as a mapping of names to arrays, and several recordings of the
            same fields on the same points as a list of these. At most a fifth of the cells may be NaN.
        space: coordinates (n_x,), a tuple of them for two or three axes, or a mapping of one-letter names to them.
        inputs: known fields without a law of their own, such as a force, of the shape of u or broadcast to it.
        periodic: whether the ends of the axes are neighbours, one flag or one for every axis; seen in the data by
            default. Only the solution forward in time uses it.
        degree: the highest degree of products of fields.
        order: the highest order of derivatives in space.
        seconds: time limit in seconds.
        seed: of the noise that is drawn to estimate the bias and the errors of constants.
        clock: measures the seconds: the processor time of this thread by default, so that the answer does not depend
            on other processes; these may stretch the search to four times as much wall time.
        progress: True to show it; or called with an `Event` at most once a second; what it raises stops the search.

    Raises:
        ValueError: where the arrays, names or grids cannot be used; the message names the first of them.
    """
    assert not isinstance(progress, bool)  # made a listener by `shows_progress`
    if any(isinstance(n, bool) or n not in (1, 2, 3, 4) for n in (degree, order)):
        raise ValueError(f"degree={degree!r} and order={order!r} must be whole numbers between 1 and 4")
    degree, order = int(degree), int(order)
    budget = Budget.of_search(seconds, clock)
    data = read_fields(t, u, space, inputs, periodic)
    pulse = Pulse(budget, progress)
    try:
        return _searched(data, degree, order, np.random.default_rng(seed), pulse)
    except TimeIsOver:
        return _refused(data, f"the time limit of {seconds:g} s came before a law was verified", None, budget.spent)


def _searched(data: FieldData, degree: int, order: int, generator: np.random.Generator, pulse: Pulse) -> FieldLaw:
    first, last = data.split()
    plan = window_plan(first)
    equations = _equations(first, plan, degree, order, generator, pulse)
    pending = _draft(data, equations)
    objection = _objection(data, equations) or doubt(data, plan, equations, degree, order, generator, pulse)
    if objection:
        return _refused(data, f"{objection}{pending}", plan, pulse.budget.spent)
    check = held_out(data, last, equations, plan, generator, pulse)
    objection = _not_verified(check)
    if objection:
        return _refused(data, f"{objection}{pending}", plan, pulse.budget.spent, check)
    systems = weak_systems(data, plan, order)
    final = tuple(constants_again(systems, n, e, generator) for n, e in enumerate(equations))
    return _announced(data, final, check, plan, pulse.budget.spent)


def _equations(
    data: FieldData, plan: WindowPlan, degree: int, order: int, generator: np.random.Generator, pulse: Pulse
) -> tuple[WeakEquation, ...]:
    """The equation of every field; in the plane those that no rotation changes are tried first."""
    systems = weak_systems(data, plan, order)
    fields, axes = len(data.names), len(data.space)
    libraries = [candidate_terms(fields, axes, degree=degree, order=order, isotropic=True)] if axes > 1 else []
    libraries.append(candidate_terms(fields, axes, degree=degree, order=order))
    found = []
    for n in range(data.targets):
        best = None
        for terms in libraries:
            equation = search_equation(systems, n, terms, generator, pulse)
            if best is None or equation.constants.misfit < best.constants.misfit:
                best = equation
            if _is_noise(best.constants):
                break
        found.append(best)
    return tuple(found)


def _is_noise(constants: Constants) -> bool:
    """Whether what an equation leaves can be noise, or is too little to matter."""
    beyond = constants.misfit > 1 + CLEARLY * (2 / constants.windows) ** 0.5
    return len(constants.values) > 0 and not (beyond and constants.unexplained > EXPLAINED)


def _objection(data: FieldData, equations: Sequence[WeakEquation]) -> str:
    """Why the equations are no law of the data that they were fitted to; empty where they are."""
    for name, equation in zip(data.names, equations, strict=False):
        if not equation.terms:
            return f"no candidate term explains how {name} changes in time better than noise does"
        if not _is_noise(equation.constants):
            return (
                f"the best equation of {name} leaves {equation.constants.unexplained:.1%} of its left side, which is "
                "structure and no noise: terms are missing, such as a field that was not measured"
            )
    return ""


def _not_verified(check: HeldOut) -> str:
    """Why a law is not verified on held-out times; empty where it is."""
    if check.weak_error > WEAK_EXPLAINED:
        return f"on held-out times the law leaves {check.weak_error:.1%} of its left side beyond noise"
    if check.ill_posed:
        return check.ill_posed
    if check.horizon <= 0 or not check.error < max(BETTER * check.baseline, TRUSTED):
        return (
            f"solved forward over held-out times the law is off by {check.error:.2g} of the spread of the fields up to "
            f"its horizon {check.horizon:.3g}, and fields that do not change by {check.baseline:.2g}"
        )
    return ""


def _announced(
    data: FieldData, equations: Sequence[WeakEquation], check: HeldOut, plan: WindowPlan, seconds: float
) -> FieldLaw:
    terms = tuple(_law_terms(data, equations))
    until = "to their end" if check.whole else f"up to {check.horizon:.3g} of {check.span:.3g} time units"
    filled = max(r.filled for r in data.recordings)
    off = f"off by {check.error:.2g} of the spread of the fields" if check.error > 0 else "off by no more than noise"
    reason = (
        f"solved forward over the last quarter of the times, which it was not fitted to, it is {off} {until} "
        f"(fields that do not change: {check.baseline:.2g})"
    )
    if only_travels(equations):
        reason += "; the fields only travel with one velocity, as waves of many other laws do as well"
    if filled:
        reason += f"; {filled:.1%} of the cells were missing and were filled from their neighbours in time"
    law = law_formula(terms, data.names[: data.targets], data.names, data.axes)
    return FieldLaw(
        law=law,
        terms=terms,
        reason=reason,
        error=check.error,
        weak_error=check.weak_error,
        horizon=check.horizon,
        span=check.span,
        noise=_noise(data, plan),
        names=data.names,
        axes=data.axes,
        grid=Grid(data.space, data.periodic),
        held_out=check.fields,
        seconds=seconds,
    )


def _refused(
    data: FieldData, reason: str, plan: WindowPlan | None, seconds: float, check: HeldOut | None = None
) -> FieldLaw:
    nan = float("nan")
    return FieldLaw(
        law=None,
        terms=(),
        reason=reason,
        error=nan if check is None else check.error,
        weak_error=nan if check is None else check.weak_error,
        horizon=0.0 if check is None else check.horizon,
        span=nan if check is None else check.span,
        noise={} if plan is None else _noise(data, plan),
        names=data.names,
        axes=data.axes,
        grid=Grid(data.space, data.periodic),
        held_out=None if check is None else check.fields,
        seconds=seconds,
    )


def _noise(data: FieldData, plan: WindowPlan) -> dict[str, float]:
    return dict(zip(data.names[: data.targets], plan.noise, strict=False))


def _law_terms(data: FieldData, equations: Sequence[WeakEquation]) -> list[LawTerm]:
    """All terms in textbook form, with the names of constants that the data single out."""
    terms = []
    for name, equation in zip(data.names, equations, strict=False):
        constants = equation.constants
        for term, value, error in zip(equation.terms, constants.values, constants.errors, strict=True):
            text, share = textbook(term, data.names, data.axes)
            degrees = max(constants.windows - len(constants.values), 1)
            plain = Constant(float(value / share), float(error / share), degrees, None, f"factor of {text} in {name}_t")
            names = [(saved, n) for saved, n in named_near(plain.value, plain.error) if n != 0]
            exact = replace(plain, name=max(names, key=lambda p: p[0])[1]) if names else plain
            terms.append(LawTerm(name, text, exact, term, share))
    return terms


def _draft(data: FieldData, equations: Sequence[WeakEquation]) -> str:
    """What a refusal says about the best equations."""
    terms = _law_terms(data, equations)
    if not terms:
        return ""
    rows = [
        f"{name}_t = {equation_text([t for t in terms if t.equation == name])}" for name in data.names[: data.targets]
    ]
    return f"; the best equations were {', '.join(rows)}"
