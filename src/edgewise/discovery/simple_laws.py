r"""Proposes the laws that need no search: linear in logarithms, two pieces, oscillations, pieces that repeat.

In logarithms a power law $y = c \prod_j x_j^{p_j}$ and an exponential are linear. Pieces are polynomials of degree two
at most on both sides of a value of one variable. See `edgewise.discovery.oscillations` for the third.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.goal import Goal
from edgewise.discovery.jumps import larger_of_two, shortest_between, square_waves, steps
from edgewise.discovery.oscillations import KEPT, oscillation
from edgewise.discovery.repeated_pieces import repeated_pieces
from edgewise.discovery.rows import FEW_VALUES, MOST_BESIDE
from edgewise.discovery.terms import NOTHING, coefficients, exact_number, useful

PIECE_ROWS = 4
"""Every piece has at least this many rows more than coefficients."""

Ends = tuple[float, ...]


Found = tuple[tuple[float, Any, str], ...]
_known: WeakKeyDictionary[Goal, Found] = WeakKeyDictionary()


def simple_laws(goal: Goal) -> Found:
    """The relative error, the expression of the inputs and the origin of every law of these kinds that fits at all.

    They are searched for once, and known as long as the goal lives.
    """
    if goal not in _known:
        _known[goal] = _search(goal)
    return _known[goal]


def _search(goal: Goal) -> Found:
    found = [(law, "linear in logarithms") for law in _linear_laws(goal)]
    for j in goal.varying:
        goal.pulse(f"pieces along {goal.inputs[j]}")
        found += [(law, f"two pieces along {goal.inputs[j]}") for law in _pieces(j, goal)]
    found += [(law, "steps") for law in steps(goal)]
    found += [(law, "a square wave") for law in square_waves(goal)]
    found += [(law, "the larger of two") for law in larger_of_two(goal)]
    errors = [_relative_error(law, goal) for law, _ in found]
    if min(errors, default=math.inf) > 1e-7:
        for j in goal.varying:
            goal.pulse(f"oscillations along {goal.inputs[j]}")
            law = oscillation(j, goal)
            if law is not None:
                found.append((law, f"oscillation along {goal.inputs[j]}"))
                errors.append(_relative_error(law, goal))
            for law in repeated_pieces(j, goal):
                found.append((law, f"repeated pieces along {goal.inputs[j]}"))
                errors.append(_relative_error(law, goal))
    return tuple((error, *law) for error, law in zip(errors, found, strict=True) if error < KEPT)


def _relative_error(law: Any, goal: Goal) -> float:
    return goal.samples.error(law) / goal.samples.y.std(correction=0).item()


def _linear_laws(goal: Goal) -> Iterator[Any]:
    """y or log |y| as a sum of the variables, of their logarithms, or of the logarithms of those over decades."""
    x, y = goal.samples.x[:, goal.varying], goal.samples.y
    inputs = [goal.inputs[j] for j in goal.varying]
    positive = [bool((u > 0).all()) for u in x.T]
    decades = [goal.over_decades(j) for j in goal.varying]
    sign = y[0].sign()
    one_sign = bool((y * sign > 0).all())
    for logs in dict.fromkeys([tuple(positive), tuple(decades), (False,) * len(inputs)]):
        columns = [u.log() if log else u for u, log in zip(x.T, logs, strict=True)]
        terms = [sympy.log(s) if log else s for s, log in zip(inputs, logs, strict=True)]
        if one_sign:
            exponent = _sum(columns, terms, (y * sign).log())
            if exponent is not None:
                yield int(sign) * sympy.exp(exponent)
        if any(logs):
            law = _sum(columns, terms, y)
            if law is not None:
                yield law


def _sum(columns: list[Tensor], terms: list[Any], z: Tensor) -> Any:
    """The least-squares sum without useless terms, where it explains most of z."""
    A = torch.stack([torch.ones_like(z), *columns], -1)
    keep = useful(A, z)
    c = coefficients(A[:, keep], z)
    if not (A[:, keep] @ c - z).var() < 0.1 * z.var():
        return None
    names = [sympy.Integer(1), *terms]
    return sympy.Add(*(sympy.Float(v, 17) * names[k] for v, k in zip(c.tolist(), keep, strict=True)))


def _pieces(j: int, goal: Goal) -> Iterator[Any]:
    """Polynomials of degree one and of two on both sides of the best value of input j, joined by a kink or a step."""
    x, y = goal.samples.x, goal.samples.y
    if len(torch.unique(x[:, j])) < FEW_VALUES:
        return
    order = x[:, j].argsort()
    inputs = goal.varying if len(goal.varying) <= MOST_BESIDE else (j,)
    x, y = x[order], y[order]
    z = (y - y.mean()) / y.std(correction=0)
    for degrees in ((1,), (1, 2)):
        powers = [(k, p) for p in degrees for k in inputs]
        A = torch.stack([torch.ones_like(y), *(x[:, k] ** p for k, p in powers)], -1)
        terms = [sympy.Integer(1), *(goal.inputs[k] ** p for k, p in powers)]
        split = _best_split(A, z, x[:, j])
        if split is not None:
            left, right = (coefficients(A[part], y[part], NOTHING) for part in (slice(0, split), slice(split, None)))
            exact = max(_rest(A[:split], z[:split]), _rest(A[split:], z[split:])) < 1e-7
            gap = tuple(x[split - 1 : split + 1, j].tolist())
            rows = 0 if exact else len(y) // 20  # with noise the pieces meet somewhere near
            near = tuple(x[[max(split - 1 - rows, 0), min(split + rows, len(y) - 1)], j].tolist())
            size = A.square().mean(0).sqrt()
            same = (right - left).abs() * size <= NOTHING * (torch.maximum(left.abs(), right.abs()) * size).amax()
            right = torch.where(same, left, right)
            yield _joined(left.tolist(), right.tolist(), terms, goal.inputs[j], gap, near)


def _best_split(A: Float[Tensor, "rows terms"], z: Float[Tensor, " rows"], t: Float[Tensor, " rows"]) -> int | None:
    """The first row of the right piece where two pieces leave the least, if that is far less than one leaves."""
    n, p = A.shape
    least = p + PIECE_ROWS
    if n < 2 * least + 1:
        return None
    A = A / A.square().mean(0).sqrt().clamp_min(1e-300)
    gram = (A[:, :, None] * A[:, None]).cumsum(0)
    moment = (A * z[:, None]).cumsum(0)
    energy = z.square().cumsum(0)

    def left_over(gram: Tensor, moment: Tensor, energy: Tensor) -> Tensor:
        ridge = 1e-10 * gram.diagonal(dim1=-2, dim2=-1).amax(-1)[:, None, None] * torch.eye(p, dtype=gram.dtype)
        return energy - (moment * torch.linalg.solve(gram + ridge, moment[..., None])[..., 0]).sum(-1)

    k = torch.arange(least, n - least)
    k = k[t[k - 1] < t[k]]
    if len(k) == 0:
        return None
    total = left_over(gram[k - 1], moment[k - 1], energy[k - 1])
    total = total + left_over(gram[-1] - gram[k - 1], moment[-1] - moment[k - 1], energy[-1] - energy[k - 1])
    near = k[total.topk(min(5, len(k)), largest=False).indices].tolist()
    errors = [max(_rest(A[:s], z[:s]), _rest(A[s:], z[s:])) for s in near]
    best = min(range(len(near)), key=lambda m: errors[m])
    return near[best] if errors[best] < 0.3 * _rest(A, z) else None


def _rest(A: Tensor, z: Tensor) -> float:
    return (A @ coefficients(A, z) - z).square().mean().sqrt().item() + 1e-12


def _joined(left: list[float], right: list[float], terms: list[Any], t: Any, gap: Ends, near: Ends) -> Any:
    """Two polynomials that meet near the gap: the larger, the smaller or |t - s|; else with a step in the gap."""
    p, q = (sympy.Add(*(exact_number(c) * term for c, term in zip(side, terms, strict=True))) for side in (left, right))
    difference = [b - a for a, b in zip(left, right, strict=True)]
    slope = difference[terms.index(t)]
    if not any(c for c, term in zip(difference, terms, strict=True) if term not in (1, t)) and slope:
        meet, slack = -difference[0] / slope, 0.01 * (near[1] - near[0])
        if near[0] - slack <= meet <= near[1] + slack:
            rest = sympy.Add(
                *(exact_number(c) * term for c, term in zip(left, terms, strict=True) if term not in (1, t))
            )
            before, after = left[terms.index(t)], right[terms.index(t)]
            if abs(before + after) < 1e-6 * abs(slope):
                level = left[0] + before * meet
                level = level if abs(level) > NOTHING * abs(left[0]) else 0.0
                return after * sympy.Abs(t - exact_number(meet)) + exact_number(level) + rest
            return (sympy.Max if slope > 0 else sympy.Min)(p - rest, q - rest) + rest
    step = sympy.Add(*(exact_number(c) * term for c, term in zip(difference, terms, strict=True)))
    return p + step * sympy.Heaviside(t - exact_number(shortest_between(*gap)))
