r"""Constants of a law whose terms are measured with noise, with their covariance.

With windows as rows, $b = b_0 + \beta$ and $G = G_0 + E$, where $\beta$ and E come from the same noise in the cells.
Least squares weighted by $P = \operatorname{cov}(\beta - Ew)^{-1}$ is biased by $E^T P E$. What is expected of that is
subtracted (Fuller, Measurement Error Models, 1987):

$$ (G^T P G - M)\,w = G^T P b - m, \qquad M = \mathbb E[E^T P E],\ m = \mathbb E[E^T P \beta], $$

with both expectations over drawn noise, and the covariance of w from that of $(G + E)^T P (\beta - E w)$ over the same
draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cholesky, solve_triangular

from edgewise.discovery.fields.field_terms import FieldTerm
from edgewise.discovery.fields.weak_system import WeakSystem

RIDGE = 1e-10
"""Share of the largest variance that is added to all: rounding, where windows overlap much."""

QUADRATURE = 1e-4
"""Share of the target that no law need explain: sums over cells are not integrals, and data are not the solution."""

DEPENDENT = 1e-10
"""Directions of the candidates of smaller variance than this share say nothing."""

ROUNDING = 1e-15
"""Directions of smaller variance than this share have no digit that is right."""

FLUCTUATION = 3.0
"""A residual is larger than noise from so many standard deviations on."""


@dataclass(frozen=True)
class Constants:
    """The constants of one set of terms.

    Attributes:
        values: of the constants.
        covariance: of their errors.
        misfit: mean square of the residual in units of what is expected of noise.
        unexplained: the residual beyond noise, root mean square, as a share of the target in the same metric.
        windows: number of equations.
    """

    values: Float[np.ndarray, " terms"]
    covariance: Float[np.ndarray, "terms terms"]
    misfit: float
    unexplained: float
    windows: int

    @property
    def errors(self) -> Float[np.ndarray, " terms"]:
        """Standard errors."""
        return np.sqrt(np.diag(self.covariance))

    @classmethod
    def of_nothing(cls, target: np.ndarray) -> Constants:
        """No constants, which explain nothing."""
        return cls(np.zeros(0), np.zeros((0, 0)), float(np.mean(target**2)), 1.0, len(target))


@dataclass(frozen=True)
class Whitened:
    """Weak systems of all recordings for one field, with rows of independent noise of variance one.

    Attributes:
        columns: of all candidate terms, (windows, terms).
        target: (windows,).
        roots: the Cholesky factor of the covariance of every recording.
    """

    columns: Float[np.ndarray, "windows terms"]
    target: Float[np.ndarray, " windows"]
    roots: tuple[np.ndarray, ...]

    @classmethod
    def of(
        cls,
        systems: Sequence[WeakSystem],
        field: int,
        raw: Sequence[tuple[np.ndarray, np.ndarray]],
        terms: Sequence[FieldTerm],
        w: Sequence[float] | np.ndarray,
        *,
        apart: bool = False,
    ) -> Whitened:
        """Raw columns and targets in the metric of the residual of these terms with these constants."""
        roots = tuple(
            _root(s.residual_covariance(field, terms, w, apart=apart), b)
            for s, (_, b) in zip(systems, raw, strict=True)
        )
        rows = [solve_triangular(r, np.column_stack(gb), lower=True) for r, gb in zip(roots, raw, strict=True)]
        both = np.concatenate(rows)
        return cls(both[:, :-1], both[:, -1], roots)


def constants_of(
    systems: Sequence[WeakSystem],
    field: int,
    terms: Sequence[FieldTerm],
    white: Whitened,
    columns: Sequence[int],
    generator: np.random.Generator,
    draws: int,
) -> Constants:
    """The constants of terms, which are these columns of the whitened systems, corrected for noise in them."""
    G, b = white.columns[:, list(columns)], white.target
    noise = list(drawn_noise(systems, field, terms, white, generator, draws))
    M = np.mean([E.T @ E for E, _ in noise], 0)
    m = np.mean([E.T @ beta for E, beta in noise], 0)
    A = G.T @ G
    if _is_definite(A - M, A):
        A = A - M
    else:
        M, m = np.zeros_like(M), np.zeros_like(m)
    inverse = _inverse(A)
    w = inverse @ (G.T @ b - m)
    left, residual = [beta - E @ w for E, beta in noise], b - G @ w
    scores = np.stack([(G + E).T @ r - (m - M @ w) for (E, _), r in zip(noise, left, strict=True)])
    expected = float(np.mean([r @ r for r in left]))
    beyond = max(float(residual @ residual) - expected, 0.0)
    allowed = expected * (1 + FLUCTUATION * float(np.sqrt(2 / len(b))))
    structure = max(float(residual @ residual) - allowed, 0.0)  # may lie in one direction, so no mean is taken
    covariance = inverse @ (scores.T @ scores / draws + structure * (G.T @ G)) @ inverse
    misfit = float(residual @ residual) / max(expected, len(b))
    return Constants(w, covariance, misfit, float(np.sqrt(beyond / (b @ b))), len(b))


def moments(
    systems: Sequence[WeakSystem],
    field: int,
    terms: Sequence[FieldTerm],
    white: Whitened,
    generator: np.random.Generator,
    draws: int,
) -> tuple[Float[np.ndarray, "moments terms"], Float[np.ndarray, " moments"]]:
    """The corrected normal equations of all terms, in directions of independent noise of variance one."""
    G, b = white.columns, white.target
    V = G.T @ G
    A, a = V.copy(), G.T @ b
    for E, beta in drawn_noise(systems, field, terms, white, generator, draws):
        A -= E.T @ E / draws
        a -= E.T @ beta / draws
    size = np.sqrt(np.maximum(V.diagonal(), 1e-300))
    values, vectors = np.linalg.eigh(V / np.outer(size, size))
    clear = values > DEPENDENT
    root = (vectors[:, clear] / np.sqrt(values[clear])).T / size
    return root @ A, root @ a


def _root(covariance: np.ndarray, target: np.ndarray) -> np.ndarray:
    floor = RIDGE * covariance.diagonal().max() + QUADRATURE**2 * np.mean(target**2)
    return cholesky(covariance + floor * np.eye(len(covariance)), lower=True)


def _inverse(A: np.ndarray) -> np.ndarray:
    """The inverse, without the directions in which terms that depend on one another say nothing."""
    size = np.sqrt(np.maximum(A.diagonal(), 1e-300))
    return np.linalg.pinv(A / np.outer(size, size), rcond=ROUNDING, hermitian=True) / np.outer(size, size)


def _is_definite(A: np.ndarray, scale: np.ndarray) -> bool:
    size = np.sqrt(scale.diagonal())
    return bool(np.linalg.eigvalsh(A / np.outer(size, size))[0] > DEPENDENT)


def drawn_noise(
    systems: Sequence[WeakSystem],
    field: int,
    terms: Sequence[FieldTerm],
    white: Whitened,
    generator: np.random.Generator,
    draws: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Whitened changes of the columns of terms and of the target by drawn noise."""
    for _ in range(draws):
        parts = []
        for system, root in zip(systems, white.roots, strict=True):
            sizes = np.reshape(system.noise, (-1, *(1,) * (system.u.ndim - 1)))
            e = sizes * generator.standard_normal(system.u.shape)
            raw = np.column_stack([system.noise_columns(terms, e), system.target(e[field])])
            parts.append(solve_triangular(root, raw, lower=True))
        rows = np.concatenate(parts)
        yield rows[:, :-1], rows[:, -1]
