"""Fit an additive model to the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgewise.tables.additive.additive_model import AdditiveModel
from edgewise.tables.additive.additive_terms import Term
from edgewise.tables.additive.axis_choice import TermSettings, main_blocks
from edgewise.tables.additive.blocks import Block, group_of
from edgewise.tables.additive.classes import fit_classes
from edgewise.tables.additive.families import Family
from edgewise.tables.additive.inputs import Column
from edgewise.tables.additive.penalised_fit import FamilyObjective, OutputFit, fit_output
from edgewise.tables.additive.stacked_blocks import Stack


@dataclass(frozen=True)
class AdditiveSettings:
    """How an additive model is fitted.

    Args:
        family: of the outcome.
        terms: what the user says about the terms.
        strength: the strength of all penalties where it is given; None for that of greatest evidence, term by term.
        interactions: how many pairs of columns; "auto" for as many as the evidence asks for; or the pairs by name.
    """

    family: Family = Family()
    terms: TermSettings = TermSettings()
    strength: float | None = None
    interactions: int | str | Sequence[tuple[str, str]] = 0


def fit_additive(
    columns: Sequence[Column],
    y: np.ndarray,
    weights: np.ndarray,
    settings: AdditiveSettings,
    *,
    outputs: Sequence[str] = ("y",),
    offset: np.ndarray | None = None,
) -> AdditiveModel:
    """The additive model of greatest evidence.

    Args:
        columns: of the training table.
        y: the targets, (rows, outputs).
        weights: of the rows.
        settings: how to fit.
        outputs: the names of the outputs.
        offset: what is added to the link scale of every row.
    """
    blocks, notes = main_blocks(columns, weights, settings.terms)
    added = np.zeros(y.shape) if offset is None else np.broadcast_to(offset.reshape(len(y), -1), y.shape)
    fits = _fits(blocks, y, weights, added, settings)
    kinds = tuple((column.name, column.kind) for column in columns)
    return assembled(blocks, fits, settings.family, kinds, tuple(outputs), tuple(notes))


def _fits(
    blocks: Sequence[Block], y: np.ndarray, weights: np.ndarray, offset: np.ndarray, settings: AdditiveSettings
) -> list[OutputFit]:
    """One fit per output; several gaussian outputs share their Gram matrix."""
    fixed = _fixed(blocks, settings)
    if settings.family.name == "multinomial":
        return fit_classes(blocks, y, weights, offset, fixed)
    gram = None
    if settings.family.name == "gaussian" and y.shape[1] > 1:
        gram = Stack(blocks, True, len(y)).gram(weights)
    fits = []
    for target, added in zip(y.T, offset.T, strict=True):
        objective = FamilyObjective(settings.family, target, weights, added)
        fits.append(fit_output(blocks, objective, len(y), fixed=fixed, gram=gram))
    return fits


def _fixed(blocks: Sequence[Block], settings: AdditiveSettings) -> np.ndarray | None:
    if settings.strength is None:
        return None
    return np.full(len(group_of(blocks)[1]), np.log(max(settings.strength, 1e-290)))


def assembled(
    blocks: Sequence[Block],
    fits: Sequence[OutputFit],
    family: Family,
    columns: tuple,
    outputs: tuple[str, ...],
    notes: tuple[str, ...],
) -> AdditiveModel:
    """The model of fits of the same blocks, one per output."""
    stack = Stack(blocks, True, 0)
    to_coef = coefficient_map(blocks)
    coefs = np.stack([to_coef @ fit.theta for fit in fits])
    _, names = group_of(blocks)
    terms, at = [], 1
    for t, (block, where) in enumerate(zip(blocks, stack.slices, strict=True)):
        sizes = [axis.size for axis in block.axes]
        coef = coefs[:, at : at + int(np.prod(sizes))].reshape(len(fits), *sizes)
        at += int(np.prod(sizes))
        strengths = {
            name: tuple(float(np.exp(fit.log_strengths[g])) for fit in fits)
            for g, (owner, name) in enumerate(names)
            if owner == t
        }
        edf = tuple(float(fit.edf[where].sum()) for fit in fits)
        terms.append(Term(block.inputs, block.axes, coef, edf, strengths, block.shape))
    covariance = np.stack([to_coef @ fit.covariance @ to_coef.T for fit in fits])
    scale = tuple(fit.scale for fit in fits)
    return AdditiveModel(coefs[:, 0].copy(), tuple(terms), family, columns, outputs, covariance, scale, notes)


def coefficient_map(blocks: Sequence[Block]) -> np.ndarray:
    """The matrix from (intercept, parameters) to (intercept, coefficients); what a term is not centred by, the intercept has."""
    rows = 1 + sum(block.transform.shape[0] for block in blocks)
    found = np.zeros((rows, 1 + sum(block.parameters for block in blocks)))
    found[0, 0] = 1.0
    row, column = 1, 1
    for block in blocks:
        transform = block.transform
        if block.mean is not None:
            shift = block.mean @ transform
            known = (np.arange(len(transform)) < block.axes[0].functions)[:, None]
            found[0, column : column + block.parameters] = shift
            transform = transform - known * shift
        found[row : row + len(transform), column : column + block.parameters] = transform
        row, column = row + len(transform), column + block.parameters
    return found
