r"""Terms of an additive model as values: $f_t(x_j) = \sum_k c_k B_k(x_j)$, or a surface of two arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import sparse

from edgewise.stored import read_as, require_keys
from edgewise.tables.additive.axes import Axis, axis_from_json
from edgewise.tables.additive.inputs import Column, Input

ROWS = 65_536
"""Rows that are evaluated together, so that memory does not grow with the table."""

KINDS = {"spline": "curve", "circle": "cyclic", "levels": "levels"}


@dataclass(frozen=True, eq=False)
class Term:
    r"""A fitted term, the same for every output.

    $$ f_t(x) = \sum_k c_k B_k(x_i), \qquad f_t(x) = \sum_{kl} c_{kl} B_k(x_i) B_l(x_j) $$

    A curve has mean 0 over the training rows whose cell is known; a surface has mean 0 along either argument, whatever
    the other is, so that it is a pure interaction.

    Args:
        inputs: one of a curve or of levels, two of a surface.
        axes: their bases.
        coef: the coefficients c, (outputs, size of the axis) or (outputs, size of the first, size of the second).
        edf: the effective degrees of freedom, (outputs,).
        strengths: the smoothing strengths by the names of the parts that they smooth, one number per output each.
        shape: "increasing", "decreasing", "convex", "concave" or "".
    """

    inputs: tuple[Input, ...]
    axes: tuple[Axis, ...]
    coef: np.ndarray
    edf: tuple[float, ...]
    strengths: Mapping[str, tuple[float, ...]]
    shape: str = ""

    @property
    def name(self) -> str:
        """The name of the input, or of both with a cross between."""
        return " × ".join(part.name for part in self.inputs)

    @property
    def kind(self) -> str:
        """One of "curve", "cyclic", "levels" and "surface"."""
        return "surface" if len(self.axes) == 2 else KINDS[self.axes[0].kind]

    def matrix(
        self, columns: Sequence[Column] | Mapping[int, Column], orders: Sequence[int] = (0, 0)
    ) -> sparse.csr_array:
        """The functions in every row, (rows, coefficients of one output); `orders` of derivatives by input."""
        parts = [
            axis.matrix(part.read(columns), order)
            for axis, part, order in zip(self.axes, self.inputs, orders, strict=False)
        ]
        return parts[0] if len(parts) == 1 else row_products(*parts)

    def values(self, columns: Sequence[Column], orders: Sequence[int] = (0, 0)) -> np.ndarray:
        """The contribution of the term to the link scale, (rows, outputs), or a derivative of it."""
        flat = self.coef.reshape(len(self.coef), -1).T
        whole = {part.position: (columns[part.position], columns[part.position].values) for part in self.inputs}
        rows = len(whole[self.inputs[0].position][1])
        found = np.empty((rows, len(self.coef)))
        for start in range(0, rows, ROWS):
            part = slice(start, start + ROWS)
            here = {place: Column(c.name, c.kind, values[part]) for place, (c, values) in whole.items()}
            found[part] = self.matrix(here, orders) @ flat
        return found

    def to_json(self) -> dict[str, Any]:
        """The term as a JSON object, read back by `term_from_json`."""
        return {
            "name": self.name,
            "kind": self.kind,
            "inputs": [asdict(part) for part in self.inputs],
            "axes": [axis.to_json() for axis in self.axes],
            "coef": self.coef.tolist(),
            "edf": list(self.edf),
            "strengths": {name: list(numbers) for name, numbers in self.strengths.items()},
            "shape": self.shape,
        }


def term_from_json(record: Mapping[str, Any]) -> Term:
    """The term that `Term.to_json` described."""
    what = "a term of an additive model"
    known = require_keys(record, ("name", "kind", "inputs", "axes", "coef", "edf", "strengths", "shape"), what)
    axes = tuple(map(axis_from_json, read_as(tuple[Mapping[str, Any], ...], known["axes"], f"the axes of {what}")))
    coef = np.asarray(known["coef"], float)
    inputs = read_as(tuple[Input, ...], known["inputs"], f"the inputs of {what}")
    if coef.shape[1:] != tuple(axis.size for axis in axes) or not 1 <= len(axes) == len(inputs) <= 2:
        raise ValueError(
            f"the term {record.get('name')!r} needs coefficients of shape (outputs, "
            f"{', '.join(str(axis.size) for axis in axes)}), got {coef.shape}"
        )
    return Term(
        inputs=inputs,
        axes=axes,
        coef=coef,
        edf=read_as(tuple[float, ...], known["edf"], f"the degrees of freedom of {what}"),
        strengths=read_as(Mapping[str, tuple[float, ...]], known["strengths"], f"the strengths of {what}"),
        shape=read_as(str, known["shape"], f"the shape of {what}"),
    )


def row_products(a: sparse.csr_array, b: sparse.csr_array) -> sparse.csr_array:
    """All products of an entry of a row of `a` with an entry of the same row of `b`, (rows, columns of a * of b)."""
    starts, others = np.asarray(a.indptr), np.asarray(b.indptr)
    columns, width = int(a.shape[1]), int(b.shape[1])  # type: ignore[index]
    here, there = np.diff(starts), np.diff(others)
    counts = here * there
    rows = np.concatenate([[0], counts.cumsum()])
    place = np.arange(rows[-1]) - np.repeat(rows[:-1], counts)
    wide = np.repeat(there, counts)
    left = np.repeat(starts[:-1], counts) + place // np.maximum(wide, 1)
    right = np.repeat(others[:-1], counts) + place % np.maximum(wide, 1)
    places = np.asarray(a.indices, np.int64)[left] * width + np.asarray(b.indices)[right]
    return sparse.csr_array((a.data[left] * b.data[right], places, rows), (len(counts), columns * width))
