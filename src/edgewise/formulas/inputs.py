"""Which inputs a short formula needs: forward selection, judged by the ratio of polynomials that they allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from edgewise.formulas.ratio import fit_ratio

Array = np.ndarray
WORTH = 0.03
"""An input is added when it lowers the error by more than this share."""


def forward_selection(
    x: Float[Array, "rows features"],
    y: Float[Array, " rows"],
    candidates: Sequence[int],
    *,
    seed: int,
    most: int = 5,
) -> list[tuple[int, ...]]:
    """The best single input, with it the best second one, and so on, each set after a try to exchange one member.

    Permutation importance cannot answer this: of two inputs that say the same it shows neither.
    """
    sets: list[tuple[int, ...]] = []
    best: tuple[tuple[int, ...], float] = ((), float(np.var(y)))
    known: dict[tuple[int, ...], float] = {}

    def error(inputs: tuple[int, ...]) -> float:
        key = tuple(sorted(inputs))
        if key not in known:
            known[key] = fit_ratio(x[:, key], y, seed, starts=3)[0][1]
        return known[key]

    while len(best[0]) < min(most, len(candidates)):
        chosen, before = best
        others = [j for j in candidates if j not in chosen]
        best = min((((*chosen, j), error((*chosen, j))) for j in others), key=lambda pair: pair[1])
        if not best[1] < (1 - WORTH) * before and len(others) > 1:  # two factors of a product, each nothing alone
            pairs = [(*chosen, j, k) for n, j in enumerate(others) for k in others[n + 1 :]]
            best = min([best, *((s, error(s)) for s in pairs)], key=lambda pair: pair[1])
        if len(best[0]) > 2:
            exchanged = [
                (*(m for m in best[0] if m != out), j) for out in best[0][:-1] for j in candidates if j not in best[0]
            ]
            best = min([best, *((s, error(s)) for s in exchanged)], key=lambda pair: pair[1])
        if not best[1] < (1 - WORTH) * before:
            break
        sets.append(tuple(sorted(best[0])))
    return sets
