"""Names every study and the module that defines it; a module has one `STUDY` or several `STUDIES`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from studies.study import Study

MODULES = {
    "anderson": "kan_paper.anderson",
    "before": "speed.before",
    "continual": "applications.continual",
    "conv": "applications.conv",
    "coverage": "applications.coverage",
    "dynamics": "symbolic.dynamics",
    "dynamics-lawless": "symbolic.dynamics",
    "dynamics-pysindy": "peers.dynamics_pysindy",
    "edge-search": "speed.edge_search",
    "export": "runtimes.export",
    "feynman": "symbolic.recovery",
    "fields": "symbolic.fields",
    "fields-lawless": "symbolic.fields",
    "forecast-336": "applications.forecast",
    "forecast-96": "applications.forecast",
    "gpt": "applications.gpt",
    "gpu": "speed.gpu",
    "kan-functions-feynman": "kan_paper.functions",
    "kan-functions-pykan": "peers.functions_pykan",
    "kan-functions-scaling": "kan_paper.scaling",
    "kan-functions-special": "kan_paper.functions",
    "kan-functions-toy": "kan_paper.functions",
    "knots": "kan_paper.knots",
    "lawless": "symbolic.lawless",
    "layers": "speed.layers",
    "lotra-digits": "lotra.images",
    "lotra-expressiveness": "lotra.expressiveness",
    "lotra-fashion": "lotra.images",
    "lotra-functions": "lotra.images",
    "lotra-mnist": "lotra.images",
    "lotra-rates": "lotra.rates",
    "lotra-sequential": "lotra.sequential",
    "lotra-step": "lotra.step",
    "lotra-transfer": "lotra.transfer",
    "nerf": "applications.nerf",
    "noise": "kan_paper.noise",
    "pde": "pde.study",
    "pde-tables": "pde.tables",
    "pde-viscosity": "pde.viscosity",
    "pde_laws": "pde.laws",
    "relations": "kan_paper.relations",
    "segmentation": "applications.segmentation",
    "small": "runtimes.small",
    "symbolic": "symbolic.recovery",
    "symbolic-pykan": "peers.symbolic_pykan",
    "tables25": "applications.tables25",
    "tabular": "applications.tabular",
    "tutorials": "symbolic.recovery",
    "vit": "applications.vit",
}

NAMES = tuple(MODULES)


def load(name: str) -> Study[Any]:
    """The study of this name; only its module is imported."""
    module = import_module(f"studies.{MODULES[name]}")
    studies = module.STUDIES if hasattr(module, "STUDIES") else (module.STUDY,)
    return next(study for study in studies if study.name == name)


def load_all() -> list[Study[Any]]:
    """All studies, in the order of their names."""
    return [load(name) for name in sorted(NAMES)]
