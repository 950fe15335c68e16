"""From a solved differential equation to a changed one, at equal steps and at equal time.

Near targets by full tuning, from scratch and by LoTRA are measured for every seed; the first seed measures the other
targets and methods as well.
"""

from __future__ import annotations

import copy
import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgewise.adapters import adapter_names, add_lotra, lotra_groups, save_adapter
from edgewise.compare import count_parameters
from edgewise.nn import KAN
from studies.lotra.common import Groups, everything, rng, summary, train
from studies.lotra.equations import SOURCES, TARGETS, Case, field, residual
from studies.lotra.journal import Journal, Outcome, TimeSpentError

logger = logging.getLogger(__name__)

WIDTHS = [2, 48, 48, 1]
COEFFICIENTS = sum(a * b * 9 for a, b in pairwise(WIDTHS))
PRETRAINING = 1500
STEPS = 200
DENSE = (0.001, 0.003)
FACTORS = (0.1, 0.3)


@dataclass(frozen=True)
class Method:
    """A way to a trained network: what learns, how fast, and the rates to try.

    Args:
        make: from the solved network and a seed.
        groups: of the parameters, for a base rate.
        rates: as many for every method.
    """

    make: Callable[[KAN, int], KAN]
    groups: Callable[[nn.Module, float], Groups]
    rates: Sequence[float]


def study(seeds: Iterable[int], once: Journal) -> list[dict[str, Any]]:
    """Transfer between PDEs, [2, 48, 48, 1]: relative L2 error after 200 steps and in equal time, best of 2 rates."""
    found: dict[tuple[str, str, str], dict[int, Outcome]] = {}
    solved = lru_cache(maxsize=1)(_solved)
    for seed, equation, change, methods in _plan(list(seeds)):
        base = partial(solved, equation, seed)
        for name, outcome in _compared(base, equation, change, seed, methods, once).items():
            found.setdefault((equation, change, name), {})[seed] = outcome
    return [_row(*place, outcomes, found[*place[:2], "full"]) for place, outcomes in found.items()]


def _plan(seeds: Sequence[int]) -> Iterator[tuple[int, str, str, Mapping[str, Method]]]:
    """What is measured, in order: what every seed measures comes first."""
    few = {name: METHODS[name] for name in EVERY_SEED}
    places = [(equation, change) for equation in SOURCES for change in TARGETS[equation]]
    yield from ((seed, *place, few) for seed in seeds for place in places if place[1].startswith("near"))
    yield from ((seeds[0], *place, METHODS) for place in places)


def _compared(
    base: Callable[[], KAN], equation: str, change: str, seed: int, methods: Mapping[str, Method], once: Journal
) -> dict[str, Outcome]:
    """These methods on one target, as far as the time goes; full tuning comes first and sets the time of the others."""
    outcomes: dict[str, Outcome] = {}
    budget = math.nan
    for name, method in methods.items():
        measure = partial(_measured, base, method, TARGETS[equation][change], seed, budget)
        key = f"seed {seed}, {equation}, {change}, {name}, {WIDTHS}, {PRETRAINING} + {STEPS} steps"
        try:
            outcomes[name] = once(key, measure)
        except TimeSpentError as error:
            logger.info("%s", error)
            if name == "full":
                break
            continue
        budget = STEPS * outcomes["full"]["ms"]
    return outcomes


def _row(
    equation: str, change: str, name: str, by_seed: Mapping[int, Outcome], full: Mapping[int, Outcome]
) -> dict[str, Any]:
    outcomes = list(by_seed.values())
    ratios = [outcome["error"] / full[seed]["error"] for seed, outcome in by_seed.items()]
    return {
        "equation": equation,
        "target": change,
        "method": name,
        "seeds": len(outcomes),
        "parameters": outcomes[0]["parameters"],
        "share": round(outcomes[0]["parameters"] / COEFFICIENTS, 3),
        "bytes": outcomes[0]["bytes"],
        **summary("error", [o["error"] for o in outcomes]),
        **summary("error / full", ratios),
        **summary("error in equal time", [o["error in equal time"] for o in outcomes]),
        "ms per step": summary("ms", [o["ms"] for o in outcomes])["ms median"],
    }


def _solved(equation: str, seed: int) -> KAN:
    """A network that has learnt the source."""
    model = KAN(WIDTHS, generator=rng(seed))
    train(model, everything(model, 0.005), residual(SOURCES[equation], seed), PRETRAINING)
    return model


def _measured(solved: Callable[[], KAN], method: Method, case: Case, seed: int, budget: float) -> Outcome:
    """A method at its best rate, and there once more with as many steps as take `budget` ms (NaN: those it took)."""
    base = solved()
    if not method.rates:
        outcome = _outcome(base, case, seed) | {"ms": 0.0, "parameters": 0, "bytes": 0}
        return outcome | {"error in equal time": outcome["error"]}
    best = min((_trained(base, method, lr, case, seed, STEPS) for lr in method.rates), key=lambda o: o["loss"])
    again = best
    if math.isfinite(budget):
        again = _trained(base, method, best["lr"], case, seed, max(1, round(budget / best["ms"])))
    return best | {"error in equal time": again["error"]}


def _trained(base: KAN, method: Method, lr: float, case: Case, seed: int, steps: int) -> Outcome:
    model = method.make(base, seed)
    groups, loss = method.groups(model, lr), residual(case, seed + 1)
    start = time.process_time()
    train(model, groups, loss, steps)
    ms = 1e3 * (time.process_time() - start) / steps
    numel = count_parameters(model)
    return _outcome(model, case, seed) | {"lr": lr, "ms": round(ms, 3), "parameters": numel, "bytes": _bytes(model)}


@torch.no_grad()
def _outcome(model: nn.Module, case: Case, seed: int) -> Outcome:
    """The loss at points of its own, which chooses the rate, and the error against the exact field."""
    axis = torch.linspace(-1, 1, 51)
    grid = torch.cartesian_prod(axis, axis)
    exact = field(grid, case)[0]
    error = ((model(grid) - exact).norm() / exact.norm()).item()
    loss = residual(case, seed + 1000)(model).item()
    return {"error": error, "loss": loss if math.isfinite(loss) else 1e30}


def _bytes(model: nn.Module) -> int:
    """What has to be stored beside the solved network."""
    if not adapter_names(model):
        return sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "adapter.safetensors"
        save_adapter(model, path)
        return path.stat().st_size


def _copy(learns: Sequence[int]) -> Callable[[KAN, int], KAN]:
    """The network itself, of which these layers learn."""

    def make(base: KAN, seed: int) -> KAN:
        model = copy.deepcopy(base).requires_grad_(False)
        for n in learns:
            model.layers[n].requires_grad_(True)
        return model

    return make


def _scratch(base: KAN, seed: int) -> KAN:
    return KAN(WIDTHS, generator=rng(seed + 9))


def _low(ranks: Any, form: str = "tucker") -> Callable[[KAN, int], KAN]:
    def make(base: KAN, seed: int) -> KAN:
        return add_lotra(base, ranks, form=form, generator=rng(seed + 1))

    return make


def _lotra(*ranks: int) -> Method:
    """Factors in the wide layer, the thin ones whole, as `add_lotra` has it by default."""
    return Method(_low({"layers.1": ranks, "*": "full"}), lotra_groups, FACTORS)


METHODS: Mapping[str, Method] = {
    "full": Method(_copy((0, 1, 2)), everything, DENSE),
    "untouched": Method(_copy(()), everything, ()),
    "from scratch": Method(_scratch, everything, (0.003, 0.01)),
    "last layer": Method(_copy((2,)), everything, (0.003, 0.01)),
    "first and last layer": Method(_copy((0, 2)), everything, DENSE),
    "LoTRA (2, 2, 2)": _lotra(2, 2, 2),
    "LoTRA (6, 4, 6)": _lotra(6, 4, 6),
    "LoTRA (12, 6, 12)": _lotra(12, 6, 12),
    "LoTRA, no layer whole": Method(
        _low({"layers.0": (2, 4, 8), "layers.1": (8, 5, 8), "layers.2": (5, 5, 1)}), lotra_groups, FACTORS
    ),
    "LoRA 1": Method(_low({"layers.1": 1, "*": "full"}, "lora"), lotra_groups, FACTORS),
}
EVERY_SEED = ("full", "untouched", "from scratch", "LoTRA (6, 4, 6)")
