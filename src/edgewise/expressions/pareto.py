"""The front of error against length: what every search for formulas returns beside its recommendation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def pareto(items: Iterable[T], length: Callable[[T], float], error: Callable[[T], float], gain: float = 0.0) -> list[T]:
    """The items whose error is less than that of every shorter one by more than a share of it, the shortest first.

    >>> pareto([(3, 0.1), (1, 0.5), (2, 0.6), (4, 0.1)], lambda t: t[0], lambda t: t[1])
    [(1, 0.5), (3, 0.1)]
    """
    front: list[T] = []
    for item in sorted(items, key=lambda i: (length(i), error(i))):
        if not front or error(item) < error(front[-1]) * (1 - gain):
            front.append(item)
    return front
