"""Turns a race of models into a study: several seeds, learning rates tuned alike, equal steps and equal time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgewise.compare import race
from studies.study import Case, Row, Run
from studies.table import over_seeds


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
    """

    entries: Mapping[str, Sequence[race.Entry]]
    task: race.Task
    rehearsal: race.Task
    steps: int
    tuning_seed: int = 1000
    label: str = ""

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
        return race.train(entry, self.task, case["seed"], steps=steps) | {"entry": entry.name, "lr": entry.lr}

    def _best(self, name: str, run: Run[Any]) -> int:
        tries = list(self.entries[name])

        def compute() -> int:
            return tries.index(race.best(tries, self.rehearsal, steps=self.steps // 2, seed=self.tuning_seed))

        return 0 if len(tries) == 1 else run.once(f"{self.label} best try of {name}".strip(), compute)


def race_cases(names: Iterable[str], seeds: Sequence[int], **common: Any) -> list[Case]:
    """Every model with every seed at equal steps and, but for the first, at the time of the first as well."""
    return [
        {**common, "name": name, "budget": budget, "seed": seed}
        for n, name in enumerate(names)
        for budget in ("steps", "time")[: 1 if n == 0 else 2]
        for seed in seeds
    ]


def race_summary(rows: list[Row], *, higher_is_better: bool, by: Sequence[str] = ("name", "budget")) -> list[Row]:
    """Median and worst score of every model and budget, with its parameters and the seconds of a run."""
    keep = ("parameters", "lr", "seconds")
    return over_seeds(rows, by, ("score",), keep=keep, higher_is_better=higher_is_better)
