"""Train models of equal size from several seeds with the same number of steps and, separately, the same time.

A study supplies `Entry`s (how to build and what to tune) and a `Task` (the loss of a batch and the final score); it
gets rows for a table and a JSON file. Time is the processor time of this process, so that the load of the machine
changes no result.
"""

from __future__ import annotations

import logging
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.compare import timing
from edgewise.nn import GroupRational
from edgewise.nn.layers import count_parameters
from edgewise.progress import Budget

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A model of the race.

    Args:
        name: its name in the table.
        build: seed to a fresh model.
        lr: peak learning rate of AdamW, tuned with as many tries as the others.
        weight_decay: of AdamW, on weights and coefficients; biases, normalisations and rational units have none.
    """

    name: str
    build: Callable[[int], nn.Module]
    lr: float = 2e-3
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Task:
    """What is learned.

    Args:
        loss: (model, generator) to the loss of one fresh batch.
        score: a trained model to its held-out measure.
        measure: the name and unit of that measure, for the table.
        higher_is_better: the direction of the measure.
        keep: a trained model to a further JSON value for the results: a second measure, a sample.
    """

    loss: Callable[[nn.Module, torch.Generator], Tensor]
    score: Callable[[nn.Module], float]
    measure: str
    higher_is_better: bool
    keep: Callable[[nn.Module], Any] | None = None


def race(
    entries: Sequence[Entry],
    task: Task,
    *,
    steps: int,
    seeds: int = 3,
    times: Mapping[str, timing.Timing] | None = None,
) -> list[dict[str, Any]]:
    """Train every entry with every seed; one row per entry and budget.

    With `times` (of `step_times`) all but the first entry run once more, with as many steps as fit into the time of
    the first: the budget "time" beside the budget "steps". Interleaved steps measure that better than the seconds of
    whole runs, which depend on the load of the machine.
    """
    rows = []
    for n, entry in enumerate(entries):
        budgets = {"steps": steps}
        if times is not None and n > 0:
            budgets["time"] = max(1, round(steps * times[entry.name].speed))
        for budget, count in budgets.items():
            runs = [train(entry, task, seed, steps=count) for seed in range(seeds)]
            rows.append(_row(entry, task, budget, runs))
    return rows


def tuned(entries: Sequence[Entry], task: Task, rates: Sequence[float], *, steps: int, seed: int = 1000) -> list[Entry]:
    """Every entry with the learning rate that scores best, of the same rates for all.

    The default seed is not one of the race; give a task that scores on other samples than the race does, too.
    """
    return [best([replace(entry, lr=rate) for rate in rates], task, steps=steps, seed=seed) for entry in entries]


def best(tries: Sequence[Entry], task: Task, *, steps: int, seed: int = 0) -> Entry:
    """The entry whose run scores best, on other samples than those of the race; a diverged run is never the best."""
    scores = [train(entry, task, seed, steps=steps)["score"] for entry in tries]
    signed = [score if task.higher_is_better else -score for score in scores]
    return tries[max(range(len(tries)), key=lambda n: -math.inf if math.isnan(signed[n]) else signed[n])]


def train(entry: Entry, task: Task, seed: int, *, steps: int) -> dict[str, Any]:
    """AdamW with a short warm-up and a cosine to zero; the score, seconds and memory of one run. Scoring is not timed.

    torch's own layers draw from the global generator: it is seeded here and restored afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _train(entry, task, seed, steps)


def step_times(entries: Sequence[Entry], task: Task, *, rounds: int = 20) -> dict[str, timing.Timing]:
    """Whole training steps (batch, forward, backward, AdamW) of all entries, interleaved; speeds against the first."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        steps = {entry.name: _step(entry, task) for entry in entries}
        return timing.interleaved(steps, entries[0].name, rounds=rounds, clock=time.process_time)


def remembering(entries: Sequence[Entry]) -> tuple[list[Entry], dict[str, nn.Module]]:
    """The same entries, and a dictionary that receives the first model that each builds: in a race, that of seed 0."""
    models: dict[str, nn.Module] = {}

    def build(entry: Entry, seed: int) -> nn.Module:
        model = entry.build(seed)
        models.setdefault(entry.name, model)
        return model

    return [replace(entry, build=partial(build, entry)) for entry in entries], models


def table(rows: Sequence[Mapping[str, Any]], measure: str) -> str:
    """The rows as lines of text, for the terminal."""
    width = max(len(str(row["name"])) for row in rows)
    lines = [f"{'':{width}}  budget  parameters  {measure:>22}  {'(worst)':>9}  seconds  MiB"]
    lines += [
        f"{row['name']:{width}}  {row['budget']:6}  {row['parameters']:10,}  {row['mean']:13.4f} ± {row['sd']:.4f}"
        f"  {row['worst']:9.4f}  {row['seconds']:7.1f}  {row['memory_mib']:3.0f}"
        for row in rows
    ]
    return "\n".join(lines)


def _train(entry: Entry, task: Task, seed: int, steps: int) -> dict[str, Any]:
    model = entry.build(seed)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(_groups(model, entry.weight_decay), entry.lr, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: _pace(n, steps))
    resident = timing.reset_peak()
    clock = Budget(clock=time.process_time)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        task.loss(model, generator).backward()
        optimizer.step()
        schedule.step()
    seconds = clock.spent
    memory = timing.memory("VmHWM") - resident
    model.eval()
    with torch.no_grad():
        value = task.score(model)
        kept = None if task.keep is None else task.keep(model)
    log.info("%s, seed %d: %s %.4g, %.1f s", entry.name, seed, task.measure, value, seconds)
    size = count_parameters(model)
    run = {"score": value, "seconds": seconds, "steps": steps, "memory_mib": memory, "parameters": size}
    return run if task.keep is None else {**run, "kept": kept}


def _groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """The parameters for the optimizer; biases, norms and rational units, which decay would only distort, have none."""
    units = {id(p) for m in model.modules() if isinstance(m, GroupRational) for p in m.parameters()}
    trained = [p for p in model.parameters() if p.requires_grad]
    free = [p for p in trained if p.ndim < 2 or id(p) in units]
    held = [p for p in trained if not (p.ndim < 2 or id(p) in units)]
    groups = ((held, decay), (free, 0.0))
    return [{"params": params, "weight_decay": d} for params, d in groups if params]


def _pace(n: int, steps: int) -> float:
    """Step n's share of the peak rate: a tenth of the steps upwards, a cosine to zero for the rest."""
    warm = max(1, steps // 10)
    if n < warm:
        return (n + 1) / warm
    return (1 + math.cos(math.pi * (n - warm) / max(1, steps - warm))) / 2


def _row(entry: Entry, task: Task, budget: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    scores = [run["score"] for run in runs]
    return {
        "name": entry.name,
        "budget": budget,
        "parameters": runs[0]["parameters"],
        "mean": statistics.fmean(scores),
        "sd": statistics.stdev(scores) if len(scores) > 1 else 0.0,
        "median": statistics.median(scores),
        "worst": min(scores) if task.higher_is_better else max(scores),
        "scores": scores,
        "seconds": statistics.median(run["seconds"] for run in runs),
        "steps": [run["steps"] for run in runs],
        "memory_mib": max(run["memory_mib"] for run in runs),
        "lr": entry.lr,
        **({"kept": [run["kept"] for run in runs]} if task.keep is not None else {}),
    }


def _step(entry: Entry, task: Task) -> Callable[[], None]:
    model, generator = entry.build(0), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(_groups(model, entry.weight_decay), entry.lr, fused=True)
    model.train()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        task.loss(model, generator).backward()
        optimizer.step()

    return step
