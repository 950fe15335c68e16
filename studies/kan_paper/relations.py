"""Relations without a target: known ones in 21 tables and among the knots, false claims in tables of noise.

The KAN paper trains a network [6, 1, 1] against permuted rows; one seed finds one relation of its toy table, another
seed the other. Here one call must find the least sets of all relations and read them as formulas. Tables named by the
paper or by the task were in view while the method was developed; the others were measured once. A claim on a table of
independent columns is false whatever it is; a claim of other columns than the known ones, which no known relation
implies, is counted as extra.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgewise.discovery.relations import Relations, search_relations
from edgewise.tables.shipped import load_knots
from studies.figures import save
from studies.problems.bound_columns import BOUND, EQUIVALENT, noise_columns, unbound_table
from studies.study import Case, Row, Run, Settings, Study, option
from studies.table import grouped

KNOWN_OF_KNOTS = (
    frozenset({"cusp_volume", "longitudinal_translation", "meridional_translation_imag"}),
    frozenset({"signature", "longitudinal_translation", "meridional_translation_real", "meridional_translation_imag"}),
)
"""Area of the cusp torus = longitudinal translation times imaginary part; signature and slope (Davies et al., 2021)."""


DRAWN_SEED = 1000
"""The seed whose relations of the toy table and of the knots are drawn as they are measured."""


@dataclass(frozen=True)
class RelationSettings(Settings):
    """Settings of the study of relations."""

    tables: tuple[str, ...] = option((*BOUND, "noise", "knots"), "some", subset=True)
    rows: int = option(400, "rows of the tables of known relations")
    noise_tables: int = option(20, "tables of independent columns for each seed")
    noise_rows: int = option(300, "rows of each of them")
    noise_columns: int = option(6, "columns of each of them")
    seconds: float = option(60.0, "processor time for each table; four times that for the knots")


def cases(settings: RelationSettings, seeds: Sequence[int]) -> list[Case]:
    """Every table and seed; of noise every table of a seed."""
    plain = [{"table": name, "seed": seed} for name in settings.tables if name != "noise" for seed in seeds]
    many = range(settings.noise_tables) if "noise" in settings.tables else ()
    return plain + [{"table": "noise", "number": n, "seed": seed} for n in many for seed in seeds]


def measure(case: Case, run: Run[RelationSettings]) -> Row:
    """What is found, missed and claimed beyond, in one table."""
    name, seed, settings = case["table"], case["seed"], run.settings
    begun, figure = time.process_time(), ""
    if name == "knots":
        table = load_knots().drop(columns="name")
        found = search_relations(table, seconds=4 * settings.seconds, seed=seed, clock=time.process_time)
        figure = "relations-knots.png"
        row = _compared(found, KNOWN_OF_KNOTS) | {"extra": 0}
    elif name == "noise":
        rng = np.random.default_rng([seed, case["number"]])
        table = unbound_table(rng, settings.noise_rows, settings.noise_columns)
        found = search_relations(table, formulas=False, seed=seed, clock=time.process_time)
        row = _compared(found, ())
    else:
        rng = np.random.default_rng([seed, *name.encode()])
        table = BOUND[name].draw(rng, settings.rows) | noise_columns(rng, settings.rows)
        found = search_relations(table, seconds=settings.seconds, seed=seed, clock=time.process_time)
        figure = "relations-toy.png" if name == "paper's toy" else ""
        row = _compared(found, _known(name, found))
    if figure and seed == DRAWN_SEED:
        run.folder.mkdir(parents=True, exist_ok=True)
        save(found.plot(), run.folder / figure, tight=False)
    return row | {"cpu_seconds": round(time.process_time() - begun, 1)}


def _known(name: str, found: Relations) -> tuple[frozenset[str], ...]:
    """The known relations, in the choice among equivalent ones that was found."""
    known = tuple(frozenset(text.split()) for text in BOUND[name].relations)
    claimed = frozenset(frozenset(r.columns) for r in found)
    return next((tuple(other) for other in EQUIVALENT.get(name, ()) if other <= claimed), known)


def _compared(found: Relations, known: Sequence[frozenset[str]]) -> Row:
    claimed = {frozenset(r.columns): r for r in found}
    return {
        "known": len(known),
        "found": sum(k in claimed for k in known),
        "extra": sum(c not in known for c in claimed),
        "exact": sum(k in claimed and claimed[k].exact for k in known),
        "claims": [str(r) for r in found],
        "strengths": {" ".join(r.columns): r.strength for r in found},
    }


def summarise(rows: list[Row]) -> list[Row]:
    """For each table how many of its relations were found in the worst seed and in all, and what was claimed beyond."""
    return [_line(group) for group in grouped(rows, ["table"])]


def _line(group: list[Row]) -> Row:
    name = group[0]["table"]
    whole = sum(row["found"] == row["known"] and row["extra"] == 0 for row in group)
    return {
        "table": name,
        "in_view": name == "knots" or (name in BOUND and BOUND[name].named),
        "cases": len(group),
        "known": group[0]["known"],
        "found_worst": min(row["found"] for row in group),
        "exact_formulas": sum(row["exact"] for row in group) if name in BOUND and BOUND[name].exact else None,
        "false_or_extra": sum(row["extra"] for row in group),
        "all_right": whole,
        "cpu_seconds": statistics.median(row["cpu_seconds"] for row in group),
    }


STUDY = Study(
    name="relations",
    title="Relations without a target: known ones found, formulas, and false claims on tables of noise",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=RelationSettings(),
    seeds=(1000, 1001, 1002),
    tiny=RelationSettings(tables=("circle", "noise"), rows=100, noise_tables=1, noise_rows=80, noise_columns=3),
)
