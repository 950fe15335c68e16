"""A formula that is no better than a constant on the test rows is left out: it says nothing about the table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgewise.discovery.noisy import Front
from edgewise.discovery.noisy.beside_constant import without_inputs
from edgewise.tables.encode import Encoding
from edgewise.tables.job.table_network import Array, Rows


def worth_showing(
    front: Front | None, prediction: Array | None, encoding: Encoding, train: Rows, test: Rows
) -> tuple[Front | None, tuple[str, ...]]:
    """The front with the constant chosen, or None, where the chosen formula is not better than it; and a warning.

    It is not better where neither the mean of its losses is less nor the loss of most rows: one wrong row among the
    test rows makes every mean large.

    Args:
        front: the formulas; None where there are none.
        prediction: of the chosen one for the test rows.
        encoding: of the table.
        train: the rows that the constant is of.
        test: the rows that judge.
    """
    if front is None or prediction is None or without_inputs(front.chosen):
        return front, ()
    got = _losses(encoding, test.outcome, prediction)
    least = _losses(encoding, test.outcome, _constant(encoding, train.outcome, len(test)))
    if got.mean() < least.mean() or np.mean(got < least) > 0.5:
        return front, ()
    shorter = front.front[0]
    left = replace(front, chosen=shorter) if without_inputs(shorter) else None
    what = f"the formula that was found ({front.chosen.origin}) is no better than a constant on the test rows"
    return left, (f"{what}: its mean loss is {got.mean():.4g} against {least.mean():.4g}, so that it is left out",)


def _losses(encoding: Encoding, outcome: Array, prediction: Array) -> Array:
    """The square error, or minus the logarithm of the probability of the class, of every row."""
    if encoding.task == "regression":
        return (prediction - outcome) ** 2
    return -np.log(np.clip(prediction[np.arange(len(outcome)), outcome.astype(int)], 1e-15, 1))


def _constant(encoding: Encoding, outcome: Array, rows: int) -> Array:
    """The mean amount, or the shares of the classes with half a row added to each."""
    if encoding.task == "regression":
        return np.full(rows, outcome.mean())
    counts = np.bincount(outcome.astype(int), minlength=len(encoding.classes)) + 0.5
    return np.tile(counts / counts.sum(), (rows, 1))
