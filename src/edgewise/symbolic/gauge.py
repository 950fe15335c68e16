r"""The freedom inside $c f(a x + b) + d$: several numbers give the same curve, and one choice of them is tidy.

A power $f(su) = |s|^p f(\pm u)$ needs no inner scale, an exponential no inner shift, a sine no negative amplitude.
"""

from __future__ import annotations

import math

Affine = tuple[float, float, float, float]

_POWERS = {
    **{"x": 1, "abs": 1, "sqrt": 0.5, "x^1.5": 1.5, "1/sqrt": -0.5, "1/x": -1},
    **{f"x^{n}": n for n in range(2, 6)},
    **{f"1/x^{n}": -n for n in range(2, 6)},
}
_EVEN = {"abs", "cosh", "gaussian", "x^2", "x^4", "1/x^2", "1/x^4"}
_ODD = {"x", "x^3", "x^5", "1/x", "1/x^3", "1/x^5", "sin", "tan", "sinh", "tanh", "arcsin", "arctan", "arctanh", "erf"}


def tidy(name: str, affine: Affine) -> Affine:
    """The same edge with the fewest free numbers: unit inner scale or no inner shift where the function allows it.

    >>> tidy("exp", (2.0, 0.0, 3.0, 1.0))
    (2.0, 0.0, 3.0, 1.0)
    >>> tidy("x^2", (2.0, 4.0, 3.0, 1.0))
    (1.0, 2.0, 12.0, 1.0)
    """
    a, b, c, d = affine
    if a == 0 or c == 0 or not all(map(math.isfinite, affine)):
        return affine
    if name == "x":
        return 1.0, 0.0, c * a, d + c * b
    if a < 0 and (name in _EVEN or name in _ODD):
        a, b, c = -a, -b, c if name in _EVEN else -c
    if name in _POWERS and abs(_POWERS[name] * math.log10(abs(a))) < 300:  # beyond that, powers overflow
        scale = abs(a)
        a, b, c = math.copysign(1.0, a), b / scale, c * scale ** _POWERS[name]
    elif name == "sign":
        a, b = math.copysign(1.0, a), b / abs(a)
    elif name == "exp" and abs(b) < 300:
        b, c = 0.0, c * math.exp(b)
    elif name == "log":
        a, b, d = math.copysign(1.0, a), b / abs(a), d + c * math.log(abs(a))
    elif name in ("sin", "cos"):
        b, c = (b, c) if c > 0 else (b + math.pi, -c)
        b = (b + math.pi) % (2 * math.pi) - math.pi
    return (a, b, c, d) if all(map(math.isfinite, (a, b, c, d))) else affine
