r"""The training rows that a model keeps, and the deviance of a model on rows.

The deviance of outcomes y is $2\sum_n w_n(\ell(\eta_n, y_n) - \ell(g(y_n), y_n))$: twice the loss beyond that of a
model that knows every outcome. Of the family `cox`, which has no such model, it is twice the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgewise.tables.additive.additive_model import AdditiveModel
from edgewise.tables.additive.families import Family
from edgewise.tables.additive.inputs import Column
from edgewise.tables.additive.penalised_fit import FamilyObjective
from edgewise.tables.additive.row_sums import joined, own_rows, summed
from edgewise.tables.additive.survival import CoxObjective

KEPT = 2000
"""Training rows that are kept at most."""
LEAST = 1e-300


@dataclass(frozen=True, eq=False)
class KeptRows:
    """Some of the training rows: those that show where terms are used, and how well they explain the outcome.

    Args:
        columns: of the table.
        targets: (rows, outputs).
        weights: of the rows.
        offset: on the link scale, (rows, outputs).
        total: how many rows of positive weight the training table has.
    """

    columns: tuple[Column, ...]
    targets: np.ndarray
    weights: np.ndarray
    offset: np.ndarray
    total: int


def kept_rows(
    columns: Sequence[Column], targets: np.ndarray, weights: np.ndarray, offset: np.ndarray | None
) -> KeptRows:
    """At most `KEPT` rows of positive weight, evenly from first to last."""
    used = np.flatnonzero(weights > 0)
    total, before = summed(len(used)), own_rows(len(used)).start
    apart = max(1, -(-total // KEPT))
    rows = used[-before % apart :: apart]
    added = np.zeros(targets.shape)[rows]
    if offset is not None:
        added = added + offset.reshape(len(targets), -1)[rows]
    shown = tuple(Column(c.name, c.kind, joined(c.values[rows])) for c in columns)
    return KeptRows(shown, joined(targets[rows]), joined(weights[rows]), joined(added), total)


def deviance(family: Family, eta: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """The deviance of all outputs; arguments are (rows, outputs), weights (rows,)."""
    if family.name == "multinomial":
        from scipy.special import logsumexp

        return float(2 * weights @ (logsumexp(eta, axis=1) - (y * eta).sum(1)))
    kind = CoxObjective if family.name == "cox" else FamilyObjective
    objectives = [kind(family, target, weights) for target in y.T]
    found = sum(o.value(e) for o, e in zip(objectives, eta.T, strict=True))
    known = 0.0
    if family.name != "cox":
        known = sum(o.value(e) for o, e in zip(objectives, _link_of(family, y).T, strict=True))
    return 2 * float(found - known)


def deviance_explained(model: AdditiveModel, rows: KeptRows) -> float:
    """One minus the ratio of the deviance to that of the best model without terms."""
    found = deviance(model.family, model.link(list(rows.columns)) + rows.offset, rows.targets, rows.weights)
    return 1 - found / max(deviance(model.family, _constant(model.family, rows), rows.targets, rows.weights), LEAST)


def _constant(family: Family, rows: KeptRows) -> np.ndarray:
    if family.name == "multinomial":
        shares = rows.weights @ rows.targets / rows.weights.sum()
        return np.log(np.maximum(shares, LEAST)) + rows.offset
    if family.name == "cox":
        return rows.offset
    outputs = zip(rows.targets.T, rows.offset.T, strict=True)
    starts = [FamilyObjective(family, y, rows.weights, added).start() for y, added in outputs]
    return np.array(starts) + rows.offset


def _link_of(family: Family, y: np.ndarray) -> np.ndarray:
    """The link scale whose mean is y, as near as numbers allow."""
    if family.log_link:
        return np.log(np.maximum(y, LEAST))
    if family.name == "binomial":
        p = np.clip(y, 1e-15, 1 - 1e-15)
        return np.log(p / (1 - p))
    return y
