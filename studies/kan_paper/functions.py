"""`fit` on the functions of the KAN paper: `python -m studies.kan_paper.functions toy special feynman scaling`.

2000 samples to train on and 5000 fresh ones to test on, from the boxes of `studies.problems.functions`; default
settings, one thread. The toys keep the paper's shapes; every special function gets [2, 8, 1], every Feynman equation
[n, 5, 1], both with at most 500 parameters; for some of the seeds the own shape of the paper stands beside it. Ranges
are ours, for the paper does not state its own: compare orders of magnitude. Every seed draws its own samples. Beside
every network stands, for the same seeds, a perceptron of equal size, trained on the same samples by the same
Levenberg-Marquardt method: perceptrons profit from it as well.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from edgewise.compare import mlp_widths, new_mlp
from edgewise.nn import KAN
from edgewise.training import Auto, LevenbergMarquardt, fit
from studies import timing
from studies.kan_paper import scaling
from studies.kan_paper.functions_plot import draw
from studies.problems.functions import FUNCTIONS, TargetFunction

_log = logging.getLogger(__name__)

TRAIN, TEST = 2000, 5000
HIDDEN = {"special": (8,), "feynman": (5,)}
MOST = {"special": 500, "feynman": 500}
RIVAL_SEEDS = 2
MLP_STEPS = 200
GROUPS = ("toy", "special", "feynman", "scaling")
DEGREES = (3, 5, 7)
Data = tuple[torch.Tensor, torch.Tensor]


def run(groups: Iterable[str] = GROUPS, *, seeds: Sequence[int] = range(5), out: Path = timing.RESULTS) -> list[Path]:
    """Run these groups; a JSON file and a picture for each: per function the median and the worst seed."""
    groups = list(groups)
    unknown = sorted(set(groups) - set(GROUPS))
    if unknown:
        raise ValueError(f"there are no functions {', '.join(unknown)}; choose among {', '.join(GROUPS)}")
    written = []
    for group in groups:
        functions = [f for f in FUNCTIONS.values() if f.group == ("toy" if group == "scaling" else group)]
        path, rows = out / f"kan-functions-{group}.json", list[dict[str, Any]]()
        study = {"study": f"kan-functions-{group}", "train": TRAIN, "test": TEST, "seeds": list(seeds), "rows": rows}
        environment = timing.environment()
        for found in _rows(group, functions, seeds):
            rows.append(found)
            timing.write({"environment": environment, **study}, path)
        draw(group, rows, path.with_suffix(".png"))
        written.append(path)
    return written


def _rows(group: str, functions: Sequence[TargetFunction], seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    if group == "scaling":
        yield from (scaling.row(f, degree, list(seeds)[:3]) for degree in DEGREES for f in functions)
    else:
        yield from (row(f, seeds) for f in functions)


def row(function: TargetFunction, seeds: Sequence[int]) -> dict[str, Any]:
    """One function over the seeds: test RMSE, CPU seconds, parameters."""
    hidden = HIDDEN.get(function.group)
    shape = function.shape if hidden is None else (function.variables, *hidden, 1)
    runs = [trial(function, shape, seed, rival=n < RIVAL_SEEDS) for n, seed in enumerate(seeds)]
    errors, rival = ([r[key] for r in runs if key in r] for key in ("rmse", "mlp rmse"))
    median = statistics.median(errors)
    theirs = [trial(function, function.shape, seed, rival=False) for seed in seeds[:RIVAL_SEEDS] if hidden is not None]
    shown = (function.name, list(shape), median, max(errors), statistics.median(rival), function.paper or float("nan"))
    _log.info("%s %s: median %.1e, worst %.1e; perceptron %.1e; paper %.1e", *shown)
    return {
        "function": function.name,
        "shape": list(shape),
        "median": median,
        "worst": max(errors),
        "mlp median": statistics.median(rival),
        "mlp worst": max(rival),
        "paper": function.paper,
        "paper shape": list(function.shape),
        "median at the paper's shape": statistics.median(r["rmse"] for r in theirs) if theirs else median,
        "runs": runs,
        "runs at the paper's shape": theirs,
    }


def trial(function: TargetFunction, shape: Sequence[int], seed: int, *, rival: bool) -> dict[str, Any]:
    """One fit with default settings on one draw of the samples; beside it the perceptron."""
    generator = torch.Generator().manual_seed(seed)
    x, y = function.sample(TRAIN, generator)
    fresh, truth = function.sample(TEST, generator)
    start = time.process_time()
    method = Auto(max_parameters=MOST.get(function.group))
    result = fit(KAN(list(shape), generator=generator), (x, y), method, seed=seed)
    seconds = time.process_time() - start
    assert result.report.basis is not None
    with torch.no_grad():
        error = (result.model(fresh)[:, 0] - truth).abs()
    found = {
        "seed": seed,
        "rmse": float(error.square().mean().sqrt()),
        "median absolute error": float(error.median()),
        "cpu seconds": round(seconds, 2),
        "parameters": result.report.parameters,
        "basis": result.report.basis.to_json(),
    }
    if rival:
        start = time.process_time()
        found["mlp rmse"] = _perceptron_error((x, y), (fresh, truth), result.report.parameters, generator)
        found["mlp cpu seconds"] = round(time.process_time() - start, 2)
    return found


def _perceptron_error(data: Data, test: Data, parameters: int, generator: torch.Generator) -> float:
    """Test RMSE of the perceptron of that size after Levenberg-Marquardt, in standardised units."""
    x, y = data
    mean, std = x.mean(0), x.std(0)
    centre, spread = y.mean(), y.std()
    net = new_mlp(mlp_widths(x.shape[1], 1, parameters), generator).double()
    scaled = ((x - mean) / std, (y - centre) / spread)
    net = fit(net, scaled, LevenbergMarquardt(steps=MLP_STEPS)).model
    with torch.no_grad():
        found = net((test[0] - mean) / std)[:, 0] * spread + centre
    return float((found - test[1]).square().mean().sqrt())


def main(groups: Sequence[str] = ()) -> None:
    """`edgewise reproduce kan-functions`: the named groups of functions, all of them by default."""
    timing.begin_study()
    run(groups or GROUPS)


if __name__ == "__main__":
    main(sys.argv[1:])
