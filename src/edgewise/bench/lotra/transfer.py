r"""From one differential equation to another: $-\Delta u + c u^3 = f$ on $[-1, 1]^2$, u = 0 at the boundary."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgewise import functional
from edgewise.adapters import add_lotra, lotra_groups
from edgewise.bench.lotra.common import Groups, Loss, everything, rng, summary, train, trained_numel, uniform
from edgewise.nn import KAN, KANLinear

STEPS = 200
WIDTHS = [2, 16, 16, 1]
Modes = Mapping[tuple[int, int], float]
Try = Callable[[], tuple[nn.Module, Groups]]

SOURCE: Modes = {(1, 1): 1.0}
TARGETS: Mapping[str, tuple[Modes, float]] = {
    "near": ({(1, 1): 1.0, (2, 1): 0.1}, 0.0),
    "near, cubic": ({(1, 1): 1.0, (2, 1): 0.1}, 1.0),
    "far": ({(2, 2): 1.0}, 0.0),
}


def study(seeds: Iterable[int]) -> list[dict[str, Any]]:
    """Transfer of -Lap u + c u^3 = f to other sources and c: relative L2 error after 200 steps, best of three rates."""
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for seed in seeds:
        base = KAN(WIDTHS, generator=rng(seed))
        train(base, everything(base, 0.01), residual(SOURCE, 0.0, seed), 600)
        for target, (modes, cubic) in TARGETS.items():
            found.setdefault((target, "untouched"), []).append(_outcome(base, modes, cubic, seed, 0.0, 0))
            for method, tries in _methods(base, seed).items():
                outcomes = [_trained(one, modes, cubic, seed) for one in tries]
                found.setdefault((target, method), []).append(min(outcomes, key=lambda o: o["loss"]))
    rows = []
    for (target, method), outcomes in found.items():
        errors, full = ([o["error"] for o in found[target, name]] for name in (method, "full"))
        row: dict[str, Any] = {"target": target, "method": method, "parameters": outcomes[0]["parameters"]}
        row |= summary("error", errors)
        row |= summary("error / full", [a / b for a, b in zip(errors, full, strict=True)])
        rows.append(row | {"ms per step": summary("ms", [o["ms"] for o in outcomes])["ms median"]})
    return rows


def residual(modes: Modes, cubic: float, seed: int) -> Loss:
    """The mean squared residual at fresh points of every call, and the boundary values with weight 100."""
    generator = rng(seed + 50)

    def loss(model: nn.Module) -> Tensor:
        x, edge = uniform(256, 2, generator), uniform(128, 2, generator)
        edge[torch.arange(128), torch.arange(128) % 2] = edge[:, 0].sign()
        u, laplacian = laplacian_of(model, x)
        exact, source = field(x, modes)
        interior = -laplacian + cubic * u**3 - (source + cubic * exact**3)
        return interior.square().mean() + 100 * model(edge).square().mean()

    return loss


def field(x: Tensor, modes: Modes) -> tuple[Tensor, Tensor]:
    r"""A sum of modes $a \sin(m \pi x_1) \sin(n \pi x_2)$ and minus its Laplacian."""
    u, source = torch.zeros(2, len(x), 1)
    for (m, n), a in modes.items():
        term = a * (torch.sin(math.pi * m * x[:, :1]) * torch.sin(math.pi * n * x[:, 1:]))
        u, source = u + term, source + math.pi**2 * (m * m + n * n) * term
    return u, source


def laplacian_of(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    r"""The output and its Laplacian by Taylor mode: a forward sweep per direction, $y'' = \sum B'' x'^2 + B' x''$."""
    assert isinstance(model, KAN)
    y, slopes, curvature = x, list(torch.eye(2).expand(len(x), 2, 2).unbind(1)), torch.zeros_like(x)
    bends = [curvature, curvature]
    for layer in model.layers:
        assert isinstance(layer, KANLinear)
        shared = (layer.curves(), layer.grid, layer.basis, layer.residual)
        value = functional.edge_sum(y, *shared)
        for n, (slope, bend) in enumerate(zip(slopes, bends, strict=True)):
            second = functional.edge_sum(y, *shared, h=slope * slope, order=2)
            bends[n] = second + functional.edge_sum(y, *shared, h=bend, order=1)
            slopes[n] = functional.edge_sum(y, *shared, h=slope, order=1)
        y = value if layer.bias is None else value + layer.bias
    return y, bends[0] + bends[1]


def _methods(base: KAN, seed: int) -> dict[str, list[Try]]:
    """Every method at three rates."""

    def last() -> KAN:
        model = copy.deepcopy(base).requires_grad_(False)
        model.layers[-1].requires_grad_(True)
        return model

    ranks = {"layers.0": (2, 4, 6), "layers.1": (6, 4, 6), "layers.2": (4, 4, 1)}
    return {
        "full": _dense(lambda: copy.deepcopy(base)),
        "from scratch": _dense(lambda: KAN(WIDTHS, generator=rng(seed + 9))),
        "last layer": _dense(last),
        "LoTRA mup": _low(base, ranks, "tucker", "mup", (0.03, 0.1, 0.3), seed),
        "LoTRA relative": _low(base, ranks, "tucker", "relative", (0.01, 0.03, 0.1), seed),
        "LoRA 2 relative": _low(base, {"layers.2": 1, "*": 2}, "lora", "relative", (0.01, 0.03, 0.1), seed),
    }


def _dense(make: Callable[[], KAN]) -> list[Try]:
    def one(lr: float) -> tuple[nn.Module, Groups]:
        model = make()
        return model, everything(model, lr)

    return [lambda lr=lr: one(lr) for lr in (0.003, 0.01, 0.03)]


def _low(base: KAN, ranks: Any, form: str, rule: str, lrs: Sequence[float], seed: int) -> list[Try]:
    def one(lr: float) -> tuple[nn.Module, Groups]:
        model = add_lotra(base, ranks, form=form, generator=rng(seed + 1))
        return model, lotra_groups(model, lr, rule=rule)

    return [lambda lr=lr: one(lr) for lr in lrs]


def _trained(one: Try, modes: Modes, cubic: float, seed: int) -> dict[str, float]:
    model, groups = one()
    start = time.process_time()
    train(model, groups, residual(modes, cubic, seed + 1), STEPS)
    return _outcome(model, modes, cubic, seed, 1e3 * (time.process_time() - start) / STEPS, trained_numel(model))


def _outcome(model: nn.Module, modes: Modes, cubic: float, seed: int, ms: float, parameters: int) -> dict[str, float]:
    """The loss at points of its own, which chooses the rate, and the error against the exact field."""
    axis = torch.linspace(-1, 1, 51)
    grid = torch.cartesian_prod(axis, axis)
    exact, _ = field(grid, modes)
    with torch.no_grad():
        error = ((model(grid) - exact).norm() / exact.norm()).item()
        loss = residual(modes, cubic, seed + 1000)(model).item()
    loss = loss if math.isfinite(loss) else math.inf
    return {"error": error, "loss": loss, "ms": ms, "parameters": parameters}
