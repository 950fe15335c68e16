"""Callables that see the state of a run of `fit`: they may end it, or log it with the tools of others.

A writer or a run is opened and closed by the caller::

    with SummaryWriter("runs/first") as writer:
        ew.fit(model, data, callbacks=[ew.callbacks.TensorBoard(writer)])
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

from torch import nn

Record: TypeAlias = dict[str, Any]
"""One row of a history: a mapping, because every method has columns of its own and `plot_history` draws them all."""


@dataclass(frozen=True)
class State:
    """A run after one evaluation: the live model (read it, do not change its structure) and the newest record."""

    model: nn.Module
    step: int
    record: Record


Callback: TypeAlias = Callable[[State], bool | None]
"""Called after every evaluation; a true answer ends the run."""


def ended_by(callbacks: Sequence[Callback], state: State) -> bool:
    """Show the state to all callbacks; True where one of them ends the run."""
    return any([callback(state) for callback in callbacks])


@dataclass(frozen=True)
class EarlyStopping:
    """End the run when the loss has not improved for `patience` evaluations.

    The validation loss counts where there is one, else the training loss; an improvement is more than `min_delta`.
    """

    patience: int = 20
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ValueError(f"EarlyStopping: patience must be at least 1, got {self.patience}")

    def waited(self, history: Sequence[Record]) -> bool:
        """True where the last `patience` records brought no improvement."""
        best, since = math.inf, 0
        for record in history:
            value = record.get("validation", record["loss"])
            best, since = (value, 0) if value < best - self.min_delta else (best, since + 1)
        return since >= self.patience


class Logger(ABC):
    """Sends the numbers of every record to a tool that draws them.

    Some tools refuse a step that is not larger than the last one, and a search over shapes counts the steps of every
    shape from the start: such a record is logged one step after the last.

    Args:
        prefix: stands before the name of every number, such as "fold 1/".
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self._last = -1

    def __call__(self, state: State) -> None:
        """Log the newest record."""
        self._last = max(state.step, self._last + 1)
        numbers = {k: float(v) for k, v in state.record.items() if k != "step" and isinstance(v, Real)}
        self._log({f"{self.prefix}{name}": value for name, value in numbers.items()}, self._last)

    @abstractmethod
    def _log(self, numbers: Mapping[str, float], step: int) -> None: ...


class TensorBoard(Logger):
    """Logs with TensorBoard; the caller closes the writer.

    Args:
        writer: a `torch.utils.tensorboard.SummaryWriter`.
        prefix: as in `Logger`.
    """

    def __init__(self, writer: Any, prefix: str = "") -> None:
        if not callable(getattr(writer, "add_scalar", None)):
            raise TypeError(
                f"TensorBoard takes a torch.utils.tensorboard.SummaryWriter(folder), got {writer!r}; it needs the "
                "package tensorboard: pip install edgewise[loggers]"
            )
        super().__init__(prefix)
        self.writer = writer

    def _log(self, numbers: Mapping[str, float], step: int) -> None:
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()


class MLflow(Logger):
    """Logs with MLflow, into the run of this id or else the active run.

    Args:
        run_id: of the run; None for the run that is active when the first record comes, which there must be.
        prefix: as in `Logger`.
    """

    def __init__(self, run_id: str | None = None, prefix: str = "") -> None:
        try:
            import mlflow
        except ImportError as error:
            raise ImportError("edgewise.callbacks.MLflow needs MLflow: pip install edgewise[loggers]") from error
        super().__init__(prefix)
        self.run_id, self._mlflow = run_id, mlflow

    def _log(self, numbers: Mapping[str, float], step: int) -> None:
        if self.run_id is None:
            run = self._mlflow.active_run()
            if run is None:
                raise RuntimeError("MLflow: no run is active; call fit inside `with mlflow.start_run():`")
            self.run_id = run.info.run_id
        self._mlflow.log_metrics(dict(numbers), step=step, run_id=self.run_id)


class WandB(Logger):
    """Logs with Weights & Biases; the caller finishes the run.

    Args:
        run: what `wandb.init(project=..., mode="offline")` returns.
        prefix: as in `Logger`.
    """

    def __init__(self, run: Any, prefix: str = "") -> None:
        if not callable(getattr(run, "log", None)):
            raise TypeError(
                f"WandB takes the run that wandb.init(...) returns, got {run!r}; it needs the package wandb: "
                "pip install edgewise[loggers]"
            )
        super().__init__(prefix)
        self.run = run

    def _log(self, numbers: Mapping[str, float], step: int) -> None:
        self.run.log(dict(numbers), step=step)
