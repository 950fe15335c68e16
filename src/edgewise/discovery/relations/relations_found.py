"""Defines the answer of a search for relations: `Relations`, a list of `Relation`s with their evidence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
from jaxtyping import Float

from edgewise._shown import shown
from edgewise.discovery.relations.solved_forms import SolvedForm
from edgewise.expressions.names import heading
from edgewise.expressions.printers import text

if TYPE_CHECKING:
    from edgewise.viz._agg_figure import AggFigure


@dataclass(frozen=True, eq=False)
class Relation:
    """Columns that are bound: no one of them is independent of the others.

    Attributes:
        columns: the least set, in the order of the table.
        target: the column whose function the others predict best.
        strength: the share of the variance of this function that they explain, on rows that the search has not seen.
        p: the p-value against chance, exact in finite samples: that some column is independent of the others.
        q: the least rate of false discoveries at which the relation is announced.
        determined: whether next to nothing is left: a law rather than a tendency.
        exact: whether the law leaves rounding alone.
        law: an expression that is 0, or None where no formula was found.
        solved: the law solved for its variables, where that is possible; for a tendency the law of one column.
        law_share: the share that the law explains; NaN without one.
        reason: a sentence about the law, or why there is none.
        level_set: on tested rows, a function of the target and what the others predict for it.
    """

    columns: tuple[str, ...]
    target: str
    strength: float
    p: float
    q: float
    determined: bool
    exact: bool = False
    law: sympy.Expr | None = None
    solved: tuple[SolvedForm, ...] = ()
    law_share: float = math.nan
    reason: str = ""
    level_set: Float[np.ndarray, "rows 2"] = field(default_factory=lambda: np.zeros((0, 2)), repr=False)

    @property
    def formula(self) -> str:
        """The implicit law as text, such as "x**2 + y**2 - 1 = 0"; empty where there is none."""
        return "" if self.law is None else f"{text(_rounded(self.law))} {'=' if self.exact else '≈'} 0"

    def __str__(self) -> str:
        kind = "exact" if self.exact else "determined" if self.determined else "statistical"
        lines = [
            f"{_named(self.columns)}: {kind}, {self.strength:.4g} of {heading(self.target)} explained, "
            f"p = {self.p:.2g}, q = {self.q:.2g}"
        ]
        lines += [f"    {self.formula}"] if self.law is not None else []
        lines += [f"    {_rounded_form(form)}" for form in self.solved]
        return "\n".join([*lines, f"    {self.reason}"] if self.reason else lines)

    def to_json(self) -> dict[str, Any]:
        """The relation as a JSON object."""
        return {
            "columns": list(self.columns),
            "target": self.target,
            "strength": self.strength,
            "p": self.p,
            "q": self.q,
            "determined": self.determined,
            "exact": self.exact,
            "law": None if self.law is None else sympy.srepr(self.law),
            "formula": self.formula,
            "solved": [form.to_json() for form in self.solved],
            "law_share": None if math.isnan(self.law_share) else self.law_share,
            "reason": self.reason,
        }


@shown
@dataclass(frozen=True, eq=False)
class Relations:
    """The relations of a table: numerical evidence, not theorems.

    Attributes:
        relations: those announced, laws first, the strongest first.
        implied: further sets of columns, each with the sets that imply it.
        refused: sets that the search proposed and the test did not pass.
        columns: the columns searched.
        fdr: the rate of false discoveries that is kept: the expected share of false ones among those announced.
        rows: the numbers of rows that the search and the tests saw.
        notes: what was left out of the table, and what to keep in mind.
        seconds: time of the search.
        seed: of the split and the permutations.
    """

    relations: tuple[Relation, ...]
    implied: tuple[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]], ...]
    refused: tuple[Relation, ...]
    columns: tuple[str, ...]
    fdr: float
    rows: tuple[int, int]
    notes: tuple[str, ...]
    seconds: float
    seed: int

    def __iter__(self) -> Iterator[Relation]:
        return iter(self.relations)

    def __len__(self) -> int:
        return len(self.relations)

    def __getitem__(self, n: int) -> Relation:
        return self.relations[n]

    def of(self, *columns: str) -> Relation | None:
        """The relation of exactly these columns, in any order; None where none is announced."""
        return next((r for r in self.relations if set(r.columns) == set(columns)), None)

    def __str__(self) -> str:
        count = len(self.relations)
        found = "no relation" if count == 0 else "1 relation" if count == 1 else f"{count} relations"
        lines = [
            f"{found} among {len(self.columns)} columns (searched on {self.rows[0]} rows, tested on {self.rows[1]} "
            f"others, false discovery rate {self.fdr:g}, {self.seconds:.1f} s)"
        ]
        lines += [str(r) for r in self.relations]
        lines += [f"implied: {_named(columns)}, by {' and '.join(map(_named, by))}" for columns, by in self.implied]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def to_json(self) -> dict[str, Any]:
        """The answer as a JSON object."""
        return {
            "relations": [r.to_json() for r in self.relations],
            "implied": [{"columns": list(c), "by": [list(b) for b in by]} for c, by in self.implied],
            "refused": [r.to_json() for r in self.refused],
            "columns": list(self.columns),
            "fdr": self.fdr,
            "rows": {"searched": self.rows[0], "tested": self.rows[1]},
            "notes": list(self.notes),
            "seconds": self.seconds,
            "seed": self.seed,
        }

    def plot(self, *, theme: str = "light") -> AggFigure:
        """Columns as nodes, relations as hyperedges, and a level set for each; needs matplotlib."""
        from edgewise.viz.relations_figure import Bond, relations_figure

        bonds = [Bond(r.columns, r.target, r.strength, r.determined, r.formula, r.level_set) for r in self.relations]
        return relations_figure(self.columns, bonds, theme=theme)


def _named(columns: Iterable[str]) -> str:
    return " — ".join(map(heading, columns))


def _rounded(law: Any) -> Any:
    return law.xreplace({c: sympy.Float(f"{float(c):.4g}") for c in law.atoms(sympy.Float)})


def _rounded_form(form: SolvedForm) -> SolvedForm:
    return SolvedForm(form.variable, _rounded(form.expression), form.rows)
