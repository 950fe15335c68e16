r"""Shapes of curves: linear constraints on B-spline coefficients, which hold everywhere and not at points alone.

The derivative of a spline has the coefficients $\Delta c_k/\Delta\xi_k$ over the Greville abscissae $\xi$: a curve
whose coefficients rise, rises, and one with rising $\Delta c/\Delta\xi$ is convex, continued by straight lines too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import nnls

from edgewise.tables.additive.axes import SplineAxis
from edgewise.tables.additive.blocks import Block, second_differences
from edgewise.tables.additive.penalised_fit import Constrained
from edgewise.tables.additive.strengths import Solved, WorkingModel

SIGNS = {"increasing": 1.0, "decreasing": -1.0, "convex": 1.0, "concave": -1.0}


def constrained_solution(blocks: Sequence[Block], intercept: bool) -> Constrained | None:
    r"""The solution of a working model under the shapes of its blocks; None where no block has a shape.

    With $H = LL^T$ and constraints $A\theta \ge 0$, the multipliers are the $\mu \ge 0$ of least
    $|L^{-1}A^T\mu + L^{-1}b|$, and $\theta = H^{-1}(b + A^T\mu)$.
    """
    rows, start, size = [], int(intercept), int(intercept) + sum(block.parameters for block in blocks)
    for block in blocks:
        if block.shape and block.parameters:
            matrix = shape_matrix(block) @ block.transform
            scale = np.linalg.norm(matrix, axis=1, keepdims=True)
            wide = np.zeros((len(matrix), size))
            wide[:, start : start + block.parameters] = matrix / np.where(scale > 0, scale, 1.0)
            rows.append(wide)
        start += block.parameters
    if not rows:
        return None
    constraints = np.vstack(rows)

    def solution(model: WorkingModel, solved: Solved) -> np.ndarray:
        if (constraints @ solved.theta >= 0).all():
            return solved.theta
        columns = solve_triangular(solved.root, constraints.T, lower=True)
        moment = solve_triangular(solved.root, model.moment, lower=True)
        multipliers, _ = nnls(columns, -moment, maxiter=20 * len(constraints))
        return solve_triangular(solved.root, moment + columns @ multipliers, lower=True, trans=1)

    return solution


def shape_matrix(block: Block) -> np.ndarray:
    """The matrix whose product with the coefficients must not be negative."""
    axis = block.axes[0]
    assert isinstance(axis, SplineAxis)
    inner = np.eye(axis.size)[: axis.functions]
    if block.shape in ("increasing", "decreasing"):
        return SIGNS[block.shape] * np.diff(inner, axis=0)
    return SIGNS[block.shape] * (second_differences(axis.abscissae) @ inner)


def without_rounding(block: Block, coef: np.ndarray) -> np.ndarray:
    """The coefficients, (outputs, size), with what rounding left of the wrong sign taken away."""
    axis = block.axes[0]
    if not block.shape or not isinstance(axis, SplineAxis):
        return coef
    k, sign, found = axis.functions, SIGNS[block.shape], coef.copy()
    if block.shape in ("increasing", "decreasing"):
        found[:, :k] = sign * np.maximum.accumulate(sign * coef[:, :k], axis=1)
        return found
    gaps = np.diff(axis.abscissae)
    slopes = sign * np.maximum.accumulate(sign * np.diff(coef[:, :k], axis=1) / gaps, axis=1)
    found[:, 1:k] = coef[:, :1] + np.cumsum(slopes * gaps, axis=1)
    return found
