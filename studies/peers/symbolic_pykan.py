"""The same equations by pykan's own way to a formula, where it finishes: train, prune, train, `auto_symbolic`, train.

The recipe is that of pykan's first tutorial. Every equation runs in a process of its own, which ends when its time on
the processor is over. pykan must be importable; it is not one of the project's dependencies.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sympy
import torch

from studies import timing
from studies.problems.feynman import KAN_PAPER, Equation

NAMES = ("I.12.11", "II.38.3", "I.27.6", "I.40.1", "I.44.4")
"""Equations of two variables that every method should find."""

Row = dict[str, Any]


def main(arguments: Sequence[str] = ()) -> None:
    """`edgewise reproduce symbolic-pykan`: a few of the 27 equations by pykan, with a limit of time."""
    parser = argparse.ArgumentParser(prog="edgewise reproduce symbolic-pykan", description=main.__doc__)
    parser.add_argument("--names", nargs="+", choices=list(KAN_PAPER), default=list(NAMES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1000])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=120, help="of CPU time per equation, then it is stopped")
    parser.add_argument("--out", type=Path, default=timing.RESULTS / "symbolic-pykan.json")
    options = parser.parse_args(arguments)
    settings = {"samples": options.samples, "max_seconds": options.seconds, "widths": "[variables, 5, 1]"}
    rows: list[Row] = []
    for seed in options.seeds:
        for name in options.names:
            rows.append(_row(name, seed, options.samples, options.seconds))
            timing.write({"settings": settings, "machine": timing.environment(), "rows": rows}, options.out)
            print(shown(rows[-1]), flush=True)


def shown(row: Row) -> str:
    """One line of the table."""
    if row["formula"] is None:
        return f"{row['equation']}, seed {row['seed']}: {row['outcome']} in {row['cpu_seconds']:.0f} s"
    return (
        f"{row['equation']}, seed {row['seed']}: leaves {row['error']:.2g} inside, {row['wider_box_error']:.2g} in a "
        f"wider box, {row['cpu_seconds']:.0f} s: {row['formula'][:100]}"
    )


def _row(name: str, seed: int, samples: int, seconds: int) -> Row:
    """One equation in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "studies.peers.symbolic_pykan", name, str(seed), str(samples)]

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))

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
    row: Row = {"equation": name, "seed": seed, "cpu_seconds": round(spent, 1), "formula": None}
    if done.returncode == 0:
        return row | {"outcome": "finished"} | json.loads(done.stdout.splitlines()[-1])
    late = spent > 0.9 * seconds
    problem = (done.stderr.strip().splitlines() or [""])[-1][:200]
    return row | {"outcome": "not finished" if late else f"failed: {problem}"}


def formula(name: str, seed: int, samples: int) -> Row:
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
    model = KAN(width=[x.shape[1], 5, 1], grid=3, k=3, seed=seed, grid_range=[low, high], auto_save=True)
    model.fit(data, opt="LBFGS", steps=50, lamb=1e-3)
    model = model.prune()
    model.fit(data, opt="LBFGS", steps=50)
    began = time.process_time()
    model.auto_symbolic()
    seconds = time.process_time() - began
    model.fit(data, opt="LBFGS", steps=50)
    expression = model.symbolic_formula(var=list(equation.variables))[0][0]
    return {
        "formula": str(sympy.N(expression, 4)),
        "auto_symbolic_seconds": round(seconds, 1),
        "error": _error(expression, equation, 0.0),
        "wider_box_error": _error(expression, equation, 0.25),
    }


def _error(expression: Any, equation: Equation, wider: float) -> float:
    x, y = equation.sample(2000, torch.Generator().manual_seed(1), wider=wider)
    value = sympy.lambdify(equation.variables, expression, "numpy")(*x.T.numpy())
    return float(((torch.as_tensor(value) - y).square().mean().sqrt() / y.std()).item())


if __name__ == "__main__":
    import contextlib

    with contextlib.redirect_stdout(sys.stderr):
        answer = formula(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps(answer))
