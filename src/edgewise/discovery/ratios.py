r"""Laws that are a ratio of two polynomials: $y\,Q(x) = P(x)$ is linear in the coefficients of both."""

from __future__ import annotations

import itertools
from typing import Any

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

MAX_TERMS = 40


def rational_laws(
    x: Float[Tensor, "samples variables"], y: Float[Tensor, " samples"], variables: tuple[Any, ...]
) -> list[Any]:
    """Polynomials and ratios of polynomials of low degree that fit the samples, rough numbers, lowest degree first."""
    laws = []
    spread = y.std(correction=0)
    for degree in (1, 2, 3):
        powers = _powers(x.shape[1], degree)
        if len(powers) > MAX_TERMS:
            break
        columns = torch.stack([(x ** torch.tensor(p)).prod(-1) for p in powers], -1)
        terms = [sympy.Mul(*(v**n for v, n in zip(variables, p, strict=True))) for p in powers]
        size = columns.square().mean(0).sqrt().clamp_min(1e-300)
        c = torch.linalg.lstsq(columns / size, y[:, None]).solution[:, 0] / size
        if (columns @ c - y).square().mean().sqrt() < 0.2 * spread:
            laws.append(_sum(c, terms, size, 1e-9))
        if 2 * len(terms) <= MAX_TERMS:
            laws += _ratio(columns / size, size, y, terms)
    return laws


def _ratio(columns: Tensor, size: Tensor, y: Tensor, terms: list[Any]) -> list[Any]:
    """The null vector of [P, -y Q], where it is one."""
    scale = y.square().mean().sqrt()
    both = torch.cat([columns, -columns * (y / scale)[:, None]], 1)
    _, s, v = torch.linalg.svd(both, full_matrices=False)
    laws = []
    if s[-1] < 1e-2 * s[0]:
        null = v[s <= max(1e-9 * s[0].item(), s[-1].item() * 1.0001)]
        null = _sparsest(null)
        p, q = null[: len(terms)] / size * scale, null[len(terms) :] / size
        if (q.abs() * size > 1e-9).any():
            unit = q[(q.abs() * size).argmax()]  # the common factor of both is free: the largest term below gets one
            laws.append(_sum(p / unit, terms, size, 1e-7) / _sum(q / unit, terms, size, 1e-7))
    return laws


def _sparsest(null: Float[Tensor, "vectors terms"]) -> Tensor:
    """One vector of a null space with many zeros: row reduction with pivots at the highest terms."""
    rows = null.flip(1).clone()
    done = 0
    for column in range(rows.shape[1]):
        if done == len(rows) - 1:
            break
        pivot = int(rows[done:, column].abs().argmax()) + done
        if rows[pivot, column].abs() < 1e-8:
            continue
        rows[[done, pivot]] = rows[[pivot, done]]
        rows[done + 1 :] -= rows[done + 1 :, column : column + 1] / rows[done, column] * rows[done]
        done += 1
    last = rows[-1].flip(0)
    return last / last.abs().amax()


def _sum(c: Tensor, terms: list[Any], size: Tensor, smallest: float) -> Any:
    weight = c.abs() * size
    keep = (weight > smallest * weight.amax()).tolist()
    numbers = [sympy.Integer(1) if v == 1 else sympy.Float(v, 17) for v in c.tolist()]
    return sympy.Add(*(v * t for v, t, k in zip(numbers, terms, keep, strict=True) if k))


def _powers(d: int, degree: int) -> list[tuple[int, ...]]:
    found = [(0,) * d]
    for k in range(1, degree + 1):
        for members in itertools.combinations_with_replacement(range(d), k):
            found.append(tuple(members.count(j) for j in range(d)))
    return found
