"""Laws of trajectories: how many of ten systems `discover_dynamics` finds, and what it claims of data without a law.

A system counts as recovered when the announced law has the terms of the known one and no other, and every constant
within 1 %. A false claim is a law announced for data that have none. Each case has five minutes of processor time at
most; no decision about the method was taken with these systems, constants or seeds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgewise.discovery import Dynamics, discover_dynamics
from edgewise.discovery.dynamics.dynamics_value import MARKS
from studies.problems.trajectories import JUDGED, LAWLESS, System, Terms
from studies.study import Case, Row, Run, Settings, Study, option
from studies.table import grouped

TOLERANCE = 0.01
"""The relative error that a constant may have; of one that is zero in the law, the absolute one."""


@dataclass(frozen=True)
class DynamicsSettings(Settings):
    """Settings of the studies of trajectories."""

    systems: tuple[str, ...] = option(tuple(JUDGED), "some", subset=True)
    noise: tuple[float, ...] = option((0.0, 0.01, 0.05), "noise in standard deviations of x", selects=True)
    seconds: float = option(120.0, "processor time of a case")


@dataclass(frozen=True)
class LawlessSettings(Settings):
    """Settings of the study of data without a law."""

    kinds: tuple[str, ...] = option(tuple(LAWLESS), "some", subset=True)
    seconds: float = option(60.0, "processor time of a case")


def cases(settings: DynamicsSettings, seeds: Sequence[int]) -> list[Case]:
    """Every system for every noise and seed; without noise one seed says all."""
    return [
        {"system": system, "noise": noise, "seed": seed}
        for seed in seeds
        for noise in settings.noise
        for system in settings.systems
        if noise > 0 or seed == seeds[0]
    ]


def measure(case: Case, run: Run[DynamicsSettings]) -> Row:
    """What `discover_dynamics` answers to the trajectories of a system, judged against its law."""
    system = JUDGED[case["system"]]
    paths = system.observed(case["noise"], case["seed"])
    begun = time.process_time()
    found = discover_dynamics(
        [t for t, _ in paths],
        [x for _, x in paths],
        names=system.names,
        seconds=run.settings.seconds,
        clock=time.process_time,
    )
    return {
        "recovered": recovered(found, system),
        "announced": found.law is not None,
        "law": None if found.law is None else str(found),
        "reason": found.reason,
        "worst_constant": worst_constant(found, system),
        "in_interval": in_interval(found, system),
        "cpu_seconds": round(time.process_time() - begun, 2),
    }


def estimates(found: Dynamics) -> dict[str, float]:
    """The constants of a law by their places; a phase that is zero is no constant."""
    values = {c.place: c.value if c.name is None else float(c.name) for c in found.constants}
    return {place: v for place, v in values.items() if not (place.startswith("p of ") and abs(v) < TOLERANCE)}


def known(law: Terms, kind: str) -> dict[str, float]:
    """The constants of a known law by their places."""
    return {_place(name, term, kind): v for name, terms in law.items() for term, v in terms.items()}


def _place(name: str, term: str, kind: str) -> str:
    """Where a constant is, as the answers of `discover_dynamics` write it."""
    inner, _, body = term.rpartition(" in ")
    what = f"{inner} of {body}" if inner else "level" if term == "1" else f"factor of {term}"
    return f"{what} in {name}{MARKS[kind]}"


def truth(found: Dynamics, system: System) -> dict[str, float] | None:
    """The known law with the terms that were found; None where they are not those of the law."""
    got, laws = set(estimates(found)), [known(law, system.kind) for law in system.laws]
    return next((law for law in laws if got == set(law)), None)


def worst_constant(found: Dynamics, system: System) -> float | None:
    """The largest relative error of a constant; None where the terms are not those of the known law."""
    law = truth(found, system)
    return None if law is None else max(abs(v / law[place] - 1) for place, v in estimates(found).items())


def recovered(found: Dynamics, system: System) -> bool:
    """Whether the law has the right terms with every constant within the tolerance."""
    worst = worst_constant(found, system)
    return worst is not None and worst <= TOLERANCE


def in_interval(found: Dynamics, system: System) -> list[int] | None:
    """How many constants have the true value in their 95 % interval, and how many there are."""
    law = truth(found, system)
    if law is None:
        return None
    hits = [c.holds(law[c.place], 0.95) for c in found.constants if c.place in law]
    return [int(np.sum(hits)), len(hits)]


def summarise(rows: list[Row]) -> list[Row]:
    """Every system at every noise: how many seeds recover it; then every noise over all systems."""
    table = [_summary(group, group[0]["system"]) for group in grouped(rows, ("system", "noise"))]
    return table + [_summary(group, "all") for group in grouped(rows, ("noise",))]


def _summary(group: list[Row], system: str) -> Row:
    seconds = [row["cpu_seconds"] for row in group]
    pairs = [row["in_interval"] for row in group if row.get("in_interval")]
    per_seed = [sum(row["recovered"] for row in some) for some in grouped(group, ("seed",))]
    return {
        "system": system,
        "noise": group[0]["noise"],
        "seeds": len(per_seed),
        "systems": max(len(some) for some in grouped(group, ("seed",))),
        "median_recovered": statistics.median(per_seed),
        "worst_recovered": min(per_seed),
        "other_laws": sum(bool(row.get("announced")) and not row["recovered"] for row in group),
        "true_in_interval": f"{sum(a for a, _ in pairs)} of {sum(b for _, b in pairs)}" if pairs else "",
        "median_cpu_seconds": statistics.median(seconds),
        "longest_cpu_seconds": max(seconds),
    }


def lawless_cases(settings: LawlessSettings, seeds: Sequence[int]) -> list[Case]:
    """Every kind of data for every seed."""
    return [{"data": kind, "seed": seed} for seed in seeds for kind in settings.kinds]


def measure_lawless(case: Case, run: Run[LawlessSettings]) -> Row:
    """What `discover_dynamics` answers to data without a law."""
    t, x = LAWLESS[case["data"]](np.random.default_rng(case["seed"]))
    begun = time.process_time()
    found = discover_dynamics(t, x, seconds=run.settings.seconds, clock=time.process_time)
    return {
        "false_claim": found.law is not None,
        "law": None if found.law is None else str(found),
        "reason": found.reason,
        "cpu_seconds": round(time.process_time() - begun, 2),
    }


def summarise_lawless(rows: list[Row]) -> list[Row]:
    """Every kind of data: how often a law is announced, and how it is refused."""
    return [
        {
            "data": group[0]["data"],
            "seeds": len(group),
            "false_claims": sum(row["false_claim"] for row in group),
            "answer": group[0]["law"] or group[0]["reason"],
            "longest_cpu_seconds": max(row["cpu_seconds"] for row in group),
        }
        for group in grouped(rows, ("data",))
    ]


STUDIES = (
    Study(
        name="dynamics",
        title="How many of ten dynamical systems are recovered from trajectories, clean and noisy",
        cases=cases,
        measure=measure,
        summarise=summarise,
        settings=DynamicsSettings(),
        seeds=(1000, 1001, 1002),
        tiny=DynamicsSettings(("logistic map",), (0.0,)),
    ),
    Study(
        name="dynamics-lawless",
        title="What is announced of trajectories that follow no law of the class",
        cases=lawless_cases,
        measure=measure_lawless,
        summarise=summarise_lawless,
        settings=LawlessSettings(),
        seeds=(1000,),
        tiny=LawlessSettings(("white noise",)),
    ),
)
