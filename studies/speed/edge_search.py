"""How long the search for a function takes per edge: the default library on curves of functions and on noise."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.symbolic import search_layer
from studies import timing

OUT = timing.RESULTS / "edge-search.json"


def main() -> None:
    """`edgewise bench edges`: milliseconds of processor time per edge, for layers of several sizes."""
    rows = [measured(features, out) for features, out in ((1, 1), (2, 5), (5, 1), (8, 8))]
    timing.write({"machine": timing.environment(), "rows": rows}, OUT)
    print("inputs  outputs  ms per edge  worst of 5")
    for row in rows:
        print(f"{row['inputs']:6d}  {row['outputs']:7d}  {row['median_ms']:11.1f}  {row['worst_ms']:10.1f}")


def measured(features: int, out: int, repeats: int = 5) -> dict[str, Any]:
    """A layer of so many edges, each another curve, searched over the default library."""
    x = torch.linspace(-1, 1, 192, dtype=torch.float64)[:, None].expand(-1, features)
    v = curves(x, out)
    search_layer(x, v)
    times = []
    for _ in range(repeats):
        began = time.process_time()
        search_layer(x, v)
        times.append(1000 * (time.process_time() - began) / (features * out))
    return {"inputs": features, "outputs": out, "median_ms": statistics.median(times), "worst_ms": max(times)}


def curves(x: Float[Tensor, "samples features"], out: int) -> Float[Tensor, "samples features out"]:
    """Sines, bells, powers and noise by turns."""
    generator = torch.Generator().manual_seed(0)
    kinds = (
        lambda u, k: torch.sin((k + 1) * u + 0.3),
        lambda u, k: torch.exp(-((k + 1) * u).square()),
        lambda u, k: (u + 1.5) ** (k - 2),
        lambda u, k: torch.randn(u.shape, generator=generator, dtype=torch.float64),
    )
    edges = [[kinds[(j + i) % 4](x[:, j], (j + i) // 4) for i in range(out)] for j in range(x.shape[1])]
    return torch.stack([torch.stack(e, -1) for e in edges], 1)
