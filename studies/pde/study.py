"""`edgewise reproduce pde`: differential equations solved by KANs and by perceptrons of equal size, the same way.

Every case is solved from several seeds by a KAN and by a tanh perceptron with the same number of parameters, the same
solver, points, conditions and number of steps; the Poisson equation of the paper also by training with nested autograd.
Errors are relative L2 distances to an exact or a spectral solution at 5000 points that no solver saw; the table gives
the median and the worst of the seeds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgewise.bases import BSpline
from edgewise.jets import laplacian
from edgewise.nn import KAN
from edgewise.pde import Problem, Solution, solve
from edgewise.pde.initial_networks import default_model
from edgewise.pde.solution import relative_error
from studies.peers.pde_nested import train_nested, usual_network
from studies.problems.equations import CASES, Case, arguments
from studies.timing import RESULTS, begin_study, environment, write

logger = logging.getLogger(__name__)


KINDS = ("kan", "tanh perceptron", "kan, nested autograd, L-BFGS", "kan, nested autograd, Adam")
NESTED_STEPS = {"kan, nested autograd, L-BFGS": ("lbfgs", 25), "kan, nested autograd, Adam": ("adam", 2000)}


def run(
    names: Iterable[str] | None = None,
    out: Path = RESULTS,
    seeds: int = 3,
    *,
    kinds: Sequence[str] = KINDS,
    again: bool = False,
) -> dict[str, Any]:
    """Solve these cases (all by default), log the table, and write one JSON file, and a figure of every case.

    The file is written after every single solve, and what it has is not done again while the settings of its case stay
    the same, so that the study may be stopped at any time.

    Args:
        names: of `CASES`.
        out: the folder to write to.
        seeds: how many seeds.
        kinds: of `KINDS`; training by nested autograd is done on the Poisson equation of the paper alone.
        again: solve everything again.
    """
    known = {case.name: case for case in CASES}
    chosen = list(known) if names is None else list(names)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ValueError(f"unknown case {unknown[0]!r}; choose of {', '.join(known)}")
    out.mkdir(parents=True, exist_ok=True)
    report = _earlier(out / "pde.json")
    rows = {(row["case"], row["network"]): row for row in report["rows"]}
    here = environment()  # of the code that has been loaded: the commit may move on while the study runs
    for name, kind in itertools.product(chosen, kinds):
        case = known[name]
        if kind in NESTED_STEPS and name != "poisson":
            continue
        row = rows.get((name, kind))
        if row is None or again or row["settings"] != _settings(case):
            row = {"case": name, "network": kind, "settings": _settings(case), "runs": []}
        done = {numbers["seed"] for numbers in row["runs"]}
        for seed in [n for n in range(seeds) if n not in done]:
            solution, numbers = attempt(case, seed, kind)
            row = _summary(case, row, [*row["runs"], {"seed": seed, "commit": here["commit"]} | numbers])
            rows[name, kind] = row
            order = {key: n for n, key in enumerate(itertools.product(known, KINDS))}
            report["rows"] = sorted(rows.values(), key=lambda r: order.get((r["case"], r["network"]), -1))
            report["environment"] = here
            write(report, out / "pde.json")
            logger.info("%s", _line(row))
            if kind == "kan" and solution is not None and seed == 0:
                _draw(case, solution, out / f"pde-{name}.png")
    logger.info("%s", table(report["rows"]))
    return report


def main(options: Sequence[str] = ()) -> None:
    """`edgewise reproduce pde`: all cases, into `benchmarks/results`; `python -m studies.pde.study` has options."""
    parser = argparse.ArgumentParser(prog="python -m studies.pde.study", description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(case.name for case in CASES)}; all by default")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--again", action="store_true", help="solve again what the results have")
    args = parser.parse_args(options)
    begin_study()
    run(args.cases or None, args.out, args.seeds, kinds=args.kinds, again=args.again)


def attempt(case: Case, seed: int, kind: str = "kan") -> tuple[Solution | None, dict[str, Any]]:
    """Solve one case once; the solution, where the solver was used, and its numbers."""
    problem = case.problem(seed)
    start = time.process_time()
    solution: Solution | None = None
    if kind in NESTED_STEPS:
        method, steps = NESTED_STEPS[kind]
        trained = train_nested(problem, usual_network(problem, case.hidden, 10, seed), steps, method, seed)
        parameters = sum(p.numel() for p in trained.parameters())
    else:
        model, settings = network(case, problem, seed), dict(case.settings)
        if kind == "tanh perceptron":
            # A perceptron has no grid to refine: it continues instead, for as many rounds.
            rounds = settings.get("rounds", 1) * max(1, len(settings.get("intervals", ())))
            settings |= {"intervals": (), "rounds": rounds, "grading": 0.0}
            model = perceptron(problem, final_size(case, model), seed)
        solution = solve(problem, model, seed=seed, **arguments(settings))
        trained, parameters = solution.model, max(stage.parameters for stage in solution.history)
    seconds = time.process_time() - start
    x = problem.domain.sample(5000, torch.Generator().manual_seed(10**6))
    expected = case.reference(x).reshape(len(x), -1)
    with torch.no_grad():
        got = problem.evaluate(trained, x) if solution is None else solution(x)
    numbers = {
        "error": relative_error(got, expected),
        "mean_square_error": float((got - expected).square().mean()),
        "parameters": parameters,
        "cpu_seconds": round(seconds, 2),
        "estimate": None if solution is None else solution.error_estimate,
        "windows": 1 if solution is None else len(solution.models),
        "unknowns": {
            name: abs(solution.unknowns[name] / true - 1)
            for name, true in case.unknowns.items()
            if solution is not None
        },
        "least_uncertainty": None if case.least_uncertainty is None else case.least_uncertainty(seed),
    }
    return solution, numbers


def network(case: Case, problem: Problem, seed: int) -> KAN:
    """The KAN of a case before its grids are refined."""
    generator = torch.Generator().manual_seed(seed)
    return default_model(problem, case.hidden, case.degree, case.intervals, generator=generator)


def final_size(case: Case, model: KAN) -> int:
    """The number of parameters of the network at its finest resolution."""
    finest = max([case.intervals, *case.settings.get("intervals", ())])
    widths = [model.in_features, *case.hidden, model.out_features]
    edges = sum(a * b for a, b in itertools.pairwise(widths))
    return edges * (finest + case.degree) + sum(widths[1:])


def perceptron(problem: Problem, parameters: int, seed: int) -> nn.Sequential:
    """The tanh perceptron with two hidden layers of equal width whose size is nearest to `parameters`."""
    inputs, outputs = problem.inputs, len(problem.fields)
    half = (inputs + outputs + 2) / 2
    width = max(2, round((half**2 + parameters - outputs) ** 0.5 - half))
    model = nn.Sequential(
        nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, outputs)
    ).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight, generator=generator)
                layer.bias.zero_()
    return model


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table in Markdown."""
    head = (
        "| case | network | parameters | median error | worst error | CPU s | target |\n|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *(_line(row) for row in rows)])


def laplacian_speed(repeats: int = 15) -> dict[str, float]:
    """Seconds of a Laplacian residual and its gradient, [2, 16, 16, 1] with 10 intervals, 2048 points, medians.

    The perceptron of equal size goes by nested autograd and by our jets; runs are interleaved.
    """
    generator = torch.Generator().manual_seed(0)
    kan = KAN([2, 16, 16, 1], BSpline(10, 3), residual=None, generator=generator)
    width = round((sum(p.numel() for p in kan.parameters()) + 4) ** 0.5) - 2
    rival = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
    x = torch.rand(2048, 2, generator=generator) * 2 - 1

    def nested() -> torch.Tensor:
        t = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(rival(t).sum(), t, create_graph=True)
        second = [torch.autograd.grad(slope[:, j].sum(), t, create_graph=True)[0][:, j] for j in range(2)]
        return second[0] + second[1]

    ways: dict[str, tuple[nn.Module, Callable[[], torch.Tensor]]] = {
        "kan": (kan, lambda: laplacian(kan, x)[:, 0]),
        "perceptron, nested autograd": (rival, nested),
        "perceptron, jets": (rival, lambda: laplacian(rival, x)[:, 0]),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, (model, operator) in ways.items():
            model.zero_grad()
            start = time.perf_counter()
            (operator() - 1).square().mean().backward()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def _settings(case: Case) -> dict[str, Any]:
    """What the result of a case depends on, as plain values."""
    values = {"hidden": case.hidden, "degree": case.degree, "first_intervals": case.intervals, **case.settings}
    return json.loads(json.dumps(values))


def _earlier(path: Path) -> dict[str, Any]:
    """The report so far, or an empty one."""
    if not path.is_file():
        return {"study": "pde", "rows": []}
    report = json.loads(path.read_text(encoding="utf-8"))
    return {"study": "pde", "rows": [row for row in report["rows"] if "settings" in row]}


def _summary(case: Case, row: dict[str, Any], runs: list[dict[str, Any]]) -> dict[str, Any]:
    errors = [numbers["error"] for numbers in runs]
    found = [max(numbers["unknowns"].values()) for numbers in runs if numbers["unknowns"]]
    return row | {
        "parameters": runs[0]["parameters"],
        "target": case.target,
        "median_error": statistics.median(errors),
        "worst_error": max(errors),
        "worst_error_of_unknowns": max(found, default=None),
        "cpu_seconds": statistics.median(numbers["cpu_seconds"] for numbers in runs),
        "runs": runs,
    }


def _line(row: dict[str, Any]) -> str:
    cells = [row["case"], row["network"], row["parameters"], f"{row['median_error']:.1e}", f"{row['worst_error']:.1e}"]
    return "| " + " | ".join(str(c) for c in [*cells, f"{row['cpu_seconds']:.1f}", f"{row['target']:.0e}"]) + " |"


def _draw(case: Case, solution: Solution, path: Path) -> None:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("the figures need matplotlib: pip install edgewise[viz]") from error
    whats = ("field", "error", "residual")
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.4), layout="constrained")
    for what, ax in zip(whats, axes, strict=True):
        solution.plot(what, reference=case.reference, points=101, ax=ax)
    figure.suptitle(case.name)
    aside = path.with_name(f".{path.name}.part.png")
    figure.savefig(aside, dpi=120)
    plt.close(figure)
    aside.replace(path)


if __name__ == "__main__":
    main(sys.argv[1:])
