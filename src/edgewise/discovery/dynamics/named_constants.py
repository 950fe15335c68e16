r"""The constants of a system with their errors, and with names where the trajectories single them out.

The posterior of a fit is normal with covariance V. Once constant n has the exact value $a$, the others move:
$c \leftarrow c + V_{\cdot n}\,(a - c_n)/V_{nn}$ and $V \leftarrow V - V_{\cdot n} V_{n\cdot}/V_{nn}$.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from edgewise.discovery.dynamics.refinement import SystemFit
from edgewise.expressions import Constant
from edgewise.expressions.constants import RELATIVE_FLOOR, named_near


def named_constants(fit: SystemFit, left: tuple[str, ...], degrees: int) -> tuple[Constant, ...]:
    """All constants of a fit, each with the value and the error that it has beside the names of the others.

    Args:
        fit: the system.
        left: the left side of every equation, such as "x'".
        degrees: observations less constants and initial states.
    """
    refused: set[tuple[int, Any]] = set()
    while True:
        names = _names(fit, degrees, refused)
        found = [_estimate(fit, n, names, degrees) for n in range(len(fit.shot.constants))]
        outside = {n for n, c in enumerate(found) if c.name is not None and not c.holds(c.name)}
        if not outside:
            return tuple(replace(c, place=place) for c, place in zip(found, _places(fit, left), strict=True))
        refused |= {(n, names[n]) for n in outside}


def _names(fit: SystemFit, degrees: int, refused: set[tuple[int, Any]]) -> dict[int, Any]:
    """Names one by one, the one that saves most first; a factor is not named zero, for its term is needed."""
    names: dict[int, Any] = {}
    while True:
        offers = []
        for n in range(len(fit.shot.constants)):
            c = _estimate(fit, n, names, degrees)
            if n not in names and 0 < c.error < np.inf:
                near = [(bits, name) for bits, name in named_near(c.value, c.error) if (n, name) not in refused]
                offers += [
                    (bits, n, name) for bits, name in near if c.holds(name) and (name != 0 or n not in fit.leading)
                ]
        if not offers:
            return names
        _, n, name = max(offers, key=lambda offer: offer[0])
        names[n] = name


def _estimate(fit: SystemFit, n: int, names: Mapping[int, Any], degrees: int) -> Constant:
    """Constant n beside the names of the others."""
    c, v = fit.shot.constants.copy(), fit.shot.covariance.copy()
    for other in sorted(names):
        if other != n and v[other, other] > 0:
            column = v[:, other] / v[other, other]
            c += column * (float(names[other]) - c[other])
            v -= np.outer(column, v[other])
    error = max(float(np.sqrt(max(v[n, n], 0.0))), RELATIVE_FLOOR * abs(float(c[n])))
    return Constant(float(c[n]), error, degrees, names.get(n))


def _places(fit: SystemFit, left: tuple[str, ...]) -> list[str]:
    """What every constant does in the law, such as "factor of x*y in x'" or "K of x/(K + x) in x'"."""
    places = []
    for i, row in enumerate(fit.terms):
        for term in row:
            places.append(f"level in {left[i]}" if term.body == 1 else f"factor of {term} in {left[i]}")
            places += [f"{symbol} of {term} in {left[i]}" for symbol in term.inner]
    return places
