"""`fit`: from a model and data to a trained model."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from edgewise.fit.callbacks import Callback, EarlyStopping
from edgewise.fit.checkpoint import Checkpoint
from edgewise.fit.data import read
from edgewise.fit.loop import Factory, Penalty, Run, named_optimizer, train
from edgewise.fit.progress import Progress
from edgewise.fit.result import FitResult
from edgewise.optim import Loss, get_loss


def fit(
    model: nn.Module,
    data: Any,
    *,
    optimizer: str | Factory = "auto",
    steps: int | None = None,
    lr: float | None = None,
    loss: str | Loss | Callable[[Tensor, Tensor], Tensor] = "mse",
    batch_size: int | None = None,
    validation: Any = None,
    sample_weight: Any = None,
    penalties: Sequence[Penalty] = (),
    callbacks: Sequence[Callback] = (),
    refine: Mapping[int, int] | None = None,
    early_stopping: EarlyStopping | int | None = None,
    checkpoint: Checkpoint | str | Path | None = None,
    seconds: float | None = None,
    seed: int = 0,
    progress: bool = False,
) -> FitResult:
    """Train a copy of the model on data; the model given, the global random state and the file system stay as they are.

    Args:
        model: any module; the operations on grids concern the `KANLinear` layers inside.
        data: (x, y), (x, y, weights), a mapping with "x" and "y", or a DataLoader of such tuples. y must have the shape
            of the model's output, where (n,) stands for (n, 1); class labels of "cross_entropy" have shape (n,).
        optimizer: "auto", "lm", "lbfgs", "adam", "adamw", "sgd", or a factory: parameters -> torch optimiser.
        steps: number of optimiser steps (L-BFGS does up to 20 iterations in one).
        lr: learning rate of a named optimiser.
        loss: "mse", "huber", "bce", "poisson", "cross_entropy", or a callable (prediction, target) -> tensor.
        batch_size: samples per step; all by default.
        validation: a share of the samples to hold out, or (x, y); the state with the least loss there is returned.
        sample_weight: one number >= 0 per sample.
        penalties: callables (model, trace) -> scalar, added to the loss.
        callbacks: called with a `State` after every evaluation; a true answer ends the run.
        refine: {step: intervals}, finer grids during the run.
        early_stopping: `EarlyStopping` or its patience.
        checkpoint: a file that stores the state of the run; where it exists, the run goes on from there, and ends in
            the same numbers as one that was never interrupted.
        seconds: time after which no further step is begun.
        seed: seeds all randomness of the run.
        progress: show a progress display on standard error.

    Returns:
        A `FitResult`; Ctrl-C returns the best model so far.
    """
    criterion = get_loss(loss)
    generator = torch.Generator().manual_seed(seed)
    model = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        train_data, held_out = read(data, validation, sample_weight, model, criterion, batch_size, generator)
    factory, name, default_steps = _factory(optimizer, lr)
    run = Run(
        model,
        train_data,
        held_out,
        criterion,
        factory,
        name,
        default_steps if steps is None else steps,
        penalties=tuple(penalties),
        callbacks=tuple(callbacks),
        refine=dict(refine or {}),
        early_stopping=EarlyStopping(early_stopping) if isinstance(early_stopping, int) else early_stopping,
        checkpoint=Checkpoint(checkpoint) if isinstance(checkpoint, str | Path) else checkpoint,
        seed=seed,
        seconds=math.inf if seconds is None else seconds,
    )
    with Progress(progress) as display:
        return train(run, display)


def _factory(optimizer: str | Factory, lr: float | None) -> tuple[Factory, str, int]:
    """The factory of the optimiser, its name and its default number of steps."""
    if isinstance(optimizer, Optimizer):
        raise TypeError(
            "this optimiser holds the parameters of another model, because fit trains a copy; give a factory "
            f"instead, such as `functools.partial(torch.optim.{type(optimizer).__name__}, lr=...)`"
        )
    if isinstance(optimizer, str):
        name = "lbfgs" if optimizer in ("auto", "lm") else optimizer
        factory, steps = named_optimizer(name, lr)
        return factory, name, steps
    if not callable(optimizer):
        raise TypeError(f"optimizer must be a name or a factory parameters -> optimiser, got {optimizer!r}")
    if lr is not None:
        raise ValueError("lr belongs to a named optimizer; give it inside the factory")
    return optimizer, getattr(optimizer, "__name__", type(optimizer).__name__), 1000
