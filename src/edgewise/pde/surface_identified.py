r"""How far measured values determine the unknowns of a surface: standard errors under the equation as a constraint.

A measured value counts `DATA` times as much as the same error of a field that the equation would show: its noise is
fitted by the unknowns, and hardly by fields that do not satisfy the equation. If S is the Gauss-Newton matrix of the
unknowns after the fields have followed (the Schur complement of the normal equations), then

$$ \mathrm{cov} \approx \frac{w \sigma^2}{n} S^{-1}, \qquad \sigma^2 = \frac{1}{n - p} \sum_i r_i^2, $$

with n values of factor w: the bound of Cramer and Rao for p unknowns, as far as the surface holds the equation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgewise.pde.surface_equations import SurfaceEquations, Weighted

DATA = 1e-2
TOGETHER = 0.98  # correlation of two unknowns from which on the data are said to determine a combination of them


@dataclass(frozen=True)
class Determined:
    """What the data say of the unknowns.

    Attributes:
        standard_errors: of every unknown, under independent errors of the data of one size.
        noise: the root mean square error of the data, with the degrees of freedom that the unknowns took.
        doubts: what keeps the errors from being believed.
    """

    standard_errors: dict[str, float]
    noise: float
    doubts: tuple[str, ...]


def is_data(weighted: Weighted) -> bool:
    """Whether a term compares a field with measured values."""
    return "_observed" in weighted.term.columns


def determined(equations: SurfaceEquations) -> Determined | None:
    """The standard errors of the unknowns where they are; None without unknowns or data."""
    data, names = [weighted for weighted in equations.terms if is_data(weighted)], list(equations.unknowns)
    if not data or not names:
        return None
    covariance, noise = _covariance(equations, equations.information())
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    doubts = []
    related = covariance / np.maximum(np.outer(errors, errors), 1e-300)
    if len(names) > 1 and np.abs(np.triu(related, 1)).max() > TOGETHER:
        doubts.append("the measured values determine a combination of the unknowns, not each of them")
    return Determined(dict(zip(names, errors.tolist(), strict=True)), noise, tuple(doubts))


def _covariance(equations: SurfaceEquations, information: np.ndarray) -> tuple[np.ndarray, float]:
    """The covariance of the unknowns and the noise of the data, under the equation as a constraint."""
    data = [weighted for weighted in equations.terms if is_data(weighted)]
    left = sum(float(equations.residuals(weighted.term).square().sum()) for weighted in data)
    n = sum(weighted.term.weights.numel() for weighted in data)
    noise = math.sqrt(left / max(1, n - len(equations.unknowns)))
    # Each has the factor of its mean square: by the largest share of one value no error is too small.
    share = max(float(weighted.factor.max() * weighted.term.weights.max()) for weighted in data)
    return share * noise**2 * np.linalg.pinv(information, hermitian=True), noise
