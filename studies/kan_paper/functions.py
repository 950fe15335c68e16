"""`fit` on the functions of the KAN paper: toys, special functions and equations of Feynman.

2000 samples to train on and 5000 fresh ones to test on, from the boxes of `studies.problems.functions`; default
settings. The toys keep the paper's shapes; every special function gets [n, 8, 1], every Feynman equation [n, 5, 1],
both with at most 500 parameters; for some of the seeds the paper's own shape is fitted as well. The ranges are ours,
because the paper does not state its own: compare orders of magnitude. Every seed draws its own samples. The control,
for some of the seeds, is an MLP of equal size, trained on the same samples by the same Levenberg-Marquardt method.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from edgewise.compare import mlp_widths, new_mlp
from edgewise.nn import KAN
from edgewise.training import Auto, LevenbergMarquardt, fit
from studies.kan_paper.functions_plot import draw_errors
from studies.problems.functions import FUNCTIONS
from studies.study import Case, Row, Run, Settings, Study, option
from studies.table import grouped, median_and_worst

HIDDEN = {"special": (8,), "feynman": (5,)}
MAX_PARAMETERS = {"special": 500, "feynman": 500}
TITLES = {"toy": "toy functions", "special": "special functions", "feynman": "Feynman equations"}
Data = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class FunctionSettings(Settings):
    """Settings of the studies of functions."""

    functions: tuple[str, ...] = option((), "some", subset=True)
    train: int = option(2000, "number of training samples")
    test: int = option(5000, "number of test samples")
    mlp_steps: int = option(200, "Levenberg-Marquardt steps of the MLP")
    controls: int = option(2, "number of seeds with an MLP and with the paper's shape", selects=True)


def cases(settings: FunctionSettings, seeds: Sequence[int]) -> list[Case]:
    """Every function at our shape with every seed, the first of them with an MLP; then at the paper's shape."""
    found = []
    for name in settings.functions:
        function = FUNCTIONS[name]
        hidden = HIDDEN.get(function.group)
        shape = function.shape if hidden is None else (function.variables, *hidden, 1)
        found += [_case(name, shape, n < settings.controls, seed) for n, seed in enumerate(seeds)]
        if hidden is not None:
            found += [_case(name, function.shape, False, seed) for seed in seeds[: settings.controls]]
    return found


def measure(case: Case, run: Run[FunctionSettings]) -> Row:
    """Test RMSE of one fit with default settings, and of the MLP where the case has one."""
    function, settings, seed = FUNCTIONS[case["function"]], run.settings, case["seed"]
    generator = torch.Generator().manual_seed(seed)
    x, y = function.sample(settings.train, generator)
    fresh, truth = function.sample(settings.test, generator)
    begun = time.process_time()
    method = Auto(max_parameters=MAX_PARAMETERS.get(function.group))
    result = fit(KAN(case["shape"], generator=generator), (x, y), method, seed=seed)
    seconds = time.process_time() - begun
    with torch.no_grad():
        error = (result.model(fresh)[:, 0] - truth).abs()
    parameters = result.report.parameters
    row = {
        "rmse": float(error.square().mean().sqrt()),
        "median_absolute_error": float(error.median()),
        "cpu_seconds": round(seconds, 2),
        "parameters": parameters,
        "basis": None if result.report.basis is None else result.report.basis.to_json(),
    }
    if not case["mlp"]:
        return row
    begun = time.process_time()
    error = _mlp_rmse((x, y), (fresh, truth), parameters, settings.mlp_steps, generator)
    return row | {"mlp_rmse": error, "mlp_cpu_seconds": round(time.process_time() - begun, 2)}


def summarise(rows: list[Row]) -> list[Row]:
    """Every function: median and worst over the seeds, of the MLP as well, and the median at the paper's shape."""
    return [_function_summary(group) for group in grouped(rows, ("function",))]


def _function_summary(group: list[Row]) -> Row:
    function = FUNCTIONS[group[0]["function"]]
    ours, *theirs = grouped(group, ("shape",))
    found: Row = {"function": function.name, "shape": ours[0]["shape"], "seeds": len({row["seed"] for row in ours})}
    for key in ("rmse", "mlp_rmse"):
        median, worst = median_and_worst([row[key] for row in ours if key in row])
        found |= {f"{key}_median": median, f"{key}_worst": worst}
    paper = [row["rmse"] for row in (theirs[0] if theirs else ours)]
    found |= {"paper": function.paper, "paper_shape": list(function.shape)}
    return found | {"median_at_paper_shape": statistics.median(paper)}


def _case(function: str, shape: Sequence[int], mlp: bool, seed: int) -> Case:
    return {"function": function, "shape": list(shape), "mlp": mlp, "seed": seed}


def _mlp_rmse(data: Data, test: Data, parameters: int, steps: int, generator: torch.Generator) -> float:
    """Test RMSE of the MLP of that size after Levenberg-Marquardt, in standardised units."""
    x, y = data
    mean, std = x.mean(0), x.std(0)
    centre, spread = y.mean(), y.std()
    net = new_mlp(mlp_widths(x.shape[1], 1, parameters), generator).double()
    scaled = ((x - mean) / std, (y - centre) / spread)
    net = fit(net, scaled, LevenbergMarquardt(steps=steps)).model
    with torch.no_grad():
        found = net((test[0] - mean) / std)[:, 0] * spread + centre
    return float((found - test[1]).square().mean().sqrt())


def _study(group: str) -> Study[FunctionSettings]:
    names = tuple(f.name for f in FUNCTIONS.values() if f.group == group)
    return Study(
        name=f"kan-functions-{group}",
        title=f"The KAN paper's {TITLES[group]}: test RMSE of the default fit and of an MLP of equal size",
        cases=cases,
        measure=measure,
        summarise=summarise,
        draw=draw_errors,
        settings=FunctionSettings(names),
    )


STUDIES = tuple(map(_study, TITLES))
