"""Compare a model with an MLP of equal size on the same data, at equal steps and at equal time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from edgewise.compare import race
from edgewise.compare.mlp import matched_mlp
from edgewise.optim import get_loss

Data = tuple[Tensor, Tensor]
HELD_OUT = 0.15


@dataclass(frozen=True)
class Comparison:
    """One row per model and budget; `print` shows the table."""

    rows: list[dict[str, Any]]
    measure: str

    def __str__(self) -> str:
        return race.table(self.rows, self.measure)


def compare(
    model: nn.Module,
    data: Data,
    test: Data,
    *,
    loss: Literal["mse", "bce", "cross_entropy"] = "mse",
    baselines: Sequence[nn.Module] = (),
    steps: int = 1000,
    batch_size: int = 256,
    rates: Sequence[float] = (1e-3, 3e-3, 1e-2),
    seeds: int = 3,
) -> Comparison:
    """Train a model and the MLP of its size alike, at equal steps and at equal time, and score both on `test`.

    Every model gets the learning rate, out of the same few, that is best on rows held out of `data`. The models given
    are unchanged: each run trains a copy with new initial parameters.

    Args:
        model: any module with `in_features` and `out_features`, or whose first and last layer have them.
        data: inputs (rows, features) and targets, shaped as the loss takes them.
        test: the same of rows that choose nothing.
        loss: what is minimised. The measure is the root of the mean squared error, or the share of errors.
        baselines: more modules to compare with.
        steps: of AdamW with a warm-up and a cosine.
        batch_size: rows per step.
        rates: the learning rates to try.
        seeds: runs per model.
    """
    names = ["MLP", _name(model), *(_name(baseline) for baseline in baselines)]
    models = [matched_mlp(model), model, *baselines]
    names = [name if names.count(name) == 1 else f"{name} ({n})" for n, name in enumerate(names)]
    part, held = _hold_out(data)
    entries = []
    for name, candidate in zip(names, models, strict=True):
        build = partial(_fresh, candidate)
        tries = [race.Entry(name, build, rate) for rate in rates]
        task = _task(part, held, loss, batch_size)
        entries.append(race.best(tries, task, steps=steps) if len(tries) > 1 else tries[0])
    task = _task(data, test, loss, batch_size)
    times = race.step_times(entries, task)
    return Comparison(race.race(entries, task, steps=steps, seeds=seeds, times=times), task.measure)


def _task(data: Data, test: Data, loss: str, batch_size: int) -> race.Task:
    x, y = data
    criterion = get_loss(loss)
    rows = min(batch_size, len(x))

    def batch_loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        pick = torch.randint(len(x), (rows,), generator=generator)
        return criterion(model(x[pick]), y[pick], None)

    measure, score = _MEASURES[loss]
    return race.Task(batch_loss, lambda model: score(model(test[0]), test[1]), measure, higher_is_better=False)


def _rmse(output: Tensor, y: Tensor) -> float:
    return (output - y.view_as(output)).square().mean().sqrt().item()


def _errors(output: Tensor, y: Tensor) -> float:
    return 1 - (output.argmax(-1) == y).double().mean().item()


def _binary_errors(output: Tensor, y: Tensor) -> float:
    return 1 - ((output > 0) == (y.view_as(output) > 0.5)).double().mean().item()


_MEASURES: dict[str, tuple[str, Callable[[Tensor, Tensor], float]]] = {
    "mse": ("RMSE", _rmse),
    "bce": ("share of errors", _binary_errors),
    "cross_entropy": ("share of errors", _errors),
}


def _hold_out(data: Data) -> tuple[Data, Data]:
    x, y = data
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    held, part = order[: (n := max(1, round(HELD_OUT * len(x))))], order[n:]
    return (x[part], y[part]), (x[held], y[held])


def _fresh(model: nn.Module, _: int) -> nn.Module:
    """A copy with new random parameters; `race.train` seeds the generator they are drawn from."""
    new = copy.deepcopy(model)
    for module in new.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
    return new


def _name(model: nn.Module) -> str:
    return type(model).__name__
