"""How long the search for a symbolic function takes per edge: the default library on known curves and on noise."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.symbolic import search_layer
from studies.study import Case, Row, Run, Settings, Study, option
from studies.table import over_seeds

SIZES = ((1, 1), (2, 5), (5, 1), (8, 8))


@dataclass(frozen=True)
class SearchSettings(Settings):
    """Settings of the timing of searches."""

    repeats: int = option(5, "searches of every layer")
    largest: int = option(64, "edges of the largest layer", selects=True)


def cases(settings: SearchSettings, seeds: Sequence[int]) -> list[Case]:
    """Layers of several sizes; the seed draws the noise."""
    sizes = [(features, out) for features, out in SIZES if features * out <= settings.largest]
    return [{"inputs": features, "outputs": out, "seed": seed} for features, out in sizes for seed in seeds]


def measure(case: Case, run: Run[SearchSettings]) -> Row:
    """Milliseconds of processor time per edge: every edge of the layer is another curve."""
    features, out = case["inputs"], case["outputs"]
    x = torch.linspace(-1, 1, 192, dtype=torch.float64)[:, None].expand(-1, features)
    v = curves(x, out, case["seed"])
    search_layer(x, v)
    times = []
    for _ in range(run.settings.repeats):
        begun = time.process_time()
        search_layer(x, v)
        times.append(1000 * (time.process_time() - begun) / (features * out))
    return {"median_ms": statistics.median(times), "worst_ms": max(times)}


def curves(x: Float[Tensor, "samples features"], out: int, seed: int = 0) -> Float[Tensor, "samples features out"]:
    """Sines, bells, powers and noise in turn."""
    generator = torch.Generator().manual_seed(seed)
    kinds = (
        lambda u, k: torch.sin((k + 1) * u + 0.3),
        lambda u, k: torch.exp(-((k + 1) * u).square()),
        lambda u, k: (u + 1.5) ** (k - 2),
        lambda u, k: torch.randn(u.shape, generator=generator, dtype=torch.float64),
    )
    edges = [[kinds[(j + i) % 4](x[:, j], (j + i) // 4) for i in range(out)] for j in range(x.shape[1])]
    return torch.stack([torch.stack(e, -1) for e in edges], 1)


def summarise(rows: list[Row]) -> list[Row]:
    """Every size of layer."""
    return over_seeds(rows, ("inputs", "outputs"), ("median_ms", "worst_ms"))


STUDY = Study(
    name="edge-search",
    title="Milliseconds per edge of the search for symbolic functions, for layers of several sizes",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=SearchSettings(),
    seeds=(0,),
    tiny=SearchSettings(1, 1),
)
