"""Draws docs/figures/edges_to_symbols.png, the figure of the README: a network whose edges turn into symbols.

    python docs/figures/edges_to_symbols.py

What is drawn was fitted: 500 samples of exp(sin(pi a) + b^2) beside two columns without influence.
"""

from pathlib import Path

import matplotlib as mpl
import torch

import edgewise as ew

mpl.use("Agg")
TARGET = Path(__file__).with_suffix(".png")


def networks() -> tuple[torch.Tensor, list[tuple[str, ew.KAN]], str]:
    """The samples, the network after every step, and its formula."""
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.rand(500, 4, dtype=torch.float64, generator=generator) - 1
    y = torch.exp(torch.sin(torch.pi * x[:, 0]) + x[:, 1] ** 2)
    fitted = ew.fit(ew.KAN([4, 1, 1], input_names=["a", "b", "c", "d"]), (x, y)).model
    pruned = ew.prune(fitted, ew.edge_scores(ew.trace(fitted, x)))
    symbolic, _ = ew.symbolify(pruned, x, y=y[:, None])
    steps = [("fit: a curve on every edge", fitted), ("prune: those that matter", pruned)]
    steps.append(("name: symbols for curves", symbolic))
    return x, steps, ew.formula(symbolic).snapped(x, y).latex()


def main() -> None:
    """Draw the three networks beside each other, and the formula below."""
    import matplotlib.pyplot as plt

    x, steps, formula = networks()
    figure = plt.figure(figsize=(13.5, 3.4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(5, 1))
    for part, (title, model) in zip(above.subfigures(1, 3), steps, strict=True):
        ew.plot(model, x, ax=part.subplots())
        part.suptitle(title, fontsize=14)
    below.text(0.5, 0.5, f"read:  ${formula}$", fontsize=19, ha="center", va="center")
    figure.savefig(TARGET, dpi=110, facecolor="white", metadata={"Software": None})
    print(TARGET, f"{TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
