"""Training: `fit(model, data)` returns a new model, the history of the run and a report."""

from edgewise.training.callbacks import EarlyStopping as EarlyStopping, State as State
from edgewise.training.checkpoint import Checkpoint as Checkpoint
from edgewise.training.fit import fit as fit
from edgewise.training.result import FitResult as FitResult, Shape as Shape

__all__ = ["Checkpoint", "EarlyStopping", "FitResult", "Shape", "State", "fit"]
