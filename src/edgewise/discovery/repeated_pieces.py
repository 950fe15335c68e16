r"""Fits staircases and zigzags, $y = c_0 + \sum_k b_k x_k + h\, p(u)$ with $u = (x_j - s) / w$.

The piece is $p(u) = \lfloor u \rfloor$ (rounded values, remainders, sawteeth) or
$|u - \lfloor u \rfloor - 1/2| = 1/4 + \arcsin(\cos 2 \pi u) / 2 \pi$. The first harmonic has 0.6 of the variance of a
sawtooth and nearly all of a zigzag: waves imitate them, and few rows or noise hide what those leave. So the width w is
begun at the best frequency of what the linear part leaves, all places s are tried, and both are then fitted by ever
finer scans of the sum of squares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.goal import Goal
from edgewise.discovery.jumps import shortest_between, shortest_places
from edgewise.discovery.oscillations import Waves
from edgewise.discovery.rows import FEW_VALUES, MOST_BESIDE
from edgewise.discovery.terms import coefficients, exact_number, useful
from edgewise.functional import least_squares

ROWS = 600
"""Rows that widths and places are selected with."""

WIDTHS, PLACES = 21, 41
"""Widths and places of a scan."""

ZOOM, SCANS = 0.35, 12
"""The size of a scan relative to the one before, and how many there are."""

LEAST_JUMPS = 3
"""Fewer jumps or kinks are told one by one."""

WORTH = 0.5
"""Pieces leave less than this share of the sum of squares of the linear part."""

Piece = Callable[[Tensor], Tensor]


def repeated_pieces(j: int, goal: Goal) -> Iterator[sympy.Expr]:
    """The best staircase and the best zigzag along input j as expressions; none where no width stands out."""
    table = goal.samples
    t, y = table.x[:, j], table.y
    if len(torch.unique(t)) < max(FEW_VALUES, 2 * LEAST_JUMPS):
        return
    # before the pieces are known, a polynomial may not see what other inputs do
    vary = tuple(k for k, u in enumerate(table.x.T) if u.amax() > u.amin())
    beside = vary if len(vary) <= MOST_BESIDE else (j,)
    base = torch.stack([torch.ones_like(y), *(table.x[:, k] for k in beside)], -1)
    some, q = t[:ROWS], torch.linalg.qr(base[:ROWS]).Q
    rest = y[:ROWS] - base[:ROWS] @ least_squares(base[:ROWS], y[:ROWS, None])[:, 0]
    spread = rest.std(correction=0)
    omega = Waves(some, y[:ROWS], torch.ones_like(rest)[:, None]).scaled.scanned(rest / spread)
    if not spread > 1e-9 * y.std(correction=0) or omega is None:
        return
    for piece, jumps in ((torch.floor, 1), (_zigzag, 2)):
        width, place, left = _scanned(some, rest, q, piece, 2 * math.pi / omega)
        crossed = ((some - place) / width * jumps).floor()
        if left < WORTH * rest.square().sum() and crossed.amax() - crossed.amin() >= LEAST_JUMPS:
            place, width = (_shortest(t, place, width) or (place, width)) if jumps == 1 else (place, width)
            A = torch.cat([base, piece((t - place) / width)[:, None]], -1)
            keep = useful(A, y)
            c = dict(zip(keep, coefficients(A[:, keep], y, 1e-9).tolist(), strict=True))
            level, height = c.pop(0, 0.0), c.pop(A.shape[1] - 1, 0.0)
            linear = sympy.Add(*(exact_number(b) * goal.inputs[beside[k - 1]] for k, b in c.items()))
            made = _staircase if jumps == 1 else _wave_of_kinks
            yield linear + made(level, height, goal.inputs[j], place, width)


def _zigzag(u: Tensor) -> Tensor:
    return (u - u.floor() - 0.5).abs()


def _scanned(
    t: Float[Tensor, " rows"],
    rest: Float[Tensor, " rows"],
    q: Float[Tensor, "rows terms"],
    piece: Piece,
    width: float,
) -> tuple[float, float, float]:
    """The width, the place, and the sum of squares that the best pieces leave of the rest of an orthogonal base."""
    place, span, size = t.amin().item(), (t.amax() - t.amin()).item(), 1.0
    best = (-1.0, width, place)
    for _ in range(SCANS):
        widths = width * (1 + size * width / span * torch.linspace(-0.5, 0.5, WIDTHS, dtype=t.dtype))
        places = place + size * width * torch.linspace(-0.5, 0.5, PLACES, dtype=t.dtype)
        pairs = torch.cartesian_prod(widths, places)
        column = piece((t - pairs[:, 1:]) / pairs[:, :1])
        column = column - (column @ q) @ q.T
        gain = (column @ rest).square() / column.square().sum(1).clamp_min(1e-9)
        k = int(gain.argmax())
        best = max(best, (gain[k].item(), *pairs[k].tolist()))
        _, width, place = best
        size *= ZOOM
    return width, place, rest.square().sum().item() - best[0]


def _shortest(t: Float[Tensor, " rows"], place: float, width: float) -> tuple[float, float] | None:
    """The place and the width of fewest digits that leave every row on its step; None where there are none."""
    t = t.sort().values
    numbers = ((t - place) / width).floor()
    at = (numbers.diff() == 1).nonzero()[:, 0]  # over an empty step the place of neither end is known
    found = shortest_places(numbers[at + 1], torch.stack([t[at], t[at + 1]], -1))
    return None if found is None else (shortest_between(*found[0]), found[1])


def _staircase(level: float, height: float, t: sympy.Symbol, place: float, width: float) -> sympy.Expr:
    """The steps above a level, which steps that are moved may take away."""
    if height and abs(level / height - round(level / height)) < 1e-9:
        place, level = place - round(level / height) * width, 0.0
    inside = (t - exact_number(place)) / exact_number(width)
    return exact_number(level) + exact_number(height) * sympy.floor(inside)


def _wave_of_kinks(level: float, height: float, t: sympy.Symbol, place: float, width: float) -> sympy.Expr:
    omega = 2 * math.pi / width
    phase = math.pi / 2 - math.fmod(omega * place, 2 * math.pi)
    inside = sympy.Float(omega, 17) * t + sympy.Float(phase, 17)
    return exact_number(level + height / 4) + exact_number(height / (2 * math.pi)) * sympy.asin(sympy.sin(inside))
