"""Training with a torch optimiser: epochs over batches, the best state kept, exact resumption."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from edgewise.callbacks import State, ended_by
from edgewise.io.reading import reading, require
from edgewise.kernels import accelerators, autocast
from edgewise.progress import Budget, Event
from edgewise.surgery import refine
from edgewise.tracing import trace
from edgewise.training.keep import Average, Best
from edgewise.training.methods import FirstOrder
from edgewise.training.native_steps import NativeSteps, native_steps
from edgewise.training.result import FitReport, FitResult, Record, Stop
from edgewise.training.samples import Batch, Run, Source, evaluate
from edgewise.training.schedules import name_of, set_rates_

_log = logging.getLogger(__name__)

BURST_SECONDS = 0.05  # of steps between two looks at the clock, about


def train_first_order(run: Run, method: FirstOrder, notes: Sequence[str] = ()) -> FitResult:
    """Train a copy of the model to the end, to a stop, or to an interruption.

    Returns the best state by the held-out loss where there are held-out samples, else the last state.
    """
    loop = Loop.of(run, method)
    with torch.random.fork_rng(devices=accelerators(loop.model.parameters())):
        torch.manual_seed(run.seed)
        at = _resumed(loop) or loop.start(loop.model)
        stopped = _repeat(loop, at)
        at.model.load_state_dict(at.shown.state_dict())
        restored = _restore(loop, at, stopped)
        report = FitReport(
            method=method.name,
            loss_name=run.loss.name,
            steps=at.step,
            stopped=stopped,
            seconds=loop.budget.spent,
            seed=run.seed,
            loss=evaluate(at.model, loop.train, run.loss),
            parameters=sum(p.numel() for p in at.model.parameters()),
            validation=None if loop.held_out is None else evaluate(at.model, loop.held_out, run.loss),
            restored_step=restored,
            notes=(*notes, *at.notes),
        )
    return FitResult(at.model, at.history, report)


@dataclass(frozen=True)
class Loop:
    """What stays the same during the loop; `model` is trained in place and belongs to the loop."""

    run: Run
    method: FirstOrder
    model: nn.Module
    train: Source
    held_out: Source | None
    budget: Budget

    @classmethod
    def of(cls, run: Run, method: FirstOrder) -> Loop:
        """The loop on a copy of the model."""
        model = copy.deepcopy(run.model)
        if not any(p.requires_grad for p in model.parameters()):
            raise ValueError(
                f"{type(model).__name__}: no parameter is trained; set requires_grad on those that should be"
            )
        seconds = math.inf if method.seconds is None else method.seconds
        return cls(run, method, model, *run.read(model, method.batch_size), Budget(seconds))

    @property
    def grids(self) -> Mapping[int, int]:
        """{step: intervals} of the refinements, in order."""
        return dict(sorted((self.method.refine or {}).items()))

    @property
    def plain(self) -> bool:
        """Whether a step is nothing but loss, gradient and optimiser, as the native steps are."""
        m = self.method
        return not m.penalties and m.accumulate == 1 and m.precision is None and m.ema is None

    @property
    def observed(self) -> bool:
        """Whether something looks at the model after every epoch."""
        return self.held_out is not None or bool(self.run.callbacks) or self.method.early_stopping is not None

    def start(self, model: nn.Module) -> Position:
        """The position before the first step of a model of any structure."""
        ema = self.method.ema
        average = None if ema is None else Average(model, ema)
        optimizer = self.method.factory(model.parameters())
        set_rates_(optimizer, self.method.schedule, 0, self.method.count)
        return Position(model, optimizer, average)

    def at_level(self, level: int) -> nn.Module:
        """A model with the structure after `level` refinements; its parameters are still to be loaded."""
        intervals = list(self.grids.values())[:level]
        return refine(self.model, intervals[-1]) if intervals else copy.deepcopy(self.model)

    def settings(self) -> dict[str, Any]:
        """What must be equal for a checkpoint to belong to this loop; the number of steps may grow."""
        samples, m = self.train.samples, self.method
        return {
            "model": repr(self.model),
            "optimizer": m.name,
            "loss": self.run.loss.name,
            "seed": self.run.seed,
            "batch_size": self.train.batch_size,
            "samples": None if samples is None else len(samples),
            "refine": dict(m.refine or {}),
            "accumulate": m.accumulate,
            "precision": str(m.precision),
            "ema": m.ema,
            **({} if m.schedule is None else {"schedule": name_of(m.schedule), "steps": m.count}),
        }


class Kept(NamedTuple):
    """A state to return to: its step, the refinements before it, and all tensors."""

    step: int
    level: int
    tensors: dict[str, Tensor]


@dataclass
class Position:
    """All that changes during a run, and all that a checkpoint stores; `level` counts the refinements done."""

    model: nn.Module
    optimizer: Optimizer
    average: Average | None
    step: int = 0
    epoch: int = 0
    level: int = 0
    history: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    best: Best[Kept] = field(default_factory=Best[Kept])
    burst: int = 8

    @property
    def shown(self) -> nn.Module:
        """The model that is evaluated and returned: the average where there is one."""
        return self.model if self.average is None else self.average.model

    def keep_if_best(self, value: float, step: int, tensors: dict[str, Tensor]) -> None:
        """Keep the state if its value is the least so far."""
        if self.best.beaten_by(value):
            self.best.keep(value, Kept(step, self.level, tensors))


def _repeat(loop: Loop, at: Position) -> Stop:
    """Epoch after epoch; returns why it ended."""
    method, run = loop.method, loop.run
    state = _snapshot(at.model)
    try:
        while at.step < method.count:
            _refine_if_due(loop, at)
            state, before = _snapshot(at.model), at.step
            native = native_steps(at.model, at.optimizer, run.loss) if loop.plain else None
            if native is None or not _burst(loop, at, native):
                record = _epoch(loop, at, native)
                if not math.isfinite(record["loss"]):
                    return "diverged"
                if loop.held_out is not None:
                    record["validation"] = evaluate(at.shown, loop.held_out, run.loss)
                    at.keep_if_best(record["validation"], at.step, _snapshot(at.shown))
                else:
                    at.keep_if_best(record["loss"] + record.get("penalty", 0.0), before, state)
                at.history.append(record)
            _report(loop, at)
            if ended_by(run.callbacks, State(at.model, at.step, at.history[-1])):
                return "callback"
            if method.stopping is not None and method.stopping.waited(at.history):
                return "early"
            if loop.budget.over:
                return "time"
    except KeyboardInterrupt:
        at.model.load_state_dict(state)
        return "interrupted"
    return "finished"


def _report(loop: Loop, at: Position) -> None:
    """Tell how far the loop is, and store a checkpoint where one is due."""
    name, steps, saving = loop.method.name, loop.method.count, loop.method.saving
    loop.run.tell(Event(f"{name} step {at.step}/{steps}", at.step / steps, f"best {at.best.value:.3g}"))
    if saving is not None and (at.epoch % saving.every == 0 or at.step >= steps):
        saving.save(loop.settings(), _stored(at))


def _restore(loop: Loop, at: Position, stopped: Stop) -> int | None:
    """Put the best state into the model where the last one is not to be returned; its step in that case."""
    last = evaluate(at.model, loop.held_out or loop.train, loop.run.loss)
    best = at.best.state
    if stopped == "diverged" or not math.isfinite(last):
        if best is None:
            raise ValueError(
                f"the {loop.run.loss.name} loss is not finite at the very start; check the initial model and the data"
            )
        at.notes.append(
            f"diverged after step {at.step}; the state of step {best.step} is returned, try a smaller learning rate"
        )
        _log.warning("fit: %s", at.notes[-1])
    elif loop.held_out is None or best is None or not at.best.value < last:
        return None
    if best.level != at.level:
        at.model = loop.at_level(best.level)
    at.model.load_state_dict(best.tensors)
    return best.step


def _burst(loop: Loop, at: Position, native: NativeSteps) -> bool:
    """Many epochs of one step each in one call, where nothing looks between them; False where none was done."""
    samples, saving = loop.train.samples, loop.method.saving
    if loop.method.schedule is not None:
        return False
    if samples is None or loop.observed or (loop.train.batch_size or len(samples)) < len(samples):
        return False
    x, y, weights = samples.batch()
    if not native.serves(x, y, weights):
        return False
    ends = [loop.method.count, at.step + at.burst, *(step for step in loop.grids if step > at.step)]
    if saving is not None:
        ends.append(at.step + saving.every - at.epoch % saving.every)
    clock = Budget()
    losses = [loss for loss in native.run(x, y, min(ends) - at.step) if math.isfinite(loss)]
    if not losses:
        return False
    least = min(losses)
    at.keep_if_best(least, at.step + losses.index(least), {**_snapshot(at.model), **native.best()})
    at.history += [{"step": at.step + n, "loss": loss} for n, loss in enumerate(losses, 1)]
    at.step, at.epoch = at.step + len(losses), at.epoch + len(losses)
    pace = BURST_SECONDS / max(clock.spent, 1e-9)
    at.burst = max(1, int(len(losses) * min(pace, 16.0)))
    return True


def _epoch(loop: Loop, at: Position, native: NativeSteps | None) -> Record:
    """One pass over the data; the record of its mean loss, as seen before each step."""
    at.model.train()
    losses, penalties = [], []
    for batch in loop.train.epoch():
        loss, penalty = _step(loop, at, batch, native)
        losses.append(loss)
        penalties.append(penalty)
        at.step += 1
        if at.step >= loop.method.count or not math.isfinite(loss):
            break
    if not losses:
        raise ValueError("the DataLoader has no batches; give it at least one sample")
    at.epoch += 1
    record: Record = {"step": at.step, "loss": sum(losses) / len(losses)}
    if loop.method.schedule is not None:
        record["lr"] = float(at.optimizer.param_groups[0]["lr"])
    if loop.method.penalties:
        record["penalty"] = sum(penalties) / len(penalties)
    return record


def _step(loop: Loop, at: Position, batch: Batch, native: NativeSteps | None) -> tuple[float, float]:
    """One step of the optimiser: (loss, penalty) at the state before it."""
    x, y, weights = batch
    set_rates_(at.optimizer, loop.method.schedule, at.step, loop.method.count)
    if native is not None and native.serves(x, y, weights):
        (loss,) = native.run(x, y, 1)
        if math.isfinite(loss):
            return loss, 0.0
    first: list[tuple[float, float]] = []

    def closure() -> Tensor:
        at.optimizer.zero_grad()
        terms = [_backward(loop, at.model, part, share) for part, share in _parts(batch, loop.method.accumulate)]
        loss, penalty = (torch.stack(values).sum() for values in zip(*terms, strict=True))
        if not first:
            first.append((loss.item(), penalty.item()))
        return loss + penalty

    at.optimizer.step(closure)  # pyright: ignore[reportCallIssue, reportArgumentType] torch's stub asks for a float
    if at.average is not None:
        at.average.follow_(at.model)
    return first[0]


def _backward(loop: Loop, model: nn.Module, batch: Batch, share: float) -> tuple[Tensor, Tensor]:
    """Add the gradient of a part of a batch; its share of the loss and of the penalty."""
    x, y, weights = batch
    criterion, precision, penalties = loop.run.loss, loop.method.precision, loop.method.penalties
    with autocast(x, precision):
        if penalties:
            seen = trace(model, x)
            loss = criterion(seen.output, y, weights)
            penalty = torch.stack([p(model, seen) for p in penalties]).sum()
        else:
            loss = criterion(model(x), y, weights)
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


def _refine_if_due(loop: Loop, at: Position) -> None:
    """Put every KAN layer on the finer grid that the schedule asks for; the optimiser starts afresh on it."""
    due = [n for step, n in loop.grids.items() if step <= at.step]
    if len(due) > at.level:
        fresh = loop.start(refine(at.model, due[-1]))
        at.model, at.optimizer, at.average, at.level = fresh.model, fresh.optimizer, fresh.average, len(due)


_COUNTERS = ("step", "epoch", "level", "history", "notes")


def _stored(at: Position) -> dict[str, Any]:
    """What a checkpoint stores of a position."""
    return {
        "model": at.model.state_dict(),
        "optimizer": at.optimizer.state_dict(),
        "average": None if at.average is None else at.average.state_dict(),
        "rng": torch.get_rng_state(),
        "best": {"value": at.best.value, "state": None if at.best.state is None else at.best.state._asdict()},
        "counters": {name: getattr(at, name) for name in _COUNTERS},
    }


def _resumed(loop: Loop) -> Position | None:
    """The position that the checkpoint of an interrupted run stores."""
    saving = loop.method.saving
    stored = None if saving is None else saving.load(loop.settings())
    if saving is None or stored is None:
        return None
    with reading(saving.path):
        at = loop.start(loop.at_level(stored["counters"]["level"]))
        at.model.load_state_dict(stored["model"])
        settings = [_kinds(group) for group in at.optimizer.param_groups]
        at.optimizer.load_state_dict(stored["optimizer"])
        require(settings == [_kinds(group) for group in at.optimizer.param_groups], "its optimiser has other settings")
        if at.average is not None:
            at.average.load_state_dict(stored["average"])
        best = stored["best"]
        at.best = Best(best["value"], None if best["state"] is None else Kept(**best["state"]))
        for name in _COUNTERS:
            value, kind = stored["counters"][name], type(getattr(at, name))
            require(type(value) is kind and (kind is not int or value >= 0), f"its {name} is {value!r}")
            setattr(at, name, value)
        require(
            isinstance(at.best.value, float) and all("loss" in record for record in at.history), "its losses are none"
        )
        torch.set_rng_state(stored["rng"])
    _log.info("fit: resumed at step %d", at.step)
    return at


def _kinds(group: Mapping[str, Any]) -> dict[str, Any]:
    """The names and types of the settings of an optimiser; not their values, which schedules change."""
    return {
        k: [type(part) for part in v] if isinstance(v, tuple) else type(v) for k, v in group.items() if k != "params"
    }


def _snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: t.detach().clone() for name, t in model.state_dict().items()}
