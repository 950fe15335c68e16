"""What `discover` claims about tables that have no law in the functions of its library."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgewise.discovery import discover
from studies.problems.lawless_tables import LAWLESS
from studies.study import Case, Row, Run, Settings, Study, option
from studies.table import grouped

SEEDS = (5000,)
"""Seeds that no decision about the method was taken with."""


@dataclass(frozen=True)
class LawlessSettings(Settings):
    """Settings of the study of tables without a law."""

    tables: tuple[str, ...] = option(tuple(LAWLESS), "some", choices=tuple(LAWLESS), subset=True)
    seconds: float = option(20.0, "processor time of a search")


def cases(settings: LawlessSettings, seeds: Sequence[int]) -> list[Case]:
    """Every table for every seed."""
    return [{"table": table, "seed": seed} for seed in seeds for table in settings.tables]


def measure(case: Case, run: Run[LawlessSettings]) -> Row:
    """What is claimed about a table that has no law."""
    x, y = LAWLESS[case["table"]](np.random.default_rng(case["seed"]))
    begun = time.process_time()
    found = discover(x, y, seconds=run.settings.seconds, clock=time.process_time)
    return {
        "false_claim": found.law is not None,
        "exact": found.exact,
        "formula": None if found.law is None else str(found.formula),
        "reason": found.reason,
        "cpu_seconds": round(time.process_time() - begun, 2),
    }


def summarise(rows: list[Row]) -> list[Row]:
    """Every table: the false claims of all seeds."""
    return [
        {
            "table": some[0]["table"],
            "seeds": len(some),
            "false_claims": sum(row["false_claim"] for row in some),
            "said": next((row["formula"] for row in some if row["false_claim"]), some[0]["reason"].split(";")[0]),
        }
        for some in grouped(rows, ("table",))
    ]


STUDY = Study(
    name="lawless",
    title="What is claimed about tables that have no law in the functions of the library",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=LawlessSettings(),
    seeds=SEEDS,
    tiny=LawlessSettings(tables=("gaussian-noise",), seconds=1.0),
)
