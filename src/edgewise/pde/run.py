"""`edgewise solve problem.py`: a problem written in a file, solved into a folder."""

from __future__ import annotations

import importlib.util
import inspect
import json
import logging
import math
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from edgewise.io import save
from edgewise.nn import KAN
from edgewise.pde.errors import ProblemError
from edgewise.pde.problem import Problem
from edgewise.pde.solution import Solution, Stage
from edgewise.pde.solver import solve

logger = logging.getLogger(__name__)

CHECK_POINTS = 5000  # at which the error against a reference is measured


def run_problem_file(
    path: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    progress: Callable[[Stage], None] | None = None,
    **settings: Any,
) -> Solution:
    """Solve the `problem` that a Python file defines.

    The file may also define `model` (see `solve`), `settings` (a dict of arguments of `solve`) and `reference` (a
    function of points (n, d), from which the error is measured and drawn). The file is run: run only files that you
    trust.

    Args:
        path: the file.
        out: a folder for `solution.json`, the network and the pictures; nothing is written by default.
        progress: called after every round.
        settings: arguments of `solve`, which go before those in the file.
    """
    module = _loaded(Path(path))
    problem = getattr(module, "problem", None)
    if not isinstance(problem, Problem):
        raise ProblemError(f"{path} must define `problem`, an edgewise.pde.Problem; found {type(problem).__name__}")
    chosen = _settings(Path(path), getattr(module, "settings", {})) | settings
    if out is not None and Path(out).exists() and not Path(out).is_dir():
        raise ProblemError(f"{out} is a file; name a folder")
    solution = solve(problem, getattr(module, "model", None), progress=progress, **chosen)
    if out is not None:
        write_solution(solution, Path(out), getattr(module, "reference", None))
    return solution


def write_solution(solution: Solution, out: Path, reference: Callable[..., Any] | None = None) -> None:
    """The record, the networks and the pictures of a solution; every file appears whole."""
    out.mkdir(parents=True, exist_ok=True)
    for n, model in enumerate(solution.models):
        if isinstance(model, KAN):
            save(model, out / ("model.safetensors" if len(solution.models) == 1 else f"model-{n}.safetensors"))
    record = solution.to_json()
    if reference is not None:
        record["relative_error"] = solution.error(reference, solution.sample(CHECK_POINTS))
    aside = out / ".solution.part.json"
    aside.write_text(json.dumps(_strict(record), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    aside.replace(out / "solution.json")
    try:
        figures = solution.figures(reference)
    except ImportError as error:
        logger.warning("no pictures were drawn: %s", error)
        return
    for name, figure in figures.items():
        aside = out / f".{name}.part.png"
        figure.savefig(aside, dpi=150)
        aside.replace(out / f"{name}.png")


def _strict(value: Any) -> Any:
    """The same with null for every number that JSON has no word for, as a diverged solve has them."""
    if isinstance(value, dict):
        return {key: _strict(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _loaded(path: Path) -> ModuleType:
    if not path.is_file():
        raise ProblemError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ProblemError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        kind = "" if isinstance(error, ProblemError) else f"{type(error).__name__}: "
        raise ProblemError(f"{path}{_line_of(error, path)}: {kind}{error}") from error
    return module


def _line_of(error: Exception, path: Path) -> str:
    """The line of the file where an error came from, as ", line 3"."""
    if isinstance(error, SyntaxError):
        return ""  # its message has the line
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve() == path.resolve()]
    return f", line {frames[-1].lineno}" if frames else ""


def _settings(path: Path, given: Any) -> dict[str, Any]:
    known = [name for name, p in inspect.signature(solve).parameters.items() if p.kind is p.KEYWORD_ONLY]
    if not isinstance(given, dict):
        raise ProblemError(f"{path}: `settings` must be a dict of arguments of solve, found {type(given).__name__}")
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ProblemError(
            f"{path}: `settings` has {unknown[0]!r}, which solve does not know; it knows {', '.join(known)}"
        )
    return dict(given)
