"""The weak form of pysindy on the same fields: as it comes, and the best of a grid of settings, chosen by the truth.

What is called tuned here is more than a user can have: of all sizes of the windows and all thresholds the answer
nearest to the truth counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from studies.problems.fields import FieldProblem

THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
SIZES = (20, 10, 6)
"""Half widths of the windows: the length of an axis by these."""


def answers(
    problem: FieldProblem, fields: Mapping[str, np.ndarray], tuned: bool, seed: int
) -> Iterator[dict[str, dict[str, float]]]:
    """The equations of every field by the names of their terms, for one or for all settings.

    Raises:
        ImportError: where pysindy is missing.
    """
    try:
        import pysindy
    except ImportError as error:
        raise ImportError("this comparison needs pysindy: pip install pysindy==2.1.0") from error
    u = np.stack([np.moveaxis(v, 0, -1) for v in fields.values()], -1)
    axes = [*problem.space(), problem.times]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    for size in SIZES if tuned else SIZES[:1]:
        np.random.seed(seed)  # pysindy draws its windows from the global generator
        library = pysindy.WeakPDELibrary(
            function_library=pysindy.PolynomialLibrary(degree=3, include_bias=False),
            derivative_order=4 if len(axes) == 2 else 2,
            spatiotemporal_grid=grid,
            H_xt=[float(np.ptp(a)) / size for a in axes],
            K=400 if tuned else 100,
        )
        library.fit([u])
        theta, left = np.asarray(library.transform([u])[0]), np.asarray(library.convert_u_dot_integral(u))
        names = library.get_feature_names(list(fields))
        for threshold in THRESHOLDS if tuned else (0.1,):
            optimizer: Any = pysindy.STLSQ(threshold=threshold)
            coef = np.asarray(optimizer.fit(theta, left).coef_)
            yield {field: _terms(row, names) for field, row in zip(fields, coef, strict=True)}


def _terms(row: np.ndarray, names: list[str]) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, row, strict=True) if value != 0}


def in_their_names(law: Mapping[str, float]) -> dict[str, float]:
    """The terms of an equation as pysindy names them: u*u_x is uu_1, and a Laplacian is u_11 and u_22."""
    named: dict[str, float] = {}
    for text, value in law.items():
        if text.startswith("lap"):
            named |= {f"{text[4]}_11": value, f"{text[4]}_22": value}
        else:
            body, _, suffix = text.partition("_")
            head, star, last = body.rpartition("*") if suffix else ("", "", body)
            factor = head.replace("**", "^").replace("*", " ") if star else ""
            tail = f"{last}_{'1' * len(suffix)}" if suffix else body.replace("**", "^").replace("*", " ")
            named[factor + tail] = value
    return named
