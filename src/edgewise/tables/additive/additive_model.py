r"""A fitted additive model as a value: an intercept, terms, a family, and the posterior covariance of coefficients."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgewise._shown import shown
from edgewise.stored import read_as
from edgewise.tables.additive.additive_terms import Term, term_from_json
from edgewise.tables.additive.families import Family, family_from_json
from edgewise.tables.additive.inputs import Column, Kind, is_frame, missing_cells, read_columns

FORMAT = "edgewise additive model 1"


@shown
@dataclass(frozen=True, eq=False)
class AdditiveModel:
    r"""$\eta_i(x) = b_i + \sum_t f_{ti}(x)$ of every output i, and the mean of the outcome by the link of the family.

    Args:
        intercept: b, (outputs,).
        terms: the terms $f_t$.
        family: of the outcome.
        columns: the name and the kind of every column of the table, in order.
        outputs: the names of the outputs.
        covariance: the posterior covariance of (b, the coefficients of the terms in order, each flat), per output:
            (outputs, 1 + coefficients, 1 + coefficients), for the strengths that were found; None where it is unknown.
        strength_covariance: what the uncertainty of the strengths adds to it; None for nothing.
        scale: the scale of the noise (the variance of a gaussian outcome) per output; 1 where the family knows it.
        notes: sentences on what was left out, and why.
    """

    intercept: np.ndarray
    terms: tuple[Term, ...]
    family: Family
    columns: tuple[tuple[str, Kind], ...]
    outputs: tuple[str, ...]
    covariance: np.ndarray | None = None
    strength_covariance: np.ndarray | None = None
    scale: tuple[float, ...] = (1.0,)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        first = f"an additive model of {', '.join(self.outputs)}: {self.family.name}, {len(self.terms)} terms"
        terms = [f"  {term.name}: {term.kind}, {sum(term.edf):.3g} degrees of freedom" for term in self.terms]
        return "\n".join([first, *terms, *self.notes])

    def read(self, X: Any) -> list[Column]:
        """The columns of a table, as `contributions` and `link` take them.

        Args:
            X: columns already read; an array with the columns of training in their order; or a frame with their names.
        """
        if isinstance(X, list):
            return X
        names = [name for name, _ in self.columns]
        if X.shape[1] != len(names) or (is_frame(X) and [str(name) for name in X.columns] != names):
            got = ", ".join(map(str, X.columns)) if is_frame(X) else f"{X.shape[1]} without names"
            raise ValueError(f"the model reads the columns {', '.join(names)} in this order; got {got}")
        return read_columns(X, [kind for _, kind in self.columns])

    def contributions(self, X: Any) -> np.ndarray:
        """What every term adds in every row: (rows, terms, outputs); with the intercept they sum to `link`."""
        columns = self.read(X)
        rows = len(columns[0].values)
        found = [term.values(columns) for term in self.terms]
        return np.stack(found, axis=1) if found else np.zeros((rows, 0, len(self.intercept)))

    def link(self, X: Any) -> np.ndarray:
        r"""$\eta$, (rows, outputs)."""
        columns = self.read(X)
        total = np.tile(self.intercept, (len(columns[0].values), 1))
        for term in self.terms:
            total += term.values(columns)
        return total

    def matrix(self, columns: Sequence[Column]) -> Any:
        """A one and all functions: the product with (b, coefficients) is `link`; (rows, 1 + coefficients)."""
        from scipy import sparse

        ones = sparse.csr_array(np.ones((len(columns[0].values), 1)))
        return sparse.hstack([ones, *(term.matrix(columns) for term in self.terms)], format="csr")

    def slices(self) -> list[slice]:
        """Where the coefficients of every term are in the covariance."""
        ends = np.cumsum([1, *(term.coef[0].size for term in self.terms)])
        return [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]

    def to_json(self, *, covariance: bool = True) -> dict[str, Any]:
        """The model as a JSON object, read back by `additive_model_from_json`; without its covariance if asked for."""
        v, more = (self.covariance, self.strength_covariance) if covariance else (None, None)
        return {
            "format": FORMAT,
            "intercept": self.intercept.tolist(),
            "terms": [term.to_json() for term in self.terms],
            "family": self.family.to_json(),
            "columns": [list(column) for column in self.columns],
            "outputs": list(self.outputs),
            "covariance": None if v is None else v.tolist(),
            "strength_covariance": None if more is None else more.tolist(),
            "scale": list(self.scale),
            "notes": list(self.notes),
        }


def new_gaps(model: AdditiveModel, columns: Sequence[Column]) -> dict[str, int]:
    """The number of missing cells by the names of columns that had none in training: there their terms add 0."""
    known = {
        part.position for term in model.terms for part, axis in zip(term.inputs, term.axes, strict=True) if axis.missing
    }
    counts = {c.name: missing_cells(c) for place, c in enumerate(columns) if place not in known}
    return {name: count for name, count in counts.items() if count}


def additive_model_from_json(record: Mapping[str, Any]) -> AdditiveModel:
    """The model that `AdditiveModel.to_json` described."""
    if not isinstance(record, Mapping) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, Mapping) else type(record).__name__
        raise ValueError(f"this is no {FORMAT!r}; its format is {found!r}")
    try:
        return _model_of(record)
    except (KeyError, TypeError, IndexError, ValueError, OverflowError) as error:
        raise ValueError(
            f"the additive model is damaged: {type(error).__name__}, {error}; write it again with `to_json`"
        ) from error


def _model_of(record: Mapping[str, Any]) -> AdditiveModel:
    covariance, more = record["covariance"], record.get("strength_covariance")
    intercept, what = np.asarray(record["intercept"], float), "an additive model"
    model = AdditiveModel(
        intercept=intercept,
        terms=tuple(term_from_json(term) for term in record["terms"]),
        family=family_from_json(record["family"]),
        columns=read_as(tuple[tuple[str, Kind], ...], record["columns"], f"the columns of {what}"),
        outputs=read_as(tuple[str, ...], record["outputs"], f"the outputs of {what}"),
        covariance=None if covariance is None else np.asarray(covariance, float),
        strength_covariance=None if more is None else np.asarray(more, float),
        scale=read_as(tuple[float, ...], record["scale"], f"the scale of {what}"),
        notes=read_as(tuple[str, ...], record["notes"], f"the notes of {what}"),
    )
    _require_fit(model)
    return model


def _require_fit(model: AdditiveModel) -> None:
    """Raise `ValueError` unless the parts of a model belong together."""
    outputs, size = len(model.intercept), 1 + sum(term.coef[0].size for term in model.terms if len(term.coef))
    reads = [(part.position, part.column, part.kind) for term in model.terms for part in term.inputs]
    known = {(place, *column) for place, column in enumerate(model.columns)}
    fits = model.intercept.ndim == 1 and all(len(term.coef) == outputs for term in model.terms)
    fits &= set(reads) <= known and outputs > 0 and len(model.scale) in (1, outputs)
    for matrix in (model.covariance, model.strength_covariance):
        fits &= matrix is None or matrix.shape == (outputs, size, size)
    if not fits:
        raise ValueError("its terms, columns and outputs do not belong together")
