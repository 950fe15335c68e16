"""Comparisons: models of other kinds on the same rows, with the same number of parameters where they have any."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from edgewise.bench.baselines import Baseline as Baseline, fit_baselines as fit_baselines, mlp_widths as mlp_widths
from edgewise.bench.matching import (
    Comparison as Comparison,
    compare as compare,
    count_parameters as count_parameters,
    matched_mlp as matched_mlp,
)


def _study(module: str, *arguments: Any) -> Callable[[], None]:
    """`main` of a module of this package, imported when it is run."""
    return lambda: import_module(f"edgewise.bench.{module}").main(*arguments)


def _study_with_options(module: str) -> Callable[..., None]:
    """The same for a `main` that parses options of its own."""
    return lambda options=(): import_module(f"edgewise.bench.{module}").main(options)


COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "bench": {"edges": _study("edge_search"), "layers": _study("__main__", [])},
    "reproduce": {
        "anderson": _study_with_options("anderson"),
        "continual": _study("applications.continual"),
        "conv": _study("applications.conv"),
        "forecast": _study_with_options("applications.forecast"),
        "gpt": _study_with_options("applications.gpt"),
        "kan-functions": _study("functions"),
        "knots": _study_with_options("knots"),
        "lotra": _study("lotra.__main__", []),
        "nerf": _study("applications.nerf"),
        "noise": _study("noise"),
        "pde": _study("pde"),
        "segmentation": _study("applications.segmentation"),
        "symbolic": _study_with_options("symbolic"),
        "symbolic-pykan": _study_with_options("symbolic_peer"),
        "tabular": _study("applications.tabular"),
        "vit": _study("applications.vit"),
    },
}
"""What `edgewise bench` and `edgewise reproduce` can run, by name; some studies take options, as words."""

__all__ = [
    "COMMANDS",
    "Baseline",
    "Comparison",
    "compare",
    "count_parameters",
    "fit_baselines",
    "matched_mlp",
    "mlp_widths",
]
