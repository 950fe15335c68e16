"""How often the partial differential equation of fields is found, with noise, and what is claimed where there is none.

A law is right when it has the terms of the equation that made the fields and all of its constants are within 1 %; a
false claim is an announced law with other terms, or any law of fields that have none. Beside it stands the weak form of
pysindy on the same arrays, as it comes and tuned.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from edgewise.discovery.fields import FieldLaw, discover_field
from edgewise.viz.charts import save_figure
from studies.problems.fields import JUDGED, with_noise
from studies.problems.lawless_fields import LAWLESS
from studies.study import Case, Row, Run, Settings, Study, option
from studies.symbolic.pysindy_fields import answers, in_their_names
from studies.table import grouped

METHODS = ("edgewise", "pysindy", "pysindy-tuned")
SEEDS = (4001, 4002, 4003)
"""Seeds that no decision about the method was taken with."""

DRAWN = (0.05, SEEDS[0])
"""Noise and seed whose held-out times are drawn for every system."""

RIGHT = 0.01
"""Constants of a right law are nearer to the truth than this share of it."""


@dataclass(frozen=True)
class FieldSettings(Settings):
    """Settings of the study of fields."""

    systems: tuple[str, ...] = option(tuple(JUDGED), "some", choices=tuple(JUDGED), subset=True)
    noise: tuple[float, ...] = option((0.0, 0.01, 0.05, 0.1), "noise as a share of the rms of a field", selects=True)
    methods: tuple[str, ...] = option(METHODS[:1], "edgewise, pysindy, pysindy-tuned", choices=METHODS, selects=True)
    seconds: float = option(300.0, "processor time of a search")
    times: int = option(0, "use only so many times, 0 for all")


@dataclass(frozen=True)
class LawlessSettings(Settings):
    """Settings of the study of fields without a law."""

    fields: tuple[str, ...] = option(tuple(LAWLESS), "some", choices=tuple(LAWLESS), subset=True)
    seconds: float = option(300.0, "processor time of a search")


@cache
def solved(system: str) -> dict[str, np.ndarray]:
    """The fields of a system, without noise."""
    return JUDGED[system].solve()


def cases(settings: FieldSettings, seeds: Sequence[int]) -> list[Case]:
    """Every system with every noise for every seed and method."""
    return [
        {"system": system, "noise": noise, "method": method, "seed": seed}
        for method in settings.methods
        for system in settings.systems
        for noise in settings.noise
        for seed in (seeds if noise else seeds[:1])
    ]


def measure(case: Case, run: Run[FieldSettings]) -> Row:
    """The equations found in one set of noisy fields, judged."""
    problem, rows = JUDGED[case["system"]], slice(0, run.settings.times or None)
    fields = {n: u[rows] for n, u in with_noise(solved(case["system"]), case["noise"], case["seed"]).items()}
    begun = time.process_time()
    if case["method"] == "edgewise":
        found = discover_field(
            problem.times[rows], fields, problem.space(), seconds=run.settings.seconds, clock=time.process_time
        )
        row = judged(found, problem.law)
        if (case["noise"], case["seed"]) == DRAWN and found.held_out is not None:
            save_figure(found.plot(), run.folder / f"fields-{case['system']}.png")
    else:
        laws = {name: in_their_names(law) for name, law in problem.law.items()}
        tuned = case["method"] == "pysindy-tuned"
        errors = [worst_error(a, laws) for a in answers(problem, fields, tuned, case["seed"])]
        row = outcome(min(errors))
    return {**row, "cpu_seconds": round(time.process_time() - begun, 2)}


def judged(found: FieldLaw, law: Mapping[str, Mapping[str, float]]) -> Row:
    """What an answer is worth against the equations that made the fields."""
    terms: dict[str, dict[str, float]] = {name: {} for name in law}
    for term in found.terms:
        terms[term.equation][term.term] = float(term.factor)
    row = {"outcome": "refused", "worst_error": None} if found.law is None else outcome(worst_error(terms, law))
    inside = [t.constant.holds(law[t.equation][t.term], 0.95) for t in found.terms if t.term in law[t.equation]]
    return {
        **row,
        "false_claim": row["outcome"] == "wrong",
        "text": None if found.law is None else list(found.lines),
        "inside": sum(inside),
        "constants": len(inside),
        "held_out_error": found.error,
        "horizon": found.horizon,
        "span": found.span,
        "reason": found.reason,
    }


def worst_error(found: Mapping[str, Mapping[str, float]], law: Mapping[str, Mapping[str, float]]) -> float:
    """The largest relative error of any constant; infinite where the terms differ."""
    if any(set(found[name]) != set(law[name]) for name in law):
        return math.inf
    return max(abs(found[n][term] / value - 1) for n, row in law.items() for term, value in row.items())


def outcome(error: float) -> Row:
    """Right, right terms only, or wrong."""
    word = "right" if error <= RIGHT else "terms" if math.isfinite(error) else "wrong"
    return {"outcome": word, "worst_error": error if math.isfinite(error) else None}


def summarise(rows: list[Row]) -> list[Row]:
    """Every system at every noise: how many seeds are right, the median and the worst error."""
    return [_summary(some) for some in grouped(rows, ("method", "noise", "system"))]


def _summary(rows: list[Row]) -> Row:
    errors = [math.inf if row["worst_error"] is None else row["worst_error"] for row in rows]
    inside, constants = (sum(row.get(key) or 0 for row in rows) for key in ("inside", "constants"))
    return {
        **{key: rows[0][key] for key in ("method", "noise", "system")},
        "seeds": len(rows),
        "right": sum(row["outcome"] == "right" for row in rows),
        "right_terms": sum(row["outcome"] in ("right", "terms") for row in rows),
        "false_claims": sum(bool(row.get("false_claim")) for row in rows),
        "median_error": _finite(statistics.median(errors)),
        "largest_error": _finite(max(errors)),
        "constants_inside": f"{inside} of {constants}",
        "median_cpu_seconds": statistics.median(row["cpu_seconds"] for row in rows),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def lawless_cases(settings: LawlessSettings, seeds: Sequence[int]) -> list[Case]:
    """Every field without a law for every seed."""
    return [{"field": field, "seed": seed} for seed in seeds for field in settings.fields]


def measure_lawless(case: Case, run: Run[LawlessSettings]) -> Row:
    """What is claimed about a field that has no law."""
    t, x, u = LAWLESS[case["field"]](np.random.default_rng(case["seed"]))
    begun = time.process_time()
    found = discover_field(t, u, x, seconds=run.settings.seconds, clock=time.process_time)
    return {
        "false_claim": found.law is not None,
        "text": str(found).split("\n")[0],
        "reason": found.reason,
        "cpu_seconds": round(time.process_time() - begun, 2),
    }


def summarise_lawless(rows: list[Row]) -> list[Row]:
    """Every field: the false claims of all seeds."""
    return [
        {
            "field": some[0]["field"],
            "seeds": len(some),
            "false_claims": sum(row["false_claim"] for row in some),
            "reason": some[0]["reason"].split(";")[0],
        }
        for some in grouped(rows, ("field",))
    ]


STUDIES = (
    Study(
        name="fields",
        title="How often the partial differential equation of noisy fields is found, beside pysindy",
        cases=cases,
        measure=measure,
        summarise=summarise,
        settings=FieldSettings(),
        seeds=SEEDS,
        tiny=FieldSettings(systems=("fisher-kpp",), noise=(0.0,)),
    ),
    Study(
        name="fields-lawless",
        title="What is claimed about fields that have no partial differential equation",
        cases=lawless_cases,
        measure=measure_lawless,
        summarise=summarise_lawless,
        settings=LawlessSettings(),
        seeds=SEEDS,
        tiny=LawlessSettings(fields=("white-noise",)),
    ),
)
