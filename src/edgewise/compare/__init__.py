"""Controls: an MLP with as many parameters, classical baselines on the same rows, races at equal steps and equal time.

`race` and `timing` are modules: `race.race(entries, task, ...)`, `timing.interleaved(steps, ...)`.
"""

from edgewise.compare.baselines import Baseline as Baseline, fit_baselines as fit_baselines
from edgewise.compare.comparison import Comparison as Comparison, compare as compare
from edgewise.compare.mlp import (
    matched_mlp as matched_mlp,
    mlp_size as mlp_size,
    mlp_widths as mlp_widths,
    new_mlp as new_mlp,
)
from edgewise.compare.race import Entry as Entry, Task as Task
from edgewise.compare.timing import Timing as Timing, interleaved as interleaved
from edgewise.nn.layers import count_parameters as count_parameters

__all__ = [
    "Baseline",
    "Comparison",
    "Entry",
    "Task",
    "Timing",
    "compare",
    "count_parameters",
    "fit_baselines",
    "interleaved",
    "matched_mlp",
    "mlp_size",
    "mlp_widths",
    "new_mlp",
]
