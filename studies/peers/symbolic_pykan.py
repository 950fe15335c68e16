"""The KAN paper's equations by pykan's way to a formula: train, prune, train, `auto_symbolic`, train.

The recipe is that of pykan's first tutorial. Every equation runs in a process of its own, which is stopped at its limit
of processor time. pykan must be importable; it is not one of the project's dependencies.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sympy
import torch

from studies.problems.feynman import KAN_PAPER, Equation
from studies.study import Case, Row, Run, Settings, Study, option

NAMES = ("I.12.11", "II.38.3", "I.27.6", "I.40.1", "I.44.4")
"""Equations of two variables that every method should find."""


@dataclass(frozen=True)
class PykanSettings(Settings):
    """Settings of pykan's formulas."""

    equations: tuple[str, ...] = option(NAMES, "some", choices=tuple(KAN_PAPER), selects=True)
    samples: int = option(1000, "number of samples of an equation")
    seconds: int = option(120, "processor time of an equation, after which it is stopped")
    hidden: int = option(5, "width of the hidden layer")


def cases(settings: PykanSettings, seeds: Sequence[int]) -> list[Case]:
    """Every equation with every seed."""
    return [{"equation": equation, "seed": seed} for seed in seeds for equation in settings.equations]


def measure(case: Case, run: Run[PykanSettings]) -> Row:
    """One equation in a process of its own."""
    settings = run.settings
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    arguments = (case["equation"], case["seed"], settings.samples, settings.hidden)
    command = [sys.executable, "-m", "studies.peers.symbolic_pykan", *map(str, arguments)]

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (settings.seconds, settings.seconds))

    with tempfile.TemporaryDirectory() as folder:  # pykan writes checkpoints where it runs
        path = os.pathsep.join(str(Path(p).resolve()) for p in sys.path if p)
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            preexec_fn=limited,
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    row: Row = {"cpu_seconds": round(spent, 1), "formula": None}
    if done.returncode == 0:
        return row | {"outcome": "finished"} | json.loads(done.stdout.splitlines()[-1])
    late = spent > 0.9 * settings.seconds
    problem = (done.stderr.strip().splitlines() or [""])[-1][:200]
    return row | {"outcome": "not finished" if late else f"failed: {problem}"}


def summarise(rows: list[Row]) -> list[Row]:
    """Every equation and seed, with the errors in the box of the samples and in a wider one."""
    keys = ("equation", "seed", "outcome", "cpu_seconds", "error", "wider_box_error", "formula")
    return [{key: row.get(key) for key in keys} for row in rows]


def formula(name: str, seed: int, samples: int, hidden: int) -> Row:
    """What pykan answers, and its relative errors in the box of the samples and in a wider one."""
    try:
        from kan import KAN  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("this comparison needs pykan: pip install --no-deps pykan==0.2.8") from error
    equation = KAN_PAPER[name]
    torch.set_default_dtype(torch.float64)
    generator = torch.Generator().manual_seed(seed)
    x, y = equation.sample(samples, generator)
    x_test, y_test = equation.sample(samples, generator)
    data = {"train_input": x, "train_label": y[:, None], "test_input": x_test, "test_label": y_test[:, None]}
    low, high = x.amin().item(), x.amax().item()
    model = KAN(width=[x.shape[1], hidden, 1], grid=3, k=3, seed=seed, grid_range=[low, high], auto_save=True)
    model.fit(data, opt="LBFGS", steps=50, lamb=1e-3)
    model = model.prune()
    model.fit(data, opt="LBFGS", steps=50)
    begun = time.process_time()
    model.auto_symbolic()
    seconds = time.process_time() - begun
    model.fit(data, opt="LBFGS", steps=50)
    expression = model.symbolic_formula(var=list(equation.variables))[0][0]
    return {
        "formula": str(sympy.N(expression, 4)),
        "auto_symbolic_seconds": round(seconds, 1),
        "error": relative_error(expression, equation, 0.0),
        "wider_box_error": relative_error(expression, equation, 0.25),
    }


def relative_error(expression: Any, equation: Equation, wider: float) -> float:
    """RMSE of the expression in a box so much wider, in standard deviations of y there."""
    x, y = equation.sample(2000, torch.Generator().manual_seed(1), wider=wider)
    value = sympy.lambdify(equation.variables, expression, "numpy")(*x.T.numpy())
    return float(((torch.as_tensor(value) - y).square().mean().sqrt() / y.std()).item())


STUDY = Study(
    name="symbolic-pykan",
    title="Equations of the KAN paper by pykan's auto_symbolic, with a time limit for each",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=PykanSettings(),
    seeds=(1000,),
)

if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        answer = formula(sys.argv[1], *map(int, sys.argv[2:5]))
    print(json.dumps(answer))
