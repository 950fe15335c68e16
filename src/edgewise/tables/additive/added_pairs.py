r"""A surface of two columns added to a fitted additive model, from the training rows that the model kept.

With the link scale $\eta(x)$ of the model as an offset, only the new term and a correction of the intercept are fitted,
with the strengths of greatest evidence: $\eta_+(x) = \eta(x) + b + f(x_j, x_k)$. All other terms stay as they are, and
what is uncertain of them and of the surface is taken as independent. A fit from the start with this pair among its
`interactions` moves all terms together, on all rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.linalg import block_diag

from edgewise.tables.additive.additive_model import AdditiveModel
from edgewise.tables.additive.axis_choice import TermSettings, main_blocks
from edgewise.tables.additive.deviance import KeptRows
from edgewise.tables.additive.fit_additive import AdditiveSettings, assembled, fits_of
from edgewise.tables.additive.surfaces import surface_of


def with_pair(model: AdditiveModel, rows: KeptRows, first: str, second: str) -> AdditiveModel:
    """The model with a surface of two inputs beside its terms.

    Args:
        model: fitted; it is not changed.
        rows: some of its training rows, to which the surface is fitted.
        first: the name of an input, as terms name it: a column, or a part of a date such as `day (season)`.
        second: another one, of another column.

    Raises:
        ValueError: no such inputs, one that had no term of its own on these rows, or a pair that has a surface.
    """
    columns, pairs = list(rows.columns), {frozenset(part.name for part in term.inputs) for term in model.terms}
    if frozenset((first, second)) in pairs:
        raise ValueError(f"{first!r} and {second!r} have a surface already")
    blocks = {block.inputs[0].name: block for block in main_blocks(columns, rows.weights, TermSettings())[0]}
    for name in (first, second):
        if name not in blocks:
            raise ValueError(f"there is no input {name!r} that varies; there are {', '.join(blocks)}")
    one, other = blocks[first], blocks[second]
    if one.inputs[0].position == other.inputs[0].position:
        raise ValueError(f"a surface has two inputs of different columns, not {first!r} and {second!r}")
    surface = surface_of(one, other, columns, rows.weights)
    offset = model.link(columns) + rows.offset
    fits = fits_of([surface], rows.targets, rows.weights, offset, AdditiveSettings(model.family))
    return _beside(model, assembled([surface], fits, model.family, model.columns, model.outputs, ()))


def input_pairs(model: AdditiveModel) -> list[tuple[str, str]]:
    """The pairs of inputs that have a surface."""
    return [(t.inputs[0].name, t.inputs[1].name) for t in model.terms if len(t.inputs) == 2]


def _beside(model: AdditiveModel, added: AdditiveModel) -> AdditiveModel:
    """The sum of both models; the corrected intercept keeps the uncertainty that it had."""
    return replace(
        model,
        intercept=model.intercept + added.intercept,
        terms=(*model.terms, *added.terms),
        covariance=_joined(model.covariance, added.covariance),
        strength_covariance=_joined(model.strength_covariance, added.strength_covariance),
        scale=added.scale,
    )


def _joined(old: np.ndarray | None, new: np.ndarray | None) -> np.ndarray | None:
    """Covariances of all coefficients, (outputs, n, n); None where either is unknown."""
    if old is None or new is None:
        return None
    return np.stack([np.asarray(block_diag(a, b[1:, 1:])) for a, b in zip(old, new, strict=True)])
