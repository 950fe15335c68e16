"""Controls: models of other kinds on the same rows, with the same number of parameters where they have any."""

from edgewise.compare.baselines import Baseline as Baseline, fit_baselines as fit_baselines, mlp_widths as mlp_widths
from edgewise.compare.matching import (
    Comparison as Comparison,
    compare as compare,
    count_parameters as count_parameters,
    matched_mlp as matched_mlp,
)

__all__ = [
    "Baseline",
    "Comparison",
    "compare",
    "count_parameters",
    "fit_baselines",
    "matched_mlp",
    "mlp_widths",
]
