r"""Searches the equation of one field: terms by evidence, constants corrected for noise in the terms.

In turn the metric is that of the residual of the last equation, terms are chosen, and their constants are estimated,
until the terms stay. The choice is among corrected normal equations $A w = a$ of all candidates, in units of the
covariance V of their noise: $Q(S) = \min_w \lVert V^{-1/2}(a - A_S w)\rVert^2$ has a $\chi^2$ distribution where S
holds all terms, however noisy the others are (the generalised method of moments of Hansen, Econometrica 1982).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgewise.discovery.fields.errors_in_variables import Constants, Whitened, constants_of, drawn_noise, moments
from edgewise.discovery.fields.field_terms import FieldTerm
from edgewise.discovery.fields.substitutes import substitute_of, twin_of
from edgewise.discovery.fields.weak_system import WeakSystem
from edgewise.discovery.sparse_terms import TermChoice, sparse_terms

MAX_TERMS = 8
LARGEST = 20
"""Sets grow to this size and shrink again, which finds terms that explain little without one another."""

ROUNDS = 6
FEW_DRAWS, MANY_DRAWS = 12, 100
"""Drawn fields of noise while terms are searched, and for the final constants."""

ENOUGH = 6000
"""Windows times draws at least, from which the bias of the normal equations is estimated."""

Z_KEPT = 4.0
"""A term whose constant is nearer to zero, in standard errors, is left out."""


@dataclass(frozen=True)
class WeakEquation:
    """The equation of one field.

    Attributes:
        terms: on its right side.
        constants: of the terms, with what they leave.
        substitute: one of the terms, and another candidate that would do in its place as well; None where none would.
    """

    terms: tuple[FieldTerm, ...]
    constants: Constants
    substitute: tuple[FieldTerm, FieldTerm] | None = None


def search_equation(
    systems: Sequence[WeakSystem],
    field: int,
    terms: Sequence[FieldTerm],
    generator: np.random.Generator,
    tick: Callable[[str], None],
) -> WeakEquation:
    """The equation of a field among candidate terms; it has no terms where none is better than none."""
    raw = [(s.columns(terms), s.target(s.u[field])) for s in systems]
    sizes = np.linalg.norm(np.concatenate([G for G, _ in raw]), axis=0)
    guess = np.linalg.norm(np.concatenate([b for _, b in raw])) / np.where(sizes > 0, sizes, np.inf)
    white = Whitened.of(systems, field, raw, terms, guess, apart=True)
    seen: list[tuple[int, ...]] = []
    chosen: tuple[int, ...] = ()
    draws = max(FEW_DRAWS, math.ceil(ENOUGH / len(white.target)))
    design, target = moments(systems, field, terms, white, generator, draws)
    for nth in range(ROUNDS):
        tick("terms of a field")
        if nth > 0:
            design, target = moments(systems, field, terms, white, generator, draws)
        chosen = _best(_sets(design, target), len(white.target), len(terms), len(target)).terms
        if not chosen:
            break
        some = tuple(terms[n] for n in chosen)
        found = constants_of(systems, field, some, white, chosen, generator, FEW_DRAWS)
        white = Whitened.of(systems, field, raw, some, found.values)
        if len(seen) > 1 and chosen == seen[-1]:
            break
        seen.append(chosen)
    chosen, found = _kept(systems, field, terms, raw, chosen, white, generator)
    substitute = substitute_of(design, target, chosen)
    if chosen and substitute is None:
        noise = [E for E, _ in drawn_noise(systems, field, terms, white, generator, MANY_DRAWS)]
        substitute = twin_of(white.columns, noise, chosen)
    return WeakEquation(
        tuple(terms[n] for n in chosen), found, substitute and (terms[substitute[0]], terms[substitute[1]])
    )


def constants_again(
    systems: Sequence[WeakSystem], field: int, equation: WeakEquation, generator: np.random.Generator
) -> WeakEquation:
    """The equation with constants from other data."""
    raw = [(s.columns(equation.terms), s.target(s.u[field])) for s in systems]
    white = Whitened.of(systems, field, raw, equation.terms, equation.constants.values)
    places = range(len(equation.terms))
    return WeakEquation(
        equation.terms, constants_of(systems, field, equation.terms, white, places, generator, MANY_DRAWS)
    )


def _sets(design: np.ndarray, target: np.ndarray) -> list[TermChoice]:
    """The best set of every size, all candidates of a small library included; residuals are root sums of squares."""
    spare = ((0, 2), (0, 0))  # rows that say nothing: as many terms as equations are no fit by chance in this metric
    choices = sparse_terms(np.pad(design, spare), np.pad(target, spare[0]), most=LARGEST)
    return [replace(c, residual=c.residual * math.sqrt(len(target) + 2)) for c in choices if len(c.terms) <= MAX_TERMS]


def _best(choices: Sequence[TermChoice], windows: int, many: int, moments: int) -> TermChoice:
    """The set of greatest evidence: by the misfit Q, in units of what the best sets leave where that is no noise."""
    scale = max(min(c.residual**2 / max(moments - len(c.terms), 1) for c in choices), 1.0)

    def evidence(choice: TermChoice) -> float:
        misfit = choice.residual**2 / scale
        return -misfit / 2 - len(choice.terms) * (math.log(windows) / 2 + math.log(many))

    return max(choices, key=evidence)


def _kept(
    systems: Sequence[WeakSystem],
    field: int,
    terms: Sequence[FieldTerm],
    raw: Sequence[tuple[np.ndarray, np.ndarray]],
    chosen: tuple[int, ...],
    white: Whitened,
    generator: np.random.Generator,
) -> tuple[tuple[int, ...], Constants]:
    """The chosen terms without those that noise could have made, one after another, and their constants."""
    while chosen:
        some = tuple(terms[n] for n in chosen)
        found = constants_of(systems, field, some, white, chosen, generator, MANY_DRAWS)
        sure = abs(found.values) / np.maximum(found.errors, 1e-300)
        if sure.min() >= Z_KEPT:
            return chosen, found
        chosen = tuple(n for place, n in enumerate(chosen) if place != int(sure.argmin()))
        some = tuple(terms[n] for n in chosen)
        start = np.delete(found.values, int(sure.argmin()))
        white = Whitened.of(systems, field, raw, some, start)
    return (), Constants.of_nothing(white.target)
