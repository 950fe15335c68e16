r"""Doubts about equations that fit: another term would do, other powers would do, or the constants change with time.

A law of nature has the same constants early and late. With $d = w_1 - w_2$ of the two halves of the times,
$d^T (V_1 + V_2)^{-1} d$ has a $\chi^2$ distribution with one degree of freedom for every constant (Chow, Econometrica
1960); an equation that only imitates another one in the states that are seen has other constants in other states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from edgewise.discovery.fields.equation_search import WeakEquation, constants_again, search_equation
from edgewise.discovery.fields.errors_in_variables import Constants
from edgewise.discovery.fields.field_data import FieldData
from edgewise.discovery.fields.field_terms import candidate_terms
from edgewise.discovery.fields.substitutes import is_full_series
from edgewise.discovery.fields.window_plan import WindowPlan, weak_systems

CLEARLY = 5.0
"""Constants differ where they do by so many standard deviations of what noise makes them differ."""

ALIKE = 1e-3
"""Constants that differ by no more than this share of them are the same: sums over cells are not integrals."""

WINDOWS = 4
"""Windows for every constant at least in a half of the times that is compared."""


def doubt(
    data: FieldData,
    plan: WindowPlan,
    equations: Sequence[WeakEquation],
    degree: int,
    order: int,
    generator: np.random.Generator,
    tick: Callable[[str], None],
) -> str:
    """Why equations that fit are no law all the same; empty where nothing speaks against them."""
    for field, equation in enumerate(equations):
        name = data.names[field]
        if is_full_series(equation.terms, degree) and _goes_on(data, plan, field, degree, order, generator, tick):
            return (
                f"the equation of {name} has all powers up to degree={degree}, and with higher ones another equation "
                "is better: they stand for a function that is no such polynomial"
            )
        if equation.substitute:
            own, other = (term.text(data.names, data.axes) for term in equation.substitute)
            return (
                f"the data cannot tell {own} from {other} in the equation of {name}; more different fields tell them "
                "apart: other beginnings, or more than one wave"
            )
        if _changes(data, plan, field, equation, generator, tick):
            return f"the constants of the best equation of {name} are not the same early and late in the recordings"
    return ""


def only_travels(equations: Sequence[WeakEquation]) -> bool:
    """Whether all that the equations say is that the fields move with one velocity."""
    if any(len(e.terms) != 1 or e.terms[0].degree != 1 or e.terms[0].order != 1 for e in equations):
        return False
    terms = [e.terms[0] for e in equations]
    own = all(t.powers[n] == 1 and t.operator == terms[0].operator for n, t in enumerate(terms))
    speeds, errors = ([float(v[0]) for v in (getattr(e.constants, k) for e in equations)] for k in ("values", "errors"))
    return own and max(speeds) - min(speeds) <= CLEARLY * (max(errors) + 1e-9 * abs(speeds[0]))


def _goes_on(
    data: FieldData,
    plan: WindowPlan,
    field: int,
    degree: int,
    order: int,
    generator: np.random.Generator,
    tick: Callable[[str], None],
) -> bool:
    """Whether an equation with higher powers is better."""
    terms = candidate_terms(
        len(data.names), len(data.space), degree=degree + 1, order=order, isotropic=len(data.space) > 1
    )
    found = search_equation(weak_systems(data, plan, order), field, terms, generator, tick)
    return any(term.degree > degree for term in found.terms)


def _changes(
    data: FieldData,
    plan: WindowPlan,
    field: int,
    equation: WeakEquation,
    generator: np.random.Generator,
    tick: Callable[[str], None],
) -> bool:
    """Whether the constants of an equation differ between the halves of the times by more than noise."""
    halves = []
    for late in (False, True):
        tick("constants early and late")
        parts = tuple(r.part(slice(len(r.t) // 2, None) if late else slice(len(r.t) // 2)) for r in data.recordings)
        systems = weak_systems(replace(data, recordings=parts), plan, max(t.order for t in equation.terms))
        if sum(s.size for s in systems) < WINDOWS * len(equation.terms):
            return False
        halves.append(constants_again(systems, field, equation, generator).constants)
    return distance(*halves) > len(equation.terms) + CLEARLY * math.sqrt(2 * len(equation.terms))


def distance(one: Constants, two: Constants) -> float:
    """How far two estimates of the same constants are apart, squared, in units of their errors."""
    off = one.values - two.values
    covariance = one.covariance + two.covariance + np.diag((ALIKE * np.maximum(abs(one.values), abs(two.values))) ** 2)
    size = np.sqrt(covariance.diagonal())
    return float(off / size @ np.linalg.pinv(covariance / np.outer(size, size), hermitian=True) @ (off / size))
