"""Defines the goal of a search for a law: checked samples, what is asked of the law, and what the samples show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.structure import PAIRINGS, Structure, Variables, find_structures, join_variables
from edgewise.expressions.evaluate import evaluate
from edgewise.expressions.parse import parse_formula
from edgewise.expressions.units import DimensionError, Unit, dimension, parse_units
from edgewise.nn import DEFAULT_LIBRARY, Library
from edgewise.progress import Budget

USED = 2000
"""Samples that structure and constants are found with."""


@dataclass(frozen=True)
class Table:
    """Rows of the inputs and of the target, on which expressions are evaluated and judged."""

    inputs: tuple[sympy.Symbol, ...]
    x: Float[Tensor, "rows inputs"]
    y: Float[Tensor, " rows"]

    def values(self, *expressions: Any) -> Float[Tensor, "rows expressions"]:
        """The expressions of the inputs at every row."""
        return evaluate(expressions, self.inputs, self.x)

    def error(self, expression: Any) -> float:
        """The root mean square error of an expression of the target; infinite where it is undefined."""
        error = (self.values(expression)[:, 0] - self.y).square().mean().sqrt().item()
        return error if math.isfinite(error) else math.inf

    def without_abs(self, expression: Any) -> Any:
        """The expression with u or -u for |u| where all rows show one sign: simpler, for other rows to judge."""
        for part in expression.atoms(sympy.Abs):
            value = self.values(part.args[0])
            if (value > 0).all() or (value < 0).all():
                expression = expression.xreplace({part: part.args[0] * (1 if value[0] > 0 else -1)})
        return expression

    def cancels(self, expression: Any) -> bool:
        """True for the far end of one function that imitates another: sums far below their terms, wild powers."""
        if any(abs(float(power.args[1])) > 12 for power in expression.atoms(sympy.Pow) if power.args[1].is_Float):
            return True
        for total in expression.atoms(sympy.Add):
            if total.atoms(sympy.Float):
                terms = self.values(*total.args)
                if terms.square().mean(0).sqrt().amax() > 1e4 * terms.sum(-1).std():
                    return True
        return False

    def head(self, rows: int) -> Table:
        """The first rows."""
        return Table(self.inputs, self.x[:rows], self.y[:rows])

    def split(self, seed: int) -> tuple[Table, Table, Table]:
        """A random split into rows to fit, held-out rows and rows outside the region of both.

        Outside is the tenth of all rows that is nearest to the ends of any variable; a sixth of the rest is held out.
        """
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(seed))
        x, y = self.x[order], self.y[order]
        rank = x.argsort(0).argsort(0).double() / (len(x) - 1)
        centrality = torch.minimum(rank, 1 - rank).amin(-1)
        outside = centrality <= torch.quantile(centrality, 0.1)
        cut = int((~outside).sum()) // 6
        parts = (x[~outside][cut:], y[~outside][cut:]), (x[~outside][:cut], y[~outside][:cut]), (x[outside], y[outside])
        fitted, held_out, far = (Table(self.inputs, *part) for part in parts)
        return fitted, held_out, far


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
        library: functions that a law may be made of.
        seed: of the random starts of fits.
        budget: time limit of the search.
    """

    fitted: Table
    held_out: Table
    outside: Table
    output: str = "y"
    units: Mapping[str, Unit] | None = None
    auxiliary: tuple[Any, ...] = ()
    library: Library = field(default_factory=lambda: DEFAULT_LIBRARY)
    seed: int = 0
    budget: Budget = field(default_factory=Budget)

    @property
    def inputs(self) -> tuple[sympy.Symbol, ...]:
        """The symbols of the inputs."""
        return self.fitted.inputs

    @cached_property
    def samples(self) -> Table:
        """The fitted rows that structure and constants are found with."""
        return self.fitted.head(USED)

    @cached_property
    def variables(self) -> list[Variables]:
        """The inputs that vary, then with those joined that act only together; last with the auxiliary expressions."""
        x, y = self.samples.x, self.samples.y
        varying = [j for j in range(x.shape[1]) if x[:, j].amax() > x[:, j].amin()]
        if not varying:
            return []
        start = Variables(x[:, varying], tuple(self.inputs[j] for j in varying))
        chain = join_variables(start, y, possible=self.possible)
        if self.auxiliary:
            extra = self.samples.values(*self.auxiliary)
            chain.append(Variables(torch.cat([start.x, extra], 1), (*start.expressions, *self.auxiliary)))
        return chain

    @cached_property
    def structures(self) -> list[Structure]:
        """The structures of curves that fit in some of the variables, the shortest description first."""
        y = self.samples.y
        found = [
            s for v in self.variables if not self.budget.over for s in find_structures(v, y, self.seed, self.budget)
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
                    found += find_structures(exchanged, self.samples.y, self.seed, self.budget, extra=6.0)
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
    budget: Budget,
) -> Goal:
    """The goal with checked samples; raises `ValueError` that names what is wrong with them."""
    x, y = _checked(x, y)
    names = list(names) if names is not None else [f"x{j + 1}" for j in range(x.shape[1])]
    if len(names) != x.shape[1] or len(set(names)) != len(names):
        raise ValueError(f"names must be {x.shape[1]} different names, got {names}")
    inputs = tuple(sympy.Symbol(str(name), real=True) for name in names)
    return Goal(
        *Table(inputs, x, y).split(seed),
        output=str(output),
        units=None if units is None else parse_units(units, (*map(str, names), str(output))),
        auxiliary=_parsed(auxiliary, inputs),
        library=library,
        seed=seed,
        budget=budget,
    )


def _checked(x: Any, y: Any) -> tuple[Tensor, Tensor]:
    x = torch.tensor(np.asarray(x.detach() if isinstance(x, Tensor) else x, dtype=np.float64))
    y = torch.tensor(np.asarray(y.detach() if isinstance(y, Tensor) else y, dtype=np.float64))
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y):
        raise ValueError(f"x must be (samples, variables) and y (samples,); got {tuple(x.shape)} and {tuple(y.shape)}")
    bad = (~(torch.isfinite(x).all(-1) & torch.isfinite(y))).nonzero()[:, 0].tolist()
    if bad:
        raise ValueError(f"{len(bad)} rows are not finite, the first is row {bad[0]}; drop them")
    if len(x) < 30:
        raise ValueError(f"{len(x)} samples cannot determine a law; give at least 30")
    if y.amax() == y.amin():
        raise ValueError(f"y is constant ({y[0].item():.6g}); there is nothing to explain")
    return x, y


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
