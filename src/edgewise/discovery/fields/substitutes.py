r"""Terms that the data cannot tell from those of an equation, and powers that stand for another function.

Where only one wave is seen, $u_{xx} = -k^2 u$, and where two fields are nearly equal each serves for the other: the
equation fits as well with one of its terms exchanged. Noise hides that, since a term with more derivatives is noisier
and fits worse for that alone; so the terms are compared with one another as well, without what noise adds to their
products. A polynomial with all powers of the library may be the beginning of a series.
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

ROUNDING = 1e-8
"""A candidate of which no larger share of its square is outside the terms of an equation is a sum of them."""

CARRIED = 0.01
"""A term that carries a smaller share of the square of a candidate does not stand for it."""

SEEN = 10.0
"""A candidate stands out of its noise where its square is so many times what noise makes of that."""

SIGMAS = 3.0
"""What is left of a candidate may be so many standard deviations of what noise makes of it."""


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


def twin_of(
    G: Float[np.ndarray, "windows terms"], noise: Sequence[Float[np.ndarray, "windows terms"]], chosen: Sequence[int]
) -> tuple[int, int] | None:
    r"""One of the chosen terms and another candidate that is a sum of the chosen ones as far as noise lets see it.

    With $A = G^T G - \mathbb E[E^T E]$, an estimate of the products without noise, the part of candidate o outside the
    chosen S is $A_{oo} - A_{oS} A_{SS}^{-1} A_{So}$. Only candidates are compared that stand out of their noise.

    Args:
        G: columns of all candidates in the metric of the residual.
        noise: what drawn noise changes of them.
        chosen: columns of the terms of the equation.
    """
    S = list(chosen)
    products = np.stack([E.T @ E for E in noise])
    A = G.T @ G - products.mean(0)
    for other in np.flatnonzero(A.diagonal() > SEEN * products.std(0).diagonal()):
        if other in S:
            continue
        v = np.linalg.pinv(A[np.ix_(S, S)], rcond=DEPENDENT, hermitian=True) @ A[S, other]
        left = A[other, other] - A[other, S] @ v
        allowed = ROUNDING * A[other, other] + SIGMAS * np.std(
            [np.sum((E[:, other] - E[:, S] @ v) ** 2) for E in noise]
        )
        shares = v**2 * A.diagonal()[S]
        if left <= allowed and shares.max() > CARRIED * A[other, other]:
            return S[int(np.argmax(shares))], int(other)
    return None


def is_full_series(terms: Sequence[FieldTerm], degree: int) -> bool:
    """Whether the terms have all powers of one field up to the highest, two at least, under one operator."""
    powers = {(t.operator, next(n for n, p in enumerate(t.powers) if p), t.degree) for t in terms if _is_pure(t)}
    return degree > 1 and any(
        all((operator, field, power) in powers for power in range(1, degree + 1)) for operator, field, _ in powers
    )


def _is_pure(term: FieldTerm) -> bool:
    return sum(p > 0 for p in term.powers) == 1
