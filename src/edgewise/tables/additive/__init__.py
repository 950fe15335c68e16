r"""Generalised additive models: $\eta(x) = b + \sum_t f_t(x)$, terms of one or two columns, smoothed by evidence.

A fitted model is an `AdditiveModel`: an intercept, a family, and `Term` values, which can be read, drawn and written as
JSON.
"""

from edgewise.tables.additive.additive_model import (
    AdditiveModel as AdditiveModel,
    additive_model_from_json as additive_model_from_json,
)
from edgewise.tables.additive.additive_terms import Term as Term
from edgewise.tables.additive.axes import (
    Axis as Axis,
    CircleAxis as CircleAxis,
    LevelAxis as LevelAxis,
    SplineAxis as SplineAxis,
)
from edgewise.tables.additive.families import Family as Family
from edgewise.tables.additive.inputs import Column as Column, Input as Input, read_columns as read_columns
from edgewise.tables.additive.row_sums import over_processes as over_processes
