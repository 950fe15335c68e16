"""Laws of learning rates that change during a run."""

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch

import edgewise as ew
from edgewise import FirstOrder
from edgewise.training import Checkpoint, Schedule
from edgewise.training.schedules import SHAPES, get_schedule, name_of

STEPS = 20


def data():
    x = 2 * torch.rand(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1
    return x, x[:, :1] * x[:, 1:]


def kan():
    return ew.KAN([2, 2, 1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def rates(method):
    return [record["lr"] for record in ew.fit(kan(), data(), method).history]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("warmup", "end"), [(0.0, 0.0), (0.25, 0.1)])
def test_a_schedule_rises_to_one_and_falls_to_its_end(shape, warmup, end):
    schedule = Schedule(shape, warmup=warmup, end=end)
    assert schedule(warmup) == 1
    assert schedule(1.0) == pytest.approx(1.0 if shape == "constant" else end)
    shares = [n / 100 for n in range(100)]
    assert all(0 <= schedule(s) <= 1 for s in shares)
    assert all(schedule(s) < schedule(t) for s, t in pairwise(shares) if t <= warmup)
    assert all(schedule(s) >= schedule(t) for s, t in pairwise(shares) if s >= warmup)


def test_cosine_agrees_with_the_scheduler_of_torch():
    oracle = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(oracle, STEPS)
    expected = []
    for _ in range(STEPS):
        expected.append(oracle.param_groups[0]["lr"])
        oracle.step()
        scheduler.step()
    got = rates(FirstOrder("sgd", lr=0.3, steps=STEPS, schedule="cosine"))
    assert got[1:] == pytest.approx(expected[1:], rel=1e-9)
    assert got[0] == pytest.approx(0.3, rel=0.01)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "lbfgs", partial(torch.optim.Adam, lr=torch.tensor(0.01))])
def test_a_constant_schedule_is_training_without_one(optimizer):
    plain, constant = (
        ew.fit(kan(), data(), FirstOrder(optimizer, steps=6, schedule=s)) for s in (None, lambda share: 1.0)
    )
    assert [r["loss"] for r in plain.history] == pytest.approx([r["loss"] for r in constant.history], rel=1e-12)


def test_a_factor_of_zero_changes_nothing():
    result = ew.fit(kan(), data(), FirstOrder("adam", steps=3, schedule=lambda share: 0.0))
    assert all(torch.equal(p, q) for p, q in zip(result.model.parameters(), kan().parameters(), strict=True))


def test_a_resumed_run_continues_its_schedule(tmp_path):
    method = FirstOrder("adam", steps=12, batch_size=20, schedule=Schedule("cosine", warmup=0.3))
    whole = ew.fit(kan(), data(), method, seed=1)
    stored = replace(method, checkpoint=Checkpoint(tmp_path / "run.pt", every=1))
    ew.fit(kan(), data(), stored, seed=1, callbacks=[lambda state: state.step >= 6])
    assert ew.fit(kan(), data(), stored, seed=1).history == whole.history
    with pytest.raises(ValueError, match="schedule"):
        ew.fit(kan(), data(), replace(stored, schedule="linear"), seed=1)


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Schedule("cosin"), "'constant', 'linear', 'cosine', got 'cosin'"),
        (lambda: Schedule(warmup=1.0), r"warmup is a share of the steps in \[0, 1\)"),
        (lambda: Schedule(end=-1), r"end is a factor in \[0, 1\]"),
        (lambda: FirstOrder(schedule="step"), "unknown schedule 'step'"),
        (lambda: FirstOrder(schedule=3), "a name, Schedule"),
        (lambda: rates(FirstOrder(steps=3, schedule=lambda share: math.nan)), "factor >= 0 .* got nan at step 0/3"),
    ],
)
def test_mistakes_are_explained(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_a_checkpoint_knows_a_schedule_by_the_same_name_in_every_process():
    def factor(share, power):
        return (1 - share) ** power

    class Halves:
        def __call__(self, share):
            return 0.5

    for schedule in (partial(factor, power=2), Halves()):
        assert "0x" not in name_of(schedule)
    assert name_of(partial(factor, power=2)) != name_of(partial(factor, power=3))


def test_a_name_stands_for_a_schedule_without_warm_up():
    assert {name: get_schedule(name) for name in SHAPES} == {name: Schedule(name) for name in SHAPES}
