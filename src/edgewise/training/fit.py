"""`fit`: train a model on data by a method."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, get_args

import torch
from torch import Tensor, nn

from edgewise._arguments import settings_are_in
from edgewise._columns import as_tensor, column_names
from edgewise.callbacks import Callback
from edgewise.display import listener_of
from edgewise.nn import KAN, KANLinear
from edgewise.optim import Loss, get_loss
from edgewise.progress import Listener
from edgewise.training.loop import train_first_order
from edgewise.training.methods import Auto, FirstOrder, LevenbergMarquardt, Method, get_method
from edgewise.training.result import FitResult
from edgewise.training.samples import Run
from edgewise.training.second_order import train_auto, train_levenberg_marquardt

FEW = 10  # rows below which none is far from the others
OUTSIDE = 0.5  # shares of the range of a grid that a row may lie outside before it is noted
APART = 10.0  # ranges of the inner 98 % that a row may lie away


@settings_are_in(lambda: get_args(Method))
def fit(
    model: nn.Module,
    data: Any,
    method: str | Method = "auto",
    *,
    loss: str | Loss | Callable[[Tensor, Tensor], Tensor] = "mse",
    validation: Any = None,
    sample_weight: Any = None,
    callbacks: Sequence[Callback] = (),
    seed: int = 0,
    progress: bool | Listener | None = None,
) -> FitResult:
    """Train a copy of the model on data; the model, the global random state and the file system stay as they are.

    >>> import torch, edgewise as ew
    >>> x = torch.linspace(-1, 1, 200, dtype=torch.float64)[:, None]
    >>> y = torch.sin(3 * x)
    >>> result = ew.fit(ew.KAN([1, 1]), (x, y))
    >>> result.report.validation < 1e-20
    True
    >>> ew.fit(ew.KAN([1, 1]), (x, y), ew.FirstOrder("adam", lr=0.02, steps=50, batch_size=64)).report.method
    'adam'

    Args:
        model: any module; operations on grids concern the `KANLinear` layers inside.
        data: (x, y), (x, y, weights) or a mapping with "x" and "y", of tensors, arrays or frames of pandas and polars,
            whose columns name the inputs; or a DataLoader of such tuples. y must have the shape of the model's output,
            where (n,) stands for (n, 1); class labels of "cross_entropy" have shape (n,).
        method: `Auto`, `LevenbergMarquardt` or `FirstOrder`, or a name for one with default settings: "auto", "lm",
            "lbfgs", "adam", "adamw", "sgd".
        loss: "mse", "huber", "quantile(0.9)", "expectile(0.9)", "bce", "cross_entropy", "poisson", "gamma",
            "tweedie(1.5)" or "cox" (see `edgewise.optim.losses`), or a callable (prediction, target) -> tensor.
        validation: a share of the samples to hold out, or (x, y); the state with the least loss there is returned.
        sample_weight: one value >= 0 per sample.
        callbacks: called with a `State` after every evaluation; a true answer ends the run.
        seed: seeds all randomness of the run.
        progress: True shows a display on standard error; a callable receives an `Event` after every piece of work.

    Returns:
        A `FitResult`; Ctrl-C returns the best model so far.

    Raises:
        ValueError: a setting or the data do not suit the method; the message says what to do.
    """
    chosen = get_method(method)
    criterion = get_loss(loss)
    with listener_of(progress) as tell:
        run = Run(model, data, criterion, validation, sample_weight, callbacks, seed, tell)
        match chosen:
            case Auto():
                result = train_auto(run, chosen)
            case LevenbergMarquardt():
                result = train_levenberg_marquardt(run, chosen)
            case FirstOrder():
                result = train_first_order(run, chosen)
        return _completed(result, run)


def _completed(result: FitResult, run: Run) -> FitResult:
    """A KAN without names takes those of the columns; rows far from its grid or from all others are noted."""
    model = result.model
    if not isinstance(model, KAN) or run.in_batches:
        return result
    model.input_names = model.input_names or column_names(run.inputs)
    model.output_names = model.output_names or column_names(run.targets)
    notes = far_rows(model, as_tensor(run.inputs))
    return replace(result, report=replace(result.report, notes=(*result.report.notes, *notes)))


@torch.no_grad()
def far_rows(model: KAN, x: Tensor) -> list[str]:
    """What to know about rows outside the grid of the first layer, and about those that stretch it over empty space."""
    first = model.layers[0]
    if not isinstance(first, KANLinear) or len(x) < FEW:
        return []
    names = model.input_names or [f"input {j}" for j in range(model.in_features)]
    x = x.to(first.grid).reshape(-1, model.in_features)
    seen = x if model.input_affine is None else model.input_affine(x)
    low, high = first.basis.span(first.grid)
    beyond = torch.maximum(low - seen, seen - high) / (high - low)
    inner_low, inner_high = (x.kthvalue(k, 0).values for k in (1 + len(x) // 100, len(x) - len(x) // 100))
    spread = torch.where(inner_high > inner_low, inner_high - inner_low, math.inf)  # a rare level is not far away
    apart = torch.maximum(inner_low - x, x - inner_high) / spread
    notes = []
    for far, limit, what in (
        (beyond, OUTSIDE, "outside the grid of the first layer, where curves are not trained: adapt_grid_(model, x)"),
        (apart, APART, "away from the inner 98 % of the values, so that the grid spans empty space: check the row"),
    ):
        rows = (far > limit).any(1)
        if bool(rows.any()):
            at, j = divmod(int(far.argmax()), far.shape[1])
            notes.append(
                f"{int(rows.sum())} of {len(x)} rows lie far {what} (row {at}, {names[j]} = {float(x[at, j]):g}, "
                f"{float(far[at, j]):.2g} times the range away)"
            )
    return notes
