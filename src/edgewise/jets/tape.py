"""What a sweep of jets notes for the Jacobian of its outputs in the parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Record:
    r"""One parameter p and the coefficients y of the jets that it makes.

    Attributes:
        parameter: p.
        output: y; or the copy of p for every sample.
        rows: from $G_{ab\cdot} = \partial r_b / \partial y_{ab\cdot}$ to $\partial r_b / \partial p$, (b, size of p).
    """

    parameter: Tensor
    output: Tensor
    rows: Callable[[Tensor], Float[Tensor, "b p"]]


Tape = list[Record]
