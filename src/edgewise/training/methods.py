"""The methods of `fit` as values: `Auto`, `LevenbergMarquardt` and `FirstOrder`, with the settings of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from edgewise._arguments import told, with_advice
from edgewise.callbacks import EarlyStopping
from edgewise.kernels import find
from edgewise.optim import Adam
from edgewise.tracing import Trace
from edgewise.training.keep import Checkpoint
from edgewise.training.schedules import Factor, get_schedule

DEGREES = (3, 5, 7, 9)
STEPS = 40  # of Levenberg-Marquardt, on every grid

Factory: TypeAlias = Callable[[Iterable[nn.Parameter]], Optimizer]
"""Parameters to a torch optimiser, such as `functools.partial(torch.optim.AdamW, lr=1e-3)`."""

Penalty: TypeAlias = Callable[[nn.Module, Trace], Tensor]
"""A model and its trace to a scalar that is added to the loss; `edgewise.Sparsity` is one."""


@with_advice(lambda: get_args(Method))
@dataclass(frozen=True, kw_only=True)
class Auto:
    r"""The method that needs no settings: a search over random starts, then Levenberg-Marquardt on finer grids.

    It serves a `KAN` on the CPU with at most 4,000 parameters on the coarsest grid, data in memory and a loss of known
    curvature. A KAN with adapters, slim layers or frozen parts is trained by Levenberg-Marquardt alone where the
    samples outnumber what is trained. Everything else is trained by L-BFGS, or by Adam where the data come in batches;
    `FitReport.notes` then says why, and the settings of the search must be left out.

    Args:
        seconds: time limit in seconds; no further step is begun after it.
        starts: number of random starts; 0 starts from the model's own parameters, which is the default for a model with
            a past: scaled, pruned or partly symbolic.
        steps: Levenberg-Marquardt steps on every grid, 40 by default; steps of the other method where one is used.
        extend: raise the degree and refine the grids; False keeps the basis of the model.
        degrees: degrees of the splines that the search goes through, in this order.
        max_parameters: no finer grid and no higher degree than this number of parameters allows.
        widths: "auto" searches over shapes as well, and takes inputs, outputs and basis from the model; see
            `FitResult.front`.
        smoothing: True or False to force it, or a strength $\lambda > 0$ for every curve, penalised by
            $\lambda/2\,\mathrm{mean}(\phi''^2)$ on its grid stretched to [0, 1], in standardised units of the data; by
            default the evidence finds the strengths and the held-out error decides.
    """

    seconds: float | None = None
    starts: int | None = None
    steps: int | None = None
    extend: bool = True
    degrees: Sequence[int] = DEGREES
    max_parameters: int | None = None
    widths: Literal["auto"] | None = None
    smoothing: bool | float | None = None

    def __post_init__(self) -> None:
        _check_seconds(self, self.seconds)
        _check_smoothing(self, self.smoothing)
        _check_least(self, 0, starts=self.starts)
        _check_least(self, 1, steps=self.steps, max_parameters=self.max_parameters)
        if self.widths not in (None, "auto"):
            raise ValueError(
                f"Auto: widths must be None or 'auto', got {self.widths!r}; give other widths to the model"
            )
        if not self.degrees or min(self.degrees) < 1:
            raise ValueError(f"Auto: degrees must be at least one degree >= 1, got {tuple(self.degrees)}")
        if self.starts == 0 and self.widths == "auto":
            raise ValueError("Auto: widths='auto' builds new networks from random starts; leave out starts=0")
        if self.starts == 0 and not self.extend:
            idle = sorted(self.given() & {"degrees", "max_parameters"})
            if idle:
                raise ValueError(
                    f"Auto: {' and '.join(idle)} cannot be applied, because there is neither a search (starts=0 is the "
                    "default for a scaled, pruned or partly symbolic model) nor an extension (extend=False); leave out "
                    f"{'it' if len(idle) == 1 else 'them'}"
                )

    def given(self) -> set[str]:
        """The settings that ask for something that only the search can do."""
        return {
            name
            for name, is_given in {
                "starts": bool(self.starts),
                "degrees": tuple(self.degrees) != DEGREES,
                "max_parameters": self.max_parameters is not None,
                "widths": self.widths is not None,
                "smoothing": self.smoothing not in (None, False),
            }.items()
            if is_given
        }


@with_advice(lambda: get_args(Method))
@dataclass(frozen=True, kw_only=True)
class LevenbergMarquardt:
    """Levenberg-Marquardt from the model's own parameters, on its own grids.

    It serves any module with up to 2,000 trained parameters whose samples do not meet inside (as they do in a batch
    norm), and a `KAN` of up to 4,000 parameters on the coarsest grid; on the CPU, with data in memory and a loss of
    known curvature.

    Args:
        steps: number of steps.
        seconds: time limit in seconds; no further step is begun after it.
        smoothing: of the curves of a KAN; see `Auto`.
    """

    steps: int = STEPS
    seconds: float | None = None
    smoothing: bool | float | None = None

    def __post_init__(self) -> None:
        _check_seconds(self, self.seconds)
        _check_smoothing(self, self.smoothing)
        _check_least(self, 1, steps=self.steps)


@with_advice(lambda: get_args(Method))
@dataclass(frozen=True)
class FirstOrder:
    """A torch optimiser over batches, for models and losses of any kind.

    Args:
        optimizer: "adam", "adamw", "sgd", "lbfgs", or a factory: parameters -> torch optimiser.
        lr: learning rate of a named optimiser; 1 for "lbfgs", 0.01 for the others by default.
        schedule: of the learning rate over the steps: "linear" or "cosine" to zero, `Schedule` with a warm-up, or a
            function of the share of the steps done in [0, 1) that gives a factor; None keeps the rate.
        steps: number of optimiser steps, 1,000 by default; 200 for "lbfgs", which does up to 20 iterations in one.
        batch_size: samples per step; all by default. A DataLoader makes its own batches.
        penalties: callables (model, trace) -> scalar, added to the loss.
        refine: {step: intervals}, finer grids of all `KANLinear` layers during the run.
        early_stopping: `EarlyStopping`, or its patience.
        checkpoint: a file that stores the state of the run; where it exists, the run resumes from it, and ends in the
            same parameters as one that was never interrupted.
        accumulate: parts that every batch is computed in, one after the other; the step is the same, in less memory.
        precision: `torch.bfloat16` computes in mixed precision (autocast); parameters and optimiser keep theirs.
        ema: decay of a running mean of the parameters, such as 0.999; the mean is what is validated and returned.
        seconds: time limit in seconds; no further epoch is begun after it.
    """

    optimizer: str | Factory = "adam"
    _: KW_ONLY
    lr: float | None = None
    schedule: str | Factor | None = None
    steps: int | None = None
    batch_size: int | None = None
    penalties: Sequence[Penalty] = ()
    refine: Mapping[int, int] | None = None
    early_stopping: EarlyStopping | int | None = None
    checkpoint: Checkpoint | str | Path | None = None
    accumulate: int = 1
    precision: torch.dtype | None = None
    ema: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        _check_seconds(self, self.seconds)
        _check_least(self, 0, steps=self.steps)
        _check_least(self, 1, batch_size=self.batch_size, accumulate=self.accumulate)
        if isinstance(self.early_stopping, int):
            _check_least(self, 1, early_stopping=self.early_stopping)
        self._check_optimizer()
        get_schedule(self.schedule)
        if self.accumulate > 1 and self.penalties:
            raise ValueError(
                "FirstOrder: penalties look at a whole batch and cannot be accumulated; leave one of the two out"
            )
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ValueError(f"FirstOrder: ema is a decay in [0, 1), such as 0.999, got {self.ema}")

    @property
    def name(self) -> str:
        """What reports call the optimiser."""
        if isinstance(self.optimizer, str):
            return self.optimizer
        factory = self.optimizer.func if isinstance(self.optimizer, partial) else self.optimizer
        return getattr(factory, "__name__", type(factory).__name__)

    @property
    def factory(self) -> Factory:
        """What makes the optimiser of a model's parameters."""
        if not isinstance(self.optimizer, str):
            return self.optimizer
        make, lr, _ = OPTIMIZERS[self.optimizer]
        return partial(make, lr=lr if self.lr is None else self.lr)

    @property
    def count(self) -> int:
        """The number of steps."""
        if self.steps is not None:
            return self.steps
        return OPTIMIZERS[self.optimizer].steps if isinstance(self.optimizer, str) else 1000

    @property
    def stopping(self) -> EarlyStopping | None:
        """The early stopping as a value."""
        return EarlyStopping(self.early_stopping) if isinstance(self.early_stopping, int) else self.early_stopping

    @property
    def saving(self) -> Checkpoint | None:
        """The checkpoint as a value."""
        return Checkpoint(self.checkpoint) if isinstance(self.checkpoint, str | Path) else self.checkpoint

    def _check_optimizer(self) -> None:
        optimizer = self.optimizer
        if isinstance(optimizer, Optimizer):
            raise TypeError(
                "FirstOrder: this optimiser holds the parameters of another model, because fit trains a copy; give a "
                f"factory instead, such as `functools.partial(torch.optim.{type(optimizer).__name__}, lr=...)`"
            )
        if isinstance(optimizer, str):
            if optimizer not in OPTIMIZERS:
                raise ValueError(
                    f"FirstOrder: unknown optimizer {optimizer!r}; choose {', '.join(map(repr, OPTIMIZERS))}, or give "
                    "a factory such as `functools.partial(torch.optim.AdamW, lr=1e-3)`"
                )
        elif not callable(optimizer):
            raise TypeError(
                f"FirstOrder: optimizer must be a name or a factory parameters -> optimiser, got {optimizer!r}"
            )
        elif self.lr is not None:
            raise ValueError("FirstOrder: lr belongs to a named optimizer; give it inside the factory")


Method: TypeAlias = Auto | LevenbergMarquardt | FirstOrder


def get_method(method: str | Method) -> Method:
    """The method of this name with default settings, or the given value."""
    if isinstance(method, Auto | LevenbergMarquardt | FirstOrder):
        return method
    if isinstance(method, str):
        if method not in METHODS:
            raise ValueError(
                f"unknown method {method!r}; choose one of {', '.join(METHODS)}, or give Auto(...), "
                "LevenbergMarquardt(...) or FirstOrder(...)"
            )
        return METHODS[method]
    raise TypeError(
        "method must be a name, Auto(...), LevenbergMarquardt(...) or FirstOrder(...), got "
        f"{_shown(method)}{_advice(method)}"
    )


def _shown(method: object) -> str:
    return f"a {type(method).__name__}" if hasattr(method, "shape") else repr(method)


def _advice(method: object) -> str:
    if any(method is kind for kind in get_args(Method)):
        return f"; write {method.__name__}()"  # type: ignore[attr-defined]
    if callable(method):
        return "; a factory of optimisers is given as FirstOrder(factory)"
    return "; inputs and targets are one argument, fit(model, (x, y))" if hasattr(method, "shape") else ""


class Named(NamedTuple):
    """A named optimiser: what makes it, its learning rate and its number of steps."""

    make: Callable[..., Optimizer]
    lr: float
    steps: int


def _adam(parameters: Iterable[nn.Parameter], lr: float, weight_decay: float = 0.0) -> Optimizer:
    """Native where a kernel serves every parameter; elsewhere torch's."""
    parameters = list(parameters)
    make = Adam if all(find("adam", p) is not None for p in parameters) else torch.optim.AdamW
    return make(parameters, lr=lr, weight_decay=weight_decay)


OPTIMIZERS: Mapping[str, Named] = MappingProxyType(
    {
        "adam": Named(_adam, 1e-2, 1000),
        "adamw": Named(partial(_adam, weight_decay=1e-2), 1e-2, 1000),
        "sgd": Named(torch.optim.SGD, 1e-2, 1000),
        "lbfgs": Named(partial(torch.optim.LBFGS, history_size=50, line_search_fn="strong_wolfe"), 1.0, 200),
    }
)


def _check_seconds(method: Method, seconds: float | None) -> None:
    if seconds is not None and not (isinstance(seconds, Real) and seconds >= 0):
        kind = type(method).__name__
        raise ValueError(f"{kind}: seconds is a time limit >= 0, got {told(seconds)}; None is no limit")


def _check_smoothing(method: Method, smoothing: bool | float | None) -> None:
    if not isinstance(smoothing, bool | None) and not 0 < smoothing < math.inf:
        raise ValueError(
            f"{type(method).__name__}: smoothing must be True, False, None or a number > 0, got {smoothing}"
        )


def _check_least(method: Method, least: int, **settings: int | None) -> None:
    for name, value in settings.items():
        if value is not None and not hasattr(value, "__index__"):
            raise TypeError(f"{type(method).__name__}: {name} must be an integer, got {told(value)}")
        if value is not None and value < least:
            raise ValueError(f"{type(method).__name__}: {name} must be at least {least}, got {value}")


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "auto": Auto(),
        "lm": LevenbergMarquardt(),
        **{name: FirstOrder(name) for name in ("lbfgs", "adam", "adamw", "sgd")},
    }
)
