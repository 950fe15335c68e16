"""`fit`: from a model and data to a trained model."""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from edgewise.kernels import accelerators
from edgewise.nn import KAN, KANLinear, SlimKANLinear
from edgewise.optim import Loss, get_loss
from edgewise.training.callbacks import Callback, EarlyStopping
from edgewise.training.checkpoint import Checkpoint
from edgewise.training.data import read
from edgewise.training.loop import Factory, Penalty, Run, named_optimizer, train
from edgewise.training.modules import MOST_TRAINED, descend, trained_numel
from edgewise.training.progress import Progress
from edgewise.training.recipe import auto
from edgewise.training.result import FitResult
from edgewise.training.stages import Recipe
from edgewise.training.widths import walk

_log = logging.getLogger(__name__)

MOST_PARAMETERS = 4000


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
    starts: int | None = None,
    extend: bool = True,
    degrees: Sequence[int] = (3, 5, 7, 9),
    max_parameters: int | None = None,
    widths: str | None = None,
    smoothing: bool | float | None = None,
    accumulate: int = 1,
    precision: torch.dtype | None = None,
    ema: float | None = None,
    seed: int = 0,
    progress: bool = False,
) -> FitResult:
    """Train a copy of the model on data; the model given, the global random state and the file system stay as they are.

    Args:
        model: any module; the operations on grids concern the `KANLinear` layers inside.
        data: (x, y), (x, y, weights), a mapping with "x" and "y", or a DataLoader of such tuples. y must have the shape
            of the model's output, where (n,) stands for (n, 1); class labels of "cross_entropy" have shape (n,).
        optimizer: "auto", "lm", "lbfgs", "adam", "adamw", "sgd", or a factory: parameters -> torch optimiser. "lm"
            trains up to 2,000 numbers of any module whose samples do not meet inside (as they do in a batch norm).
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
        starts: random starts of the search of "auto"; 0 starts from the model's own numbers, which is the default for a
            model with a past: scaled, pruned or partly symbolic.
        extend: let "auto" raise the degree and refine the grids; the shape stays.
        degrees: the degrees of the splines that "auto" goes through.
        max_parameters: "auto" goes to no finer grid and no higher degree than these many trained numbers allow.
        widths: "auto" searches over shapes as well, of which the model gives inputs, outputs and basis; see
            `FitResult.front`.
        smoothing: True or False to force it, or a number > 0, a strength lambda of your own for every curve, penalised
            by lambda / 2 mean(phi''^2) on its grid stretched to [0, 1], in standardised units of the data; by default
            "auto" finds the strengths, and lets the error held out decide.
        accumulate: parts that every batch is computed in, one after the other; the step is the same, in less memory.
        precision: `torch.bfloat16` computes in mixed precision (autocast); numbers and optimiser keep theirs.
        ema: decay of a running mean of the numbers, such as 0.999; the mean is what is validated and returned.
        seed: seeds all randomness of the run.
        progress: show a progress display on standard error.

    Returns:
        A `FitResult`; Ctrl-C returns the best model so far.
    """
    criterion = get_loss(loss)
    if widths not in (None, "auto"):
        raise ValueError(f"widths must be None or 'auto', got {widths!r}; give other widths to the model")
    if not isinstance(smoothing, bool | None) and not 0 < smoothing < math.inf:
        raise ValueError(f"smoothing must be True, False, None or a number > 0, got {smoothing!r}")
    notes: list[str] = []
    if optimizer in ("auto", "lm"):
        first_order = accumulate != 1 or precision is not None or ema is not None
        common = _obstacles(model, data, criterion, penalties, refine, batch_size, checkpoint, first_order)
        obstacle = _kan_obstacle(model, common)
        if obstacle is None:
            given = optimizer == "lm"
            recipe = Recipe(
                starts=0 if given else _default_starts(model) if starts is None else starts,
                extend=extend and not given,
                degrees=tuple(degrees),
                smoothing=smoothing,
                max_parameters=max_parameters,
                steps=40 if steps is None else steps,
                seconds=math.inf if seconds is None else seconds,
                seed=seed,
            )
            with Progress(progress) as display:
                return _second_order(
                    model,
                    data,
                    criterion,
                    validation,
                    sample_weight,
                    recipe,
                    callbacks,
                    display,
                    str(optimizer),
                    widths,
                )
        reason = _module_obstacle(model, common)
        if reason is None and (optimizer == "lm" or _determined(model, data)):
            with Progress(progress) as display, torch.random.fork_rng(devices=[]):
                generator = torch.Generator().manual_seed(seed)
                source, held = read(data, validation, sample_weight, model, criterion, None, generator)
                assert source.samples is not None
                return descend(
                    model,
                    source.samples,
                    None if held is None else held.samples,
                    criterion,
                    steps=40 if steps is None else steps,
                    seconds=math.inf if seconds is None else seconds,
                    callbacks=callbacks,
                    progress=display,
                )
        if optimizer == "lm":
            raise ValueError(f"Levenberg-Marquardt cannot do this: {reason}; use optimizer='lbfgs' or 'adam'")
        optimizer = "adam" if batch_size is not None or not isinstance(data, tuple | list | Mapping) else "lbfgs"
        notes.append(f"trained with {optimizer} instead of Levenberg-Marquardt: {obstacle}")
        _log.info("fit: %s", notes[-1])
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
        notes=tuple(notes),
        accumulate=_parts(accumulate, penalties),
        precision=precision,
        ema=ema,
    )
    with Progress(progress) as display:
        return train(run, display)


def _second_order(
    model: nn.Module,
    data: Any,
    loss: Loss,
    validation: Any,
    sample_weight: Any,
    recipe: Recipe,
    callbacks: Sequence[Callback],
    display: Progress,
    name: str,
    widths: str | None,
) -> FitResult:
    """The recipe in float64; the result has the wider dtype of the model and the inputs."""
    assert isinstance(model, KAN)
    x = data[0] if isinstance(data, tuple | list) else data.get("x", data.get("train_input"))
    dtype = torch.promote_types(next(model.parameters()).dtype, torch.as_tensor(x).dtype)
    double = copy.deepcopy(model).double()
    generator = torch.Generator().manual_seed(recipe.seed)
    with torch.random.fork_rng(devices=[]):
        source, held_source = read(data, validation, sample_weight, double, loss, None, generator)
    samples, held = source.samples, None if held_source is None else held_source.samples
    assert samples is not None
    if name == "lm" and held is None:
        held = samples

    def run(network: KAN, settings: Recipe) -> FitResult:
        result = auto(network, samples, held, loss, settings, callbacks, display)
        return dataclasses.replace(result, model=result.model.to(dtype), report={**result.report, "optimizer": name})

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        if widths is None:
            return run(double, recipe)
        variance = float(samples.y.var(0, correction=0).mean()) if loss.units else 0.0
        return walk(double, dataclasses.replace(recipe, starts=recipe.starts or None), run, variance)


def _default_starts(model: nn.Module) -> int | None:
    """0, the model's own numbers, for a model with a past: scaled, pruned or partly symbolic."""
    assert isinstance(model, KAN)
    used = model.input_affine is not None or model.output_affine is not None
    used = used or any(
        isinstance(m, KANLinear) and (len(m.symbolic) > 0 or not bool(m.mask.all())) for m in model.layers
    )
    return 0 if used else None


def _obstacles(
    model: nn.Module,
    data: Any,
    loss: Loss,
    penalties: Sequence[Penalty],
    refine: Mapping[int, int] | None,
    batch_size: int | None,
    checkpoint: Any,
    first_order: bool,
) -> dict[str, bool]:
    """What Levenberg-Marquardt cannot do for any model, and whether it is asked for."""
    return {
        f"the curvature of the loss {loss.name!r} is not known": loss.slope is None or loss.factor is None,
        "penalties are functions of any kind": bool(penalties),
        "a schedule of refinements was given": bool(refine),
        "accumulation, mixed precision and averages belong to torch's optimisers": first_order,
        "the data come in batches": batch_size is not None or not isinstance(data, tuple | list | Mapping),
        "a checkpoint was asked for": checkpoint is not None,
        "the model is not on the CPU": bool(accelerators(model.parameters())),
    }


def _kan_obstacle(model: nn.Module, common: Mapping[str, bool]) -> str | None:
    """Why the recipe of a KAN does not serve; None where it does."""
    if not isinstance(model, KAN):
        return f"{type(model).__name__} is not a KAN"
    layers = [layer for layer in model.layers if isinstance(layer, KANLinear)]
    least = sum(6 * int(layer.mask.sum()) for layer in layers)
    reasons = {
        **common,
        "a layer has an adapter": any(layer.adapter is not None for layer in layers),
        "a layer is slim": any(isinstance(layer, SlimKANLinear) for layer in layers),
        "some parameters are frozen": not all(p.requires_grad for p in model.parameters()),
        f"{least} parameters on the coarsest grid are more than {MOST_PARAMETERS}": least > MOST_PARAMETERS,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _module_obstacle(model: nn.Module, common: Mapping[str, bool]) -> str | None:
    """Why Levenberg-Marquardt on the parameters that learn does not serve either; None where it does."""
    numel = trained_numel(model)
    reasons = {
        **common,
        "no parameter learns": numel == 0,
        f"{numel} trained parameters are more than {MOST_TRAINED}": numel > MOST_TRAINED,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _determined(model: nn.Module, data: Any) -> bool:
    """True for a KAN with an adapter, factors or frozen parts whose samples outnumber what learns.

    With fewer samples Levenberg-Marquardt interpolates them, noise included, within a few steps.
    """
    x = data[0] if isinstance(data, tuple | list) else data.get("x", data.get("train_input"))
    return isinstance(model, KAN) and x is not None and trained_numel(model) < len(x)


def _parts(accumulate: int, penalties: Sequence[Penalty]) -> int:
    if accumulate < 1:
        raise ValueError(f"accumulate must be at least 1, got {accumulate}")
    if accumulate > 1 and penalties:
        raise ValueError("penalties look at a whole batch and cannot be accumulated; leave one of the two out")
    return accumulate


def _factory(optimizer: str | Factory, lr: float | None) -> tuple[Factory, str, int]:
    """The factory of the optimiser, its name and its default number of steps."""
    if isinstance(optimizer, Optimizer):
        raise TypeError(
            "this optimiser holds the parameters of another model, because fit trains a copy; give a factory "
            f"instead, such as `functools.partial(torch.optim.{type(optimizer).__name__}, lr=...)`"
        )
    if isinstance(optimizer, str):
        factory, steps = named_optimizer(optimizer, lr)
        return factory, optimizer, steps
    if not callable(optimizer):
        raise TypeError(f"optimizer must be a name or a factory parameters -> optimiser, got {optimizer!r}")
    if lr is not None:
        raise ValueError("lr belongs to a named optimizer; give it inside the factory")
    return optimizer, getattr(optimizer, "__name__", type(optimizer).__name__), 1000
