"""Where the numbers of a tensor lie in an array: movements of data become indices, which are computed beforehand.

A reshape, a permutation, a slice or an expansion of a tensor reads the same array by other indices. So such an
operation is carried out on the tensor of the indices, by torch itself, and a loop reads the array by the result: by an
expression where the indices are regular, else by a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor


@dataclass(frozen=True)
class Located:
    """A tensor whose element at a position is `array[index[position]]`."""

    array: str
    index: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.index.shape)

    def expanded(self, shape: tuple[int, ...]) -> Tensor:
        """The indices with the shape of a result, by the rules of broadcasting."""
        return self.index.expand(shape)


def whole(array: str, shape: tuple[int, ...]) -> Located:
    """A tensor that fills an array in its order."""
    return Located(array, torch.arange(prod(shape)).reshape(shape))


def strides_of(index: Tensor) -> tuple[int, list[tuple[int, int]]] | None:
    """The first index, and size and stride of every dimension, those of a common stride merged; None if irregular."""
    first = int(index.flatten()[0])
    steps = [int(index.select(d, 1).flatten()[0]) - first if n > 1 else 0 for d, n in enumerate(index.shape)]
    regular = torch.full(index.shape, first)
    for d, (n, step) in enumerate(zip(index.shape, steps, strict=True)):
        regular = regular + (torch.arange(n) * step).reshape([-1 if k == d else 1 for k in range(index.ndim)])
    if not torch.equal(regular, index):
        return None
    merged: list[tuple[int, int]] = []
    for n, step in zip(index.shape, steps, strict=True):
        if n > 1 and merged and merged[-1][1] == step * n:
            merged[-1] = (merged[-1][0] * n, step)
        elif n > 1:
            merged.append((n, step))
    return first, merged


def index_expression(index: Tensor, variable: str) -> str | None:
    """The index in an array at the place `variable` of a result in its order; None where it needs a table."""
    found = strides_of(index)
    if found is None:
        return None
    first, dimensions = found
    terms, below = [], 1
    for n, step in reversed(dimensions):
        if step:
            place = variable if below == 1 else f"{variable} / {below}"
            place = place if n * below == index.numel() else f"{place} % {n}"
            terms.append(place if step == 1 else f"({place}) * {step}" if place != variable else f"{place} * {step}")
        below *= n
    return " + ".join([*([str(first)] if first or not terms else []), *reversed(terms)])
