"""Training: `fit(model, data)` returns a new model, the history of the run and a report."""

from edgewise.fit.callbacks import EarlyStopping as EarlyStopping, State as State
from edgewise.fit.checkpoint import Checkpoint as Checkpoint
from edgewise.fit.result import FitResult as FitResult, Shape as Shape
from edgewise.fit.trainer import fit as fit

__all__ = ["Checkpoint", "EarlyStopping", "FitResult", "Shape", "State", "fit"]
