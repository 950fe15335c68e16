"""Laws of training with torch optimisers."""

import copy
import json
import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.optim import AdamW
from torch.utils.data import DataLoader, TensorDataset

import edgewise as ew
from edgewise import FirstOrder
from edgewise.training import Checkpoint, EarlyStopping, loop
from edgewise.training.native_steps import native_steps


@pytest.fixture
def data():
    g = torch.Generator().manual_seed(1)
    x = 2 * torch.rand(120, 2, generator=g, dtype=torch.float64) - 1
    return x, torch.exp(torch.sin(math.pi * x[:, 0]) + x[:, 1] ** 2)


def small(**options):
    return ew.KAN([2, 1, 1], generator=torch.Generator().manual_seed(3), dtype=torch.float64, **options)


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "adamw", "sgd", partial(torch.optim.RMSprop, lr=1e-3)])
def test_training_lowers_the_loss_and_touches_nothing_else(data, optimizer, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, state = small(), torch.get_rng_state()
    before = copy.deepcopy(model)
    result = ew.fit(model, data, FirstOrder(optimizer, steps=20))
    assert result.report.loss < result.history[0]["loss"]
    assert same(model, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.parameters())
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())
    json.dumps(result.to_json(), allow_nan=False)


def test_same_seed_same_parameters(data):
    method = FirstOrder("adam", steps=30, batch_size=16)
    runs = [ew.fit(small(), data, method, validation=0.2, seed=s) for s in (5, 5, 6)]
    assert runs[0].history == runs[1].history
    assert same(runs[0].model, runs[1].model)
    assert not same(runs[0].model, runs[2].model)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("source", ["batches", "loader"])
def test_a_resumed_run_equals_an_uninterrupted_one(data, tmp_path, optimizer, source):
    held, file = data, tmp_path / "run.pt"
    method = FirstOrder(optimizer, steps=12, refine={4: 8}, batch_size=40 if source == "batches" else None)
    if source == "loader":
        data = DataLoader(TensorDataset(data[0], data[1][:, None]), batch_size=40, shuffle=True)
    stored = replace(method, checkpoint=Checkpoint(file, every=2))
    whole = ew.fit(small(), data, method, validation=held, seed=2)

    class Power(Exception):
        pass

    def cut(state):
        if state.step >= 6:
            raise Power

    with pytest.raises(Power):
        ew.fit(small(), data, stored, validation=held, callbacks=[cut], seed=2)
    resumed = ew.fit(small(), data, stored, validation=held, seed=2)
    assert resumed.history == whole.history
    assert same(resumed.model, whole.model)
    assert [f.name for f in tmp_path.iterdir()] == ["run.pt"]
    with pytest.raises(ValueError, match="seed 2 -> 3"):
        ew.fit(small(), data, replace(method, checkpoint=file), validation=held, seed=3)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match="not a checkpoint"):
        ew.fit(small(), data, replace(method, checkpoint=file), validation=held, seed=2)


def test_validation_returns_the_best_state(data):
    g = torch.Generator().manual_seed(0)
    x = data[0][:40]
    y = torch.randn(40, generator=g, dtype=torch.float64)  # nothing to learn: the loss held out must rise
    method = FirstOrder("lbfgs", steps=20)  # the held-out loss rises after the third
    result = ew.fit(small(), (x, y), method, validation=0.5)
    values = [record["validation"] for record in result.history]
    assert min(values) < values[-1]
    assert result.report.validation == min(values)
    early = ew.fit(small(), (x, y), replace(method, early_stopping=EarlyStopping(3)), validation=0.5)
    assert early.report.stopped == "early"
    assert early.history == result.history[: len(early.history)]


def test_divergence_returns_the_best_finite_state_and_says_so(data):
    result = ew.fit(small(), data, FirstOrder("sgd", lr=1e9, steps=50))
    assert result.report.stopped == "diverged"
    assert math.isfinite(result.report.loss)
    assert "diverged" in result.report.notes[0]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (FirstOrder("adam", steps=60), {}),
        (FirstOrder("adamw", steps=40, refine={13: 8}, lr=3e-2), {}),
        (FirstOrder("adam", steps=40, early_stopping=30), {"validation": 0.2}),
        (FirstOrder("adamw", steps=25, batch_size=32), {"callbacks": [lambda state: None]}),
        (FirstOrder(partial(AdamW, lr=1e-2, weight_decay=0.3, betas=(0.8, 0.99), eps=1e-6), steps=30), {}),
        (FirstOrder("adam", steps=20, lr=1e160), {}),
    ],
    ids=["adam", "refined", "validated", "batches", "settings", "diverging"],
)
def test_native_steps_are_those_of_torch(data, method, options, monkeypatch):
    """A fit whose steps run in native code ends in the parameters of one whose steps run in torch."""
    served = []
    monkeypatch.setattr(loop, "native_steps", lambda *args: served.append(native_steps(*args)) or served[-1])
    native = ew.fit(small(), data, method, **options)
    assert all(served)
    with ew.use_backend("reference"):
        plain = ew.fit(small(), data, method, **options)
    assert not served[-1]
    assert native.report.stopped == plain.report.stopped
    assert native.report.steps == plain.report.steps
    assert native.report.restored_step == plain.report.restored_step
    for a, b in zip(native.history, plain.history, strict=True):
        assert a == pytest.approx(b, rel=1e-7)
    for a, b in zip(native.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("every", [1, 7])
def test_a_resumed_native_run_equals_an_uninterrupted_one(data, tmp_path, every):
    method = FirstOrder("adam", steps=30, refine={9: 8})
    whole = ew.fit(small(), data, method)
    stored = replace(method, checkpoint=Checkpoint(tmp_path / "run", every))
    ew.fit(small(), data, replace(stored, steps=14))
    rest = ew.fit(small(), data, stored)
    assert rest.history == whole.history
    assert same(rest.model, whole.model)


def test_native_steps_leave_to_torch_what_is_not_plain_adam(data):
    def steps(model=None, loss="mse", **settings):
        model = small() if model is None else model
        return native_steps(model, torch.optim.Adam(model.parameters(), **settings), ew.optim.get_loss(loss))

    assert steps() is not None
    assert steps(loss="huber") is None
    assert steps(weight_decay=0.1) is None
    assert steps(amsgrad=True) is None
    assert steps(ew.KAN([2, (1, 1), 1])) is None
    assert steps(ew.KAN([2, 40, 1])) is None
    hooked, frozen = small(), small()
    hooked.layers[0].register_forward_hook(lambda *args: None)
    assert steps(hooked) is None
    frozen.layers[0].coef.requires_grad_(False)
    assert steps(frozen) is None
    x, y = data[0], data[1][:, None]
    assert steps().serves(x, y, None)
    assert not steps().serves(x, y, torch.ones(120))
    assert not steps().serves(x.float(), y, None)


def test_ctrl_c_returns_the_best_model(data):
    def interrupt(state):
        if state.step == 7:
            raise KeyboardInterrupt

    result = ew.fit(small(), data, FirstOrder("adam", steps=50), callbacks=[interrupt])
    assert result.report.stopped == "interrupted"
    assert result.report.steps == 7
    assert math.isfinite(result.report.loss)


def test_a_true_callback_and_the_clock_end_the_run(data):
    assert ew.fit(small(), data, "adam", callbacks=[lambda s: s.step == 4]).report.steps == 4
    assert ew.fit(small(), data, FirstOrder("adam", seconds=0.0)).report.stopped == "time"


def test_scheduled_refinement(data):
    result = ew.fit(small(), data, FirstOrder("lbfgs", steps=10, refine={3: 8, 6: 12}))
    assert [layer.basis.intervals for layer in result.model.layers] == [12, 12]
    assert result.history[3]["loss"] <= result.history[2]["loss"]


def test_penalties_enter_the_loss(data):
    def size_of(model, trace):
        return sum(layer.layer.coef.square().sum() for layer in trace.values())

    method = FirstOrder("lbfgs", steps=10)
    plain = ew.fit(small(), data, method)
    shrunk = ew.fit(small(), data, replace(method, penalties=[lambda m, t: 10 * size_of(m, t)]))
    size = [sum(layer.coef.square().sum() for layer in r.model.layers) for r in (plain, shrunk)]
    assert size[1] < 0.1 * size[0]
    assert shrunk.history[0]["penalty"] > 0


def test_weights_count_like_repetitions(data):
    x, y = data
    w = torch.tensor([1.0, 2.0, 0.0]).repeat(40)
    rows = torch.arange(120).repeat_interleave(w.long())
    weighted = ew.fit(small(), (x, y), FirstOrder("adam", steps=5), sample_weight=w)
    repeated = ew.fit(small(), (x[rows], y[rows]), FirstOrder("adam", steps=5))
    assert weighted.report.loss == pytest.approx(repeated.report.loss, rel=1e-12)


@pytest.mark.parametrize(
    ("loss", "outputs", "target"),
    [
        ("mse", 2, lambda n: torch.rand(n, 2)),
        ("huber", 1, torch.rand),
        ("bce", 1, lambda n: torch.arange(n) % 2),
        ("poisson", 1, lambda n: torch.arange(n) % 4),
        ("cross_entropy", 3, lambda n: torch.arange(n) % 3),
        (lambda f, y: (f - y).abs().mean(), 1, torch.rand),
    ],
)
def test_losses(data, loss, outputs, target):
    model = ew.KAN([2, outputs], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    result = ew.fit(model, (data[0], target(120)), FirstOrder("adam", steps=30), loss=loss)
    assert result.report.loss < result.history[0]["loss"]
