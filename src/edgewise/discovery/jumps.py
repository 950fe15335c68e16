r"""Finds laws with jumps and kinks: steps along inputs, square waves, and the larger of two linear functions.

Steps are selected one by one, $y = c_0 + \sum_j b_j x_j + \sum_k d_k H(x_{j_k} - s_k)$, each at the best place between
two rows. A square wave $m + A\,\mathrm{sign} \sin(\omega t + \varphi)$ has equal distances between its jumps. The
larger of two linear functions is fitted by turns: which of the two is larger at a row, and the two functions of their
rows (Magnani and Boyd 2009).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.goal import Goal
from edgewise.discovery.rows import FEW_VALUES, MOST_BESIDE
from edgewise.discovery.terms import coefficients, exact_number, useful
from edgewise.functional import least_squares

MOST_STEPS = 4
"""The most steps of a law."""

WORTH = 0.5
"""A step is kept where it leaves less than this share of the sum of squares."""

STARTS, TURNS, ROWS = 4, 30, 600
"""Random starts of the larger of two, turns of each, and the rows that it is fitted to first."""

SHARP = 0.05
"""Targets of a square wave are within this share of its height of one of two levels."""

Step = tuple[int, float, float]


def steps(goal: Goal) -> Iterator[Any]:
    """A linear law with steps, where every one of them explains most of what is left."""
    x, y = goal.samples.x, goal.samples.y
    inputs = [j for j in goal.varying if len(torch.unique(x[:, j])) >= FEW_VALUES][:MOST_BESIDE]
    base = [torch.ones_like(y), *(x[:, j] for j in inputs)]
    found = _worthwhile(x, y, base, inputs) if inputs else []
    if found:
        A = torch.stack([*base, *(_past(x, step) for step in found)], -1)
        keep = useful(A, y)
        c = coefficients(A[:, keep], y, 1e-9).tolist()
        parts = [sympy.Integer(1), *(goal.inputs[j] for j in inputs)]
        parts += [sympy.Heaviside(goal.inputs[j] - exact_number(shortest_between(lo, hi))) for j, lo, hi in found]
        yield sympy.Add(*(exact_number(v) * parts[k] for v, k in zip(c, keep, strict=True)))


def _worthwhile(x: Tensor, y: Tensor, base: list[Tensor], inputs: list[int]) -> list[Step]:
    """The steps one after another, up to the last that is worth it, alone or together with the one before.

    Of a line in equal steps the first explains little without the second.
    """
    found: list[Step] = []
    left = [_rest(torch.stack(base, -1), y).square().sum().item()]
    kept: list[Step] = []
    while len(found) < MOST_STEPS:
        columns = torch.stack([*base, *(_past(x, step) for step in found)], -1)
        found = [*found, min((_best_step(columns, x[:, j], y, j) for j in inputs), key=lambda pair: pair[0])[1]]
        for k in range(len(found) - 1):  # the first places were found without the later steps
            others = [*base, *(_past(x, step) for n, step in enumerate(found) if n != k)]
            found[k] = _best_step(torch.stack(others, -1), x[:, found[k][0]], y, found[k][0])[1]
        left.append(_rest(torch.stack([*base, *(_past(x, step) for step in found)], -1), y).square().sum().item())
        if left[-1] < WORTH * left[-2] or (len(found) > 1 and left[-1] < WORTH**2 * left[-3]):
            kept = found
        elif len(found) > len(kept) + 1:
            break
    return kept


def _past(x: Tensor, step: Step) -> Float[Tensor, " rows"]:
    return (x[:, step[0]] > (step[1] + step[2]) / 2).double()


def _best_step(A: Float[Tensor, "rows terms"], t: Tensor, y: Tensor, j: int) -> tuple[Tensor, Step]:
    """The sum of squares with the best further step along t, and between which rows it is."""
    order = t.argsort()
    q = torch.linalg.qr(A[order]).Q
    z = y[order]
    rest = z - q @ (q.T @ z)
    # the step after row k is minus the indicator of the rows before: sums over those are cumulative
    count = torch.arange(1, len(t), dtype=t.dtype)
    across = count - q.cumsum(0)[:-1].square().sum(1)
    gain = rest.cumsum(0)[:-1].square() / across.clamp_min(1e-9)
    u = t[order]
    gain = torch.where((u[1:] > u[:-1]) & (across > 0.5), gain, -1.0)
    k = int(gain.argmax())
    return rest.square().sum() - gain[k].clamp_min(0), (j, u[k].item(), u[k + 1].item())


def _rest(A: Tensor, y: Tensor) -> Tensor:
    return y - A @ least_squares(A, y[:, None])[:, 0]


def square_waves(goal: Goal) -> Iterator[Any]:
    """A wave of two levels along one input with three jumps at least, at equal distances."""
    x, y = goal.samples.x, goal.samples.y
    low, high = y.quantile(0.1), y.quantile(0.9)
    middle, height = (low + high) / 2, (high - low) / 2
    up = y > middle
    if not height > 0 or not ((y - torch.where(up, high, low)).abs() < 4 * SHARP * height).all():
        return
    level, size = (y[up].mean() + y[~up].mean()) / 2, (y[up].mean() - y[~up].mean()) / 2
    for j in goal.varying:
        order = x[:, j].argsort()
        t, above = x[order, j], up[order]
        jumps = (above[1:] != above[:-1]).nonzero()[:, 0]
        if not 3 <= len(jumps) <= len(t) // 4:
            continue
        ends = torch.stack([t[jumps], t[jumps + 1]], -1)
        found = shortest_places(torch.arange(len(ends), dtype=ends.dtype), ends, math.pi)
        if found is not None:
            ends_of_first, half = found
            omega = exact_number(round(math.pi / half, 15))
            sign = 1.0 if bool(above[jumps[0] + 1]) else -1.0
            phase = shortest_between(*(math.pi / half * end for end in ends_of_first))
            inside = omega * goal.inputs[j] - exact_number(phase)
            yield exact_number(level.item()) + exact_number(sign * size.item()) * sympy.sign(sympy.sin(inside))


def shortest_places(
    n: Float[Tensor, " jumps"], ends: Float[Tensor, "jumps two"], of: float = 0.0
) -> tuple[tuple[float, float], float] | None:
    """The ends of the first place, and the distance of places with the numbers n that are between these ends.

    The distance, or `of` over it, has the fewest digits that are possible. None if there are no such places.
    """
    from scipy.optimize import linprog

    if len(n) < 2:
        return None
    one = torch.ones_like(n)
    A = torch.cat([torch.stack([-one, -n, one], -1), torch.stack([one, n, one], -1)])
    b = torch.cat([-ends[:, 0], ends[:, 1]])
    found = linprog([0.0, 0.0, -1.0], A.numpy(), b.numpy(), bounds=[(None, None), (0, None), (None, None)])
    if not (found.success and found.x[2] > 0 and found.x[1] > 0):
        return None
    distance = float(found.x[1])
    for digits in range(-12, 18):
        short = round(of / distance if of else distance, digits)
        trial = of / short if of and short > 0 else short
        low, high = (ends[:, 0] - trial * n).amax().item(), (ends[:, 1] - trial * n).amin().item()
        if trial > 0 and low < high:
            return (low, high), trial
    return None


def larger_of_two(goal: Goal) -> Iterator[Any]:
    """The larger or the smaller of two linear functions of the inputs, where two are far better than one."""
    if not goal.varying or len(goal.varying) > MOST_BESIDE:
        return
    some = goal.samples.head(ROWS)
    x, y = some.x[:, goal.varying], some.y
    A = torch.cat([torch.ones_like(y)[:, None], x], -1)
    alone = _rest(A, y).square().sum()
    generator = torch.Generator().manual_seed(goal.seed)
    for sign in (1.0, -1.0):
        goal.pulse("the larger of two")
        fits = [_by_turns(A, sign * y, generator) for _ in range(STARTS)]
        left, pair = min(fits, key=lambda fit: fit[0])
        if not left < 0.2 * alone:
            continue
        size = A.square().mean(0).sqrt()
        pair = torch.where(pair.abs() * size > 1e-9 * (pair.abs() * size).amax(), pair, 0.0) * sign
        parts = [sympy.Integer(1), *(goal.inputs[j] for j in goal.varying)]
        p, q = (
            sympy.Add(*(exact_number(c) * part for c, part in zip(row.tolist(), parts, strict=True))) for row in pair
        )
        yield (sympy.Max if sign > 0 else sympy.Min)(p, q)


def _by_turns(A: Tensor, y: Tensor, generator: torch.Generator) -> tuple[float, Float[Tensor, "two terms"]]:
    """The sum of squares and the two functions of one random start: rows on both sides of a random plane."""
    direction = torch.randn(A.shape[1] - 1, generator=generator, dtype=A.dtype)
    u = (A[:, 1:] / A[:, 1:].std(0).clamp_min(1e-300)) @ direction
    first = u > u.median()
    best = (math.inf, torch.zeros(2, A.shape[1], dtype=A.dtype))
    for _ in range(TURNS):
        if min(int(first.sum()), int((~first).sum())) <= A.shape[1]:
            break
        pair = torch.stack([least_squares(A[part], y[part, None])[:, 0] for part in (first, ~first)])
        values = A @ pair.T
        left = (values.amax(-1) - y).square().sum().item()
        if not left < best[0]:
            break
        best = (left, pair)
        first = values[:, 0] > values[:, 1]
    return best


def shortest_between(low: float, high: float) -> float:
    """The number between two others with the fewest digits.

    >>> shortest_between(1.983, 2.017), shortest_between(1.31, 1.39)
    (2.0, 1.35)
    """
    for digits in range(-12, 18):
        middle = round((low + high) / 2, digits)
        if low < middle < high:
            return middle
    return (low + high) / 2
