"""Comparisons: models of other kinds on the same rows, with the same number of parameters where they have any."""

from edgewise.bench.baselines import Baseline as Baseline, fit_baselines as fit_baselines, mlp_widths as mlp_widths

__all__ = ["Baseline", "fit_baselines", "mlp_widths"]
