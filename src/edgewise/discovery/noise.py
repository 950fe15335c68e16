r"""Tells noise from what a law misses: the kind of the noise, the likelihood of a law, and whether inputs explain more.

The standard deviation of the noise is $\sigma |f(x)|^k$ with one of three k, $k = 0$ for a constant one, $1/2$ for
counts, 1 for a share of the value; the k of the greatest likelihood is taken. What a law of n rows leaves is compared
with polynomials of the inputs: where p terms reduce the sum of squares by more than chance does, the law is not all.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.separable import chebyshev, products_of, total_degree
from edgewise.functional import least_squares

KINDS = (0.0, 0.5, 1.0)
"""The powers k of the value that the standard deviation of the noise may be proportional to."""

LEAST = 3.0
"""Another kind than constant noise must be so many times as likely, in natural logarithms."""

UNLIKELY = 0.001
"""A test against chance fails below this probability, shared by all tests of a law: what terms that are found pass."""

MOST_ROWS = 2000
"""Rows whose neighbours are looked for."""

MOST_TERMS = 0.2
"""A polynomial that residuals are compared with has at most this share of the rows as terms."""


def noise_kind(value: Float[Tensor, " rows"], y: Float[Tensor, " rows"]) -> float:
    """The power k of the value of a law that the standard deviation of its residuals is proportional to."""
    constant = log_likelihood(value, y, 0.0)
    best = max(KINDS, key=lambda k: log_likelihood(value, y, k))
    return best if log_likelihood(value, y, best) > constant + LEAST else 0.0


def log_likelihood(value: Float[Tensor, " rows"], y: Float[Tensor, " rows"], kind: float, floor: float = 0.0) -> float:
    r"""The greatest Gaussian likelihood over $\sigma$, up to a constant; minus infinity where the value is zero.

    Args:
        value: of the law.
        y: the target.
        kind: the power k.
        floor: the least standard deviation of a constant noise: rounding.
    """
    size = scale_of(value, kind)
    variance = ((y - value) / size).square().mean().item()
    usual = size.square().mean().item()
    if usual == 0:
        return -math.inf
    variance = max(variance, floor**2 / usual, 1e-300)
    found = -0.5 * len(y) * math.log(variance) - size.log().sum().item()
    return found if math.isfinite(found) else -math.inf


def scale_of(value: Float[Tensor, " rows"], kind: float) -> Float[Tensor, " rows"]:
    """What the noise of every row is proportional to."""
    return value.abs() ** kind if kind else torch.ones_like(value)


def unexplained(x: Float[Tensor, "rows inputs"], rest: Float[Tensor, " rows"], unlikely: float = UNLIKELY) -> bool:
    """Whether polynomials of the inputs explain more of what a law leaves than chance does."""
    return chance_of_rest(x, rest, unlikely) < unlikely


def chance_of_rest(x: Float[Tensor, "rows inputs"], rest: Float[Tensor, " rows"], enough: float = 0.0) -> float:
    """The probability that what a law leaves is noise: the least one of all tests times their number.

    A polynomial of degree three of every input alone, then one of degree two of all of them, each by an F test. Then
    jumps and waves: the products of residuals of neighbours, along every input and in all of them, have a mean of zero
    (von Neumann 1941). No test is done after one that ends below the probability that is enough.
    """
    varying = [j for j in range(x.shape[1]) if x[:, j].amax() > x[:, j].amin()]
    sets = [[j] for j in varying] + ([varying] if len(varying) > 1 else [])
    least = 1.0
    for inputs in sets:
        u, degree = x[:, inputs], 3 if len(inputs) == 1 else 2
        powers = total_degree(len(inputs), degree)
        if len(powers) > MOST_TERMS * len(rest):
            continue
        A = products_of(chebyshev(u, u.amin(0), u.amax(0), degree + 1), powers)
        least = min(least, len(sets) * chance(A, rest))
        if least < enough:
            return least
    for inputs in sets:
        least = min(least, len(sets) * _chance_of_neighbours(x[:, inputs], rest))
    return least


def _chance_of_neighbours(x: Float[Tensor, "rows inputs"], rest: Float[Tensor, " rows"]) -> float:
    """The probability that chance makes residuals of neighbouring rows as alike as they are."""
    from scipy.special import ndtr

    r = (rest - rest.mean())[:MOST_ROWS]
    u = x[:MOST_ROWS]
    if u.shape[1] == 1:
        order = u[:, 0].argsort()
        products = r[order][1:] * r[order][:-1]
    else:
        u = u / u.std(0).clamp_min(1e-300)
        distance = torch.cdist(u, u)
        distance.fill_diagonal_(torch.inf)
        products = r * r[distance.argmin(1)]
    deviation = products.std(correction=0) / math.sqrt(len(products))
    return float(ndtr(-float(products.mean() / deviation))) if deviation > 0 else 1.0


def is_larger(rest: Float[Tensor, " held"], least: Float[Tensor, " held"]) -> bool:
    """Whether held-out residuals are larger than others of the same rows, by more than 3 % and more than chance."""
    more = rest.square() - least.square()
    share = rest.square().sum() > 1.03**2 * least.square().sum() + 1e-24 * len(rest)
    return bool(share) and bool(more.mean() > 2 * more.std(correction=0) / math.sqrt(len(more)))


def chance(A: Float[Tensor, "rows terms"], rest: Float[Tensor, " rows"], before: int = 0) -> float:
    """The probability that chance lets the columns, of which so many are in the law before, explain as much."""
    from scipy.special import betainc

    size = A.square().mean(0).sqrt().clamp_min(1e-300)
    after = rest - A / size @ least_squares(A / size, rest[:, None])[:, 0]
    less, more = rest.square().sum().item(), after.square().sum().item()
    p, n = A.shape[1] - before, len(rest) - A.shape[1]
    if not less > more or n < 1:
        return 1.0
    # the F distribution of (less - more) / p over more / n
    return float(betainc(n / 2, p / 2, min(more / less, 1.0)))
