r"""Models survival times: the log-hazard is a KAN, fitted by Cox's partial likelihood.

The loss is $-\sum_{events} (f(x_i) - \log \sum_{t_j \ge t_i} e^{f(x_j)})$. The data are simulated with a known hazard,
which depends on |a| and on b, not on c.
"""

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

import edgewise as ew
from edgewise.compare import count_parameters, matched_mlp


def cox_loss(risk: Tensor, time: Tensor, event: Tensor) -> Tensor:
    """The negative partial log-likelihood per event (Cox 1972, Breslow's form for ties)."""
    order = time.argsort(descending=True)
    risk, time, event = risk[order, 0], time[order], event[order]
    longer = torch.searchsorted(-time, -time, right=True) - 1  # the last row with an equal time
    at_risk = risk.logcumsumexp(0)[longer]
    return -((risk - at_risk) * event).sum() / event.sum()


def concordance(risk: Tensor, time: Tensor, event: Tensor) -> float:
    """The share of pairs in which the one that failed first had the higher risk."""
    first = (time[:, None] < time) & event[:, None].bool()
    higher = (risk[:, 0, None] > risk[:, 0]).double() + 0.5 * (risk[:, 0, None] == risk[:, 0]).double()
    return float(higher[first].mean())


def simulated(rows: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(rows, 3, generator=g) * 2 - 1
    time = -torch.rand(rows, generator=g).log() / torch.exp(4 * x[:, 0].abs() + x[:, 1])
    censored = -2 * torch.rand(rows, generator=g).log()
    return x, torch.minimum(time, censored), (time <= censored).float()


def main(quick: bool = False) -> dict[str, float]:
    x, time, event = simulated(300 if quick else 1500, 0)
    held = simulated(300 if quick else 2000, 1)
    kan = ew.KAN([3, 1], ew.BSpline(6, 3), generator=torch.Generator().manual_seed(0))
    models = {"KAN, additive": kan, "MLP of equal size": matched_mlp(kan), "Cox, linear": nn.Linear(3, 1)}
    found = {}
    for name, model in models.items():
        optimizer = torch.optim.AdamW(model.parameters(), 2e-2, weight_decay=1e-2)
        for _ in range(30 if quick else 500):
            optimizer.zero_grad()
            cox_loss(model(x), time, event).backward()
            optimizer.step()
        with torch.no_grad():
            found[name] = concordance(model(held[0]), *held[1:])
        print(f"{name:18} {count_parameters(model):3} parameters, concordance {found[name]:.3f}")
    draw(models)
    return found


def draw(models: dict[str, nn.Module]) -> None:
    """The log-hazard over a, beside the one of the simulation; a constant is free."""
    line = torch.linspace(-1, 1, 200)
    x = torch.stack([line, torch.zeros(200), torch.zeros(200)], 1)
    axes = plt.subplots(figsize=(5.5, 3))[1]
    axes.plot(line.numpy(), (4 * line.abs() - 2).numpy(), "k-", label="simulated, 4 |a|")
    for name, model in models.items():
        risk = model(x).detach()[:, 0]
        axes.plot(line.numpy(), (risk - risk.mean()).numpy(), label=name)
    axes.set(xlabel="a", ylabel="log-hazard, without its mean")
    axes.legend(fontsize=8)


if __name__ == "__main__":
    main()
