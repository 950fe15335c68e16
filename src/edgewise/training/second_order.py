"""Second-order training: which models and data it serves, and Levenberg-Marquardt on any module of few parameters."""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from edgewise._columns import as_tensor
from edgewise.callbacks import State, ended_by
from edgewise.kernels import accelerators, threads_for
from edgewise.nn import KAN, KANLinear, SlimKANLinear
from edgewise.nn.layers import count_parameters
from edgewise.optim import Minimum, ModuleLeastSquares, levenberg_marquardt
from edgewise.progress import Budget, Event
from edgewise.training.keep import Best
from edgewise.training.loop import train_first_order
from edgewise.training.methods import STEPS, Auto, FirstOrder, LevenbergMarquardt
from edgewise.training.result import FitReport, FitResult, Record, Stop
from edgewise.training.samples import Run, Samples
from edgewise.training.search_recipe import search
from edgewise.training.search_stages import FIRST_DAMPING
from edgewise.training.search_widths import search_widths

_log = logging.getLogger(__name__)

MOST_PARAMETERS = 4000  # of a KAN on its coarsest grid
MOST_TRAINED = 2000  # the Gram matrix of more parameters takes longer than first-order steps do
EVERY = 5  # steps between two evaluations


def train_auto(run: Run, method: Auto) -> FitResult:
    """Search and extend where that serves; else Levenberg-Marquardt on what is trained, L-BFGS or Adam."""
    obstacle = _search_obstacle(run)
    if obstacle is None:
        return _searched(run, method, "auto")
    idle = sorted(method.given())
    if idle:
        raise ValueError(
            f"Auto: {' and '.join(idle)} cannot be applied, because {obstacle}; leave out "
            f"{'it' if len(idle) == 1 else 'them'}, or use method={_substitute(run)}"
        )
    if _module_obstacle(run) is None and _determined(run):
        return _descended(run, LevenbergMarquardt(steps=method.steps or STEPS, seconds=method.seconds))
    name = "adam" if run.in_batches else "lbfgs"
    note = f"trained with {name} instead of Levenberg-Marquardt: {obstacle}"
    _log.info("fit: %s", note)
    return train_first_order(run, FirstOrder(name, steps=method.steps, seconds=method.seconds), (note,))


def train_levenberg_marquardt(run: Run, method: LevenbergMarquardt) -> FitResult:
    """Levenberg-Marquardt from the model's own parameters; an error that names another method where it cannot serve."""
    obstacle = _search_obstacle(run)
    if obstacle is None:
        settings = Auto(starts=0, extend=False, steps=method.steps, seconds=method.seconds, smoothing=method.smoothing)
        return _searched(run, settings, "lm")
    reason = _module_obstacle(run)
    if reason is not None:
        raise ValueError(f"Levenberg-Marquardt cannot train this: {reason}; use method={_substitute(run)}")
    if method.smoothing not in (None, False):
        raise ValueError(
            f"LevenbergMarquardt: smoothing cannot be applied, because {obstacle}; leave it out, or use "
            "method=FirstOrder('adam', penalties=[Smoothness(...)])"
        )
    return _descended(run, method)


def least_parameters(model: KAN) -> int:
    """The number of parameters on the coarsest grid of the search, of which it takes 4,000 at most."""
    return sum(6 * int(layer.mask.sum()) for layer in model.layers if isinstance(layer, KANLinear))


def _searched(run: Run, method: Auto, name: str) -> FitResult:
    """The search and its extension in float64; the result has the wider dtype of the model and the inputs."""
    assert isinstance(run.model, KAN)
    budget = Budget(math.inf if method.seconds is None else method.seconds)
    dtype = torch.promote_types(next(run.model.parameters()).dtype, as_tensor(run.inputs).dtype)
    double = dataclasses.replace(run, model=copy.deepcopy(run.model).double())
    train, held = double.read_in_memory(double.model)
    if name == "lm" and held is None:
        held = train
    with torch.no_grad(), torch.random.fork_rng(devices=[]), threads_for(_work(run, train)):
        if method.widths == "auto":
            result = search_widths(double, method, train, held, budget)
        else:
            if method.starts is None and _has_past(run.model):
                method = dataclasses.replace(method, starts=0)
            result = search(double, method, train, held, budget)
    front = tuple(dataclasses.replace(shape, model=shape.model.to(dtype)) for shape in result.front)
    report = dataclasses.replace(result.report, method=name)
    return FitResult(result.model.to(dtype), result.history, report, front)


def _work(run: Run, train: Samples) -> float:
    """Multiplications of a step on 20 intervals: the matrix, which uses local support, and its factorisation."""
    assert isinstance(run.model, KAN)
    edges = least_parameters(run.model) / 6
    return len(train) * (6 * edges) ** 2 / 2 + (20 * edges) ** 3 / 3


def _has_past(model: KAN) -> bool:
    """True for a model whose parameters are worth keeping: scaled, pruned or partly symbolic."""
    if model.input_affine is not None or model.output_affine is not None:
        return True
    return any(isinstance(m, KANLinear) and (len(m.symbolic) > 0 or not bool(m.mask.all())) for m in model.layers)


def _descended(run: Run, method: LevenbergMarquardt) -> FitResult:
    """Levenberg-Marquardt on a copy; the state with the least held-out loss, or the last one where there is none."""
    budget = Budget(math.inf if method.seconds is None else method.seconds)
    with torch.random.fork_rng(devices=[]):
        train, held = run.read_in_memory(run.model)
        problem = ModuleLeastSquares(run.model, train.x, train.y, train.weights, run.loss)
        judge = None if held is None else ModuleLeastSquares(run.model, held.x, held.y, held.weights, run.loss)
        model, theta, mu = copy.deepcopy(run.model), problem.start, FIRST_DAMPING
        best: Best[tuple[Tensor, Record]] = Best()
        history: list[Record] = []
        stopped: Stop = "finished"
        done = 0
        try:
            while done < method.steps and stopped == "finished":
                count = min(EVERY, method.steps - done)
                end = levenberg_marquardt(problem, theta, count, mu=mu, budget=budget)
                theta, mu, done = end.theta, end.mu, done + end.steps
                history.append(_record(run, judge, done, end))
                value = history[-1].get("validation", history[-1]["loss"])
                if judge is None or best.beaten_by(value):
                    best.keep(value, (theta, history[-1]))
                run.tell(Event("Levenberg-Marquardt", done / method.steps, f"best {best.value:.3g}"))
                if run.callbacks:
                    problem.write_(model, theta)
                    if ended_by(run.callbacks, State(model, done, history[-1])):
                        stopped = "callback"
                if budget.over:
                    stopped = "time"
                elif end.steps < count:
                    break
        except KeyboardInterrupt:
            stopped = "interrupted"
        if best.state is None:
            raise KeyboardInterrupt("fit was interrupted before its first steps ended")
        kept, record = best.state
        problem.write_(model, kept)
    report = FitReport(
        method="lm",
        loss_name=run.loss.name,
        steps=done,
        stopped=stopped,
        seconds=budget.spent,
        seed=run.seed,
        loss=record["loss"],
        parameters=count_parameters(run.model),
        validation=record.get("validation"),
        restored_step=None if record is history[-1] else record["step"],
    )
    return FitResult(model, history, report)


def _record(run: Run, judge: ModuleLeastSquares | None, step: int, end: Minimum) -> Record:
    """The losses after a few steps, which must be finite."""
    record: Record = {"step": step, "loss": end.losses.item()}
    if judge is not None:
        record["validation"] = judge.losses(end.theta).item()
    if not all(map(math.isfinite, record.values())):
        raise ValueError(f"the {run.loss.name} loss is not finite at the start; check the data and the model")
    return record


def _obstacle(run: Run) -> str | None:
    """What Levenberg-Marquardt cannot do for any model; None where there is nothing."""
    batches = run.validation is not None and not isinstance(run.validation, float | tuple | list)
    reasons = {
        f"the curvature of the loss {run.loss.name!r} is not known": run.loss.slope is None or run.loss.factor is None,
        "the data come in batches": run.in_batches,
        "the validation data come in batches": batches,
        "the model is not on the CPU": bool(accelerators(run.model.parameters())),
    }
    return _first(reasons)


def _search_obstacle(run: Run) -> str | None:
    """Why the search for a KAN does not serve; None where it does."""
    model = run.model
    if not isinstance(model, KAN):
        return f"{type(model).__name__} is not a KAN"
    layers = [layer for layer in model.layers if isinstance(layer, KANLinear)]
    least = least_parameters(model)
    reasons = {
        "a layer has an adapter": any(layer.adapter is not None for layer in layers),
        "a layer is slim": any(isinstance(layer, SlimKANLinear) for layer in layers),
        "some parameters are frozen": not all(p.requires_grad for p in model.parameters()),
        f"{least} parameters on the coarsest grid are more than {MOST_PARAMETERS}": least > MOST_PARAMETERS,
    }
    return _obstacle(run) or _first(reasons)


def _module_obstacle(run: Run) -> str | None:
    """Why Levenberg-Marquardt on what is trained does not serve either; None where it does."""
    numel = count_parameters(run.model)
    reasons = {
        "no parameter is trained": numel == 0,
        f"{numel} trained parameters are more than {MOST_TRAINED}": numel > MOST_TRAINED,
    }
    return _obstacle(run) or _first(reasons)


def _first(reasons: Mapping[str, bool]) -> str | None:
    return next((reason for reason, holds in reasons.items() if holds), None)


def _substitute(run: Run) -> str:
    """The method that serves instead, as it is written."""
    return "FirstOrder('adam')" if run.in_batches else "FirstOrder('lbfgs')"


def _determined(run: Run) -> bool:
    """True for a KAN with an adapter, factors or frozen parts whose samples outnumber what is trained.

    With fewer samples Levenberg-Marquardt interpolates them, noise included, within a few steps.
    """
    x = run.inputs
    return isinstance(run.model, KAN) and x is not None and count_parameters(run.model) < len(x)
