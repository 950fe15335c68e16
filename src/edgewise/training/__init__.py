"""Training: `fit(model, data, method)` returns a new model, the history of the run and a report."""

from edgewise.callbacks import EarlyStopping as EarlyStopping, State as State
from edgewise.training.fit import fit as fit
from edgewise.training.keep import Checkpoint as Checkpoint
from edgewise.training.methods import (
    Auto as Auto,
    FirstOrder as FirstOrder,
    LevenbergMarquardt as LevenbergMarquardt,
)
from edgewise.training.result import FitReport as FitReport, FitResult as FitResult, Shape as Shape
from edgewise.training.schedules import Schedule as Schedule

__all__ = [
    "Auto",
    "Checkpoint",
    "EarlyStopping",
    "FirstOrder",
    "FitReport",
    "FitResult",
    "LevenbergMarquardt",
    "Schedule",
    "Shape",
    "State",
    "fit",
]
