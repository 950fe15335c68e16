"""Differential equations solved by KANs and by MLPs of equal size, the same way.

Every equation is solved from several seeds by a KAN and by a tanh MLP with as many parameters, with the same solver,
points, conditions and number of steps; the Poisson equation of the KAN paper also by training with nested autograd.
Errors are relative L2 distances to an exact or a spectral solution at 5000 points that no solver saw.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from edgewise.compare import count_parameters, mlp_widths, new_mlp
from edgewise.nn import KAN
from edgewise.pde import Problem, Solution, solve
from edgewise.pde.initial_networks import default_model
from edgewise.pde.solution import relative_error
from studies.figures import canvas, save
from studies.peers.pde_nested import train_nested, usual_network
from studies.problems.equations import CASES, Case as Equation, arguments
from studies.study import Case, Row, Run, Settings, Study, grid, option
from studies.table import grouped, median_and_worst

EQUATIONS = {equation.name: equation for equation in CASES}
NETWORKS = ("kan", "tanh MLP", "kan, nested autograd, L-BFGS", "kan, nested autograd, Adam")
NESTED_STEPS = {"kan, nested autograd, L-BFGS": ("lbfgs", 25), "kan, nested autograd, Adam": ("adam", 2000)}


@dataclass(frozen=True)
class SolveSettings(Settings):
    """Settings of the study of differential equations; `studies.problems.equations` has the settings of every solve."""

    equations: tuple[str, ...] = option(tuple(EQUATIONS), "some", subset=True)
    networks: tuple[str, ...] = option(NETWORKS, "some", subset=True)


def cases(settings: SolveSettings, seeds: Sequence[int]) -> list[Case]:
    """Every equation, network and seed; nested autograd on the Poisson equation of the paper alone."""
    return [
        case
        for case in grid(equation=settings.equations, network=settings.networks, seed=seeds)
        if case["equation"] == "poisson" or case["network"] not in NESTED_STEPS
    ]


def measure(case: Case, run: Run[SolveSettings]) -> Row:
    """Solve an equation once; the KAN of seed 0 is drawn into the folder of the result."""
    equation, network = EQUATIONS[case["equation"]], case["network"]
    solution, row = attempt(equation, case["seed"], network)
    if network == "kan" and solution is not None and case["seed"] == 0:
        draw_solution(equation, solution, run.folder / f"pde-{equation.name}.png")
    return row


def summarise(rows: list[Row]) -> list[Row]:
    """Every equation and network: parameters, errors, seconds, and the error that the KAN must reach."""
    return [_network_summary(group) for group in grouped(rows, ("equation", "network"))]


def attempt(equation: Equation, seed: int, network: str = "kan") -> tuple[Solution | None, Row]:
    """Solve an equation once; the solution, where the solver was used, and what was measured."""
    problem = equation.problem(seed)
    begun = time.process_time()
    solution: Solution | None = None
    if network in NESTED_STEPS:
        method, steps = NESTED_STEPS[network]
        trained = train_nested(problem, usual_network(problem, equation.hidden, 10, seed), steps, method, seed)
        parameters = count_parameters(trained)
    else:
        model, settings = kan(equation, problem, seed), dict(equation.settings)
        if network == "tanh MLP":
            # An MLP has no grid to refine: it continues instead, for as many rounds.
            rounds = settings.get("rounds", 1) * max(1, len(settings.get("intervals", ())))
            settings |= {"intervals": (), "rounds": rounds, "grading": 0.0}
            model = tanh_mlp(problem, final_size(equation, model), seed)
        solution = solve(problem, model, seed=seed, **arguments(settings))
        trained, parameters = solution.model, max(stage.parameters for stage in solution.history)
    seconds = time.process_time() - begun
    x = problem.domain.sample(5000, torch.Generator().manual_seed(10**6))
    expected = equation.reference(x).reshape(len(x), -1)
    with torch.no_grad():
        got = problem.evaluate(trained, x) if solution is None else solution(x)
    unknowns = {} if solution is None else solution.unknowns
    row: Row = {
        "error": relative_error(got, expected),
        "mean_square_error": float((got - expected).square().mean()),
        "parameters": parameters,
        "cpu_seconds": round(seconds, 2),
        "estimate": None if solution is None else solution.error_estimate,
        "windows": 1 if solution is None else len(solution.models),
        "unknowns": {name: abs(unknowns[name] / true - 1) for name, true in equation.unknowns.items() if unknowns},
        "least_uncertainty": None if equation.least_uncertainty is None else equation.least_uncertainty(seed),
    }
    first = {"hidden": equation.hidden, "degree": equation.degree, "first_intervals": equation.intervals}
    return solution, row | {"solver": first | dict(equation.settings)}


def kan(equation: Equation, problem: Problem, seed: int) -> KAN:
    """The KAN of an equation before its grids are refined."""
    generator = torch.Generator().manual_seed(seed)
    return default_model(problem, equation.hidden, equation.degree, equation.intervals, generator=generator)


def final_size(equation: Equation, model: KAN) -> int:
    """The number of parameters of the KAN at its finest resolution."""
    finest = max([equation.intervals, *equation.settings.get("intervals", ())])
    widths = [model.in_features, *equation.hidden, model.out_features]
    edges = sum(a * b for a, b in itertools.pairwise(widths))
    return edges * (finest + equation.degree) + sum(widths[1:])


def tanh_mlp(problem: Problem, parameters: int, seed: int) -> nn.Sequential:
    """The tanh MLP with two hidden layers of equal width whose size is nearest to `parameters`; Glorot's start."""
    widths = mlp_widths(problem.inputs, len(problem.fields), parameters, hidden_layers=2)
    model = new_mlp(widths, activation=nn.Tanh).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight, generator=generator)
                layer.bias.zero_()
    return model


def draw_solution(equation: Equation, solution: Solution, path: Path) -> None:
    """The field, its error and its residual."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = canvas(13, 3.4)
    figure.set_layout_engine("constrained")
    for what, ax in zip(("field", "error", "residual"), figure.subplots(1, 3), strict=True):
        solution.plot(what, reference=equation.reference, points=101, ax=ax)
    figure.suptitle(equation.name)
    save(figure, path, dpi=120, tight=False)


def _network_summary(group: list[Row]) -> Row:
    median, worst = median_and_worst([row["error"] for row in group])
    unknowns = [max(row["unknowns"].values()) for row in group if row["unknowns"]]
    return {
        "equation": group[0]["equation"],
        "network": group[0]["network"],
        "parameters": group[0]["parameters"],
        "seeds": len(group),
        "error_median": median,
        "error_worst": worst,
        "worst_error_of_unknowns": max(unknowns, default=None),
        "cpu_seconds": statistics.median(row["cpu_seconds"] for row in group),
        "target": EQUATIONS[group[0]["equation"]].target,
    }


STUDY = Study(
    name="pde",
    title="Differential equations solved by KANs and by MLPs of equal size: relative L2 error",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=SolveSettings(),
    seeds=(0, 1, 2),
)
