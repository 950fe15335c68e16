"""Accumulation changes nothing, an average is the mean it says, and both survive an interruption."""

import copy
import io
from dataclasses import replace

import pytest
import torch

from edgewise import KAN, FirstOrder, fit
from edgewise.io import FileFormatError
from edgewise.io.sealed import read_sealed
from edgewise.training.keep import Average, Checkpoint

X = torch.linspace(-1, 1, 90, dtype=torch.float64).reshape(45, 2)
Y = (3 * X[:, :1]).sin() * X[:, 1:]
ADAM = FirstOrder("adam", steps=6, batch_size=15)


def model() -> KAN:
    return KAN([2, 3, 1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def parameters(network) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize("weights", [None, torch.arange(45.0, dtype=torch.float64)])
def test_accumulated_parts_make_the_step_of_the_whole_batch(weights) -> None:
    whole = fit(model(), (X, Y), ADAM, sample_weight=weights, seed=3)
    parts = fit(model(), (X, Y), replace(ADAM, accumulate=4), sample_weight=weights, seed=3)
    assert torch.allclose(parameters(parts.model), parameters(whole.model), rtol=0, atol=1e-9)
    assert parts.history[-1]["loss"] == pytest.approx(whole.history[-1]["loss"])


def test_the_average_is_the_weighted_mean_of_the_states_seen() -> None:
    followed, seen = model(), []
    average = Average(followed, 0.5)
    for n in range(4):
        for p in followed.parameters():
            p.data.fill_(n)
        average.follow_(followed)
        seen.append(float(parameters(average.model)[0]))
    decays = [min(0.5, n / (n + 9)) for n in range(4)]
    mean, expected = 0.0, []
    for n, d in enumerate(decays):
        mean = d * mean + (1 - d) * n
        expected.append(mean)
    assert seen == pytest.approx(expected)


def test_an_averaged_run_resumes_to_the_last_bit(tmp_path) -> None:
    method = replace(ADAM, steps=12, ema=0.9, accumulate=2)
    stored = replace(method, checkpoint=tmp_path / "state.pt")
    through = fit(model(), (X, Y), method, seed=3)
    fit(model(), (X, Y), replace(stored, steps=6), seed=3)
    resumed = fit(model(), (X, Y), stored, seed=3)
    assert torch.equal(parameters(resumed.model), parameters(through.model))
    plain = fit(model(), (X, Y), replace(method, ema=None), seed=3)
    assert not torch.equal(parameters(plain.model), parameters(through.model))


def test_mixed_precision_learns_in_the_models_own_dtype() -> None:
    start = model().float()
    method = replace(ADAM, steps=60, lr=0.05, precision=torch.bfloat16)
    found = fit(start, (X.float(), Y.float()), method, seed=3)
    assert {p.dtype for p in found.model.parameters()} == {torch.float32}
    assert found.history[-1]["loss"] < 0.5 * found.history[0]["loss"]


def test_one_changed_bit_of_a_checkpoint_is_noticed(tmp_path) -> None:
    method = replace(ADAM, checkpoint=tmp_path / "state.pt")
    fit(model(), (X, Y), method, seed=3)
    data = (tmp_path / "state.pt").read_bytes()
    for n in range(3, len(data), len(data) // 40):
        (tmp_path / "state.pt").write_bytes(data[:n] + bytes([data[n] ^ 1 << n % 8]) + data[n + 1 :])
        with pytest.raises(FileFormatError, match=r"state\.pt is damaged.*not a checkpoint.*remove it"):
            method.saving.load({})


def test_a_checkpoint_of_another_optimiser_state_is_refused(tmp_path) -> None:
    """Forged: the digest is right, the tensors have other shapes."""
    method = replace(ADAM, checkpoint=tmp_path / "state.pt")
    fit(model(), (X, Y), method, seed=3)
    stored = torch.load(io.BytesIO(read_sealed(tmp_path / "state.pt")), weights_only=True)
    for change in ({"exp_avg": torch.zeros(2)}, {"exp_avg_sq": None}, {"step": torch.zeros(0)}, {"step": None}):
        state = copy.deepcopy(stored)
        state["optimizer"]["state"][0] |= change
        if None in change.values():
            del state["optimizer"]["state"][0][next(iter(change))]
        settings = {k: v for k, v in state.pop("settings").items() if k != "format"}
        method.saving.save(settings, state)
        with pytest.raises(ValueError, match=r"state of a parameter|cannot be loaded"):
            fit(model(), (X, Y), replace(method, steps=12), seed=3)


def test_settings_of_another_type_are_refused(tmp_path) -> None:
    saving = Checkpoint(tmp_path / "state.pt")
    for seed in (torch.zeros(2), [1], None, "3"):
        saving.save({"seed": seed}, {})
        with pytest.raises(ValueError, match=r"state\.pt belongs to another run \(seed .* -> 3\)"):
            saving.load({"seed": 3})
