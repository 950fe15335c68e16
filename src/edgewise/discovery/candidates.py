r"""Proposes laws with rough constants, by one list of generators that take a goal, the most promising first.

A ratio of polynomials, $y\,Q(u) = P(u)$, is linear in the coefficients of both; a conic
$A + B u + C y + D u^2 + E u y + F y^2 = 0$ in its six, and y follows by a square root. A function of a function of one
variable is searched in the library with $\log u$, $\sqrt u$, $1/u$, $u^2$ or $e^u$ in place of u. All other laws follow
from a structure of curves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.goal import Goal
from edgewise.discovery.invertible import chosen
from edgewise.discovery.noise import noise_kind, scale_of, unexplained
from edgewise.discovery.power_sums import power_sums
from edgewise.discovery.separable import products_of, total_degree
from edgewise.discovery.simple_laws import simple_laws
from edgewise.discovery.start_formulas import laws_of_starts
from edgewise.discovery.structure import Structure, Variables
from edgewise.discovery.terms import NOTHING, coefficients, laws_of_structure
from edgewise.nn import Library
from edgewise.symbolic.edges import search_edge

EXACT = 1e-7
"""A ratio of polynomials with a smaller relative error is proposed before anything else."""

MAX_TERMS = 40
"""The most terms of a polynomial or of both polynomials of a ratio."""


@dataclass(frozen=True)
class RoughLaw:
    """A law with rough constants.

    Attributes:
        expression: of the symbols of the variables.
        variables: what these are in the inputs, and their samples.
        origin: how it was found.
        curves_error: the least relative error of a structure of curves that was known when the law was proposed.
        contested: the next law is as good as this one, and is to be judged before the search ends.
    """

    expression: Any
    variables: Variables
    origin: str
    curves_error: float
    contested: bool = False


Generator = Callable[[Goal], Iterator[RoughLaw]]


def of_starts(goal: Goal) -> Iterator[RoughLaw]:
    """The formulas that the user begins with, and these with corrections."""
    laws = list(laws_of_starts(goal.starts, goal))
    for n, law in enumerate(laws):
        yield replace(_of_inputs(law, "start formula", goal, math.inf), contested=n < len(laws) - 1)


def exact_simple_laws(goal: Goal) -> Iterator[RoughLaw]:
    """Laws that are linear in logarithms, pieces and oscillations that leave rounding only."""
    for error, law, origin in simple_laws(goal):
        if error < EXACT:
            yield _of_inputs(law, origin, goal, error)


def close_simple_laws(goal: Goal) -> Iterator[RoughLaw]:
    """The same kinds where they are about as good as curves."""
    for error, law, origin in sorted(simple_laws(goal), key=lambda found: found[0]):
        if EXACT <= error < 1.1 * goal.curves_error:
            yield _of_inputs(law, origin, goal, goal.curves_error)


def complete_laws(goal: Goal) -> Iterator[RoughLaw]:
    """Sums of power laws, and simple laws of the other kinds that leave nothing which the inputs explain.

    All of them are judged before the search ends with one: they are imitations of each other.
    """
    laws = [*((law, "sum of power laws") for law in power_sums(goal)), *_complete(goal)]
    for n, (law, origin) in enumerate(laws):
        yield replace(_of_inputs(law, origin, goal, math.inf), contested=n < len(laws) - 1)


def _complete(goal: Goal) -> Iterator[tuple[Any, str]]:
    table = goal.samples
    x = goal.straightened(table.x)
    for error, law, origin in sorted(simple_laws(goal), key=lambda found: found[0]):
        if error >= EXACT:
            value = table.values(law)[:, 0]
            size = scale_of(value, noise_kind(value, table.y))
            if torch.isfinite(value / size).all() and not unexplained(x, (table.y - value) / size):
                yield law, origin


def exact_ratios(goal: Goal) -> Iterator[RoughLaw]:
    """Polynomials and ratios of polynomials that leave rounding only."""
    yield from _exact_ratios(goal, goal.variables)


def exact_log_ratios(goal: Goal) -> Iterator[RoughLaw]:
    """The same with logarithms of the inputs over decades."""
    yield from _exact_ratios(goal, goal.log_variables)


def exact_conics(goal: Goal) -> Iterator[RoughLaw]:
    """Conics and functions of a function that leave rounding only, where one input varies."""
    for variables in goal.variables[:1]:
        if len(variables.expressions) == 1:
            yield from _planar(variables, goal, tolerance=1e-14, curves_error=EXACT)


def close_ratios(goal: Goal) -> Iterator[RoughLaw]:
    """The two best short ratios of polynomials that are about as good as curves."""
    ratios = _ratios(goal, (*goal.log_variables, *goal.variables))
    short = [r for r in ratios if EXACT <= r[0] < 0.3 and len(r[2].atoms(sympy.Float)) <= 12]
    for error, variables, law in sorted(short, key=lambda r: r[0])[:2]:
        if error < 1.1 * goal.curves_error:
            yield RoughLaw(law, variables, "ratio of polynomials", goal.curves_error)


def of_structures(goal: Goal) -> Iterator[RoughLaw]:
    """Functions for the curves of the best structures."""
    promising = goal.curves_error < 1e-3 or any(len(v.expressions) == 1 for v in goal.variables[:1])
    for structure in goal.structures[: 6 if promising else 3]:
        yield from _of_structure(structure, goal, goal.curves_error)


def of_exchanged_variables(goal: Goal) -> Iterator[RoughLaw]:
    """The same with one variable replaced by its pairing with another."""
    error = min((s.error for s in goal.exchanged_structures), default=goal.curves_error)
    for structure in goal.exchanged_structures[:6]:
        yield from _of_structure(structure, goal, error)


def of_one_variable(goal: Goal) -> Iterator[RoughLaw]:
    """Conics and functions of a function of the only variable that is left, or of any pairing of the last two."""
    for variables in goal.single_variables:
        yield from _planar(variables, goal, tolerance=1e-6, curves_error=goal.curves_error)


QUICK_GENERATORS: tuple[Generator, ...] = (of_starts, exact_simple_laws, exact_ratios, exact_conics)
"""What is tried where the different rows are too few for curves."""

SHORT_GENERATORS: tuple[Generator, ...] = (
    *QUICK_GENERATORS,
    exact_log_ratios,
    complete_laws,
)
"""What needs no curves: the laws that any table is tried for first."""

GENERATORS: tuple[Generator, ...] = (
    *SHORT_GENERATORS,
    close_simple_laws,
    close_ratios,
    of_structures,
    of_exchanged_variables,
    of_one_variable,
)
"""What `discover` tries, in this order, until a law is exact or settled or the time is over."""


def _exact_ratios(goal: Goal, chain: Sequence[Variables]) -> Iterator[RoughLaw]:
    for error, variables, law in _ratios(goal, chain):
        if error < EXACT:
            yield RoughLaw(law, variables, "ratio of polynomials", error)


def _of_inputs(law: Any, origin: str, goal: Goal, error: float) -> RoughLaw:
    """A law of the inputs, for whose names symbols are put so that units and assumptions stay out of its refit."""
    variables = Variables(goal.samples.x, goal.inputs)
    return RoughLaw(law.xreplace(dict(zip(goal.inputs, variables.symbols, strict=True))), variables, origin, error)


def _of_structure(structure: Structure, goal: Goal, error: float) -> Iterator[RoughLaw]:
    for law in laws_of_structure(structure, goal.samples.y, goal.library, goal.seed, goal.pulse):
        yield RoughLaw(law, structure.variables, str(structure), error)


def _planar(variables: Variables, goal: Goal, tolerance: float, curves_error: float) -> Iterator[RoughLaw]:
    u, y = variables.x[:, 0], goal.samples.y
    goal.pulse(f"functions of {variables.expressions[0]}")
    for law in planar_laws(u, y, variables.symbols[0], goal.library, tolerance):
        yield RoughLaw(law, variables, "a conic or a function of a function", curves_error)


def _ratios(goal: Goal, chain: Sequence[Variables]) -> Iterator[tuple[float, Variables, Any]]:
    """Polynomials and their ratios with their relative errors, in the variables with the most joined first."""
    y = goal.samples.y
    for variables in reversed(chain):
        goal.pulse("ratios of polynomials")
        for law, value in rational_laws(variables.x, y, variables.symbols):
            yield ((value - y).square().mean().sqrt() / y.std(correction=0)).item(), variables, law


def rational_laws(
    x: Float[Tensor, "samples variables"], y: Float[Tensor, " samples"], symbols: tuple[Any, ...]
) -> Iterator[tuple[Any, Float[Tensor, " samples"]]]:
    """Polynomials and ratios of polynomials of degree one to three that fit y, with their values at x."""
    spread = y.std(correction=0)
    for degree in (1, 2, 3):
        powers = total_degree(x.shape[1], degree)
        if len(powers) > MAX_TERMS:
            break
        columns = products_of(x[..., None] ** torch.arange(degree + 1), powers)
        size = columns.square().mean(0).sqrt().clamp_min(1e-300)
        monomials = [sympy.Mul(*(v**n for v, n in zip(symbols, p, strict=True))) for p in powers.tolist()]
        c = coefficients(columns, y, NOTHING)
        if (columns @ c - y).square().mean().sqrt() < 0.2 * spread:
            yield _polynomial(c, monomials), columns @ c
        if 2 * len(powers) <= MAX_TERMS:
            for p, q in _ratio(columns / size, size, y):
                yield _polynomial(p, monomials) / _polynomial(q, monomials), (columns @ p) / (columns @ q)


def _significant(c: Tensor, size: Tensor, smallest: float) -> Tensor:
    """The coefficients without those whose terms are smaller than a share of the largest term."""
    weight = c.abs() * size
    return torch.where(weight > smallest * weight.amax(), c, 0.0)


def _polynomial(c: Tensor, monomials: list[Any]) -> Any:
    numbers = [sympy.Integer(1) if v == 1 else sympy.Float(v, 17) for v in c.tolist()]
    return sympy.Add(*(v * t for v, t in zip(numbers, monomials, strict=True) if v != 0))


def _ratio(columns: Tensor, size: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Numerator and denominator from the null vector of [P, -y Q], where there is one."""
    scale = y.square().mean().sqrt()
    both = torch.cat([columns, -columns * (y / scale)[:, None]], 1)
    _, s, v = torch.linalg.svd(both, full_matrices=False)
    if s[-1] < 1e-2 * s[0]:
        null = _sparsest(v[s <= max(1e-9 * s[0].item(), s[-1].item() * 1.0001)])
        p, q = null[: len(size)] / size * scale, null[len(size) :] / size
        if (q.abs() * size > 1e-9).any():
            unit = q[(q.abs() * size).argmax()]  # the common factor is free: the largest term of the denominator is 1
            yield _significant(p / unit, size, 1e-7), _significant(q / unit, size, 1e-7)


def _sparsest(null: Float[Tensor, "vectors terms"]) -> Tensor:
    """One vector of a null space with many zeros: row reduction with pivots at the highest terms."""
    rows = null.flip(1).clone()
    done = 0
    for column in range(rows.shape[1]):
        if done == len(rows) - 1:
            break
        pivot = int(rows[done:, column].abs().argmax()) + done
        if rows[pivot, column].abs() < 1e-8:
            continue
        rows[[done, pivot]] = rows[[pivot, done]]
        rows[done + 1 :] -= rows[done + 1 :, column : column + 1] / rows[done, column] * rows[done]
        done += 1
    last = rows[-1].flip(0)
    return last / last.abs().amax()


def planar_laws(
    u: Float[Tensor, " samples"], y: Float[Tensor, " samples"], symbol: Any, library: Library, tolerance: float = 1e-6
) -> Iterator[Any]:
    """Expressions of one variable, with rough constants, that leave no more than the tolerance of the variance of y."""
    yield from _conics(u, y, symbol, tolerance)
    order = torch.linspace(0, len(u) - 1, min(len(u), 400)).round().long()
    for inner in chosen("log", "sqrt", "1/x", "x^2", "exp"):
        v = inner(u)
        if not torch.isfinite(v).all() or v.abs().amax() > 1e6 * v.abs().mean():
            continue
        for c in search_edge(v[order], y[order], library=library)[:2]:
            if 1 - c.r2 < tolerance:
                yield c.expression(inner.sympy(symbol))


def _conics(u: Tensor, y: Tensor, symbol: Any, tolerance: float) -> Iterator[Any]:
    """The two branches of the conic through the points, where there is one that is no ratio of polynomials."""
    p, q = u / u.abs().amax().clamp_min(1e-300), y / y.abs().amax().clamp_min(1e-300)
    columns = torch.stack([torch.ones_like(p), p, q, p**2, p * q, q**2], -1)
    size = columns.norm(dim=0)
    _, s, v = torch.linalg.svd(columns / size, full_matrices=False)
    if s[-2] < 1e-9 * s[0]:
        return  # a line, or two of them: simpler laws exist
    a, b, c, d, e, f = (v[-1] / size).tolist()
    if abs(f) < 1e-9 * max(map(abs, (a, b, c, d, e))):
        return
    a, b, c, d, e = (k / f for k in (a, b, c, d, e))
    for sign in (1, -1):
        root = ((c + e * p) ** 2 - 4 * (a + b * p + d * p**2)).clamp_min(0).sqrt()
        value = (-(c + e * p) + sign * root) / 2
        if (value - q).square().mean() < tolerance * q.var():
            scale_u, scale_y = u.abs().amax().item(), y.abs().amax().item()
            t = symbol / scale_u
            inside = sympy.expand((c + e * t) ** 2 - 4 * (a + b * t + d * t**2))
            inside = sympy.Add(*(term for term in inside.args if abs(term.as_coeff_Mul()[0]) > 1e-10))
            yield sympy.expand(scale_y * (-(c + e * t)) / 2) + sign * scale_y / 2 * sympy.sqrt(inside)
