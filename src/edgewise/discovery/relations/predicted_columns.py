r"""How well some function of a column follows from other columns: $\min_\varphi \min_f E(\varphi(x_t) - f(x_S))^2$.

$\varphi$ is any curve with variance 1, $f$ any sum of curves and of products; both are found together as a generalised
eigenvector (canonical correlation: Hotelling 1936; in curves: Breiman and Friedman, ACE, 1985; as the smallest additive
principal component: Donnell, Buja and Stuetzle 1994). With curves alone this is the network [n, 1, 1] with a Gaussian
last edge that Liu et al. (2024, section 4.2) train against permuted rows: it searches for $\sum_j \varphi_j(x_j) = 0$.
The eigenvector needs no start and no seed, and sees every relation that the columns have.

All losses are of held-out rows, from the second moments of the features in every fold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve, eigh

from edgewise.discovery.relations.column_functions import Features

Array = np.ndarray

FOLDS = 3
RIDGES = (1e-8, 1e-4, 1e-2, 1e-1, 1.0)
"""Penalties on the squares of the coefficients, in units of the variance of a feature and of its roughness."""


@dataclass(frozen=True)
class Model:
    """How a column is predicted: products of at most `order` columns, and the penalty on roughness."""

    order: int
    ridge: float


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments of the features in every fold.

    Attributes:
        features: what they are of.
        folds: for every fold the sums of products of two features over its rows.
        rows: the number of all rows.
        models: that the rows are enough for.
    """

    features: Features
    folds: Float[Array, "folds features features"]
    rows: int
    models: tuple[Model, ...]

    def loss(self, target: int, columns: frozenset[int], model: Model) -> float:
        """The least share of the variance of a function of the target that others leave, on held-out rows."""
        if not columns:
            return 1.0
        left, size = self._in_folds(target, columns, model)
        return max(float(left.sum() / size.sum()), 0.0)

    def fold_losses(self, target: int, columns: frozenset[int], model: Model) -> Float[Array, " folds"]:
        """The same in every fold alone."""
        left, size = self._in_folds(target, columns, model)
        return left / size

    def _in_folds(self, target: int, columns: frozenset[int], model: Model) -> tuple[Array, Array]:
        """What is left of a function of the target, and the size of the function, summed over every fold."""
        t, s = self.features.places(frozenset([target]), 1), self.features.places(columns, model.order)
        total, left, size = self.folds.sum(0), [], []
        penalty = (1 - 1 / FOLDS) * self._penalty(model)
        for fold in self.folds:
            rest = total - fold
            weights = _weights(rest, s, t, penalty)
            phi = _least(_left(rest, weights, s, t) + np.diag(penalty[t]), rest[np.ix_(t, t)])
            left.append(phi @ _left(fold, weights, s, t) @ phi)
            size.append(phi @ fold[np.ix_(t, t)] @ phi)
        return np.array(left), np.array(size)

    def best(self, target: int, columns: frozenset[int]) -> tuple[float, Model]:
        """The least loss over the models, and the model."""
        sizes = {order: len(self.features.places(columns, order)) for order in {m.order for m in self.models}}
        models = [m for m in self.models if m.order == 1 or (m.order <= len(columns) and sizes[m.order] < self.rows)]
        return min(((self.loss(target, columns, m), m) for m in models), key=lambda pair: pair[0])

    def functions(self, target: int, columns: frozenset[int], model: Model) -> tuple[Array, Array]:
        """The weights of the curves of the target and of the features of the columns, from all rows."""
        t, s = self.features.places(frozenset([target]), 1), self.features.places(columns, model.order)
        total = self.folds.sum(0)
        penalty = self._penalty(model)
        weights = _weights(total, s, t, penalty)
        phi = _least(_left(total, weights, s, t) + np.diag(penalty[t]), total[np.ix_(t, t)]) * np.sqrt(self.rows)
        return phi, weights @ phi

    def _penalty(self, model: Model) -> Array:
        """What is added to the moments of every feature."""
        return model.ridge * self.rows * self.features.roughness + 1e-12 * self.rows


def moments_of(features: Features, values: Float[Array, "rows columns"]) -> Moments:
    """The moments of some rows, which are in no order."""
    x = features(values)
    folds = np.stack([x[f::FOLDS].T @ x[f::FOLDS] for f in range(FOLDS)])
    orders = range(1, max(map(len, features.blocks)) + 1)
    return Moments(features, folds, len(values), tuple(Model(order, r) for order in orders for r in RIDGES))


def _weights(gram: Array, s: Array, t: Array, penalty: Array) -> Array:
    """The coefficients of the features that predict each curve of the target."""
    square = gram[np.ix_(s, s)]
    square[np.diag_indices(len(s))] += penalty[s]
    return cho_solve(cho_factor(square, overwrite_a=True, check_finite=False), gram[np.ix_(s, t)], check_finite=False)


def _left(gram: Array, weights: Array, s: Array, t: Array) -> Array:
    """Second moments of what the predictions of the curves of the target leave."""
    cross = weights.T @ gram[np.ix_(s, t)]
    return gram[np.ix_(t, t)] - cross - cross.T + weights.T @ gram[np.ix_(s, s)] @ weights


def _least(left: Array, total: Array) -> Array:
    """The combination of curves, of sum of squares 1, of which least is left; curves may vanish in some folds."""
    total = total + 1e-9 * np.trace(total) * np.eye(len(total))
    return eigh(left, total, subset_by_index=[0, 0])[1][:, 0]
