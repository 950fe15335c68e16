"""Goes from samples to a formula: a small KAN, an MLP of equal size, and the formula of the KAN."""

import matplotlib.pyplot as plt
import torch

import edgewise as ew
from edgewise.compare import compare


def main(quick: bool = False) -> dict[str, float]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(400 if quick else 1000, 2, generator=generator, dtype=torch.float64) * 2 - 1
    y = torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)
    train, test = (x[::2], y[::2]), (x[1::2], y[1::2])
    model = ew.KAN([2, 1, 1], generator=generator, dtype=torch.float64)

    same_steps = compare(model, train, test, steps=20 if quick else 500, seeds=1 if quick else 3, rates=(1e-2, 5e-2))
    print("both by AdamW:", same_steps, sep="\n")

    found = ew.fit(model, train, ew.Auto(starts=2, seconds=1) if quick else ew.Auto(seconds=20))
    error = (found.model(test[0]) - test[1]).square().mean().sqrt().item()
    symbolic, _ = ew.symbolify(found.model, train[0])
    formula = ew.formula(symbolic) if quick else ew.formula(symbolic).simplified()
    print(f"the network by `fit`: RMSE {error:.1e}\nand as a formula: {formula}")
    ew.plot(symbolic, train[0], ax=plt.subplots(figsize=(6, 2.4))[1])
    return {"adam": same_steps.rows[1]["mean"], "fit": error}


if __name__ == "__main__":
    main()
