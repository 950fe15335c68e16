"""A race is fair: same rows, same steps, and less work for the slower one where the budget is time."""

import pytest
import torch
from torch import nn

from edgewise.compare import race
from edgewise.nn import GroupRational

X = torch.linspace(-1, 1, 64)[:, None]


def build(width: int, delay: int = 1):
    def model(_: int) -> nn.Module:
        return nn.Sequential(nn.Linear(1, width), nn.Tanh(), *[nn.Linear(width, width)] * delay, nn.Linear(width, 1))

    return model


@pytest.fixture
def task() -> race.Task:
    def loss(model: nn.Module, generator: torch.Generator) -> torch.Tensor:
        x = X[torch.randint(64, (32,), generator=generator)]
        return (model(x) - x.sin()).square().mean()

    return race.Task(loss, lambda model: (model(X) - X.sin()).square().mean().item(), "MSE", higher_is_better=False)


@pytest.mark.slow
def test_a_slower_entry_gets_fewer_steps_for_the_same_time(task: race.Task) -> None:
    entries = [race.Entry("small", build(4)), race.Entry("large", build(64, 200))]
    times = race.step_times(entries, task, rounds=3)
    rows = race.race(entries, task, steps=30, seeds=2, times=times)
    assert [(row["name"], row["budget"]) for row in rows] == [("small", "steps"), ("large", "steps"), ("large", "time")]
    assert times["small"].speed == 1
    assert rows[1]["steps"] == [30, 30]
    assert rows[2]["steps"] == 2 * [max(1, round(30 * times["large"].speed))]
    assert max(rows[2]["steps"]) < 30
    assert rows[0]["parameters"] == 4 * 2 + 4 * 5 + 5
    assert rows[0]["worst"] == max(rows[0]["scores"])
    assert "large" in race.table(rows, task.measure)


def test_training_learns_and_repeats(task: race.Task) -> None:
    entry = race.Entry("net", build(8), lr=1e-2)
    first, again, longer = (race.train(entry, task, 0, steps=n) for n in (100, 100, 1))
    assert first["score"] == again["score"] < longer["score"]


def test_decay_leaves_biases_and_rational_units_alone(task: race.Task) -> None:
    model = nn.Sequential(nn.Linear(1, 4), GroupRational(4, 2), nn.LayerNorm(4), nn.Linear(4, 1))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    without = race.Task(lambda m, _: 0.0 * sum(p.sum() for p in m.parameters()), task.score, "none", False)
    race.train(race.Entry("net", lambda _: model, lr=0.1, weight_decay=0.5), without, 0, steps=5)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"0.weight", "3.weight"}
