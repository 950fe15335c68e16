"""Defines the goal of a search for a law: checked samples, what is asked of the law, and what the samples show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.noise import is_larger
from edgewise.discovery.rows import MAX_ROWS, MIN_ROWS, Table, explained_by, read_samples
from edgewise.discovery.separable import surface_rest
from edgewise.discovery.start_texts import read_starts
from edgewise.discovery.structure import (
    PAIRINGS,
    STRUCTURE_ROWS,
    Structure,
    Variables,
    easiest_transform,
    find_structures,
    join_variables,
)
from edgewise.discovery.wrong_rows import over_decades, wrong_rows
from edgewise.expressions.parse import parse_formula
from edgewise.expressions.units import DimensionError, Unit, dimension, parse_units
from edgewise.nn import DEFAULT_LIBRARY, Library
from edgewise.progress import Budget, Pulse

USED = 2000
"""Samples that structure and constants are found with."""

MOST_INPUTS = 12
"""With more inputs that vary none is left out at first: too many polynomials would be fitted."""


@dataclass(frozen=True, eq=False)
class Goal:
    """A formula of some inputs, in some units, that explains a table.

    Attributes:
        fitted: rows that laws are fitted to.
        held_out: rows from the same region that judge them.
        outside: rows outside that region.
        output: name of the target.
        units: of every input and of the target, by name; None where any dimensions are allowed.
        auxiliary: expressions of the inputs that the law may be a short function of.
        starts: formulas to begin with, whose other names are constants.
        library: functions that a law may be made of.
        seed: of the random starts of fits.
        pulse: called at every step, with the time limit of the search.
        wrong: rows that are far from all others, which are judged at the end.
        wrong_rows: where they are in the table.
        reduced: search without the inputs that the target does not seem to depend on.
    """

    fitted: Table
    held_out: Table
    outside: Table
    output: str = "y"
    units: Mapping[str, Unit] | None = None
    auxiliary: tuple[Any, ...] = ()
    starts: tuple[Any, ...] = ()
    library: Library = field(default_factory=lambda: DEFAULT_LIBRARY)
    seed: int = 0
    pulse: Pulse = field(default_factory=Pulse)
    wrong: Table | None = None
    wrong_rows: tuple[int, ...] = ()
    reduced: bool = True

    @property
    def budget(self) -> Budget:
        """The time limit of the search."""
        return self.pulse.budget

    @property
    def inputs(self) -> tuple[sympy.Symbol, ...]:
        """The symbols of the inputs."""
        return self.fitted.inputs

    @cached_property
    def rows(self) -> int:
        """The number of different rows of the inputs."""
        return self.different_rows(slice(None))

    def different_rows(self, columns: Any) -> int:
        """The number of different rows of some inputs."""
        return len(torch.unique(self.everything.x[:, columns], dim=0))

    @cached_property
    def samples(self) -> Table:
        """The fitted rows that structure and constants are found with."""
        return self.fitted.head(USED)

    @cached_property
    def everything(self) -> Table:
        """Rows of all three parts, so many of each at most: what laws are compared on."""
        parts = [t.head(USED) for t in (self.fitted, self.held_out, self.outside)]
        return Table(self.inputs, torch.cat([t.x for t in parts]), torch.cat([t.y for t in parts]))

    @cached_property
    def varying(self) -> tuple[int, ...]:
        """The inputs that vary, without those that are needless where the goal is reduced."""
        x = self.samples.x
        varying = tuple(j for j in range(x.shape[1]) if x[:, j].amax() > x[:, j].amin())
        return tuple(j for j in varying if j not in self.needless) if self.reduced else varying

    @cached_property
    def needless(self) -> tuple[int, ...]:
        """Inputs without which a polynomial fits the target as well, one after another; the others keep all that is."""
        x = self.samples.x
        kept = [j for j in range(x.shape[1]) if x[:, j].amax() > x[:, j].amin()]
        x = self.straightened(x)
        if not 2 <= len(kept) <= MOST_INPUTS:
            return ()
        z = easiest_transform(x[:, kept], self.samples.y)
        least = surface_rest(x[:, kept], z)
        dropped: list[int] = []
        while len(kept) > 1 and least.square().mean().sqrt() < 0.5 and not self.budget.over:
            self.pulse("which inputs matter")
            left = {j: surface_rest(x[:, [k for k in kept if k != j]], z) for j in kept}
            best = min(kept, key=lambda j: left[j].square().sum().item())
            if is_larger(left[best], least) or explained_by(kept.index(best), x[:, kept], z):
                break
            least = min(least, left[best], key=lambda r: r.square().sum().item())
            kept.remove(best)
            dropped.append(best)
        return tuple(dropped)

    def straightened(self, x: Float[Tensor, "rows inputs"]) -> Float[Tensor, "rows inputs"]:
        """Rows of the inputs with the logarithms of those over decades."""
        return torch.stack([u.log() if self.over_decades(j) else u for j, u in enumerate(x.T)], -1)

    def over_decades(self, j: int) -> bool:
        """Whether input j is positive and spans decades."""
        return over_decades(self.samples.x[:, j])

    @cached_property
    def variables(self) -> list[Variables]:
        """The inputs that vary, then with those joined that act only together; last with the auxiliary expressions."""
        if not self.varying:
            return []
        start = Variables(self.samples.x[:, self.varying], tuple(self.inputs[j] for j in self.varying))
        chain = join_variables(start, self.samples.y, possible=self.possible, pulse=self.pulse)
        if self.auxiliary:
            extra = self.samples.values(*self.auxiliary)
            chain.append(Variables(torch.cat([start.x, extra], 1), (*start.expressions, *self.auxiliary)))
        return chain

    @cached_property
    def log_variables(self) -> list[Variables]:
        """The same with logarithms of the inputs over decades, where there are any."""
        decades = [j for j in self.varying if self.over_decades(j)]
        if not decades or self.units is not None:
            return []
        pairs = [(self.samples.x[:, j], self.inputs[j], j in decades) for j in self.varying]
        x = torch.stack([u.log() if log else u for u, _, log in pairs], -1)
        start = Variables(x, tuple(sympy.log(s) if log else s for _, s, log in pairs))
        return join_variables(start, self.samples.y, possible=self.possible, pulse=self.pulse)

    @cached_property
    def structures(self) -> list[Structure]:
        """The structures of curves that fit in some of the variables, the shortest description first."""
        y = self.samples.y
        found = [
            s
            for v in (*self.log_variables, *self.variables)
            if not self.budget.over
            for s in find_structures(v, y, self.seed, self.pulse)
        ]
        return sorted(found, key=lambda s: s.bits)

    @cached_property
    def exchanged_structures(self) -> list[Structure]:
        """The structures with one variable replaced by its pairing with another; none once the time is over."""
        found: list[Structure] = []
        for variables in self.variables[0 if self.auxiliary else -1 :][:1]:
            for exchanged in variables.exchanges():
                if self.budget.over:
                    return []
                if all(map(self.possible, exchanged.expressions)):
                    found += find_structures(exchanged, self.samples.y, self.seed, self.pulse, extra=6.0)
        return sorted(found, key=lambda s: s.bits)

    @cached_property
    def single_variables(self) -> list[Variables]:
        """The variable that is left where others were joined, or any pairing of the last two; none after the budget."""
        single: list[Variables] = []
        for last in self.variables[-1:]:
            if len(last.expressions) == 2:
                single = [last.joined(0, 1, pairing) for pairing in PAIRINGS]
            elif len(last.expressions) == 1 < len(self.inputs):
                single = [last]
        return [v for v in single if not self.budget.over and v.finite and self.possible(v.expressions[0])]

    @property
    def judging_curves(self) -> Table:
        """The rows that structures of curves are judged on: laws are compared with them on the same noise."""
        some = self.samples.head(STRUCTURE_ROWS)
        cut = len(some.y) - max(len(some.y) // 5, 1)
        return Table(some.inputs, some.x[cut:], some.y[cut:])

    @property
    def curves_error(self) -> float:
        """The least relative error that a structure of curves leaves; infinite where none fits."""
        return min((s.error for s in self.structures), default=math.inf)

    def objection(self, expression: Any) -> str | None:
        """Why an expression has the wrong dimension for the target, or None."""
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


def goal_of(
    x: Any,
    y: Any,
    names: Sequence[str] | None,
    output: str,
    units: Mapping[str, str] | None,
    auxiliary: Sequence[str],
    library: Library,
    seed: int,
    pulse: Pulse,
    start: Sequence[str] = (),
) -> Goal:
    """The goal with checked samples; raises `ValueError` that names what is wrong with them."""
    x, y, inputs = read_samples(x, y, names)
    if len(x) < MIN_ROWS:
        raise ValueError(f"{len(x)} samples cannot determine a law; give at least {MIN_ROWS}")
    if y.amax() == y.amin():
        raise ValueError(f"y is constant ({y[0].item():.6g}); there is nothing to explain")
    where = torch.arange(len(y))
    if len(y) > MAX_ROWS:
        where = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))[:MAX_ROWS]
        x, y = x[where], y[where]
    wrong = wrong_rows(x, y)
    right = torch.ones(len(y), dtype=torch.bool).index_fill(0, torch.tensor(wrong, dtype=torch.long), False)
    parts = Table(inputs, x[right], y[right]).split(seed)
    shown = parts[0].y[:USED]
    if shown.amax() == shown.amin():
        raise ValueError(f"y is {shown[0].item():.6g} in nearly all rows; give more rows where it is not")
    return Goal(
        *parts,
        output=str(output),
        units=None if units is None else parse_units(units, (*map(str, inputs), str(output))),
        auxiliary=_parsed(auxiliary, inputs),
        starts=read_starts(start, inputs),
        library=library,
        seed=seed,
        pulse=pulse,
        wrong=Table(inputs, x[wrong], y[wrong]) if wrong else None,
        wrong_rows=tuple(where[wrong].tolist()),
    )


def _parsed(texts: Sequence[str], inputs: tuple[sympy.Symbol, ...]) -> tuple[Any, ...]:
    """Expressions of the inputs from texts."""
    return tuple(_auxiliary(str(text), inputs) for text in texts)


def _auxiliary(text: str, inputs: tuple[sympy.Symbol, ...]) -> Any:
    wanted = f"the auxiliary {text!r} is not an expression of {', '.join(map(str, inputs))}"
    try:
        expression = parse_formula(text, inputs)
    except ValueError as error:
        raise ValueError(f"{wanted}: {error}") from error
    if not expression.free_symbols:
        raise ValueError(wanted)
    return expression
