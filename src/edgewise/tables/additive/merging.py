r"""One model of two that were fitted to different rows, on the same knots, without the rows.

The coefficients of a model of rows m have the posterior $N(c_m, V_m)$. The merged model has the product of both,

$$ K = V_1(V_1 + V_2)^+, \qquad c = c_1 + K(c_2 - c_1), \qquad V = V_1 - KV_1, $$

so that each model counts where it knows something, and the priors of both count. Of gaussian outcomes it is the fit of
all rows, those of model m with the weight $1/\phi_m$, and strengths against bending of
$\phi(\lambda_1/\phi_1 + \lambda_2/\phi_2)$; of others it is its Laplace approximation. Curves with a shape keep it in
the mean by numbers of rows, $K = n_2/(n_1 + n_2)$, which is taken where a model has one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgewise.tables.additive.additive_model import AdditiveModel
from edgewise.tables.additive.additive_terms import Term
from edgewise.tables.additive.deviance import KEPT, KeptRows
from edgewise.tables.additive.inputs import Column
from edgewise.tables.additive.term_bands import require_covariance


def merged(first: AdditiveModel, second: AdditiveModel, rows: tuple[int, int]) -> AdditiveModel:
    """The model of both.

    Args:
        first: fitted.
        second: fitted with the same columns, family, outputs, terms and knots, or levels.
        rows: how many each was fitted to.
    """
    _require_alike(first, second)
    n1, n2 = rows
    shaped = any(term.shape for term in (*first.terms, *second.terms))
    one, two = _gauge(first), _gauge(second)
    coefs, covariances, more = [], [], []
    for i in range(len(first.intercept)):
        (c1, v1, m1), (c2, v2, m2) = _moments(first, i, one), _moments(second, i, two)
        gain = n2 / (n1 + n2) * np.eye(len(c1)) if shaped else v1 @ _inverse(v1 + v2)
        rest = np.eye(len(c1)) - gain
        coefs.append(c1 + gain @ (c2 - c1))
        covariances.append(rest @ v1 @ rest.T + gain @ v2 @ gain.T)
        more.append(rest @ m1 @ rest.T + gain @ m2 @ gain.T)
    found = np.stack(coefs)
    scale = tuple((n1 * a + n2 * b) / (n1 + n2) for a, b in zip(first.scale, second.scale, strict=True))
    parts = zip(first.terms, second.terms, first.slices(), strict=True)
    terms = tuple(_term(a, b, found[:, where], (first, second), scale, rows) for a, b, where in parts)
    return replace(
        first,
        intercept=found[:, 0].copy(),
        terms=terms,
        covariance=np.stack(covariances),
        strength_covariance=np.stack(more),
        scale=scale,
        notes=tuple(dict.fromkeys((*first.notes, *second.notes))),
    )


def _require_alike(first: AdditiveModel, second: AdditiveModel) -> None:
    for what in ("family", "columns", "outputs"):
        a, b = getattr(first, what), getattr(second, what)
        if a != b:
            raise ValueError(f"the models have different {what}: {a} and {b}; fit both in the same way")
    names = [[term.name for term in model.terms] for model in (first, second)]
    if names[0] != names[1]:
        raise ValueError(f"the models have different terms: {', '.join(names[0])} and {', '.join(names[1])}")
    for a, b in zip(first.terms, second.terms, strict=True):
        if a.axes != b.axes:
            raise ValueError(
                f"the term {a.name!r} has other knots or levels in the other model; fit that one with `like=` this one"
            )


def _gauge(model: AdditiveModel) -> np.ndarray:
    """The map that gives every curve and all levels the mean coefficient 0 and the intercept the rest."""
    size = model.slices()[-1].stop if model.terms else 1
    found = np.eye(size)
    for term, where in zip(model.terms, model.slices(), strict=True):
        if len(term.axes) == 1:
            known = np.arange(where.start, where.start + term.axes[0].functions)
            found[0, known] += 1 / len(known)
            found[np.ix_(known, known)] -= 1 / len(known)
    return found


def _moments(model: AdditiveModel, output: int, gauge: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The coefficients of an output, their covariance, and what the strengths add to it."""
    known = require_covariance(replace(model, strength_covariance=None))[output]
    extra = np.zeros_like(known) if model.strength_covariance is None else model.strength_covariance[output]
    c = np.concatenate([model.intercept[output : output + 1], *(term.coef[output].ravel() for term in model.terms)])
    return gauge @ c, gauge @ known @ gauge.T, gauge @ extra @ gauge.T


def _inverse(v: np.ndarray) -> np.ndarray:
    """The pseudo-inverse of a covariance whose entries may differ by many orders."""
    size = np.sqrt(np.maximum(np.diag(v), 0.0))
    unit = np.where(size > 0, size, 1.0)
    return np.linalg.pinv(v / unit / unit[:, None], rcond=1e-12, hermitian=True) / unit / unit[:, None]


def _term(
    a: Term,
    b: Term,
    coef: np.ndarray,
    models: tuple[AdditiveModel, AdditiveModel],
    scale: tuple[float, ...],
    rows: tuple[int, int],
) -> Term:
    """The merged term; its degrees of freedom are the mean of both by rows."""
    edf = tuple(float(np.average(pair, weights=rows)) for pair in zip(a.edf, b.edf, strict=True))
    strengths = {}
    for name in a.strengths:
        both = zip(a.strengths[name], b.strengths.get(name, a.strengths[name]), strict=True)
        units = zip(scale, models[0].scale, models[1].scale, strict=True)
        strengths[name] = tuple(s * (x / p + y / q) for (x, y), (s, p, q) in zip(both, units, strict=True))
    return replace(a, coef=coef.reshape(a.coef.shape), edf=edf, strengths=strengths)


def merged_rows(first: KeptRows, second: KeptRows) -> KeptRows:
    """At most `KEPT` of the kept rows of both, as many of either as its share of all rows."""
    total = first.total + second.total
    room = min(KEPT, len(first.weights) + len(second.weights))
    parts = [_thinned(rows, max(1, round(room * rows.total / total))) for rows in (first, second)]
    columns = (
        Column(a.name, a.kind, np.concatenate([a.values, b.values]))
        for a, b in zip(parts[0].columns, parts[1].columns, strict=True)
    )
    targets, weights, offset = (
        np.concatenate([getattr(part, what) for part in parts]) for what in ("targets", "weights", "offset")
    )
    return KeptRows(tuple(columns), targets, weights, offset, total)


def _thinned(rows: KeptRows, most: int) -> KeptRows:
    """At most so many of the rows, evenly from first to last."""
    chosen = np.unique(np.linspace(0, len(rows.weights) - 1, min(most, len(rows.weights))).round().astype(int))
    columns = tuple(Column(c.name, c.kind, c.values[chosen]) for c in rows.columns)
    return KeptRows(columns, rows.targets[chosen], rows.weights[chosen], rows.offset[chosen], rows.total)
