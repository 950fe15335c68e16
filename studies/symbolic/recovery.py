"""How often a law is found from samples alone: equations of the KAN paper, of AI Feynman and of tutorials.

A law counts as recovered when every constant in it is exact and it agrees with the equation to 25 digits at eight
random points, which for expressions of this kind means that the two are the same. A false claim is a law announced as
exact that is wrong in a box that is a quarter wider, at either end, than the one that the samples were drawn from.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import sympy
import torch

from edgewise.discovery import Discovery, discover
from studies.problems.feynman import EQUATIONS, KAN_PAPER, TUTORIALS, Equation
from studies.study import Case, Row, Run, Settings, Study, option
from studies.table import grouped

OUTCOMES = ("recovered", "law", "refused")
SEEDS = (1000, 1001, 1002, 1003, 1004)
"""Seeds that no decision about the method was taken with."""


@dataclass(frozen=True)
class RecoverySettings(Settings):
    """Settings of the studies of laws."""

    equations: tuple[str, ...] = option((), "some", subset=True)
    noise: tuple[float, ...] = option((0.0, 0.01), "noise in standard deviations of y", selects=True)
    samples: int = option(2000, "number of samples of an equation")
    seconds: float = option(60.0, "processor time of an equation")


def cases(settings: RecoverySettings, seeds: Sequence[int]) -> list[Case]:
    """Every equation for every seed and noise."""
    return [
        {"equation": equation, "noise": noise, "seed": seed}
        for seed in seeds
        for noise in settings.noise
        for equation in settings.equations
    ]


def measure(equations: Mapping[str, Equation], case: Case, run: Run[RecoverySettings]) -> Row:
    """What `discover` answers to the samples of one of the equations, judged against it."""
    equation, noise, seed, settings = equations[case["equation"]], case["noise"], case["seed"], run.settings
    generator = torch.Generator().manual_seed(seed)
    x, y = equation.sample(settings.samples, generator)
    y = y + noise * y.std() * torch.randn(len(y), generator=generator, dtype=torch.float64)
    names, begun = list(equation.ranges), time.process_time()
    found = discover(x, y, names=names, seconds=settings.seconds, seed=seed, clock=time.process_time)
    seconds = time.process_time() - begun
    law, outside = found.law, _error_outside(found, equation)
    return {
        "outcome": "recovered" if is_recovered(found, equation) else "refused" if law is None else "law",
        "announced_exact": found.exact,
        "false_claim": found.exact and not outside < 1e-6,
        "law": None if law is None else str(found.formula.expressions[0]),
        "text": None if law is None else str(found.formula.rounded()[0]),
        "error": None if law is None else law.error,
        "extrapolation_error": None if law is None else law.extrapolation_error,
        "wider_box_error": None if law is None else outside,
        "curves_error": found.curves_error,
        "reason": found.reason,
        "cpu_seconds": round(seconds, 2),
    }


def summarise(rows: list[Row]) -> list[Row]:
    """Every noise: the outcomes of every seed, and the median and the worst seed."""
    return [_noise_summary(group) for group in grouped(rows, ("noise",))]


def is_recovered(found: Discovery, equation: Equation) -> bool:
    """Whether the announced law is the equation, as expressions with exact constants."""
    if found.law is None or found.formula.expressions[0].atoms(sympy.Float):
        return False
    difference = found.formula.expressions[0] - equation.expression
    x, _ = equation.sample(8, torch.Generator().manual_seed(0))
    points = [dict(zip(equation.variables, map(sympy.Rational, row), strict=True)) for row in x.tolist()]
    return all(abs(sympy.N(difference.subs(p), 30, chop=False)) < 1e-25 for p in points)


def _error_outside(found: Discovery, equation: Equation) -> float:
    """The law against the equation in the wider box, noise-free, in standard deviations of y there."""
    if found.law is None:
        return float("nan")
    x, y = equation.sample(2000, torch.Generator().manual_seed(1), wider=0.25)
    return ((found.formula(x)[:, 0] - y).square().mean().sqrt() / y.std()).item()


def _noise_summary(group: list[Row]) -> Row:
    per_seed = {str(some[0]["seed"]): _seed_summary(some) for some in grouped(group, ("seed",))}
    recovered = [counts["recovered"] for counts in per_seed.values()]
    return {
        "noise": group[0]["noise"],
        "seeds": len(per_seed),
        "equations": max(counts["run"] for counts in per_seed.values()),
        "median_recovered": statistics.median(recovered),
        "worst_recovered": min(recovered),
        "false_claims": sum(counts["false_claims"] for counts in per_seed.values()),
        "median_cpu_seconds": statistics.median(row["cpu_seconds"] for row in group),
        "longest_cpu_seconds": max(row["cpu_seconds"] for row in group),
        "per_seed": per_seed,
    }


def _seed_summary(rows: list[Row]) -> Row:
    seconds = [row["cpu_seconds"] for row in rows]
    return {
        "run": len(rows),
        **{outcome: sum(row["outcome"] == outcome for row in rows) for outcome in OUTCOMES},
        "false_claims": sum(row["false_claim"] for row in rows),
        "median_cpu_seconds": statistics.median(seconds),
        "longest_cpu_seconds": max(seconds),
    }


STUDIES = (
    Study(
        name="symbolic",
        title="How many of the KAN paper's 27 equations are recovered from samples, clean and noisy",
        cases=cases,
        measure=partial(measure, KAN_PAPER),
        summarise=summarise,
        settings=RecoverySettings(tuple(KAN_PAPER)),
        seeds=SEEDS,
    ),
    Study(
        name="feynman",
        title="How many of AI Feynman's 120 equations are recovered from clean samples",
        cases=cases,
        measure=partial(measure, EQUATIONS),
        summarise=summarise,
        settings=RecoverySettings(tuple(EQUATIONS), (0.0,), seconds=12.0),
        seeds=SEEDS[:1],
    ),
    Study(
        name="tutorials",
        title="How many of the equations of tutorials on symbolic regression are recovered from clean samples",
        cases=cases,
        measure=partial(measure, TUTORIALS),
        summarise=summarise,
        settings=RecoverySettings(tuple(TUTORIALS), (0.0,)),
        seeds=SEEDS[:3],
    ),
)
