"""Turns a race of models into a study: several seeds, learning rates tuned alike, equal steps and equal time."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from edgewise.compare import race
from studies.result import StudyResult
from studies.study import Case, Row, Run, S, Study, no_figures
from studies.table import grouped, over_seeds


@dataclass(frozen=True)
class Race:
    """What is trained, and on what.

    Args:
        entries: by the name of a model, its tries: the same number for every model, such as one for each learning rate.
            The first model is the baseline, whose time the others get.
        task: what the result scores.
        rehearsal: the task that chooses the best try of every model; it scores nothing that `task` scores.
        steps: of a run; tries get half of them.
        tuning_seed: seed of the tries.
        label: names the race where a study has several.
        keep_all: keep what `task.keep` returns of every run; else of seed 0 at equal steps, which figures show.
    """

    entries: Mapping[str, Sequence[race.Entry]]
    task: race.Task
    rehearsal: race.Task
    steps: int
    tuning_seed: int = 1000
    label: str = ""
    keep_all: bool = True

    def chosen(self, run: Run[Any]) -> dict[str, race.Entry]:
        """The best try of every model, chosen once."""
        return {name: tries[self._best(name, run)] for name, tries in self.entries.items()}

    def step_times(self, run: Run[Any], rounds: int = 20) -> dict[str, dict[str, float]]:
        """Times of a whole training step of the chosen entries, side by side, measured once; see `race.step_times`."""
        entries = self.chosen(run)
        names = {entry.name: name for name, entry in entries.items()}

        def compute() -> dict[str, Any]:
            times = race.step_times(list(entries.values()), self.task, rounds=rounds)
            return {names[name]: time for name, time in times.items()}

        return run.once(f"{self.label} step times".strip(), compute)

    def measure(self, case: Case, run: Run[Any]) -> Row:
        """Train the model of a case with its seed for its budget, "steps" or "time"; the row of its score."""
        entry, steps = self.chosen(run)[case["name"]], self.steps
        if case["budget"] == "time":
            steps = max(1, round(steps * self.step_times(run)[case["name"]]["speed"]))
        row = race.train(entry, self.task, case["seed"], steps=steps) | {"entry": entry.name, "lr": entry.lr}
        if not self.keep_all and (case["seed"] != 0 or case["budget"] != "steps"):
            del row["kept"]
        return row

    def _best(self, name: str, run: Run[Any]) -> int:
        tries = list(self.entries[name])

        def compute() -> int:
            return tries.index(race.best(tries, self.rehearsal, steps=self.steps // 2, seed=self.tuning_seed))

        return 0 if len(tries) == 1 else run.once(f"{self.label} best try of {name}".strip(), compute)


def race_study(
    name: str,
    title: str,
    names: Iterable[str],
    build: Callable[[S], Race],
    settings: S,
    *,
    higher_is_better: bool,
    draw: Callable[[StudyResult, Path], None] = no_figures,
) -> Study[S]:
    """The study of one race with three seeds; `build` makes the race of these settings, once."""
    built = lru_cache(maxsize=1)(build)
    return Study(
        name=name,
        title=title,
        cases=lambda settings, seeds: race_cases(names, seeds),
        measure=lambda case, run: built(run.settings).measure(case, run),
        summarise=partial(race_summary, higher_is_better=higher_is_better),
        draw=draw,
        settings=settings,
        seeds=(0, 1, 2),
    )


def race_cases(names: Iterable[str], seeds: Sequence[int], **common: Any) -> list[Case]:
    """Every model with every seed at equal steps and, but for the first, at the time of the first as well."""
    return [
        {**common, "name": name, "budget": budget, "seed": seed}
        for n, name in enumerate(names)
        for budget in ("steps", "time")[: 1 if n == 0 else 2]
        for seed in seeds
    ]


def race_summary(rows: list[Row], *, higher_is_better: bool, by: Sequence[str] = ("name", "budget")) -> list[Row]:
    """Every model and budget: parameters, rate, the score over the seeds, and the median seconds of a run."""
    found = over_seeds(rows, by, ("score",), keep=("parameters", "lr"), higher_is_better=higher_is_better)
    for row, group in zip(found, grouped(rows, by), strict=True):
        scores = [r["score"] for r in group if r["score"] is not None]
        row["score_mean"] = statistics.fmean(scores) if scores else None
        row["score_sd"] = statistics.stdev(scores) if len(scores) > 1 else 0.0
        row["seconds"] = statistics.median(r["seconds"] for r in group)
    return found
