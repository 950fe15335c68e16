r"""Linear formulas $b + \sum_{j \in S} a_j x_j$ of growing sets of inputs: candidates that take no time.

However little time a search has, the linear model is then among its formulas. The sets grow by the input that the
residuals of least squares are most correlated with (orthogonal matching pursuit; Pati et al., Asilomar 1993).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float

from edgewise.functional import least_squares

Array = np.ndarray


def linear_sums(
    x: Float[Array, "rows features"], y: Float[Array, " rows"], candidates: Sequence[int]
) -> Iterator[tuple[list[int], Float[Array, " terms"]]]:
    """The inputs of every set and their coefficients, the constant last.

    Args:
        x: the inputs.
        y: the outcome.
        candidates: the inputs that may take part; those that do not vary never do.
    """
    centred = x - x.mean(0)
    norms = np.sqrt((centred**2).sum(0))
    left = [j for j in candidates if norms[j] > 1e-12 * (1 + np.abs(x[:, j]).max()) * len(x) ** 0.5]
    chosen: list[int] = []
    rest = y - y.mean()
    while left:
        chosen.append(max(left, key=lambda j: abs(centred[:, j] @ rest) / norms[j]))
        left.remove(chosen[-1])
        columns = torch.from_numpy(np.column_stack([x[:, chosen], np.ones(len(x))]))
        coefficients = least_squares(columns, torch.from_numpy(y)[:, None])[:, 0].numpy()
        rest = y - columns.numpy() @ coefficients
        yield list(chosen), coefficients
