"""How long a training step takes: an adapter against all coefficients."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.adapters import add_lotra, lotra_groups
from edgewise.bench.lotra.common import everything, rng, uniform
from edgewise.nn import KANLinear

SIZES = ((64, 1024), (128, 1024), (256, 1024), (512, 1024), (1024, 128))


def study(seeds: Iterable[int]) -> list[dict[str, Any]]:
    """A step of Adam on one n x n layer, 5 intervals: all coefficients against LoTRA (8, 4, 8), CPU time."""
    rows = []
    for n, batch in SIZES:
        for gradient in (False, True):
            layer = KANLinear(n, n, generator=rng(0))
            adapted = add_lotra(layer, generator=rng(1))
            x = uniform(batch, n, rng(2)).requires_grad_(gradient)
            steps = {
                "full": _step(layer, everything(layer, 1e-3), x),
                "LoTRA": _step(adapted, lotra_groups(adapted), x),
            }
            times: dict[str, list[float]] = {name: [] for name in steps}
            for _ in range(2 + 3 * len(list(seeds))):
                for name, step in steps.items():
                    start = time.process_time()
                    step()
                    times[name].append(time.process_time() - start)
            full, low = (statistics.median(times[name][2:]) for name in ("full", "LoTRA"))
            row = {"n": n, "batch": batch, "gradient of x": gradient, "full ms": 1e3 * full, "LoTRA ms": 1e3 * low}
            rows.append({k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in row.items()})
            rows[-1]["times faster"] = float(f"{full / low:.3g}")
    return rows


def _step(model: nn.Module, groups: Any, x: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.Adam(groups)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        model(x).square().mean().backward()
        optimizer.step()

    return step
