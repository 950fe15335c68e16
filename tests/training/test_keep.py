"""Accumulation changes nothing, an average is the mean it says, and both survive an interruption."""

from dataclasses import replace

import pytest
import torch

from edgewise import KAN, FirstOrder, fit
from edgewise.training.keep import Average

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
