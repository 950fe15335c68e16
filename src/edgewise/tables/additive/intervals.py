r"""Intervals for new outcomes: from the posterior and the noise of the family, or from the errors of other rows.

**Posterior.** The link scale of a row has a normal posterior of mean $\eta$ and variance $s^2$. The interval holds the
share `level` of the distribution of the outcome, averaged over that posterior: of a gaussian outcome
$\eta \pm z\sqrt{s^2 + \phi}$, of a Poisson or gamma outcome the quantiles of a mixture over the nodes of
Gauss-Hermite quadrature. Counts come in steps: of the interval of both quantiles, and those without its first number,
its last, or both, it is the one whose probability is nearest to `level`. Where the residuals of the training rows are
not those of normal noise (the test of Jarque and Bera, 1987, at 1 %), their own quantiles take the place of $\pm z$.

**Split conformal.** With the scores $r_i = |y_i - \mu_i| / d_i$ of n rows that the fit has not seen, the interval is
$\mu \pm q\,d$, q being the $\lceil (n + 1)\,\text{level}\rceil$-th smallest score. It holds a new outcome with
probability at least `level`, and below $\text{level} + 1/(n + 1)$ where no scores tie, for any model and any noise, as
long as the rows are exchangeable (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; Lei and
others, J. Am. Stat. Assoc. 113, 2018). The widths $d = \sqrt{\mu'^2 s^2 + \phi v(\mu)}$ follow the variance function v
of the family; they are 1 where it has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from edgewise.tables.additive.additive_model import AdditiveModel
from edgewise.tables.additive.deviance import KeptRows
from edgewise.tables.additive.inputs import Column
from edgewise.tables.additive.term_bands import require_covariance, require_level

ROWS = 16_384
NODES = 15
"""Of Gauss-Hermite quadrature over the posterior of the link scale."""
HALVINGS = 60
LEVEL_OF_A_TEST = 0.01
"""The chance that normal noise is taken for another."""
ROWS_OF_A_TAIL = 5
"""Residuals beyond a quantile, without which it is not estimated from them."""

VARIANCES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "gaussian": lambda mu, _: np.ones_like(mu),
    "poisson": lambda mu, _: mu,
    "gamma": lambda mu, _: mu**2,
    "tweedie": lambda mu, power: mu**power,
}
"""The variance functions of families, of the mean and the parameter."""


def link_sd(model: AdditiveModel, columns: Sequence[Column]) -> np.ndarray:
    """The posterior standard deviation of the link scale, (rows, outputs)."""
    covariance = require_covariance(model)
    rows = len(columns[0].values)
    found = np.empty((rows, len(covariance)))
    for start in range(0, rows, ROWS):
        part = slice(start, start + ROWS)
        matrix = model.matrix([Column(c.name, c.kind, c.values[part]) for c in columns])
        for i, v in enumerate(covariance):
            found[part, i] = np.einsum("nk,nk->n", matrix @ v, matrix.toarray())
    return np.sqrt(np.maximum(found, 0.0))


def mean_slope(model: AdditiveModel, eta: np.ndarray) -> np.ndarray:
    r"""$\partial\mu/\partial\eta$ of families with one output at a time."""
    if model.family.log_link:
        return model.family.mean(eta)
    if model.family.name == "binomial":
        p = model.family.mean(eta)
        return p * (1 - p)
    return np.ones_like(eta)


def posterior_interval(
    model: AdditiveModel,
    eta: np.ndarray,
    sd: np.ndarray,
    level: float,
    residuals: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the interval of a new outcome, each of the shape of `eta`, (rows, outputs).

    Args:
        model: fitted.
        eta: the link scale, offsets included.
        sd: its posterior standard deviation.
        level: the probability of the interval.
        residuals: of training rows, in units of their standard deviation, (rows, outputs).
        weights: of these rows, 1 by default.
    """
    tail = (1 - require_level(level)) / 2
    family, scale = model.family, np.broadcast_to(np.asarray(model.scale, float), eta.shape[1:])
    if family.name == "gaussian":
        low, high = noise_quantiles(residuals, tail, eta.shape[1], weights)
        width = np.sqrt(sd**2 + scale)
        return eta + low * width, eta + high * width
    if family.name not in ("poisson", "gamma"):
        raise ValueError(
            f"the family {family.name!r} has no distribution of outcomes to take an interval from; "
            "call `calibrate` with rows that the fit has not seen, then ask with conformal=True"
        )
    cdf = _mixture(family.name, eta, sd, scale)
    low, high = (_quantile(cdf, np.full(eta.shape, p), whole=family.name == "poisson") for p in (tail, 1 - tail))
    return _nearest(cdf, low, high, level) if family.name == "poisson" else (low, high)


def training_residuals(model: AdditiveModel, rows: KeptRows) -> np.ndarray | None:
    """Those of gaussian training rows, in units of their standard deviation; a row has drawn the fit to itself."""
    if model.family.name != "gaussian":
        return None
    scale = np.asarray(model.scale)
    r = rows.targets - model.link(list(rows.columns)) - rows.offset
    fitted = link_sd(replace(model, strength_covariance=None), rows.columns) ** 2
    return r / np.sqrt(np.maximum(scale - fitted, 0.25 * scale))


def noise_quantiles(
    residuals: np.ndarray | None, tail: float, outputs: int, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The quantiles of the noise of every output in units of its standard deviation, (outputs,) each.

    A row of weight w counts as w rows, as in the fit.
    """
    z = float(stats.norm.ppf(1 - tail))
    low, high = np.full(outputs, -z), np.full(outputs, z)
    if residuals is None:
        return low, high
    w = np.ones(len(residuals)) if weights is None else weights
    used = w > 0
    if w.sum() * tail < ROWS_OF_A_TAIL:
        return low, high
    for i, r in enumerate(residuals.T):
        if _chance_of_normal(r, w) < LEVEL_OF_A_TEST:
            low[i], high[i] = (_weighted_quantile(r[used], w[used], p) for p in (tail, 1 - tail))
    return low, high


def _chance_of_normal(r: np.ndarray, weights: np.ndarray) -> float:
    """The p-value of the test of Jarque and Bera, which compares skewness and kurtosis with those of normal noise."""
    share = weights / weights.sum()
    d = r - share @ r
    variance = share @ d**2
    if variance <= 0:
        return 1.0
    skewness, kurtosis = share @ d**3 / variance**1.5, share @ d**4 / variance**2
    return float(stats.chi2.sf(weights.sum() / 6 * (skewness**2 + (kurtosis - 3) ** 2 / 4), 2))


def _weighted_quantile(r: np.ndarray, weights: np.ndarray, p: float) -> float:
    """The value at place p (n + 1) of the n = sum(weights) sorted values (Weibull, 1939), linear between places."""
    order = np.argsort(r, kind="stable")
    reached = np.cumsum(weights[order])
    place = p * (reached[-1] + 1)
    first = np.floor(place)
    ends = np.searchsorted(reached, [first - 1e-9, first + 1 - 1e-9]).clip(max=len(r) - 1)
    here, after = r[order][ends]
    return float(here + (place - first) * (after - here))


def _nearest(
    cdf: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Of an interval of whole numbers and those shorter by one at either end, that of a probability nearest to it."""
    below, above = [cdf(low - 1), cdf(low)], [cdf(high), cdf(high - 1)]
    best, ends = np.full(low.shape, np.inf), (low, high)
    for first, last in ((0, 0), (1, 0), (0, 1), (1, 1)):
        off = np.where(low + first <= high - last, abs(above[last] - below[first] - level), np.inf)
        ends = np.where(off < best, low + first, ends[0]), np.where(off < best, high - last, ends[1])
        best = np.minimum(off, best)
    return ends


def _mixture(name: str, eta: np.ndarray, sd: np.ndarray, scale: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The distribution function of an outcome, averaged over the posterior of its link scale."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    means = [np.exp(np.clip(eta + z * sd, -700, 700)) for z in nodes]
    shares = weights / weights.sum()

    def cdf(y: np.ndarray) -> np.ndarray:
        if name == "poisson":
            found = [w * stats.poisson.cdf(y, mu) for w, mu in zip(shares, means, strict=True)]
        else:
            found = [w * stats.gamma.cdf(y, 1 / scale, scale=mu * scale) for w, mu in zip(shares, means, strict=True)]
        return np.sum(found, axis=0)

    return cdf


def _quantile(cdf: Callable[[np.ndarray], np.ndarray], p: np.ndarray, *, whole: bool) -> np.ndarray:
    """The least y >= 0, of `whole` numbers if asked for, with cdf(y) >= p; by bisection."""
    low, high = np.full(p.shape, -1.0 if whole else 0.0), np.ones(p.shape)
    while (short := cdf(high) < p).any() and high.max() < 1e300:
        low, high = np.where(short, high, low), np.where(short, 2 * high, high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        middle = np.floor(middle) if whole else middle
        above = cdf(middle) >= p
        low, high = np.where(above, low, middle), np.where(above, middle, high)
        if whole and (high - low <= 1).all():
            break
    return high


def conformal_widths(model: AdditiveModel, eta: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """The d of the scores, of the shape of `eta`."""
    family = model.family
    if family.name not in VARIANCES:
        return np.ones_like(eta)
    mu = family.mean(eta)
    noise = np.asarray(model.scale, float) * VARIANCES[family.name](mu, family.parameter or 0.0)
    return np.maximum(np.sqrt((mean_slope(model, eta) * sd) ** 2 + noise), 1e-300)


def conformal_scores(model: AdditiveModel, eta: np.ndarray, sd: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The scores of rows that the fit has not seen, in increasing order by output: (rows, outputs)."""
    if not np.isfinite(y).all():
        raise ValueError("the outcomes of the calibration must be finite numbers; leave the other rows out")
    return np.sort(abs(y - model.family.mean(eta)) / conformal_widths(model, eta, sd), axis=0)


def conformal_quantile(scores: np.ndarray, level: float) -> np.ndarray:
    """The q of every output from the sorted scores, (outputs,).

    Raises `ValueError` where there are too few rows for the level: no finite interval would keep it.
    """
    n, level = len(scores), require_level(level)
    place = math.ceil((n + 1) * level - 1e-9)
    if place > n:
        least = math.ceil(level / (1 - level) - 1e-9)
        raise ValueError(f"{n} rows of calibration are too few for the level {level:g}; it needs {least} or more")
    return scores[place - 1]


def conformal_interval(
    model: AdditiveModel, eta: np.ndarray, sd: np.ndarray, scores: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the interval of a new outcome, within what the family can have; arguments as above."""
    mu, half = model.family.mean(eta), conformal_quantile(scores, level) * conformal_widths(model, eta, sd)
    low, high = model.family.loss.targets
    return np.clip(mu - half, low, high), np.clip(mu + half, low, high)
