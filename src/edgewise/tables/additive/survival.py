r"""Survival times censored on the right, for the family `cox`.

The loss is the partial likelihood of `edgewise.optim.cox`, with events at equal times in one risk set (Breslow). Its
Hessian in the parameters is $X^T\operatorname{diag}(h)X - \sum_e w_e \bar x_e\bar x_e^T$ with the mean
$\bar x_e$ of the functions over the risk set of event e.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.tables.additive.penalised_fit import FamilyObjective
from edgewise.tables.additive.stacked_blocks import CHUNK, Stack


class CoxObjective(FamilyObjective):
    """The partial likelihood; a target is the time of an event, or minus the time of a censored row."""

    intercept = False

    def start(self) -> float:
        return 0.0

    def correction(self, stack: Stack, eta: np.ndarray) -> np.ndarray:
        f = eta + self.offset
        times = abs(self.y)
        order = np.argsort(-times, kind="stable")
        risks = (self.weights * np.exp(f - f.max()))[order]
        late = times[order]
        ends = np.append(late[1:] != late[:-1], True)  # the last row of equal times sees their whole risk set
        deaths = np.add.reduceat(
            np.where(self.y >= 0, self.weights, 0.0)[order], np.append(0, np.flatnonzero(ends)[:-1] + 1)
        )
        of_row = np.zeros(len(late))
        of_row[ends] = deaths
        found = np.zeros((stack.parameters, stack.parameters))
        carried, total = np.zeros(stack.parameters), 0.0
        for start in range(0, len(order), CHUNK):
            part = slice(start, start + CHUNK)
            sums = np.cumsum(stack.matrix(order[part]) * risks[part][:, None], axis=0) + carried
            weight = np.cumsum(risks[part]) + total
            carried, total = sums[-1], weight[-1]
            used = of_row[part] > 0
            means = sums[used] / np.maximum(weight[used], 1e-300)[:, None]
            found += means.T @ (means * of_row[part][used][:, None])
        return found


def signed_times(y: Any) -> np.ndarray:
    """The times of events and minus the times of censored rows, from a structured array of (event, time)."""
    y = np.asarray(y)
    names = y.dtype.names
    if names is None or len(names) != 2:
        raise ValueError(
            "the family 'cox' needs y as a structured array with a field of booleans (the event was seen) and a field "
            "of times, such as `sksurv.util.Surv.from_arrays(event, time)` makes"
        )
    event, time = (y[names[0]], y[names[1]]) if y[names[0]].dtype == bool else (y[names[1]], y[names[0]])
    if event.dtype != bool:
        raise ValueError(f"the fields of y are {', '.join(names)}, but none holds booleans")
    time = np.asarray(time, float)
    if not (np.isfinite(time) & (time >= 0)).all():
        raise ValueError("survival times must be finite and not negative")
    if not event.any():
        raise ValueError("no event was seen in any row: all times are censored, which says nothing about hazards")
    time = np.maximum(time, np.finfo(float).tiny)
    return np.where(event, time, -time)


def concordance(times: np.ndarray, risk: np.ndarray) -> float:
    """The share of comparable pairs in which the greater risk has the earlier event (Harrell), ties in risk half.

    Args:
        times: signed, as `signed_times` makes them.
        risk: of every row.
    """
    right, pairs = 0.0, 0
    last, seen = abs(times), times >= 0
    for i in np.flatnonzero(seen):
        later = (last > last[i]) | ((last == last[i]) & ~seen)
        right += (risk[i] > risk[later]).sum() + 0.5 * (risk[i] == risk[later]).sum()
        pairs += int(later.sum())
    return float(right / pairs) if pairs else float("nan")
