"""Fit a network of one layer as a generalised additive model."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from edgewise.bases import BSpline
from edgewise.nn import KANLinear
from edgewise.tables.estimators._base import KANEstimator, checked, target_name
from edgewise.tables.simplest import units_of


class KANAdditive(RegressorMixin, KANEstimator):
    r"""A generalised additive model, $f(x) = b + \sum_j \phi_j(x_j)$.

    The coefficients minimise $\sum_n w_n (y_n - f(x_n))^2 + \lambda \sum_j |D_2 c_j|^2$ with second differences $D_2$
    (Eilers and Marx, Statistical Science 11, 1996), by one linear system. An additive *classifier* is
    `KANClassifier(hidden=())`.

    Args:
        intervals: pieces of every curve.
        degree: degree of the splines.
        smoothness: the strength $\lambda$ in units of the data; "auto" chooses it by generalised cross-validation.

    Attributes:
        model_: the `KAN` of one layer, in the user's units; every curve has mean 0 over the training data.
        smoothness_: the strength $\lambda$ that was used.
        samples_: rows of the training data that show where the curves are used.
    """

    def __init__(self, intervals: int = 10, *, degree: int = 3, smoothness: float | str = "auto") -> None:
        self.intervals = intervals
        self.degree = degree
        self.smoothness = smoothness

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> KANAdditive:
        """Solve for the curves from rows X, targets y and weights of the rows."""
        strength: Any = self.smoothness
        if strength != "auto" and not (isinstance(strength, Real) and float(strength) >= 0):
            raise ValueError(f"smoothness must be 'auto' or a number >= 0, got {self.smoothness!r}")
        if not isinstance(self.intervals, Integral):
            raise ValueError(f"intervals must be a positive integer, got {self.intervals!r}")
        x, target, weights = checked(self, X, y, sample_weight)
        units, basis = units_of(x, weights), BSpline(int(self.intervals), self.degree)
        grid = basis.init_grid(x.shape[1], dtype=torch.float64)
        system = NormalSystem.of(units(x), target, weights, grid, basis)
        self.smoothness_ = system.best_strength() if self.smoothness == "auto" else float(self.smoothness)
        coef, bias = system.solve(self.smoothness_)
        layer = KANLinear.assemble(
            basis,
            None,
            coef=coef[:, :, None],
            grid=grid,
            mask=torch.ones(x.shape[1], 1, dtype=torch.bool),
            bias=bias[None],
        )
        self._set_model([layer], units, None, [target_name(y)])
        self._keep_samples(x, weights)
        return self

    def predict(self, X: Any) -> Float[np.ndarray, " rows"]:
        """The prediction for every row."""
        return self._forward(X)[:, 0].numpy()

    def curve(self, feature: int | str, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
        r"""The curve $\phi_j$ of one feature over the range of the training data: its arguments and its values."""
        check_is_fitted(self)
        names = list(self.column_names)
        j = names.index(feature) if feature in names else feature
        if not isinstance(j, int | np.integer) or not 0 <= j < len(names):
            raise ValueError(f"there is no feature {feature!r}; the features are {', '.join(names)}")
        assert self.model_.input_affine is not None
        inner = torch.linspace(-1, 1, points, dtype=torch.float64)
        x = torch.zeros(points, len(names), dtype=torch.float64)
        x[:, j] = inner
        layer = self.model_.layers[0]
        assert isinstance(layer, KANLinear)
        with torch.no_grad():
            values = layer.edge_values(x)[:, j, 0]
            arguments = (inner - self.model_.input_affine.shift[j]) / self.model_.input_affine.scale[j]
        return arguments.numpy(), values.numpy()


class NormalSystem:
    r"""$(A + \lambda P)\,c = a$ of centred basis functions, for any $\lambda$ at once.

    Centring every function by its weighted mean makes the bias the mean of the target. $P$ holds second differences and
    a twentieth of first differences, so that more features than rows are no problem. With $A + sP = LL^T$ and
    $L^{-1}PL^{-T} = U \mathrm{diag}(m)\,U^T$, the matrix is $LU\,(1 + (\lambda - s)\,m)\,U^T L^T$.
    """

    def __init__(
        self, gram: Tensor, moment: Tensor, means: Tensor, y_mean: Tensor, total: Tensor, n: Tensor, size: int
    ):
        self.means, self.y_mean, self.total, self.n = means.view(-1, size), y_mean, total, n
        first = torch.eye(size, dtype=torch.float64).diff(dim=0)
        second = first.diff(dim=0)
        penalty = torch.block_diag(*[second.T @ second + 0.05 * first.T @ first] * len(self.means))
        self.scale = float(gram.diagonal().mean().clamp_min(1e-300))
        # The functions of a feature sum to a constant, which neither matrix sees: the ridge settles that direction.
        ridge = 1e-9 * self.scale * torch.eye(len(moment), dtype=torch.float64)
        factor = torch.linalg.cholesky(gram + self.scale * penalty + ridge)
        whitened = torch.linalg.solve_triangular(factor, penalty, upper=False)
        whitened = torch.linalg.solve_triangular(factor, whitened.T, upper=False)
        self.m, u = torch.linalg.eigh((whitened + whitened.T) / 2)
        self.back = torch.linalg.solve_triangular(factor.T, u, upper=True)  # L^-T U
        self.rotated = self.back.T @ moment

    @classmethod
    def of(cls, x: Tensor, y: Tensor, weights: Tensor, grid: Tensor, basis: BSpline, rows: int = 8192) -> NormalSystem:
        """Accumulate the system in blocks of rows, so that memory does not grow with the table."""
        total = weights.sum()
        y_mean = (weights * y).sum() / total
        blocks = [slice(start, start + rows) for start in range(0, len(x), rows)]
        means = torch.zeros(x.shape[1] * basis.size, dtype=torch.float64)
        for part in blocks:
            means += weights[part] @ basis.evaluate(x[part], grid).flatten(1) / total
        gram, moment = torch.zeros(len(means), len(means), dtype=torch.float64), torch.zeros_like(means)
        for part in blocks:
            b = basis.evaluate(x[part], grid).flatten(1) - means
            gram += b.T @ (weights[part, None] * b)
            moment += b.T @ (weights[part] * (y[part] - y_mean))
        return cls(gram, moment, means, y_mean, (weights * (y - y_mean) ** 2).sum(), total, basis.size)

    def solve(self, strength: float) -> tuple[Float[Tensor, "in size"], Float[Tensor, ""]]:
        """Coefficients of curves with mean 0, and the bias."""
        c = (self.back @ (self.rotated / self._weights(strength))).view_as(self.means)
        # The functions of a feature sum to 1: subtracting the mean from every coefficient subtracts it from the curve.
        return c - (c * self.means).sum(1, keepdim=True), self.y_mean

    def best_strength(self) -> float:
        r"""The least $n\,\mathrm{RSS}/(n - \mathrm{df} - 1)^2$, df the trace of the hat matrix, over nine decades."""
        strengths = [self.scale * 10**e for e in np.linspace(-4, 5, 28)]
        return min(strengths, key=self._cross_validation)

    def _weights(self, strength: float) -> Tensor:
        return 1 + (strength - self.scale) * self.m

    def _cross_validation(self, strength: float) -> float:
        d, explained = self._weights(strength), (1 - self.scale * self.m).clamp_min(0)  # the Gram matrix, rotated
        z = self.rotated / d
        rss = self.total - 2 * z @ self.rotated + (explained * z * z).sum()
        free = self.n - (explained / d).sum() - 1
        # RSS below its rounding errors is noise: without the floor an interpolating fit would be chosen by chance.
        return float(self.n * rss.clamp_min(1e-12 * self.total) / free**2) if free > 0.02 * self.n else float("inf")
