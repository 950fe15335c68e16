"""From a solved differential equation to a changed one, at equal steps and at equal time."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from edgewise.adapters import add_lotra, lotra_groups
from edgewise.bench.lotra.common import Groups, everything, rng, summary, train
from edgewise.bench.lotra.equations import SOURCES, TARGETS, Case, Residual, field, points, residual
from edgewise.fit import fit
from edgewise.fit.module import trained_numel
from edgewise.nn import KAN

STEPS = 200
LM_STEPS = 100
WIDTHS = [2, 16, 16, 1]
COEFFICIENTS = sum(a * b * 9 for a, b in pairwise(WIDTHS))
RANKS: Mapping[str, Mapping[str, Sequence[int]]] = {
    "2": {"layers.0": (1, 2, 2), "layers.1": (2, 2, 2), "layers.2": (2, 2, 1)},
    "3": {"layers.0": (2, 2, 3), "layers.1": (3, 2, 3), "layers.2": (2, 2, 1)},
    "6": {"layers.0": (2, 4, 6), "layers.1": (6, 4, 6), "layers.2": (4, 4, 1)},
}
Try = Callable[[int], nn.Module]
"""A number of steps to a trained model."""


def study(seeds: Iterable[int]) -> list[dict[str, Any]]:
    """Transfer between PDEs: relative L2 error after 200 steps (LM: 100) and in equal time, the best of 3 rates."""
    seeds = list(seeds)
    found: dict[tuple[str, str, str], list[dict[str, float]]] = {}
    for seed in seeds:
        for equation, source in SOURCES.items():
            base = KAN(WIDTHS, generator=rng(seed))
            train(base, everything(base, 0.01), residual(source, seed), 600)
            for change, case in TARGETS[equation].items():
                untouched = _outcome(base, case, seed, 0.0, 0)
                untouched["equal time"] = untouched["error"]
                found.setdefault((equation, change, "untouched"), []).append(untouched)
                for method, outcome in _methods_on(base, case, seed).items():
                    found.setdefault((equation, change, method), []).append(outcome)
    rows = []
    for (equation, change, method), outcomes in found.items():
        errors, full = ([o["error"] for o in found[equation, change, name]] for name in (method, "full"))
        row: dict[str, Any] = {"equation": equation, "target": change, "method": method}
        row["parameters"] = outcomes[0]["parameters"]
        row["share"] = round(row["parameters"] / COEFFICIENTS, 3)
        row |= summary("error", errors)
        row |= summary("error / full", [a / b for a, b in zip(errors, full, strict=True)])
        row |= {"error in equal time": summary("e", [o["equal time"] for o in outcomes])["e median"]}
        rows.append(row | {"ms per step": summary("ms", [o["ms"] for o in outcomes])["ms median"]})
    return rows


def _methods_on(base: KAN, case: Case, seed: int) -> dict[str, dict[str, float]]:
    """Every method at its best rate, and that rate once more with as many steps as take the time of full tuning."""
    outcomes: dict[str, dict[str, float]] = {}
    for method, (steps, tries) in _methods(base, case, seed).items():
        ends = [_trained(one, case, seed, steps) for one in tries]
        place = min(range(len(ends)), key=lambda n: ends[n]["loss"])
        best = outcomes[method] = ends[place]
        affordable = max(1, round(STEPS * outcomes["full"]["ms"] / best["ms"]))
        again = best if method == "full" else _trained(tries[place], case, seed, affordable)
        best["equal time"] = again["error"]
    return outcomes


def _methods(base: KAN, case: Case, seed: int) -> dict[str, tuple[int, list[Try]]]:
    """Every method with its steps and its tries, three rates for Adam; full tuning comes first."""

    def last() -> KAN:
        model = copy.deepcopy(base).requires_grad_(False)
        model.layers[-1].requires_grad_(True)
        return model

    def low(ranks: Any, form: str, rule: str, lrs: Sequence[float]) -> list[Try]:
        def groups(model: nn.Module, lr: float) -> Groups:
            return lotra_groups(model, lr, rule=rule)

        def make() -> KAN:
            return add_lotra(base, ranks, form=form, generator=rng(seed + 1))

        return [_adam(make, groups, lr, case, seed) for lr in lrs]

    def dense(make: Callable[[], KAN]) -> list[Try]:
        return [_adam(make, everything, lr, case, seed) for lr in (0.003, 0.01, 0.03)]

    def second(ranks: Any) -> list[Try]:
        x, weights = points(case, seed + 1)
        model = Residual(add_lotra(base, ranks, generator=rng(seed + 1)), case)
        data = (x, torch.zeros(len(x), 1), weights)
        return [lambda steps: fit(model, data, optimizer="lm", steps=steps).model.get_submodule("model")]

    return {
        "full": (STEPS, dense(lambda: copy.deepcopy(base))),
        "from scratch": (STEPS, dense(lambda: KAN(WIDTHS, generator=rng(seed + 9)))),
        "last layer": (STEPS, dense(last)),
        **{f"LoTRA {n}": (STEPS, low(ranks, "tucker", "mup", (0.03, 0.1, 0.3))) for n, ranks in RANKS.items()},
        "LoRA 2": (STEPS, low({"layers.2": 1, "*": 2}, "lora", "relative", (0.01, 0.03, 0.1))),
        "LoTRA 2, LM": (LM_STEPS, second(RANKS["2"])),
        "LoTRA 3, LM": (LM_STEPS, second(RANKS["3"])),
    }


def _adam(make: Callable[[], KAN], groups: Callable[[nn.Module, float], Groups], lr: float, case: Case, seed: int):
    def run(steps: int) -> nn.Module:
        model = make()
        train(model, groups(model, lr), residual(case, seed + 1), steps)
        return model

    return run


def _trained(run: Try, case: Case, seed: int, steps: int) -> dict[str, float]:
    start = time.process_time()
    model = run(steps)
    return _outcome(model, case, seed, 1e3 * (time.process_time() - start) / steps, trained_numel(model))


def _outcome(model: nn.Module, case: Case, seed: int, ms: float, parameters: int) -> dict[str, float]:
    """The loss at points of its own, which chooses the rate, and the error against the exact field."""
    axis = torch.linspace(-1, 1, 51)
    grid = torch.cartesian_prod(axis, axis)
    exact = field(grid, case)[0]
    with torch.no_grad():
        error = ((model(grid) - exact).norm() / exact.norm()).item()
        loss = residual(case, seed + 1000)(model).item()
    loss = loss if math.isfinite(loss) else math.inf
    return {"error": error, "loss": loss, "ms": ms, "parameters": parameters}
