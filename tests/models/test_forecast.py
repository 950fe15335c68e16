"""Laws of the forecasters: one call for all, and no forecast depends on the units of its window."""

import pytest
import torch
from zoo import rng

from edgewise.bases import Chebyshev, Wavelet
from edgewise.models.forecast import kan_forecaster, rmok_forecaster, tkan_forecaster

BUILD = {
    "kan": lambda: kan_forecaster(24, 12, 3, hidden=4, generator=rng()),
    "chebyshev": lambda: kan_forecaster(24, 12, 3, hidden=4, basis=Chebyshev(2), residual=None, generator=rng()),
    "tkan": lambda: tkan_forecaster(24, 12, 3, patch=6, hidden=8, generator=rng()),
    "rmok": lambda: rmok_forecaster(24, 12, 3, experts=[Chebyshev(2), Wavelet(centers=3)], generator=rng()),
}
models = pytest.mark.parametrize("build", BUILD.values(), ids=BUILD)


def waves(n: int, time: int) -> torch.Tensor:
    """Daily waves of three channels with random phases."""
    phase = 6.28 * torch.rand(n, 1, 3, generator=rng(3), dtype=torch.float64)
    return torch.sin(torch.arange(time)[:, None] * 6.28 / 12 + phase) * torch.tensor([1.0, 3.0, 0.2]) + 5


@models
def test_every_model_has_the_same_call_and_keeps_units(build):
    model, x = build().double(), waves(4, 24)
    y = model(x)
    assert y.shape == (4, 12, 3)
    torch.testing.assert_close(model(100 * x - 7), 100 * y - 7, rtol=1e-3, atol=1e-3)
    assert torch.equal(build().double()(x), y)
    assert model(x[:0]).shape == (0, 12, 3)


@models
def test_channels_do_not_mix(build):
    model, x = build().double(), waves(4, 24)
    other = x.clone()
    other[..., 1] = other[..., 1].flip(1)
    torch.testing.assert_close(model(x)[..., [0, 2]], model(other)[..., [0, 2]])


@models
def test_learns_a_wave(build):
    model, x = build(), waves(64, 36).float()
    optimizer = torch.optim.AdamW(model.parameters(), 2e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = ((model(x[:, :24]) - x[:, 24:]) / torch.tensor([1.0, 3.0, 0.2])).square().mean()
        loss.backward()
        optimizer.step()
    assert loss < 0.1  # the mean of the window has 0.5


def test_patches_must_fit():
    with pytest.raises(ValueError, match="24 cannot be divided into patches of 7"):
        tkan_forecaster(24, 12, 3, patch=7)
