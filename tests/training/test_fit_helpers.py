"""Accumulation changes nothing, an average is the mean it says, and both survive an interruption."""

import functools

import pytest
import torch

from edgewise import KAN, Sparsity, fit
from edgewise.training.average import Average

X = torch.linspace(-1, 1, 90, dtype=torch.float64).reshape(45, 2)
Y = (3 * X[:, :1]).sin() * X[:, 1:]
ADAM = {"optimizer": "adam", "batch_size": 15, "seed": 3}


def model() -> KAN:
    return KAN([2, 3, 1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def numbers(network) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize("weights", [None, torch.arange(45.0, dtype=torch.float64)])
def test_accumulated_parts_make_the_step_of_the_whole_batch(weights) -> None:
    whole = fit(model(), (X, Y), steps=6, sample_weight=weights, **ADAM)
    parts = fit(model(), (X, Y), steps=6, sample_weight=weights, accumulate=4, **ADAM)
    assert torch.allclose(numbers(parts.model), numbers(whole.model), rtol=0, atol=1e-9)
    assert parts.history[-1]["loss"] == pytest.approx(whole.history[-1]["loss"])


def test_the_average_is_the_weighted_mean_of_the_states_seen() -> None:
    followed, seen = model(), []
    average = Average(followed, 0.5)
    for n in range(4):
        for p in followed.parameters():
            p.data.fill_(n)
        average.follow_(followed)
        seen.append(float(numbers(average.model)[0]))
    decays = [min(0.5, n / (n + 9)) for n in range(4)]
    mean, expected = 0.0, []
    for n, d in enumerate(decays):
        mean = d * mean + (1 - d) * n
        expected.append(mean)
    assert seen == pytest.approx(expected)


def test_an_averaged_run_resumes_to_the_last_bit(tmp_path) -> None:
    options = {**ADAM, "ema": 0.9, "accumulate": 2}
    through = fit(model(), (X, Y), steps=12, **options)
    fit(model(), (X, Y), steps=6, checkpoint=tmp_path / "state.pt", **options)
    resumed = fit(model(), (X, Y), steps=12, checkpoint=tmp_path / "state.pt", **options)
    assert torch.equal(numbers(resumed.model), numbers(through.model))
    plain = fit(model(), (X, Y), steps=12, **{**ADAM, "accumulate": 2})
    assert not torch.equal(numbers(plain.model), numbers(through.model))


def test_mixed_precision_learns_in_the_models_own_dtype() -> None:
    start = model().float()
    found = fit(start, (X.float(), Y.float()), steps=60, precision=torch.bfloat16, **{**ADAM, "lr": 0.05})
    assert {p.dtype for p in found.model.parameters()} == {torch.float32}
    assert found.history[-1]["loss"] < 0.5 * found.history[0]["loss"]


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be accumulated"):
        fit(model(), (X, Y), steps=1, accumulate=2, penalties=[Sparsity(1e-3)], **ADAM)
    with pytest.raises(ValueError, match="at least 1"):
        fit(model(), (X, Y), steps=1, accumulate=0, **ADAM)
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        fit(model(), (X, Y), steps=1, ema=1.0, **ADAM)
    with pytest.raises(ValueError, match="Levenberg-Marquardt cannot do this"):
        fit(model(), (X, Y), optimizer="lm", ema=0.9)
    assert functools.partial(fit, model(), (X, Y), ema=0.5, steps=1)().report["optimizer"] == "lbfgs"
