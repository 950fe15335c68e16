"""`edgewise solve problem.py`: a problem written in a file, solved into a folder."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from edgewise.io import save
from edgewise.nn import KAN
from edgewise.pde.problem import Problem
from edgewise.pde.solution import Solution, Stage
from edgewise.pde.solver import solve


def run_problem_file(
    path: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    progress: Callable[[Stage], None] | None = None,
    **settings: Any,
) -> Solution:
    """Solve the `problem` that a Python file defines.

    The file may also define `model` (see `solve`), `settings` (a dict of arguments of `solve`) and `reference` (a
    function of points, whose distance is drawn). The file is run: run only files that you trust.

    Args:
        path: the file.
        out: a folder for `solution.json`, the network and the pictures; nothing is written by default.
        progress: called after every round.
        settings: arguments of `solve`, which go before those in the file.
    """
    module = _loaded(Path(path))
    problem = getattr(module, "problem", None)
    if not isinstance(problem, Problem):
        raise ValueError(f"{path} must define `problem`, an edgewise.pde.Problem; found {type(problem).__name__}")
    chosen = getattr(module, "settings", {}) | settings
    solution = solve(problem, getattr(module, "model", None), progress=progress, **chosen)
    if out is not None:
        _write(solution, Path(out), getattr(module, "reference", None))
    return solution


def _loaded(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _write(solution: Solution, out: Path, reference: Callable[..., Any] | None) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for n, model in enumerate(solution.models):
        if isinstance(model, KAN):
            save(model, out / ("model.safetensors" if len(solution.models) == 1 else f"model-{n}.safetensors"))
    if len(solution.problem.domain.coordinates) <= 3:
        for what in ("field", "residual") if reference is None else ("field", "residual", "error"):
            figure = solution.plot(what, reference=reference)
            aside = out / f".{what}.part.png"
            figure.savefig(aside, dpi=150)
            aside.replace(out / f"{what}.png")
    aside = out / ".solution.part.json"
    aside.write_text(json.dumps(solution.to_json(), indent=1) + "\n", encoding="utf-8")
    aside.replace(out / "solution.json")
