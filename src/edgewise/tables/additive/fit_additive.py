"""Fit an additive model to the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edgewise.progress import Event, Listener
from edgewise.tables.additive.additive_model import AdditiveModel
from edgewise.tables.additive.additive_terms import Term
from edgewise.tables.additive.axis_choice import TermSettings, main_blocks
from edgewise.tables.additive.blocks import Block, group_of
from edgewise.tables.additive.classes import fit_classes
from edgewise.tables.additive.families import Family
from edgewise.tables.additive.inputs import Column
from edgewise.tables.additive.pair_ranking import Residuals
from edgewise.tables.additive.penalised_fit import STEPS, FamilyObjective, OutputFit, fit_output
from edgewise.tables.additive.row_sums import greatest, many_processes
from edgewise.tables.additive.shape_constraints import constrained_solution, without_rounding
from edgewise.tables.additive.stacked_blocks import Stack
from edgewise.tables.additive.surfaces import LEAST_FREEDOM, chosen_surfaces
from edgewise.tables.additive.survival import CoxObjective

SCALED = ("gaussian", "expectile", "quantile")
"""Families whose fit is the same in every unit of the outcome."""
MOST_EXPONENT = 60
IN_ONE_PROCESS = ("quantile", "cox")


@dataclass(frozen=True)
class AdditiveSettings:
    """How an additive model is fitted.

    Args:
        family: of the outcome.
        terms: what the user says about the terms.
        strength: the strength of all penalties where it is given; None for that of greatest evidence, term by term.
        interactions: how many pairs of columns; "auto" for as many as the evidence asks for; or the pairs by name.
    """

    family: Family = field(default_factory=Family)
    terms: TermSettings = field(default_factory=TermSettings)
    strength: float | None = None
    interactions: int | str | Sequence[tuple[str, str]] = ()


def fit_additive(
    columns: Sequence[Column],
    y: np.ndarray,
    weights: np.ndarray,
    settings: AdditiveSettings,
    *,
    outputs: Sequence[str] = ("y",),
    offset: np.ndarray | None = None,
    tell: Listener = lambda event: None,
) -> AdditiveModel:
    """The additive model of greatest evidence.

    Args:
        columns: of the training table.
        y: the targets, (rows, outputs).
        weights: of the rows.
        settings: how to fit.
        outputs: the names of the outputs.
        offset: what is added to the link scale of every row.
        tell: called with an `Event` when the curves, the choice of pairs, and the surfaces begin, and at the end.
    """
    if many_processes() and settings.family.name in IN_ONE_PROCESS:
        raise ValueError(f"the family {settings.family.name!r} sorts all rows, which needs one process")
    blocks, notes = main_blocks(columns, weights, settings.terms)
    added = np.broadcast_to(0.0 if offset is None else offset.reshape(len(y), -1), y.shape)
    units = _units(y, weights) if settings.family.name in SCALED else np.ones(y.shape[1])
    if (units != 1).any():
        y, added = y / units, added / units
    tell(Event("curves", 0.0, f"{len(blocks)} terms on {len(y):,} rows"))
    fits = fits_of(blocks, y, weights, added, settings)
    if settings.interactions:
        if many_processes():
            raise ValueError("surfaces are ranked and fitted in one process; choose interactions=0")
        blocks, fits = _with_surfaces(blocks, fits, columns, (y, weights, added), settings, tell)
    fits = [_in_units(fit, unit, settings.family) for fit, unit in zip(fits, units.tolist(), strict=True)]
    kinds = tuple((column.name, column.kind) for column in columns)
    tell(Event("done", 1.0, f"{len(blocks)} terms"))
    return assembled(blocks, fits, settings.family, kinds, tuple(outputs), tuple(notes))


def _units(y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A power of 2 near the size of every output where powers of it would leave the range of numbers, else 1."""
    size = greatest(abs(y[weights > 0]).max(axis=0, initial=0.0))
    exponent = np.round(np.log2(np.where(size > 0, size, 1.0)))
    return np.where(abs(exponent) > MOST_EXPONENT, 2.0**exponent, 1.0)


def _in_units(fit: OutputFit, unit: float, family: Family) -> OutputFit:
    """The fit of an output that was divided by a unit, in its own units."""
    power = 1 if family.name == "quantile" else 2  # of the unit in the scale
    return replace(
        fit,
        theta=fit.theta * unit,
        covariance=fit.covariance * unit**2,
        uncertainty=fit.uncertainty * unit**2,
        scale=fit.scale * unit**power,
        log_strengths=fit.log_strengths - (2 - power) * np.log(unit),
    )


def fits_of(
    blocks: Sequence[Block], y: np.ndarray, weights: np.ndarray, offset: np.ndarray, settings: AdditiveSettings
) -> list[OutputFit]:
    """One fit per output; several gaussian outputs share their Gram matrix."""
    fixed = _fixed(blocks, settings)
    if settings.family.name == "multinomial":
        if any(block.shape for block in blocks):
            raise ValueError(
                "shapes are for one output: scores of more than two classes have none, only their differences"
            )
        return fit_classes(blocks, y, weights, offset, fixed)
    gram = None
    if settings.family.name == "gaussian" and y.shape[1] > 1:
        gram = Stack(blocks, True, len(y)).gram(weights)
    kind = CoxObjective if settings.family.name == "cox" else FamilyObjective
    shaped = constrained_solution(blocks, kind.intercept)
    return [
        fit_output(
            blocks,
            objective := kind(settings.family, target, weights, added),
            len(y),
            start=_mean_fit(blocks, objective, fixed) if settings.family.name == "quantile" else None,
            fixed=fixed,
            gram=gram,
            constrained=shaped,
            steps=4 * STEPS if settings.family.name == "quantile" else STEPS,
        )
        for target, added in zip(y.T, offset.T, strict=True)
    ]


def _mean_fit(blocks: Sequence[Block], objective: FamilyObjective, fixed: np.ndarray | None) -> OutputFit:
    """Where the search for a quantile begins: the curves of the mean, moved to the quantile of the residuals.

    From a constant the density of the residuals, and with it every step, is that of the signal, not of the noise.
    """
    y, weights, rows = objective.y, objective.weights, len(objective.y)
    fit = fit_output(blocks, FamilyObjective(Family(), y, weights, objective.offset), rows, fixed=fixed)
    residuals = y - objective.offset - Stack(blocks, True, rows).eta(fit.theta)
    order = np.argsort(residuals, kind="stable")
    below = np.cumsum(weights[order]) >= (objective.family.parameter or 0.5) * weights.sum()
    theta = fit.theta.copy()
    theta[0] += residuals[order][below.argmax()]
    curvature = objective.derivatives(Stack(blocks, True, rows).eta(theta))[1].sum() / weights.sum()
    return replace(fit, theta=theta, log_strengths=fit.log_strengths + np.log(curvature))


def _with_surfaces(
    blocks: list[Block],
    fits: list[OutputFit],
    columns: Sequence[Column],
    data: tuple[np.ndarray, np.ndarray, np.ndarray],
    settings: AdditiveSettings,
    tell: Listener,
) -> tuple[list[Block], list[OutputFit]]:
    """The blocks and fits with the surfaces asked for; of a number or "auto", without those that vanish."""
    y, weights, added = data
    tell(Event("pairs", 0.4, "which of them have a surface"))
    residuals = _residuals(blocks, fits, *data, settings.family)
    surfaces = chosen_surfaces(blocks, columns, weights, residuals, settings.interactions)
    if not surfaces:
        return blocks, fits
    tell(Event("surfaces", 0.6, f"{len(surfaces)} beside {len(blocks)} curves"))
    fits = fits_of([*blocks, *surfaces], y, weights, added, settings)
    if isinstance(settings.interactions, int | str):
        freedom = np.sum([fit.edf for fit in fits], axis=0)
        ends = Stack([*blocks, *surfaces], True, 0).slices[len(blocks) :]
        kept = [s for s, where in zip(surfaces, ends, strict=True) if np.sum(freedom[where]) >= LEAST_FREEDOM]
        if len(kept) < len(surfaces):
            return [*blocks, *kept], fits_of([*blocks, *kept], y, weights, added, settings)
    return [*blocks, *surfaces], fits


def _residuals(
    blocks: Sequence[Block],
    fits: Sequence[OutputFit],
    y: np.ndarray,
    weights: np.ndarray,
    added: np.ndarray,
    family: Family,
) -> Residuals:
    stack = Stack(blocks, True, len(y))
    eta = added + np.stack([stack.eta(fit.theta) for fit in fits], axis=1)
    scale = np.array([fit.scale for fit in fits])
    if family.name == "multinomial":
        p = family.mean(eta)
        return Residuals(weights[:, None] * (p - y), weights[:, None] * p * (1 - p), scale)
    parts = [FamilyObjective(family, t, weights).derivatives(e) for t, e in zip(y.T, eta.T, strict=True)]
    return Residuals(np.stack([s for s, _ in parts], axis=1), np.stack([h for _, h in parts], axis=1), scale)


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
        coef = without_rounding(block, coef)
        terms.append(Term(block.inputs, block.axes, coef, edf, strengths, block.shape))
    covariance, more = (
        np.stack([to_coef @ v @ to_coef.T for v in parts])
        for parts in zip(*((fit.covariance, fit.uncertainty) for fit in fits), strict=True)
    )
    scale = tuple(fit.scale for fit in fits)
    slow = [name for name, fit in zip(outputs, fits, strict=True) if not fit.converged]
    if slow:
        notes = (*notes, f"the fit of {', '.join(slow)} did not settle: its last step still changed the loss")
    return AdditiveModel(coefs[:, 0].copy(), tuple(terms), family, columns, outputs, covariance, more, scale, notes)


def coefficient_map(blocks: Sequence[Block]) -> np.ndarray:
    """The matrix from (intercept, parameters) to (intercept, coefficients of terms of mean 0)."""
    rows = 1 + sum(block.transform.shape[0] for block in blocks)
    found = np.zeros((rows, 1 + sum(block.parameters for block in blocks)))
    found[0, 0] = 1.0
    row, column = 1, 1
    for block in blocks:
        transform = block.transform
        if block.mean is not None:
            shift = block.mean @ transform
            found[0, column : column + block.parameters] = shift
            transform = transform - shift  # a missing cell too adds to the intercept, which has taken the mean
        found[row : row + len(transform), column : column + block.parameters] = transform
        row, column = row + len(transform), column + block.parameters
    return found
