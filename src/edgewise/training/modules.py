"""Levenberg-Marquardt on the parameters that learn, of any module: what `fit` does with adapters and slim layers."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence

from torch import nn

from edgewise.optim import Loss, ModuleLeastSquares, levenberg_marquardt
from edgewise.progress import Budget
from edgewise.training.callbacks import Callback, State
from edgewise.training.data import Samples
from edgewise.training.progress import Progress
from edgewise.training.result import FitResult

MOST_TRAINED = 2000
"""The Gram matrix of more numbers than this takes longer than first-order steps do."""

EVERY = 5


def trained_numel(model: nn.Module) -> int:
    """How many numbers learn."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def descend(
    model: nn.Module,
    train: Samples,
    held: Samples | None,
    loss: Loss,
    *,
    steps: int,
    seconds: float,
    callbacks: Sequence[Callback],
    progress: Progress,
) -> FitResult:
    """Train a copy of the model; returns the state with the least loss held out, or the last one."""
    begun = time.monotonic()
    problem = ModuleLeastSquares(model, train.x, train.y, train.weights, loss)
    judge = None if held is None else ModuleLeastSquares(model, held.x, held.y, held.weights, loss)
    result = copy.deepcopy(model)
    theta, mu, best = problem.start, 1e-3, (math.inf, problem.start)
    budget = Budget(seconds)
    history: list[dict[str, float]] = []
    done, stopped = 0, "finished"
    try:
        while done < steps and stopped == "finished":
            at = levenberg_marquardt(problem, theta, min(EVERY, steps - done), mu=mu, budget=budget)
            theta, mu, done = at.theta, at.mu, done + at.steps
            record = {"step": done, "loss": at.losses.item()}
            value = record["loss"]
            if judge is not None:
                value = record["validation"] = judge.losses(theta).item()
            if not math.isfinite(value):
                raise ValueError(f"the {loss.name} loss is not finite at the start; check the data and the model")
            history.append(record)
            if value < best[0] or judge is None:
                best = value, theta
            progress.update(done / steps, "Levenberg-Marquardt", best[0])
            if callbacks:
                problem.write_(result, theta)
                state = State(result, done, record)
                if any([callback(state) for callback in callbacks]):
                    stopped = "callback"
            if time.monotonic() - begun > seconds:
                stopped = "time"
            elif at.steps < EVERY and done < steps:
                break
    except KeyboardInterrupt:
        stopped = "interrupted"
    problem.write_(result, best[1])
    report = {
        "optimizer": "lm",
        "steps": done,
        "seconds": time.monotonic() - begun,
        "stopped": stopped,
        "parameters": trained_numel(model),
        "notes": (),
    }
    report |= {key: value for key, value in (history[-1] if history else {}).items() if key != "step"}
    return FitResult(result, history, report)
