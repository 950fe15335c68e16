r"""Smooths observed trajectories and differentiates them, with the strength of greatest evidence and no parameter.

Every component is a spline of degree 5 with the prior $\frac{\lambda}{2\sigma^2}\int (f''')^2$; $\lambda$ and $\sigma$
maximise the restricted likelihood (Wahba, Annals of Statistics 1985; Wood, JRSS B 2011)

$$ (n - 3)\log S_\lambda + \log|B^TB + \lambda P| - \operatorname{rank}(P)\log\lambda, \qquad
   S_\lambda = \min_c \lVert y - Bc\rVert^2 + \lambda c^TPc . $$

All matrices are banded: n observations cost O(n).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.interpolate import BSpline
from scipy.linalg import LinAlgError, cho_solve_banded, cholesky_banded
from scipy.sparse import csr_array

from edgewise.discovery.dynamics.trajectories import Path

DEGREE = 5
ORDER = 3
MAX_INTERVALS = 2000
EDGE = 40


@dataclass(frozen=True)
class SmoothPath:
    """A smooth trajectory with its first derivative.

    Attributes:
        spline: of all components.
        t: the observed times (n,).
        x: values there (n, d).
        velocity: derivatives there (n, d).
        doubt: standard errors of these (n, d).
        noise: standard deviation of the observations around the spline, per component.
        freedom: effective parameters of every component: so many values say something new.
    """

    spline: BSpline
    t: Float[np.ndarray, " n"]
    x: Float[np.ndarray, "n d"]
    velocity: Float[np.ndarray, "n d"]
    doubt: Float[np.ndarray, "n d"]
    noise: Float[np.ndarray, " d"]
    freedom: Float[np.ndarray, " d"]


def smooth(path: Path) -> SmoothPath:
    """The spline of greatest evidence through the observations of a trajectory."""
    bands = _Bands.of(path.t)
    right = bands.design.T @ path.x
    strengths = _strengths(bands, path.x, right)
    fits = [_fit(bands, path.x[:, [i]], right[:, [i]], s) for i, s in enumerate(strengths)]
    coef = np.column_stack([coef for coef, *_ in fits])
    spline = BSpline(bands.knots, coef, DEGREE)
    noise = np.sqrt([float(loss[0]) / (len(path) - ORDER) for _, loss, *_ in fits])
    places = _places(len(path))
    slopes = _basis_slopes(bands.knots, path.t[places])
    dense = bands.design[places].toarray()
    doubts, freedom = [], []
    for (_, _, factor), sigma in zip(fits, noise, strict=True):
        inverse = cho_solve_banded((factor, True), np.column_stack([slopes.T, dense.T]))
        variances, hats = np.hsplit(np.einsum("nk,kn->n", np.vstack([slopes, dense]), inverse), 2)
        doubts.append(sigma * np.sqrt(np.interp(path.t, path.t[places], np.maximum(variances, 0))))
        freedom.append(np.interp(np.arange(len(path)), places, hats).sum())
    return SmoothPath(
        spline, path.t, spline(path.t), spline.derivative()(path.t), np.column_stack(doubts), noise, np.array(freedom)
    )


def _places(n: int) -> np.ndarray:
    """StateRows at which errors are computed, dense at the ends; between them they hardly change."""
    ends = np.arange(min(n, EDGE))
    return np.unique(np.r_[ends, np.linspace(0, n - 1, min(n, 5 * EDGE)).astype(int), n - 1 - ends])


def _basis_slopes(knots: np.ndarray, t: np.ndarray, order: int = 1) -> np.ndarray:
    """The derivatives of all splines of the basis (times, splines)."""
    return BSpline(knots, np.eye(len(knots) - DEGREE - 1), DEGREE).derivative(order)(t)


@dataclass(frozen=True)
class _Bands:
    """Basis at the times, and the lower bands of its Gram matrix and of the penalty in units of the mean interval."""

    knots: np.ndarray
    design: Any
    gram: np.ndarray
    penalty: np.ndarray

    @classmethod
    def of(cls, t: np.ndarray) -> _Bands:
        count = int(np.clip(len(t) - DEGREE - 1, 4, MAX_INTERVALS))
        inner = np.interp(np.linspace(0, 1, count + 1), np.linspace(0, 1, len(t)), t)
        knots = np.r_[[t[0]] * DEGREE, inner, [t[-1]] * DEGREE]
        design = BSpline.design_matrix(t, knots, DEGREE)
        nodes, weights = np.polynomial.legendre.leggauss(3)
        widths = np.diff(inner)
        points = (inner[:-1, None] + widths[:, None] * (nodes + 1) / 2).ravel()
        third = _basis_slopes(knots, points, ORDER)
        mean = widths.mean()
        third *= np.sqrt((widths[:, None] * weights / 2).ravel() / mean)[:, None] * mean**ORDER
        return cls(knots, design, _lower(design.T @ design), _lower(csr_array(third).T @ csr_array(third)))


def _lower(matrix: Any) -> np.ndarray:
    """The bands of a sparse symmetric matrix as LAPACK stores them."""
    size = matrix.shape[0]
    bands = np.zeros((DEGREE + 1, size))
    for k in range(DEGREE + 1):
        bands[k, : size - k] = matrix.diagonal(-k)
    return bands


def _fit(bands: _Bands, y: np.ndarray, right: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients, the penalised losses, and the Cholesky factor."""
    factor = cholesky_banded(bands.gram + strength * bands.penalty, lower=True)
    coef = cho_solve_banded((factor, True), right)
    rest = y - bands.design @ coef
    return coef, np.sum(rest**2, 0) + strength * _quadratic(bands.penalty, coef), factor


def _quadratic(bands: np.ndarray, coef: np.ndarray) -> np.ndarray:
    total = (bands[0][:, None] * coef**2).sum(0)
    for k in range(1, len(bands)):
        total = total + 2 * (bands[k, :-k, None] * coef[k:] * coef[:-k]).sum(0)
    return np.maximum(total, 0)


def _strengths(bands: _Bands, y: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The strength of greatest restricted likelihood of every component: a coarse scan, then two finer ones."""
    centres, width = np.zeros(y.shape[1]), 22.0
    for count, shrink in ((34, 4.0), (9, 3.0), (9, 3.0)):
        steps = np.linspace(-width, width, count)
        if count == 34:
            values = np.array([_criterion(bands, y, right, s) for s in steps])
            centres = steps[values.argmin(0)]
        else:
            for i in range(y.shape[1]):
                local = [_criterion(bands, y[:, [i]], right[:, [i]], centres[i] + s)[0] for s in steps]
                centres[i] += steps[int(np.argmin(local))]
        width = 2 * width / (count - 1) if count == 34 else width / shrink
    return np.exp(centres)


def _criterion(bands: _Bands, y: np.ndarray, right: np.ndarray, log_strength: float) -> np.ndarray:
    try:
        coef, loss, factor = _fit(bands, y, right, float(np.exp(log_strength)))
    except LinAlgError:
        return np.full(y.shape[1], np.inf)
    scale = np.sum(y**2, 0)
    loss = np.maximum(loss, 1e-28 * scale)
    return (len(y) - ORDER) * np.log(loss) + 2 * np.log(factor[0]).sum() - (len(coef) - ORDER) * log_strength
