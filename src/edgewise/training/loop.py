"""Training with a torch optimiser: epochs over batches, the best state kept, exact resumption."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from edgewise.kernels import accelerators, autocast, find
from edgewise.optim import Adam, Loss
from edgewise.surgery import refine as refined
from edgewise.tracing import Trace, trace
from edgewise.training.average import Average
from edgewise.training.callbacks import Callback, EarlyStopping, State
from edgewise.training.checkpoint import Checkpoint
from edgewise.training.data import Batch, Source
from edgewise.training.native_steps import NativeSteps, native_steps
from edgewise.training.progress import Progress
from edgewise.training.result import FitResult

Penalty = Callable[[nn.Module, Trace], Tensor]
Factory = Callable[[Iterable[nn.Parameter]], Optimizer]

_log = logging.getLogger(__name__)

BURST_SECONDS = 0.05  # of steps between two looks at the clock, about


def _adam(parameters: Iterable[nn.Parameter], lr: float, weight_decay: float = 0.0) -> Optimizer:
    """Native where a kernel serves every parameter; elsewhere torch's."""
    parameters = list(parameters)
    make = Adam if all(find("adam", p) is not None for p in parameters) else torch.optim.AdamW
    return make(parameters, lr=lr, weight_decay=weight_decay)


OPTIMIZERS: dict[str, tuple[Callable[..., Optimizer], float, int]] = {  # class, learning rate, steps
    "adam": (_adam, 1e-2, 1000),
    "adamw": (partial(_adam, weight_decay=1e-2), 1e-2, 1000),
    "sgd": (torch.optim.SGD, 1e-2, 1000),
    "lbfgs": (partial(torch.optim.LBFGS, history_size=50, line_search_fn="strong_wolfe"), 1.0, 200),
}


@dataclass
class Run:
    """The settings of one run of the loop; `model` is trained in place and belongs to the run."""

    model: nn.Module
    train: Source
    held_out: Source | None
    loss: Loss
    factory: Factory
    name: str
    steps: int
    penalties: Sequence[Penalty] = ()
    callbacks: Sequence[Callback] = ()
    refine: Mapping[int, int] = field(default_factory=dict)
    early_stopping: EarlyStopping | None = None
    checkpoint: Checkpoint | None = None
    seed: int = 0
    seconds: float = math.inf
    notes: tuple[str, ...] = ()
    accumulate: int = 1
    precision: torch.dtype | None = None
    ema: float | None = None

    def average(self, model: nn.Module) -> Average | None:
        """What follows the model, where that was asked for."""
        return None if self.ema is None else Average(model, self.ema)


def named_optimizer(name: str, lr: float | None) -> tuple[Factory, int]:
    """The factory of a named optimiser and its default number of steps."""
    if name not in OPTIMIZERS:
        raise ValueError(
            f"unknown optimizer {name!r}; choose 'auto', 'lm', {', '.join(map(repr, OPTIMIZERS))}, or give "
            "a factory such as `functools.partial(torch.optim.AdamW, lr=1e-3)`"
        )
    make, rate, steps = OPTIMIZERS[name]
    return partial(make, lr=rate if lr is None else lr), steps


def train(run: Run, progress: Progress) -> FitResult:
    """Run to the end, to a stop, or to an interruption; returns the best state by validation, else the last."""
    start = time.monotonic()
    with torch.random.fork_rng(devices=accelerators(run.model.parameters())):
        torch.manual_seed(run.seed)
        at = _resumed(run) or _Position(run.model, run.factory(run.model.parameters()), average=run.average(run.model))
        stopped = _go(run, at, progress, start)
        at.model.load_state_dict(at.shown.state_dict())
        restored = _restore(run, at, stopped)
        report: dict[str, Any] = {
            "optimizer": run.name,
            "loss_name": run.loss.name,
            "steps": at.step,
            "stopped": stopped,
            "restored_step": at.best_step if restored else None,
            "seconds": time.monotonic() - start,
            "seed": run.seed,
            "loss": _evaluate(at.model, run.train, run.loss),
            "parameters": sum(p.numel() for p in at.model.parameters()),
            "notes": [*run.notes, *at.notes],
        }
        if run.held_out is not None:
            report["validation"] = _evaluate(at.model, run.held_out, run.loss)
    return FitResult(at.model, at.history, report)


@dataclass
class _Position:
    """All that changes during a run, and all that a checkpoint stores. `level` counts the grid refinements done."""

    model: nn.Module
    optimizer: Optimizer
    step: int = 0
    epoch: int = 0
    level: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: float = math.inf
    best_step: int = 0
    best_level: int = 0
    best_state: dict[str, Tensor] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    burst: int = 8
    average: Average | None = None

    @property
    def shown(self) -> nn.Module:
        """The model that is judged and returned: the average where there is one."""
        return self.model if self.average is None else self.average.model

    def keep(self, value: float, step: int, state: dict[str, Tensor]) -> None:
        """Remember the state if its value is the best so far."""
        if value < self.best or not self.best_state:
            self.best, self.best_step, self.best_level, self.best_state = value, step, self.level, state


def _go(run: Run, at: _Position, progress: Progress, start: float) -> str:
    """Epoch after epoch; says why it ended."""
    state = _snapshot(at.model)
    try:
        while at.step < run.steps:
            _refine_if_due(run, at)
            state, before = _snapshot(at.model), at.step
            native = native_steps(at.model, at.optimizer, run.loss) if _native_may_serve(run) else None
            if native is None or not _burst(run, at, native):
                record = _epoch(run, at, native)
                if not math.isfinite(record["loss"]):
                    return "diverged"
                if run.held_out is not None:
                    record["validation"] = _evaluate(at.shown, run.held_out, run.loss)
                    at.keep(record["validation"], at.step, _snapshot(at.shown))
                else:
                    at.keep(record["loss"] + record.get("penalty", 0.0), before, state)
                at.history.append(record)
            progress.update(at.step / run.steps, f"{run.name} step {at.step}/{run.steps}", at.best)
            if run.checkpoint is not None and (at.epoch % run.checkpoint.every == 0 or at.step >= run.steps):
                run.checkpoint.save(_stored(run, at))
            seen = State(at.model, at.step, at.history[-1])
            if any([callback(seen) for callback in run.callbacks]):
                return "callback"
            if run.early_stopping is not None and run.early_stopping.waited(at.history):
                return "early"
            if time.monotonic() - start > run.seconds:
                return "time"
    except KeyboardInterrupt:
        at.model.load_state_dict(state)
        return "interrupted"
    return "finished"


def _restore(run: Run, at: _Position, stopped: str) -> bool:
    """Put the best state into the model where the last one is not to be returned."""
    last = _evaluate(at.model, run.held_out or run.train, run.loss)
    if stopped == "diverged" or not math.isfinite(last):
        at.notes.append(
            f"diverged after step {at.step}; the state of step {at.best_step} is returned, try a smaller learning rate"
        )
        _log.warning("fit: %s", at.notes[-1])
    elif run.held_out is None or not at.best < last:
        return False
    if not at.best_state:
        raise ValueError(
            f"the {run.loss.name} loss is not finite at the very start; check the initial model and the data"
        )
    if at.best_level != at.level:
        at.model = _structure(run, at.best_level)
    at.model.load_state_dict(at.best_state)
    return True


def _native_may_serve(run: Run) -> bool:
    """Whether a step is nothing but loss, gradient and optimiser, as the native steps are."""
    return not run.penalties and run.accumulate == 1 and run.precision is None and run.ema is None


def _burst(run: Run, at: _Position, native: NativeSteps) -> bool:
    """Many epochs of one step each in one call, where nobody looks between them; False where none was done."""
    samples = run.train.samples
    looked_at = run.held_out is not None or run.callbacks or run.early_stopping is not None
    if samples is None or looked_at or (run.train.batch_size or len(samples)) < len(samples):
        return False
    x, y, weights = samples.batch()
    if not native.serves(x, y, weights):
        return False
    ends = [run.steps, at.step + at.burst, *(step for step in run.refine if step > at.step)]
    if run.checkpoint is not None:
        ends.append(at.step + run.checkpoint.every - at.epoch % run.checkpoint.every)
    start = time.monotonic()
    losses = [loss for loss in native.run(x, y, min(ends) - at.step) if math.isfinite(loss)]
    if not losses:
        return False
    least = min(losses)
    if least < at.best or not at.best_state:
        at.keep(least, at.step + losses.index(least), {**_snapshot(at.model), **native.best()})
    at.history += [{"step": at.step + n, "loss": loss} for n, loss in enumerate(losses, 1)]
    at.step, at.epoch = at.step + len(losses), at.epoch + len(losses)
    pace = BURST_SECONDS / max(time.monotonic() - start, 1e-9)
    at.burst = max(1, int(len(losses) * min(pace, 16.0)))
    return True


def _epoch(run: Run, at: _Position, native: NativeSteps | None) -> dict[str, Any]:
    """One pass over the data; the record of its mean loss, as seen before each step."""
    at.model.train()
    losses, penalties = [], []
    for batch in run.train.epoch():
        loss, penalty = _step(run, at, batch, native)
        losses.append(loss)
        penalties.append(penalty)
        at.step += 1
        if at.step >= run.steps or not math.isfinite(loss):
            break
    if not losses:
        raise ValueError("the DataLoader has no batches; give it at least one sample")
    at.epoch += 1
    record: dict[str, Any] = {"step": at.step, "loss": sum(losses) / len(losses)}
    if run.penalties:
        record["penalty"] = sum(penalties) / len(penalties)
    return record


def _step(run: Run, at: _Position, batch: Batch, native: NativeSteps | None) -> tuple[float, float]:
    """One step of the optimiser: (loss, penalty) at the state before it."""
    x, y, weights = batch
    if native is not None and native.serves(x, y, weights):
        (loss,) = native.run(x, y, 1)
        if math.isfinite(loss):
            return loss, 0.0
    first: list[tuple[float, float]] = []

    def closure() -> Tensor:
        at.optimizer.zero_grad()
        terms = [_backward(run, at.model, part, share) for part, share in _parts(batch, run.accumulate)]
        loss, penalty = (torch.stack(values).sum() for values in zip(*terms, strict=True))
        if not first:
            first.append((loss.item(), penalty.item()))
        return loss + penalty

    at.optimizer.step(closure)  # pyright: ignore[reportCallIssue, reportArgumentType] torch's stub asks for a float
    if at.average is not None:
        at.average.follow_(at.model)
    return first[0]


def _backward(run: Run, model: nn.Module, batch: Batch, share: float) -> tuple[Tensor, Tensor]:
    """Add the gradient of a part of a batch; its share of the loss and of the penalty."""
    x, y, weights = batch
    with autocast(x, run.precision):
        if run.penalties:
            seen = trace(model, x)
            loss = run.loss(seen.output, y, weights)
            penalty = torch.stack([p(model, seen) for p in run.penalties]).sum()
        else:
            loss = run.loss(model(x), y, weights)
            penalty = loss.new_zeros(())
    loss, penalty = share * loss, share * penalty
    (loss + penalty).backward()
    return loss.detach(), penalty.detach()


def _parts(batch: Batch, count: int) -> list[tuple[Batch, float]]:
    """A batch in `count` parts of about equal size, each with its share of the batch's weight."""
    x, y, weights = batch
    if count == 1:
        return [(batch, 1.0)]
    rows = torch.arange(len(x), device=x.device).chunk(count)
    whole = float(len(x)) if weights is None else float(weights.sum())
    parts: list[tuple[Batch, float]] = []
    for r in rows:
        w = None if weights is None else weights[r]
        parts.append(((x[r], y[r], w), (float(len(r)) if w is None else float(w.sum())) / whole))
    return [(part, share) for part, share in parts if share > 0]


@torch.no_grad()
def _evaluate(model: nn.Module, source: Source, loss: Loss) -> float:
    """The loss over all samples, the model in evaluation mode."""
    model.eval()
    total = count = 0.0
    for x, y, weights in source.batches():
        n = len(x) if weights is None else float(weights.sum())
        total += n * loss(model(x), y, weights).item()
        count += n
    return total / count


def _refine_if_due(run: Run, at: _Position) -> None:
    """Put every KAN layer on the finer grid that the schedule asks for; the optimiser starts afresh on it."""
    due = [n for step, n in sorted(run.refine.items()) if step <= at.step]
    if len(due) > at.level:
        at.level = len(due)
        at.model = refined(at.model, due[-1])
        at.optimizer = run.factory(at.model.parameters())
        at.average = run.average(at.model)


def _structure(run: Run, level: int) -> nn.Module:
    """A model with the structure after `level` refinements; its numbers are still to be loaded."""
    intervals = [n for _, n in sorted(run.refine.items())][:level]
    return refined(run.model, intervals[-1]) if intervals else copy.deepcopy(run.model)


def _stored(run: Run, at: _Position) -> dict[str, Any]:
    return {
        "settings": _settings(run),
        "model": at.model.state_dict(),
        "optimizer": at.optimizer.state_dict(),
        "average": None if at.average is None else at.average.state_dict(),
        "rng": torch.get_rng_state(),
        "best": at.best_state,
        "position": {name: getattr(at, name) for name in _NUMBERS},
    }


_NUMBERS = ("step", "epoch", "level", "history", "best", "best_step", "best_level", "notes")


def _resumed(run: Run) -> _Position | None:
    """The position that the checkpoint of an interrupted run stores."""
    stored = None if run.checkpoint is None else run.checkpoint.load(_settings(run))
    if stored is None:
        return None
    model = _structure(run, stored["position"]["level"])
    model.load_state_dict(stored["model"])
    optimizer = run.factory(model.parameters())
    optimizer.load_state_dict(stored["optimizer"])
    torch.set_rng_state(stored["rng"])
    _log.info("fit: resumed at step %d", stored["position"]["step"])
    average = run.average(model)
    if average is not None:
        average.load_state_dict(stored["average"])
    return _Position(model, optimizer, best_state=stored["best"], average=average, **stored["position"])


def _settings(run: Run) -> dict[str, Any]:
    """What must be equal for a checkpoint to fit this run; `steps` may grow."""
    samples = run.train.samples
    return {
        "model": repr(run.model),
        "optimizer": run.name,
        "loss": run.loss.name,
        "seed": run.seed,
        "batch_size": run.train.batch_size,
        "samples": None if samples is None else len(samples),
        "refine": dict(run.refine),
        "accumulate": run.accumulate,
        "precision": str(run.precision),
        "ema": run.ema,
    }


def _snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: t.detach().clone() for name, t in model.state_dict().items()}
