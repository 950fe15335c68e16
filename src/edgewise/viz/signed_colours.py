"""Choose colours for values of both signs, such as errors: logarithmic where a few would hide all others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

SPIKE = 30.0  # the largest over the median from which on an even scale would show the largest alone
DECADES = 8.0  # below the largest, at most: what is smaller is rounding


def signed_colours(values: Float[np.ndarray, "*any"]) -> tuple[dict[str, Any], str]:
    """The arguments of `imshow`, and what the colour bar must say: "" for an even scale.

    Red is positive, blue is negative, white is 0. On a logarithmic scale sizes up to about the median are even.
    """
    from matplotlib.colors import SymLogNorm

    sizes = np.abs(values[np.isfinite(values)])
    largest = float(sizes.max(initial=0.0)) or 1.0
    middle = max(float(np.median(sizes)), largest * 10**-DECADES) if sizes.any() else largest
    if largest <= SPIKE * middle:
        return {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}, ""
    even = 10.0 ** math.ceil(math.log10(middle) - 1e-9)  # a power of ten, so that the first mark beyond 0 has room
    norm = SymLogNorm(linthresh=even, vmin=-largest, vmax=largest)
    return {"cmap": "RdBu_r", "norm": norm}, f"logarithmic beyond {even:.0e}"
