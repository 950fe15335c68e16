"""What laws may look like, from the structure of the samples: expressions whose numbers are rough."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch import Tensor

from edgewise.discovery.planar import planar_laws
from edgewise.discovery.ratios import rational_laws
from edgewise.discovery.structure import Structure, exchanged, find_structures, smoothest
from edgewise.discovery.terms import rough_expressions
from edgewise.discovery.variables import PAIRINGS, Variables, join_variables
from edgewise.expressions.evaluate import evaluate
from edgewise.expressions.units import DimensionError, Unit, dimension
from edgewise.nn import Library


@dataclass(frozen=True)
class Goal:
    """What is looked for: a formula of these inputs, and of these dimensions where units were given."""

    inputs: tuple[sympy.Symbol, ...]
    output: str
    units: Mapping[str, Unit] | None
    auxiliary: tuple[Any, ...]

    def objection(self, expression: Any) -> str | None:
        """Why a law cannot be, or None."""
        if self.units is None:
            return None
        try:
            unit = dimension(expression, self.units)
        except DimensionError as error:
            return str(error)
        wanted = self.units[self.output]
        return None if unit == wanted else f"{expression} is in {unit} and {self.output} in {wanted}"

    def possible(self, expression: Any) -> bool:
        """Whether a part of a law has a dimension at all."""
        try:
            return self.units is None or dimension(expression, self.units) is not None
        except DimensionError:
            return False


@dataclass(frozen=True)
class Rough:
    """A law with rough numbers in variables of its own, what these are in the inputs, and where it comes from."""

    expression: Any
    variables: tuple[sympy.Symbol, ...]
    meaning: tuple[Any, ...]
    structure: str


def rough_laws(
    x: Tensor, y: Tensor, goal: Goal, library: Library, seed: int, late: Callable[[], bool]
) -> Iterator[tuple[Rough, float]]:
    """Laws with rough numbers, the most promising first, and the error of the best structure so far."""
    varying = [j for j in range(x.shape[1]) if x[:, j].amax() > x[:, j].amin()]
    if not varying:
        return
    start = Variables(x[:, varying], tuple(goal.inputs[j] for j in varying))
    chain = _chain(start, x, y, goal)
    ratios: list[tuple[float, Rough]] = []
    for error, rough in _ratios(chain, y):
        ratios.append((error, rough))
        if error < 1e-7:
            yield rough, error
    if len(varying) == 1:
        yield from ((rough, 1e-7) for rough in _planar([start], y, library, tolerance=1e-14))
    structures = [s for v in chain if not late() for s in find_structures(v, y, seed, late)]
    structures.sort(key=lambda s: s.bits)
    best = min((s.error for s in structures), default=math.inf)
    short = [r for r in ratios if 1e-7 <= r[0] < 0.3 and len(r[1].expression.atoms(sympy.Float)) <= 12]
    good = [rough for error, rough in sorted(short, key=lambda r: r[0])[:2] if error < 1.1 * best]
    yield from ((rough, best) for rough in good)
    promising = best < 1e-3 or len(varying) == 1
    for structure in structures[: 6 if promising else 3]:
        yield from ((rough, best) for rough in _from_structure(structure, y, library, seed))
    others: list[Structure] = []
    for variables in exchanged(chain[-1] if not goal.auxiliary else start):
        if late():
            return
        if not all(map(goal.possible, variables.expressions)):
            continue
        others += find_structures(variables, y, seed, late, extra=6.0)
    best = min((s.error for s in others), default=best)
    for structure in sorted(others, key=lambda s: s.bits)[:6]:
        yield from ((rough, best) for rough in _from_structure(structure, y, library, seed))
    yield from ((rough, best) for rough in _planar(_single_variables(chain[-1], goal), y, library))


def _ratios(chain: list[Variables], y: Tensor) -> Iterator[tuple[float, Rough]]:
    """Polynomials and their ratios with their relative errors, in the variables with the most joined first."""
    for variables in reversed(chain):
        symbols = _symbols(variables)
        for law in rational_laws(variables.x, y, symbols):
            value = evaluate((law,), symbols, variables.x)[:, 0]
            error = ((value - y).square().mean().sqrt() / y.std(correction=0)).item()
            yield error, Rough(law, symbols, variables.expressions, "ratio of polynomials")


def _planar(single: list[Variables], y: Tensor, library: Library, tolerance: float = 1e-6) -> Iterator[Rough]:
    """Conics and functions of a function, of one variable each."""
    for variables in single:
        symbols = _symbols(variables)
        for law in planar_laws(variables.x[:, 0], y, symbols[0], library, tolerance):
            yield Rough(law, symbols, variables.expressions, "a conic or a function of a function")


def _single_variables(last: Variables, goal: Goal) -> list[Variables]:
    """One variable that y may be a function of: the only one where some were joined, and any pairing of two."""
    if last.x.shape[1] == 2:
        pairs = [last.joined(0, 1, pairing) for pairing in PAIRINGS]
        return [v for v in pairs if torch.isfinite(v.x).all() and goal.possible(v.expressions[0])]
    return [last] if last.x.shape[1] == 1 < len(goal.inputs) else []


def _chain(start: Variables, x: Tensor, y: Tensor, goal: Goal) -> list[Variables]:
    """The variables as given, with those joined that act only together, and with the auxiliary ones beside them."""
    chain = join_variables(start, smoothest(start.x, y), possible=goal.possible)
    if goal.auxiliary:
        extra = evaluate(goal.auxiliary, goal.inputs, x)
        chain.append(Variables(torch.cat([start.x, extra], 1), (*start.expressions, *goal.auxiliary)))
    return chain


def _from_structure(structure: Structure, y: Tensor, library: Library, seed: int) -> Iterator[Rough]:
    symbols = _symbols(structure.variables)
    for law in rough_expressions(structure, symbols, y, library, seed):
        yield Rough(law, symbols, structure.variables.expressions, str(structure))


def _symbols(variables: Variables) -> tuple[sympy.Symbol, ...]:
    """A symbol per variable, so that no refit takes a joined variable apart."""
    return tuple(sympy.Dummy(f"u{j}", real=True) for j in range(len(variables.expressions)))
