r"""Edit a term of a fitted additive model: set it on an interval, clip it, smooth it more, or remove it.

Every edit returns a new model and leaves the old one as it is. Coefficients that an edit fixes have no uncertainty.

A curve is smoothed by a factor $\kappa$ without the training rows: its posterior $N(c, V)$ gets the further prior
$(\kappa - 1)\lambda|Dc|^2/\phi$ of its strength $\lambda$, second differences D and scale $\phi$, so that with
$K = VD^T(DVD^T + \frac{\phi}{(\kappa-1)\lambda}I)^{-1}$ all coefficients of the model become $c - KDc$ and V becomes
$V - KDV$. Of a gaussian outcome this is the fit with the strength $\kappa\lambda$, of others its Laplace approximation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgewise._shown import shown
from edgewise.tables.additive.additive_model import AdditiveModel
from edgewise.tables.additive.additive_terms import Term
from edgewise.tables.additive.axes import CircleAxis, SplineAxis
from edgewise.tables.additive.blocks import second_differences
from edgewise.tables.additive.term_bands import require_covariance, term_number

PARTS_WHERE_CLIPPED, MOST_PARTS = 16, 1_000
"""Of every interval of a curve that is clipped, and of all together: clips one after another multiply them."""
TRANSITION = 0.01
"""Beside an interval that is set, the share of its width on which the curve returns to what it was."""


@shown
@dataclass(frozen=True, eq=False)
class Edit:
    """An edited model.

    Args:
        model: the new estimator; the old one is as it was.
        term: the name of the term.
        what: one line.
        before: the share of the deviance of the kept training rows that the old model explains.
        after: that of the new one.
    """

    model: Any
    term: str
    what: str
    before: float
    after: float

    def __str__(self) -> str:
        return f"{self.term}: {self.what}; deviance explained {self.before:.4f} -> {self.after:.4f}"


def without_term(model: AdditiveModel, term: str) -> AdditiveModel:
    """The model without the term; the others and the intercept stay as they are."""
    number = term_number(model, term)
    terms = model.terms[:number] + model.terms[number + 1 :]
    kept = np.delete(np.arange(model.slices()[-1].stop), model.slices()[number])
    return _with_covariances(replace(model, terms=terms), lambda v: v[:, kept[:, None], kept])


def _with_covariances(model: AdditiveModel, change: Callable[[np.ndarray], np.ndarray]) -> AdditiveModel:
    """The model with both covariances changed, where there are any."""
    known, more = model.covariance, model.strength_covariance
    return replace(
        model,
        covariance=None if known is None else change(known),
        strength_covariance=None if more is None else change(more),
    )


def with_values(model: AdditiveModel, term: str, on: tuple[float, float], value: float) -> AdditiveModel:
    """The curve has this value on an interval, and beyond a short transition on either side what it was.

    Args:
        model: fitted.
        term: a curve of numbers.
        on: the ends of the interval; beyond the knots they count as the ends of these.
        value: on the link scale.
    """
    number, axis = _curve(model, term)
    low, high = max(on[0], axis.knots[0]), min(on[1], axis.knots[-1])
    if not low < high:
        raise ValueError(f"{term!r} runs from {axis.knots[0]:g} to {axis.knots[-1]:g}; the interval {on} is not in it")
    width = TRANSITION * (high - low)
    steps = width * np.arange(axis.degree + 1) / axis.degree if axis.degree else np.zeros(1)
    fine = _finer(axis, np.concatenate([low - steps, high + steps]))
    start, end = (int(np.argmin(abs(np.array(fine.knots) - place))) for place in (low, high))
    fixed = np.zeros(fine.size, bool)
    fixed[start : end + fine.degree] = True
    return _changed(model, number, fine, lambda c: np.where(fixed, value, c), fixed)


def clipped(model: AdditiveModel, term: str, low: float, high: float) -> AdditiveModel:
    """The curve stays between two values of the link scale everywhere between its knots."""
    number, axis = _curve(model, term)
    if not low < high:
        raise ValueError(f"clip {term!r} between a lower and a higher value, got {low:g} and {high:g}")
    knots = np.array(axis.knots)
    parts = max(1, min(PARTS_WHERE_CLIPPED, MOST_PARTS // (len(knots) - 1)))
    share = np.arange(1, parts) / parts
    fine = _finer(axis, (knots[:-1, None] + np.diff(knots)[:, None] * share).ravel())
    curve = np.arange(fine.size) < fine.functions
    c = model.terms[number].coef @ _insertion(axis, fine).T
    outside = curve & ((c <= low) | (c >= high)).any(0)
    return _changed(model, number, fine, lambda c: np.where(curve, np.clip(c, low, high), c), outside)


def smoothed(model: AdditiveModel, term: str, factor: float) -> AdditiveModel:
    """The curve with its strength against bending multiplied by a factor of 1 or more; the other terms follow.

    The effective degrees of freedom change by those of the bending of the term.
    """
    number = term_number(model, term)
    old = model.terms[number]
    if "bend" not in old.strengths or len(old.axes) > 1 or old.shape:
        raise ValueError(
            f"{term!r} is no free curve of its own strength against bending, so that nothing smooths it more"
        )
    if not 1 <= factor < np.inf:
        raise ValueError(f"factor must be 1 or more, got {factor:g}; to bend more, fit again with a smaller smoothness")
    known = require_covariance(replace(model, strength_covariance=None))
    d = np.zeros((_differences(old).shape[0], known.shape[1]))
    d[:, model.slices()[number]] = _differences(old)
    theta, covariances, freedom, shrinking = [], [], [], []
    for i, v in enumerate(known):
        strength, scale = old.strengths["bend"][i], float(np.broadcast_to(model.scale, len(model.intercept))[i])
        c = np.concatenate([model.intercept[i : i + 1], *(t.coef[i].ravel() for t in model.terms)])
        inner = (factor - 1) * strength * (d @ v @ d.T) + scale * np.eye(len(d))
        gain = np.linalg.solve(inner, (factor - 1) * strength * (d @ v)).T
        theta.append(c - gain @ (d @ c))
        shrinking.append(np.eye(len(c)) - gain @ d)
        covariances.append(v - gain @ (d @ v))
        bent = [k * strength * np.trace(d @ w @ d.T) / scale for k, w in ((1.0, v), (factor, covariances[-1]))]
        freedom.append(old.edf[i] + bent[0] - bent[1])
    terms = []
    for other, where in zip(model.terms, model.slices(), strict=True):
        coef = np.stack([t[where] for t in theta]).reshape(other.coef.shape)
        terms.append(replace(other, coef=coef))
    strengths = {**old.strengths, "bend": tuple(factor * s for s in old.strengths["bend"])}
    terms[number] = replace(terms[number], edf=tuple(freedom), strengths=strengths)
    intercept, shrink = np.array([t[0] for t in theta]), np.stack(shrinking)
    changed = _with_covariances(model, lambda v: shrink @ v @ shrink.transpose(0, 2, 1))
    return replace(changed, intercept=intercept, terms=tuple(terms), covariance=np.stack(covariances))


def _differences(term: Term) -> np.ndarray:
    """D, (rows, coefficients)."""
    axis = term.axes[0]
    if isinstance(axis, CircleAxis):
        unit = np.eye(axis.functions)
        found = unit - 2 * np.roll(unit, 1, axis=1) + np.roll(unit, 2, axis=1)
    else:
        assert isinstance(axis, SplineAxis)
        found = second_differences(axis.abscissae)
    return np.hstack([found, np.zeros((len(found), int(axis.missing)))])


def _curve(model: AdditiveModel, term: str) -> tuple[int, SplineAxis]:
    number = term_number(model, term)
    axis = model.terms[number].axes[0]
    if model.terms[number].kind != "curve" or not isinstance(axis, SplineAxis):
        raise ValueError(f"{term!r} is {model.terms[number].kind}; this edit is for a curve of numbers")
    return number, axis


def _finer(axis: SplineAxis, more: np.ndarray) -> SplineAxis:
    """The axis with more knots inside, none nearer to a new one than rounding allows."""
    least = 1e-9 * (axis.knots[-1] - axis.knots[0])
    new = [float(k) for k in np.unique(more) if axis.knots[0] < k < axis.knots[-1]]
    old = [k for k in axis.knots[1:-1] if all(abs(k - other) > least for other in new)]
    knots = sorted([*old, *new])
    return replace(axis, knots=(axis.knots[0], *knots, axis.knots[-1]))


def _insertion(axis: SplineAxis, fine: SplineAxis) -> np.ndarray:
    """The matrix from the coefficients of a curve to those of the same curve on more knots."""
    points, k = fine.abscissae, axis.functions
    found = np.zeros((fine.size, axis.size))
    found[: fine.functions, :k] = np.linalg.solve(
        fine.matrix(points).toarray()[:, : fine.functions], axis.matrix(points).toarray()[:, :k]
    )
    if axis.missing:
        found[-1, -1] = 1.0
    return found


def _changed(model: AdditiveModel, number: int, fine: SplineAxis, change: Any, fixed: np.ndarray) -> AdditiveModel:
    """The model with one curve on finer knots, its coefficients changed; those that are `fixed` are certain."""
    term, where = model.terms[number], model.slices()[number]
    axis = term.axes[0]
    assert isinstance(axis, SplineAxis)
    insertion = _insertion(axis, fine)
    new = replace(term, axes=(fine,), coef=change(term.coef @ insertion.T), shape="")
    terms = (*model.terms[:number], new, *model.terms[number + 1 :])
    size, rows = model.slices()[-1].stop, insertion * ~fixed[:, None]
    both = np.zeros((size + len(rows) - rows.shape[1], size))
    both[: where.start, : where.start] = np.eye(where.start)
    both[where.start : where.start + len(rows), where] = rows
    both[where.start + len(rows) :, where.stop :] = np.eye(size - where.stop)
    return _with_covariances(replace(model, terms=terms), lambda v: both @ v @ both.T)
