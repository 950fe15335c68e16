"""pysindy on the ten systems of the study `dynamics`: as it comes, and with the best of many settings.

The tuned answer is chosen with the known law in hand: of all libraries, differentiations, weak forms and thresholds
below, a system counts as recovered where any of them has the right terms with every constant within 1 %. The forced
oscillator is given the force as a control, with its frequency. Rational laws and laws of mechanics are outside the
libraries that are tried: its SINDy-PI needs cvxpy, and was not run.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from studies.problems.trajectories import JUDGED, System
from studies.study import Case, Row, Run, Study
from studies.symbolic.dynamics import TOLERANCE, DynamicsSettings, cases, summarise

THRESHOLDS = (0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.8)


def measure(case: Case, run: Run[DynamicsSettings]) -> Row:
    """Whether the default and any of the tuned settings recover a system."""
    system = JUDGED[case["system"]]
    paths = system.observed(case["noise"], case["seed"])
    begun = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        default = _error(_default(system, paths), system)
        middle = time.process_time()
        tuned = [_error(found, system) for found in _tuned(system, paths)]
    best = min(tuned, default=math.inf)
    return {
        "recovered": best <= TOLERANCE,
        "recovered_by_default": default <= TOLERANCE,
        "worst_constant": best if math.isfinite(best) else None,
        "settings_tried": len(tuned),
        "default_cpu_seconds": round(middle - begun, 3),
        "cpu_seconds": round(time.process_time() - begun, 2),
    }


Found = dict[str, dict[str, float]]


def _error(found: Found | None, system: System) -> float:
    """The largest relative error of a constant; infinite where the terms are not those of the law."""
    law = {e: {t: v for t, v in terms.items() if " in " not in t} for e, terms in system.laws[0].items()}
    if found is None or any(set(found[e]) != set(law[e]) for e in law):
        return math.inf
    return max(abs(found[e][t] / v - 1) for e, terms in law.items() for t, v in terms.items())


def _controls(system: System, paths: list) -> list | None:
    forced = "cos(p + t*w)" in str(system.laws[0])
    return [np.cos(system.laws[0]["v"]["w in cos(p + t*w)"] * t)[:, None] for t, _ in paths] if forced else None


def _default(system: System, paths: list) -> Found | None:
    import pysindy as ps

    model = ps.DiscreteSINDy() if system.kind == "map" else ps.SINDy()
    return _fitted(model, system, paths, None)


def _fitted(model: Any, system: System, paths: list, controls: list | None) -> Found | None:
    names = [*system.names, *([] if controls is None else ["force"])]
    try:
        model.fit([x for _, x in paths], t=paths[0][0], u=controls, feature_names=names)
    except Exception:  # a setting that pysindy cannot fit is a setting that finds nothing
        return None
    return _read(model.coefficients(), model.get_feature_names(), system)


def _read(coefficients: Any, features: list[str], system: System) -> Found:
    keys = [_key(feature) for feature in features]
    rows = np.asarray(coefficients)
    return {
        name: {k: float(c) for k, c in zip(keys, rows[i], strict=True) if abs(c) > 1e-12}
        for i, name in enumerate(system.names)
    }


def _key(feature: str) -> str:
    """A feature of pysindy as the study writes terms."""
    factors = []
    for part in feature.split():
        name, _, power = part.partition("^")
        factors.append(f"{name}**{power}" if power else name)
    text = "*".join(sorted(factors))
    return {"force": "cos(p + t*w)"}.get(text, text)


def _tuned(system: System, paths: list) -> Iterator[Found | None]:
    import pysindy as ps

    controls = _controls(system, paths)
    for degree in (2, 3):
        for threshold in THRESHOLDS:
            for scaled in (False, True):
                optimizer = {"threshold": threshold, "alpha": 1e-6 if scaled else 0.05, "normalize_columns": scaled}
                library = ps.PolynomialLibrary(degree=degree)
                if system.kind == "map":
                    yield _fitted(ps.DiscreteSINDy(ps.STLSQ(**optimizer), library), system, paths, controls)
                    continue
                for method in _differentiations(ps, len(paths[0][0])):
                    yield _fitted(ps.SINDy(ps.STLSQ(**optimizer), library, method), system, paths, controls)
                if len(paths) == 1 and not scaled:
                    yield _weak(ps, system, paths, controls, degree, optimizer)


def _differentiations(ps: Any, rows: int) -> Iterator[Any]:
    yield ps.FiniteDifference(order=4)
    for window in (11, 31, 61):
        if window < rows:
            yield ps.SmoothedFiniteDifference(smoother_kws={"window_length": window, "polyorder": 3})


def _weak(ps: Any, system: System, paths: list, controls: list | None, degree: int, optimizer: dict) -> Found | None:
    ((t, x),) = paths
    np.random.seed(0)  # the places of its test functions
    try:
        library = ps.WeakPDELibrary(
            function_library=ps.PolynomialLibrary(degree=degree, include_bias=True), spatiotemporal_grid=t, K=100
        )
        model = ps.SINDy(ps.STLSQ(**optimizer), library)
        names = [*system.names, *([] if controls is None else ["force"])]
        model.fit(x, t=t, u=None if controls is None else controls[0], feature_names=names)
        return _read(model.coefficients(), model.get_feature_names(), system)
    except Exception:  # as above
        return None


STUDY = Study(
    name="dynamics-pysindy",
    title="How many of ten dynamical systems pysindy recovers, tuned with the law in hand",
    cases=cases,
    measure=measure,
    summarise=lambda rows: summarise([row | {"in_interval": None} for row in rows]),
    settings=DynamicsSettings(),
    seeds=(1000, 1001, 1002),
)
