"""Which inputs a short formula needs: forward selection, judged by the ratio of polynomials that they allow."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from edgewise.discovery.noisy.ratio import fit_ratio

Array = np.ndarray
Inputs = tuple[int, ...]

STARTS = 4
RUNNERS_UP, CLOSE = 3, 0.05
"""Of every size up to so many sets are kept whose error is within this share of the best one's."""

WORTH = 0.03
"""An input is added when it lowers the error by more than this share."""


def forward_selection(
    x: Float[Array, "rows features"],
    y: Float[Array, " rows"],
    candidates: Sequence[int],
    *,
    seed: int,
    most: int = 5,
) -> list[Inputs]:
    """The best single input, with it the best second one, and so on, each set after a try to exchange one member.

    Of every size the best sets are returned, the very best first: equal information can have different formulas.

    Permutation importance cannot answer this: of two inputs that say the same it shows neither.
    """
    known: dict[Inputs, float] = {}

    def error(inputs: Inputs) -> float:
        key = tuple(sorted(inputs))
        if key not in known:
            known[key] = fit_ratio(x[:, key], y, seed, starts=STARTS)[0][1] if key else float(np.var(y))
        return known[key]

    sets: list[Inputs] = []
    chosen: Inputs = ()
    while len(chosen) < min(most, len(candidates)):
        others = [j for j in candidates if j not in chosen]
        options: list[Inputs] = [(*chosen, j) for j in others]
        best = min(options, key=error)
        if not error(best) < (1 - WORTH) * error(chosen):  # two factors of a product, each nothing alone
            options = [(*chosen, *pair) for pair in itertools.combinations(others, 2)]
            best = min([best, *options], key=error)
        if len(best) > 2:
            others = [j for j in candidates if j not in best]
            options = [(*(m for m in best if m != out), j) for out in best for j in others]
            best = min([best, *options], key=error)
        if not error(best) < (1 - WORTH) * error(chosen):
            break
        chosen = best
        level = sorted((key for key in known if len(key) == len(chosen)), key=error)
        sets += [key for key in level[:RUNNERS_UP] if error(key) <= (1 + CLOSE) * error(chosen)]
    return sets
