"""Coverage of the 90 % intervals and bands of additive models on simulated tables whose truth is known.

The curves are those of Gu and Wahba, as in the simulations of Wood (J. R. Stat. Soc. B 73, 2011), one of them without
effect; "peak" has a narrow peak on a flat line, which one strength per curve cannot follow; "skewed" has noise far from
that of its family. A case is 20 tables. Measured are the share of 1,000 new outcomes in the intervals of the posterior
and in those of 200 rows of calibration, the share of arguments in pointwise bands, and that of curves that lie in their
simultaneous band as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgewise.tables.estimators import KANAdditive
from studies.study import Case, Row, Run, Settings, Study, grid, option

LEVEL = 0.9
OUTCOMES = ("gaussian", "poisson", "gamma", "peak", "skewed")
MEASURES = ("posterior", "conformal", "pointwise", "simultaneous", "simultaneous slope")
Curve = Callable[[np.ndarray], np.ndarray]
CURVES: tuple[Curve, ...] = (
    lambda x: 2 * np.sin(np.pi * x),
    lambda x: np.exp(2 * x),
    lambda x: 0.2 * x**11 * (10 * (1 - x)) ** 6 + 10 * (10 * x) ** 3 * (1 - x) ** 10,
    lambda x: 0 * x,
)
PEAK: tuple[Curve, ...] = (lambda x: np.exp(-32 * (x - 0.5) ** 2), lambda x: 0 * x)
FACTORS = {"poisson": 0.12, "gamma": 0.15}
"""Of the curves on the link scale, so that means span one order of magnitude."""


@dataclass(frozen=True)
class CoverageSettings(Settings):
    """What is simulated."""

    outcomes: tuple[str, ...] = option(OUTCOMES, "outcomes, some", subset=True)
    rows: int = option(400, "rows of training")
    calibration: int = option(200, "rows of calibration")
    new: int = option(1000, "new rows")
    tables: int = option(20, "tables of a case")


def cases(settings: CoverageSettings, seeds: Sequence[int]) -> list[Case]:
    """Every outcome with every seed."""
    return grid(outcome=settings.outcomes, seed=seeds)


def curves_of(outcome: str) -> list[Curve]:
    """The curves on the link scale."""
    factor = FACTORS.get(outcome, 1.0)
    return [lambda x, f=f: factor * f(x) for f in (PEAK if outcome == "peak" else CURVES)]


def simulated(outcome: str, rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A table and its outcomes."""
    curves = curves_of(outcome)
    x = rng.uniform(size=(rows, len(curves)))
    eta = np.sum([f(column) for f, column in zip(curves, x.T, strict=True)], axis=0)
    if outcome == "poisson":
        return x, rng.poisson(np.exp(eta)).astype(float)
    if outcome == "gamma":
        return x, rng.gamma(2.0, np.exp(eta) / 2)
    if outcome == "skewed":
        return x, eta + rng.exponential(size=rows) ** 2
    return x, eta + (0.5 if outcome == "peak" else 2.0) * rng.normal(size=rows)


def measure(case: Case, run: Run[CoverageSettings]) -> Row:
    """The mean shares of some tables."""
    count = run.settings.tables
    found = [_table(case["outcome"], case["seed"] * count + n, run.settings) for n in range(count)]
    means = {name: np.mean([row[name] for row in found], axis=0) for name in found[0]}
    return {name: np.round(value, 4).tolist() for name, value in means.items()}


def _table(outcome: str, seed: int, settings: CoverageSettings) -> Row:
    """The shares of one table."""
    rng = np.random.default_rng([seed, OUTCOMES.index(outcome)])
    (x, y), calibration, (new, later) = (
        simulated(outcome, rows, rng) for rows in (settings.rows, settings.calibration, settings.new)
    )
    model = KANAdditive(family=outcome if outcome in FACTORS else "gaussian").fit(x, y).calibrate(*calibration)
    found: Row = {}
    for name in ("posterior", "conformal"):
        low, high = model.predict_interval(new, level=LEVEL, conformal=name == "conformal").T
        found[name] = float(((low <= later) & (later <= high)).mean())
        found[f"{name} width"] = float(np.median(high - low))
    for name, order, whole in (("pointwise", 0, False), ("simultaneous", 0, True), ("simultaneous slope", 1, True)):
        found[name] = [_held(model, f, x[:, j], j, order, whole) for j, f in enumerate(curves_of(outcome))]
    return found


def _held(model: KANAdditive, curve: Curve, column: np.ndarray, j: int, order: int, whole: bool) -> float:
    """The share of arguments in the band, or 1 where all are."""
    band = model.band(f"x{j + 1}", level=LEVEL, order=order, simultaneous=whole)
    at, step = band.arguments[0], 1e-5
    truth = curve(at) - curve(column).mean() if order == 0 else (curve(at + step) - curve(at - step)) / (2 * step)
    inside = (band.low <= truth) & (truth <= band.high)
    return float(inside.all() if whole else inside.mean())


def summarise(rows: list[Row]) -> list[Row]:
    """Percentages over all tables: the mean, and of the curves the least."""
    found = []
    for outcome in dict.fromkeys(row["outcome"] for row in rows):
        own = [row for row in rows if row["outcome"] == outcome]
        means = {name: np.mean([row[name] for row in own], axis=0) for name in MEASURES}
        line: Row = {"outcome": outcome, "cases": len(own)}
        line |= {name: round(100 * float(np.mean(value)), 1) for name, value in means.items()}
        found.append({**line, "worst curve, simultaneous": round(100 * float(np.min(means["simultaneous"])), 1)})
    return found


STUDY = Study(
    name="coverage",
    title="Coverage of 90 % intervals and bands of additive models on simulated tables",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=CoverageSettings(),
    seeds=tuple(range(10)),
    tiny=CoverageSettings(outcomes=("gaussian",), rows=100, calibration=30, new=50, tables=2),
)
