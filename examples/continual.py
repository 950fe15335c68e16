"""Learns one region after the other: curves keep what they learned elsewhere, an MLP does not."""

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from edgewise import KANLinear
from edgewise.bases import BSpline
from edgewise.compare import count_parameters, matched_mlp
from edgewise.optim import absorb_


def target(x: Tensor) -> Tensor:
    return torch.sin(6 * x) + x**2


def main(quick: bool = False) -> dict[str, float]:
    torch.manual_seed(0)
    layer = KANLinear(1, 1, BSpline(50, 5), residual=None, dtype=torch.float64)
    mlp = matched_mlp(layer).double()
    everywhere = torch.linspace(-1, 1, 500, dtype=torch.float64)[:, None]
    memory = None
    for region in everywhere.chunk(5):
        memory = absorb_(layer, region, target(region), memory)
        optimizer = torch.optim.Adam(mlp.parameters(), 1e-2)
        for _ in range(20 if quick else 500):
            optimizer.zero_grad()
            nn.functional.mse_loss(mlp(region), target(region)).backward()
            optimizer.step()
    errors = {
        name: (model(everywhere) - target(everywhere)).square().mean().sqrt().item()
        for name, model in (("KAN", layer), ("MLP", mlp))
    }
    for (name, error), model in zip(errors.items(), (layer, mlp), strict=True):
        print(f"{name}, {count_parameters(model)} parameters: RMSE over all five regions {error:.1e}")
    draw(everywhere, {"truth": target, "KAN": layer, "MLP": mlp})
    return errors


def draw(x: Tensor, functions: dict) -> None:
    """What each remembers of the five regions after the last one."""
    axes = plt.subplots(figsize=(5.5, 3))[1]
    for (name, function), style in zip(functions.items(), ("k-", "C0--", "C1-"), strict=True):
        axes.plot(x[:, 0].numpy(), function(x).detach()[:, 0].numpy(), style, label=name)
    for region in x.chunk(5):
        axes.axvline(float(region[-1]), color="0.8", lw=0.8, zorder=0)
    axes.set(xlabel="x, learned from left to right")
    axes.legend()


if __name__ == "__main__":
    main()
