r"""Bands of the terms of an additive model and of their derivatives, from the posterior of their coefficients.

With the posterior covariance $V$ of the coefficients $c$ of a term and its functions $B(x)$, the standard deviation of
the term is $s(x) = \sqrt{B(x) V B(x)^T}$. A pointwise band is $f(x) \pm z\,s(x)$. A simultaneous one takes, instead of
the normal quantile z, that of

$$ \max_x \frac{|B(x)\,\delta|}{s(x)}, \qquad \delta\sim N(0, V), $$

by simulation, so that the whole curve lies inside with the probability asked for (Ruppert, Wand and Carroll,
Semiparametric Regression, 2003, 6.5). The covariance includes the uncertainty of the smoothing strengths, see
`edgewise.tables.additive.strength_uncertainty`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from scipy.stats import norm

from edgewise.tables.additive.additive_model import AdditiveModel
from edgewise.tables.additive.axes import Axis

DRAWS = 4000
"""Simulated curves: the level of a simultaneous band is exact up to 0.5 points (one standard deviation)."""
HAVE_SLOPES = ("curve", "cyclic")
PARTS = 32
"""Arguments per axis of the band of a surface."""


@dataclass(frozen=True, eq=False)
class TermBand:
    r"""A term, or a derivative of it, with a band at arguments x.

    Args:
        name: of the term.
        arguments: one array per input; of a surface those of all points of a grid, row by row.
        values: the term, (points,).
        sd: its posterior standard deviation.
        low: the lower end of the band.
        high: the upper end.
        level: the probability of the band.
        simultaneous: it is that of all arguments at once, not of each.
        order: of the derivative; 0 for the term itself.
    """

    name: str
    arguments: tuple[np.ndarray, ...]
    values: np.ndarray = field(repr=False)
    sd: np.ndarray = field(repr=False)
    low: np.ndarray = field(repr=False)
    high: np.ndarray = field(repr=False)
    level: float
    simultaneous: bool
    order: int = 0


@dataclass(frozen=True)
class Trend:
    """An interval on which a curve rises or falls, as far as the data tell.

    >>> str(Trend("age", "rises", 20.0, 35.5))
    'age rises on [20, 35.5]'

    Args:
        term: its name.
        direction: "rises" or "falls".
        start: where the interval begins.
        end: where it ends.
    """

    term: str
    direction: str
    start: float
    end: float

    def __str__(self) -> str:
        return f"{self.term} {self.direction} on [{self.start:.4g}, {self.end:.4g}]"


def require_covariance(model: AdditiveModel) -> np.ndarray:
    """The posterior covariance, with the uncertainty of the strengths; `ValueError` where the model has none."""
    if model.covariance is None:
        raise ValueError("the model has no covariance, so that nothing tells how sure it is; fit it again")
    return model.covariance if model.strength_covariance is None else model.covariance + model.strength_covariance


def require_level(level: float) -> float:
    """The level. Raises `ValueError` where it is no probability between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, such as 0.9; got {level!r}")
    return float(level)


def term_number(model: AdditiveModel, term: str) -> int:
    """The place of the term of this name. Raises `ValueError`, which lists those there are, for an unknown one."""
    names = [known.name for known in model.terms]
    if term not in names:
        raise ValueError(f"there is no term {term!r}; the terms are {', '.join(names) or 'none'}")
    return names.index(term)


def term_band(
    model: AdditiveModel,
    term: str,
    *,
    level: float = 0.9,
    simultaneous: bool = False,
    order: int = 0,
    output: int = 0,
    at: np.ndarray | Sequence[np.ndarray] | None = None,
    points: int = 200,
    seed: int = 0,
) -> TermBand:
    """The band of a term on the link scale.

    Args:
        model: fitted, with its covariance.
        term: its name.
        level: the probability that the band holds the term.
        simultaneous: at all arguments at once.
        order: of the derivative by the argument of a curve.
        output: of a model with several.
        at: the arguments; of a surface a pair of arrays of one length. By default the span of the training table.
        points: how many even arguments the span has; a surface has a grid of 32 by 32.
        seed: of the simulation.
    """
    covariance, level = require_covariance(model), require_level(level)
    number = term_number(model, term)
    found, where = model.terms[number], model.slices()[number]
    if order and found.kind not in HAVE_SLOPES:
        raise ValueError(f"{term!r} is {found.kind}; only a curve of numbers has a derivative here")
    arguments = _arguments(found.axes, at, points)
    matrix = _functions(found.axes, arguments, order)
    v = covariance[output, where, where]
    values = matrix @ found.coef[output].ravel()
    root = square_root(v)
    sd = np.sqrt(np.square(matrix @ root).sum(1))
    factor = critical_value(matrix @ root, sd, level, seed) if simultaneous else float(norm.ppf((1 + level) / 2))
    return TermBand(term, arguments, values, sd, values - factor * sd, values + factor * sd, level, simultaneous, order)


def critical_value(rows: np.ndarray, sd: np.ndarray, level: float, seed: int) -> float:
    """The quantile of the largest of |rows · z| / sd over the rows, z being standard normal numbers."""
    there = sd > 1e-9 * max(float(sd.max(initial=0.0)), 1e-300)
    if not there.any():
        return float(norm.ppf((1 + level) / 2))
    unit = rows[there] / sd[there, None]
    generator = np.random.default_rng(seed)
    parts = [abs(unit @ generator.standard_normal((rows.shape[1], DRAWS // 8))).max(0) for _ in range(8)]
    return float(np.quantile(np.concatenate(parts), level))


def trends(model: AdditiveModel, term: str, *, level: float = 0.9, output: int = 0, points: int = 200) -> list[Trend]:
    """The intervals on which a curve rises or falls: there the simultaneous band of its derivative has no zero.

    All of them are right at once with the probability `level`. A term without derivative has none.
    """
    found = model.terms[term_number(model, term)]
    if found.kind not in HAVE_SLOPES:
        return []
    band = term_band(model, term, level=level, simultaneous=True, order=1, output=output, points=points)
    signs = np.where(band.low > 0, 1, np.where(band.high < 0, -1, 0))
    x, at, result = band.arguments[0], 0, []
    for sign, run in itertools.groupby(signs):
        length = len(list(run))
        if sign and length > 1:
            ends = float(x[at]), float(x[at + length - 1])
            result.append(Trend(term, "rises" if sign > 0 else "falls", *ends))
        at += length
    return result


def square_root(covariance: np.ndarray) -> np.ndarray:
    """R with R R^T = V of a positive semidefinite V, from its eigenvalues; rounding below 0 counts as 0."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def _arguments(
    axes: Sequence[Axis], at: np.ndarray | Sequence[np.ndarray] | None, points: int
) -> tuple[np.ndarray, ...]:
    if at is not None:
        return tuple(np.asarray(a) for a in at) if len(axes) == 2 else (np.asarray(at),)
    if len(axes) == 1:
        return (axes[0].span(points),)
    first, second = (axis.span(PARTS) for axis in axes)
    return np.repeat(first, len(second)), np.tile(second, len(first))


def _functions(axes: Sequence[Axis], arguments: Sequence[np.ndarray], order: int) -> sparse.csr_array:
    from edgewise.tables.additive.additive_terms import row_products

    parts = [axis.matrix(values, order) for axis, values in zip(axes, arguments, strict=True)]
    return parts[0] if len(parts) == 1 else row_products(*parts)
