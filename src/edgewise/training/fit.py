"""`fit`: train a model on data by a method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

from torch import Tensor, nn

from edgewise._arguments import settings_are_in
from edgewise.optim import Loss, get_loss
from edgewise.progress import Listener
from edgewise.training.callbacks import Callback
from edgewise.training.display import listener_of
from edgewise.training.loop import train_first_order
from edgewise.training.methods import Auto, FirstOrder, LevenbergMarquardt, Method, get_method
from edgewise.training.result import FitResult
from edgewise.training.samples import Run
from edgewise.training.second_order import train_auto, train_levenberg_marquardt


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
        data: (x, y), (x, y, weights), a mapping with "x" and "y", or a DataLoader of such tuples. y must have the shape
            of the model's output, where (n,) stands for (n, 1); class labels of "cross_entropy" have shape (n,).
        method: `Auto`, `LevenbergMarquardt` or `FirstOrder`, or a name for one with default settings: "auto", "lm",
            "lbfgs", "adam", "adamw", "sgd".
        loss: "mse", "huber", "bce", "poisson", "cross_entropy", or a callable (prediction, target) -> tensor.
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
                return train_auto(run, chosen)
            case LevenbergMarquardt():
                return train_levenberg_marquardt(run, chosen)
            case FirstOrder():
                return train_first_order(run, chosen)
