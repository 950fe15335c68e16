"""Names every study and the module that defines it; a module has one `STUDY` or several `STUDIES`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from studies.study import Study

MODULES = {
    "noise": "kan_paper.noise",
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
