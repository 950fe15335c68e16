r"""Terms that the data cannot tell from those of an equation, and powers that stand for another function.

Where only one wave is seen, $u_{xx} = -k^2 u$, and where two fields are nearly equal each serves for the other: the
equation fits as well with one of its terms exchanged. A polynomial with all powers of the library may be the beginning
of a series.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from edgewise.discovery.fields.field_terms import FieldTerm

ODDS = 20.0
"""An exchange that makes an equation less likely than one in so many would have been noticed."""

DEPENDENT = 1e-9
"""A candidate of which less than this share of its norm is left by the other terms says nothing."""


def substitute_of(
    design: Float[np.ndarray, "moments terms"], target: Float[np.ndarray, " moments"], chosen: Sequence[int]
) -> tuple[int, int] | None:
    """The term of the chosen ones, and the other candidate, whose exchange is seen least; None where every one is seen.

    Args:
        design: corrected normal equations of all candidates, with noise of variance one.
        target: what the terms add up to.
        chosen: columns of the terms of the equation.
    """
    left, closest = len(target) - len(chosen), (math.inf, (0, 0))
    for own in chosen:
        rest = [n for n in chosen if n != own]
        q, _ = np.linalg.qr(design[:, rest]) if rest else (np.zeros((len(target), 0)), None)
        free = design - q @ (q.T @ design)
        missing = target - q @ (q.T @ target)
        sizes = np.linalg.norm(free, axis=0)
        clear = sizes > DEPENDENT * np.linalg.norm(design, axis=0)
        gains = np.where(clear, (free.T @ missing) ** 2 / np.where(clear, sizes, 1.0) ** 2, 0.0)
        scale = max(float(missing @ missing - gains[own]) / max(left, 1), 1.0)
        gains[rest], best = 0.0, gains[own]
        gains[own] = 0.0
        other = int(np.argmax(gains))
        closest = min(closest, (float(best - gains[other]) / scale, (own, other)))
    return closest[1] if closest[0] < 2 * math.log(ODDS) else None


def is_full_series(terms: Sequence[FieldTerm], degree: int) -> bool:
    """Whether the terms have all powers of one field up to the highest, two at least, under one operator."""
    powers = {(t.operator, next(n for n, p in enumerate(t.powers) if p), t.degree) for t in terms if _is_pure(t)}
    return degree > 1 and any(
        all((operator, field, power) in powers for power in range(1, degree + 1)) for operator, field, _ in powers
    )


def _is_pure(term: FieldTerm) -> bool:
    return sum(p > 0 for p in term.powers) == 1
