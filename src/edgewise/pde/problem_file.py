"""Solve a problem that a Python file defines, and write the solution to a folder (`edgewise solve problem.py`)."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import json
import logging
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from edgewise.display import shows_progress
from edgewise.io import load, save
from edgewise.io.reading import read_json, reading
from edgewise.io.whole import write_whole
from edgewise.nn import KAN, Surface
from edgewise.pde.operators import ProblemError
from edgewise.pde.problem import Problem
from edgewise.pde.solution import Solution, SolutionRecord
from edgewise.pde.solve_methods import SolveMethod, Surfaces, as_method
from edgewise.pde.solver import solve
from edgewise.progress import Listener
from edgewise.viz.charts import save_figure

logger = logging.getLogger(__name__)


@shows_progress
def run_problem_file(
    path: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    method: str | SolveMethod | Surfaces | None = None,
    progress: bool | Listener | None = None,
    **settings: Any,
) -> Solution:
    """Solve the `problem` that a Python file defines.

    The file may also define `model` (see `solve`), `settings` (a dict of further arguments of `solve`) and `reference`
    (a function of points (n, d), from which the error is measured and drawn). The file is run: run only files that you
    trust.

    Args:
        path: the file.
        out: a folder for `solution.json`, the network and the figures; nothing is written by default.
        method: replaces the method of the file; a name keeps the starts, steps, rounds and intervals of the file.
        progress: True to show it; or called with an `Event` after every round.
        settings: arguments of `solve`, which replace those in the file.

    Raises:
        ProblemError: the file cannot be run, or what it defines cannot be solved.
    """
    assert not isinstance(progress, bool)  # made a listener by `shows_progress`
    module = _loaded(Path(path))
    problem = getattr(module, "problem", None)
    if not isinstance(problem, Problem):
        raise ProblemError(f"{path} must define `problem`, an edgewise.pde.Problem; found {type(problem).__name__}")
    chosen = _settings(Path(path), getattr(module, "settings", {})) | settings
    chosen["method"] = _method(method, chosen.get("method", "auto"))
    model = getattr(module, "model", None)
    if method is not None and isinstance(chosen["method"], Surfaces):
        model = None  # a surface is its own model, with points of its own
        chosen.pop("collocation", None)
    if out is not None and Path(out).exists() and not Path(out).is_dir():
        raise ProblemError(f"{out} is a file; name a folder")
    solution = solve(problem, model, progress=progress, **chosen)
    if out is not None:
        write_solution(solution, Path(out), getattr(module, "reference", None))
    return solution


def write_solution(solution: Solution, out: Path, reference: Callable[..., Any] | None = None) -> None:
    """Write the record, the networks and the figures of a solution into a folder; every file appears whole."""
    out.mkdir(parents=True, exist_ok=True)
    for n, model in enumerate(solution.models):
        if isinstance(model, KAN | Surface):
            save(model, out / _model_name(n, len(solution.models)))
    record = solution.record(reference).to_json()
    write_whole(out / "solution.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    try:
        figures = solution.figures(reference)
    except ImportError as error:
        logger.warning("no figures were drawn: %s", error)
        return
    for name, figure in figures.items():
        save_figure(figure, out / f"{name}.png", dpi=150)


def read_solution(out: str | os.PathLike[str], problem: Problem) -> Solution:
    """The solution that `edgewise solve` or `write_solution` wrote, with the problem that was solved.

    Args:
        out: the folder.
        problem: the same again; equations are functions, which no file holds.

    Raises:
        FileFormatError: a file is damaged, or of another kind.
        ProblemError: the networks have not the coordinates and fields of this problem.
    """
    folder = Path(out)
    record = folder / "solution.json"
    with reading(record):
        found = SolutionRecord.from_json(read_json(record))
    count = len(found.ends) + 1
    models = tuple(load(folder / _model_name(n, count)) for n in range(count))
    fields = {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}
    told = {name: value for name, value in fields.items() if name not in ("residuals", "relative_error")}
    solution = Solution(problem, models, **told)
    _check_fit(solution, folder)
    return solution


def _check_fit(solution: Solution, folder: Path) -> None:
    """Raise `ProblemError` unless the networks take the coordinates of the problem and give its fields."""
    try:
        shape = tuple(solution(solution.sample(1)).shape)
    except (RuntimeError, ValueError, IndexError) as error:
        raise ProblemError(f"the networks in {folder} do not fit this problem: {error}") from error
    if shape != (1, len(solution.problem.fields)) or solution.unknowns.keys() != solution.problem.unknowns.keys():
        raise ProblemError(
            f"{folder} has {shape[-1]} fields and the unknowns {sorted(solution.unknowns)}, this problem"
            f" {len(solution.problem.fields)} and {sorted(solution.problem.unknowns)}: give the problem that was solved"
        )


def _model_name(n: int, count: int) -> str:
    return "model.safetensors" if count == 1 else f"model-{n}.safetensors"


def _method(
    asked: str | SolveMethod | Surfaces | None, of_the_file: str | SolveMethod | Surfaces
) -> SolveMethod | Surfaces:
    """The method of the file, or the one that was asked for; a name has the schedule of the file, if both have one."""
    method = as_method(of_the_file)
    if asked is None:
        return method
    chosen = as_method(asked)
    if isinstance(asked, str) and isinstance(chosen, SolveMethod) and isinstance(method, SolveMethod):
        return chosen.scheduled_as(method)
    return chosen


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
    known = [name for name in inspect.signature(solve).parameters if name not in ("problem", "model", "progress")]
    if not isinstance(given, dict):
        raise ProblemError(f"{path}: `settings` must be a dict of arguments of solve, found {type(given).__name__}")
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ProblemError(
            f"{path}: `settings` has {unknown[0]!r}, which solve does not know; it knows {', '.join(known)}"
        )
    return dict(given)
