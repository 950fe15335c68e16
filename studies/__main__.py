"""`python -m studies NAME [options]`."""

from __future__ import annotations

import sys
from importlib import import_module

STUDIES = {
    "anderson": ("kan_paper.anderson", None),
    "bench": ("speed.bench", None),
    "edges": ("speed.edge_search", ()),
    "continual": ("applications.continual", ()),
    "conv": ("applications.conv", ()),
    "forecast": ("applications.forecast", None),
    "gpt": ("applications.gpt", None),
    "kan-functions": ("kan_paper.functions", ()),
    "knots": ("kan_paper.knots", None),
    "lotra": ("lotra.__main__", None),
    "nerf": ("applications.nerf", ()),
    "noise": ("kan_paper.noise", ()),
    "pde": ("pde.study", ()),
    "segmentation": ("applications.segmentation", ()),
    "symbolic": ("symbolic.recovery", None),
    "symbolic-pykan": ("peers.symbolic_pykan", None),
    "tabular": ("applications.tabular", ()),
    "vit": ("applications.vit", ()),
}


def main(arguments: list[str]) -> None:
    """Run the study that the first argument names with the rest as its options."""
    module, given = STUDIES[arguments[0]]
    run = import_module(f"studies.{module}").main
    run(arguments[1:]) if given is None else run(*given)


if __name__ == "__main__":
    main(sys.argv[1:])
