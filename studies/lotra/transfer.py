"""From a solved differential equation to a changed one, at equal steps and at equal time.

Near targets by full tuning, from scratch and by LoTRA are measured for every seed; the first seed measures the other
targets and methods as well.
"""

from __future__ import annotations

import copy
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgewise.adapters import adapter_names, add_lotra, lotra_groups, save_adapter
from edgewise.compare import count_parameters
from edgewise.nn import KAN
from studies.lotra.common import Groups, everything, rng, train
from studies.lotra.curves import Curves
from studies.lotra.equations import SOURCES, TARGETS, Target, field, residual
from studies.study import Case, Row, Run, Settings, Study, option
from studies.table import grouped, median_and_worst

DENSE = (0.001, 0.003)
FACTORS = (0.1, 0.3)
KEYS = ("equation", "target", "method")


@dataclass(frozen=True)
class TransferSettings(Settings):
    """Settings of the study of transfer."""

    equations: tuple[str, ...] = option(tuple(SOURCES), "some", subset=True)
    widths: tuple[int, ...] = option((2, 48, 48, 1), "widths of the network")
    pretraining_steps: int = option(1500, "steps on the source")
    steps: int = option(200, "steps on the target")


@dataclass(frozen=True)
class Method:
    """A way to a network for the target: which parameters are trained, how fast, and the rates to try.

    Args:
        make: from the solved network and a seed.
        groups: of the parameters, for a base rate.
        rates: as many for every method.
    """

    make: Callable[[KAN, int], KAN]
    groups: Callable[[nn.Module, float], Groups]
    rates: Sequence[float]


def cases(settings: TransferSettings, seeds: Sequence[int]) -> list[Case]:
    """What every seed measures comes first."""
    places = [(equation, change) for equation in settings.equations for change in TARGETS[equation]]
    near = [place for place in places if place[1].startswith("near")]
    found = [(*place, method, seed) for seed in seeds for place in near for method in EVERY_SEED]
    found += [(*place, method, seed) for seed in seeds[:1] for place in places for method in METHODS]
    return [dict(zip((*KEYS, "seed"), values, strict=True)) for values in dict.fromkeys(found)]


def measure(case: Case, run: Run[TransferSettings]) -> Row:
    """A method at its best rate after the steps, and once more with as many steps as take the time of full tuning."""
    equation, change, seed = case["equation"], case["target"], case["seed"]
    settings, target = run.settings, TARGETS[equation][change]
    base = _solved(equation, seed, settings.widths, settings.pretraining_steps)

    def tuned(name: str) -> Row:
        return _best(base, METHODS[name], target, seed, settings.steps)

    full = run.once(f"full tuning, {equation}, {change}, seed {seed}", lambda: tuned("full"))
    if case["method"] == "full":
        return full | {"error_in_equal_time": full["error"]}
    found = tuned(case["method"])
    if not found["ms"]:
        return found | {"error_in_equal_time": found["error"]}
    steps = max(1, round(settings.steps * full["ms"] / found["ms"]))
    again = _trained(base, METHODS[case["method"]], found["lr"], target, seed, steps)
    return found | {"error_in_equal_time": again["error"]}


def summarise(rows: list[Row]) -> list[Row]:
    """Every target and method: parameters, bytes, errors, errors over that of full tuning, in equal time as well."""
    full = {(r["equation"], r["target"], r["seed"]): r["error"] for r in rows if r["method"] == "full"}
    return [_method_summary(group, full) for group in grouped(rows, KEYS)]


def _method_summary(group: list[Row], full: Mapping[Any, float]) -> Row:
    first = group[0]
    ratios = [
        row["error"] / full[place]
        for row in group
        if (place := (row["equation"], row["target"], row["seed"])) in full and row["error"] is not None
    ]
    found = {key: first[key] for key in KEYS} | {"seeds": len(group)}
    found |= {key: first.get(key) for key in ("parameters", "share", "bytes")}
    for name, values in (
        ("error", [row["error"] for row in group]),
        ("error_over_full", ratios),
        ("error_in_equal_time", [row["error_in_equal_time"] for row in group]),
    ):
        found[f"{name}_median"], found[f"{name}_worst"] = median_and_worst(values)
    return found | {"ms_per_step": statistics.median(row["ms"] for row in group)}


@lru_cache(maxsize=1)
def _solved(equation: str, seed: int, widths: tuple[int, ...], steps: int) -> KAN:
    """A network trained on the source."""
    model = KAN(list(widths), generator=rng(seed))
    train(model, everything(model, 0.005), residual(SOURCES[equation], seed), steps)
    return model


def _best(base: KAN, method: Method, target: Target, seed: int, steps: int) -> Row:
    """The rate with the least loss."""
    if not method.rates:
        return _outcome(base, target, seed) | {"ms": 0.0, "parameters": 0, "bytes": 0, "share": 0.0}
    return min((_trained(base, method, lr, target, seed, steps) for lr in method.rates), key=lambda row: row["loss"])


def _trained(base: KAN, method: Method, lr: float, target: Target, seed: int, steps: int) -> Row:
    model = method.make(base, seed)
    groups, loss = method.groups(model, lr), residual(target, seed + 1)
    begun = time.process_time()
    train(model, groups, loss, steps)
    ms = 1e3 * (time.process_time() - begun) / steps
    size, widths = count_parameters(model), [base.in_features, *(layer.out_features for layer in base.layers)]
    share = round(size / sum(9 * a * b for a, b in pairwise(widths)), 3)
    row = {"lr": lr, "ms": round(ms, 3), "parameters": size, "share": share, "bytes": _bytes(model)}
    return _outcome(model, target, seed) | row


@torch.no_grad()
def _outcome(model: nn.Module, target: Target, seed: int) -> Row:
    """The loss at points of its own, which chooses the rate, and the error against the exact field."""
    axis = torch.linspace(-1, 1, 51)
    grid = torch.cartesian_prod(axis, axis)
    exact = field(grid, target)[0]
    error = ((model(grid) - exact).norm() / exact.norm()).item()
    loss = residual(target, seed + 1000)(model).item()
    return {"error": error, "loss": loss if math.isfinite(loss) else 1e30}


def _bytes(model: nn.Module) -> int:
    """Bytes to be stored in addition to the solved network."""
    if not adapter_names(model):
        return sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "adapter.safetensors"
        save_adapter(model, path)
        return path.stat().st_size


def _copy(trained: Sequence[int]) -> Callable[[KAN, int], KAN]:
    """The network itself, of which these layers are trained."""

    def make(base: KAN, seed: int) -> KAN:
        model = copy.deepcopy(base).requires_grad_(False)
        for n in trained:
            model.layers[n].requires_grad_(True)
        return model

    return make


def _scratch(base: KAN, seed: int) -> KAN:
    widths = [base.in_features, *(layer.out_features for layer in base.layers)]
    return KAN(widths, generator=rng(seed + 9))


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

CURVES = Curves(
    "share",
    ("error_over_full_median",),
    series=lambda row: row["method"],
    panel=lambda row: f"{row['target'].split(',')[0]} targets",
    log="xy",
    lines=False,
    label="error / error of full tuning",
)
STUDY = Study(
    name="lotra-transfer",
    title="Transfer between differential equations by LoTRA and others: relative L2 error after 200 steps",
    cases=cases,
    measure=measure,
    summarise=summarise,
    draw=CURVES.draw,
    settings=TransferSettings(),
    seeds=(0, 1, 2),
)
