"""Rows of a table that follow no others: far from a polynomial, in the units in which one fits best.

A law whose values span decades, as 1/a, leaves rows far from every polynomial of a. It is one in other units of the
inputs or of the target, and there its rows are near; a wrong row is far in those, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from edgewise.discovery.separable import chebyshev, products_of, total_degree
from edgewise.functional import least_squares

FAR = 25.0
"""A row is wrong where its residual is this many times the median one."""

HEAVY = 0.5
"""A twentieth of the rows with a larger share of the sum of squares may bend the polynomial; of noise it has 0.24."""

BETTER = 0.5
"""Other units are those of the law where the usual residual there is this share of the one before."""

DECADES = 100.0
"""A positive variable with a larger ratio of its ends, and more even in its logarithm, is over decades."""

MAX_TERMS = 300
"""The most terms of the polynomial that rows are compared with."""

ENOUGH = 2000
"""So many rows tell in which units a polynomial fits."""

ROUNDING = 1e-10
"""A residual of this share of the spread is none."""


@dataclass(frozen=True)
class _View:
    """The varying inputs and the target of a table in some units."""

    x: Float[Tensor, "rows inputs"]
    y: Float[Tensor, " rows"]

    def thinned(self) -> _View:
        """Every n-th row of many."""
        step = math.ceil(len(self.y) / ENOUGH)
        return _View(self.x[::step], self.y[::step])


@dataclass(frozen=True)
class _Near:
    """The rows that a polynomial follows, and their usual residual as a share of the spread."""

    kept: Bool[Tensor, " rows"]
    usual: float


def wrong_rows(x: Float[Tensor, "rows inputs"], y: Float[Tensor, " rows"]) -> list[int]:
    """At most a twentieth of the rows that lie far from a polynomial through all others, and from their neighbours.

    A row is far where its residual, computed without it, is many times the usual one and a good share of the spread.
    Rows that bend the polynomial so much that all residuals are large are left out first, and come back if they fit.
    Units are plain ones; where those leave rows far, logarithms and reciprocals that fit better.
    """
    varying = x[:, x.amax(0) > x.amin(0)]
    if not varying.shape[1]:
        return []
    views = _views(varying, y)
    view = next(views)
    near = _near_a_polynomial(view)
    if bool(near.kept.all()):
        return []
    best, usual = view, _near_a_polynomial(view.thinned()).usual
    for other in views:
        found = _near_a_polynomial(other.thinned()).usual
        if found < BETTER * usual:
            best, usual = other, found
        if found <= ROUNDING:
            break
    if best is not view:
        near = _near_a_polynomial(best)
    left = best.y[near.kept]
    if left.amax() == left.amin():  # the others are all there is to explain
        return []
    far = (~near.kept).nonzero()[:, 0]
    if near.usual > ROUNDING:  # else the polynomial is the law itself
        far = far[~_near_a_ratio(best.x, y, near)[far]]
        far = far[[not _is_among_neighbours(row, _View(best.x, view.y)) for row in far.tolist()]]
    return far.tolist()


def over_decades(u: Float[Tensor, " rows"]) -> bool:
    """Whether values are positive and spread over decades, as evenly in their logarithms as they can be."""
    if not (u > 0).all() or u.amax() < DECADES * u.amin():
        return False
    plain, log = ((v.median() - v.amin()) / (v.amax() - v.amin()) for v in (u, u.log()))
    return bool((log - 0.5).abs() < (plain - 0.5).abs())


def _views(x: Tensor, y: Tensor) -> Iterator[_View]:
    """The table in plain units, logarithms where values are over decades; then in all others that it has."""
    plain = torch.stack([u.log() if over_decades(u) else u for u in x.T], -1)
    usual = y.abs().log() if over_decades(y.abs()) else y
    yield _View(plain, usual)
    inputs = [plain, x]
    if bool((x > 0).all()):
        inputs += [x.log(), 1 / x]
    targets = [usual, y]
    if bool((y != 0).all()):
        targets += [1 / y]
        if bool((y > 0).all()) or bool((y < 0).all()):
            targets += [y.abs().log()]
    for n, u in enumerate(inputs):
        for m, v in enumerate(targets):
            if (n or m) and bool(u.isfinite().all()) and bool(v.isfinite().all()):
                yield _View(u, v)


def _near_a_polynomial(view: _View) -> _Near:
    """The rows near the polynomial through them, found in a few rounds of leaving out and taking back."""
    y, most = view.y, max(1, len(view.y) // 20)
    A = _polynomials(view.x, min(len(y) // 4, MAX_TERMS if len(y) < 2000 else MAX_TERMS // 3))
    kept = _without_heaviest(A, y, most)
    usual = middle = y.new_zeros(())
    for _ in range(10):
        q, c = torch.linalg.qr(A[kept]).Q, least_squares(A[kept], y[kept][:, None])[:, 0]
        alone = (y - A @ c).abs()
        alone[kept] = alone[kept] / (1 - q.square().sum(1)).clamp_min(1e-9)
        usual, middle = alone[kept].median(), (y[kept] - y[kept].median()).abs().median()
        far = (alone > FAR * usual) & (alone > middle)
        new = (far & kept).nonzero()[:, 0]
        new = new[alone[new].argsort(descending=True)][: min(len(new) // 2 + 1, most - int((far & ~kept).sum()))]
        before, kept = kept, kept | ~far
        kept[new] = False
        if torch.equal(before, kept):
            break
    return _Near(kept, max(float(usual / middle), ROUNDING) if middle > 0 else math.inf)


def _without_heaviest(A: Float[Tensor, "rows terms"], y: Float[Tensor, " rows"], most: int) -> Tensor:
    """The rows without those that have half of the sum of squares together, one after another; all where none do.

    What row i adds to the sum of squares of a fit is $r_i^2 / (1 - h_i)$, with its leverage $h_i$.
    """
    kept, rounds = torch.ones(len(y), dtype=torch.bool), min(most, 10)
    for part in range(rounds):
        q = torch.linalg.qr(A[kept]).Q
        left = y[kept] - q @ (q.T @ y[kept])
        added = left.square() / (1 - q.square().sum(1)).clamp_min(1e-9)
        if part == 0 and left.square().topk(most).values.sum() < HEAVY * left.square().sum():
            return kept
        count = most * (part + 1) // rounds - int((~kept).sum())
        kept[kept.nonzero()[added.topk(count).indices, 0]] = False
    return kept


def _near_a_ratio(x: Tensor, y: Tensor, near: _Near) -> Tensor:
    r"""The rows at which $y\,q(x) = p(x)$ for the quadratic p and linear q of the near rows, if that fits better."""
    p, q = (products_of(chebyshev(x, x.amin(0), x.amax(0), d + 1), total_degree(x.shape[1], d)) for d in (2, 1))
    A = torch.cat([p, -y[:, None] * q[:, 1:]], 1)
    size = A.square().mean(0).sqrt().clamp_min(1e-300)
    kept = near.kept
    c = least_squares(A[kept] / size, y[kept][:, None])[:, 0] / size
    off = (y - A @ c).abs()
    middle = (y[kept] - y[kept].median()).abs().median()
    usual = off[kept].median()
    if not usual < BETTER * near.usual * middle:
        return torch.zeros_like(kept)
    return off <= FAR * torch.maximum(usual, ROUNDING * middle)


def _is_among_neighbours(row: int, view: _View) -> bool:
    """Whether rows near in all inputs or in one, without the two extreme values, have values like it."""
    x = (view.x - view.x.amin(0)) / (view.x.amax(0) - view.x.amin(0))
    apart = (x - x[row]).square()
    for distance in (apart.sum(1), *apart.T):
        beside = distance.index_fill(0, torch.tensor(row), math.inf)
        near = beside.topk(min(4 + 2 * x.shape[1], len(x) - 1), largest=False).indices
        values = view.y[near].sort().values[1:-1]
        room = 2 * (values[-1] - values[0])
        if values[0] - room <= view.y[row] <= values[-1] + room:
            return True
    return False


def _polynomials(x: Tensor, most: int) -> Tensor:
    """Products of Chebyshev polynomials up to the highest total degree, at most five, in so many columns at most."""
    degree = max(k for k in range(6) if k == 0 or math.comb(x.shape[1] + k, k) <= most)
    return products_of(chebyshev(x, x.amin(0), x.amax(0), degree + 1), total_degree(x.shape[1], degree))
