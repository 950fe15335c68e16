"""A few samples without gradients: the outputs of plain torch, whatever was exchanged since the last call."""

import itertools

import pytest
import torch

import edgewise as ew
from edgewise.kernels import FEW_SAMPLES, use_backend
from edgewise.surgery import fix

WIDTHS = ([2, 5, 1], [64, 64], [3, 70, 18, 2], [130, 33])
BASES = (ew.BSpline(5, 3), ew.BSpline(40, 1), ew.BSpline(3, 5, "uniform"))
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-13}


def drawn(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def agrees(model, x):
    with torch.no_grad():
        y = model(x)
        with use_backend("reference"):
            expected = model(x)
    scale = max(1.0, expected.nan_to_num().abs().amax().item()) if y.numel() else 1.0
    assert y.shape == expected.shape
    torch.testing.assert_close(y / scale, expected / scale, rtol=0, atol=TOLERANCE[x.dtype], equal_nan=True)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("residual", ["silu", "identity", None])
def test_values_are_those_of_the_reference(dtype, residual):
    for widths, basis, samples in itertools.product(WIDTHS, BASES, (0, 1, FEW_SAMPLES, FEW_SAMPLES + 1)):
        generator = torch.Generator().manual_seed(1)
        model = ew.KAN(widths, basis, residual=residual, dtype=dtype, generator=generator)
        agrees(model, 1.2 * drawn(samples, widths[0], dtype=dtype))  # a third of them outside the grid
        agrees(model.layers[0], drawn(2, samples // 2, widths[0], dtype=dtype))


@pytest.mark.parametrize("widths", WIDTHS)
def test_ends_of_the_grid_and_what_is_not_finite(widths):
    model, x = ew.KAN(widths), torch.zeros(FEW_SAMPLES, widths[0])
    x[:, 0] = torch.tensor([-1.0, 1.0, torch.inf, torch.nan])
    agrees(model, x)
    assert model(x)[2:].isnan().all()


def shuffled(layer):
    layer.grid[:, 1:-1] += 0.05


CHANGES = {
    "values": lambda layer: layer.coef.mul_(2),
    "memory": lambda layer: setattr(layer.coef, "data", layer.coef.data.clone() * 2),
    "a turned memory": lambda layer: setattr(layer.coef, "data", (2 * layer.coef.data.mT).contiguous().mT),
    "parameter": lambda layer: setattr(layer, "coef", torch.nn.Parameter(layer.coef * 2)),
    "bias": lambda layer: setattr(layer, "bias", torch.nn.Parameter(layer.bias + 1)),
    "no bias": lambda layer: setattr(layer, "bias", None),
    "bias of other memory": lambda layer: setattr(layer.bias, "data", torch.ones(2 * len(layer.bias))[::2]),
    "grid in place": shuffled,
    "grid": lambda layer: setattr(layer, "grid", layer.grid * 2),
    "residual": lambda layer: setattr(layer, "residual", "identity"),
    "basis": lambda layer: setattr(layer, "basis", ew.BSpline(5, 3, "uniform")),
    "dtype": lambda layer: layer.double(),
    "state": lambda layer: layer.load_state_dict({k: v + 0 * v for k, v in ew.KANLinear(5, 7).state_dict().items()}),
    "inference tensors": lambda layer: layer.load_state_dict(ew.KANLinear(5, 7).state_dict(), assign=True),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("in_network", [True, False])
@torch.no_grad()
def test_an_exchange_after_a_call_is_seen(what, in_network):
    model = ew.KAN([5, 7], generator=torch.Generator().manual_seed(2))
    model = model if in_network else model.layers[0]
    layer, x = model.layers[0] if in_network else model, drawn(1, 5)
    agrees(model, x)
    CHANGES[what](layer)
    agrees(model, x.to(layer.coef.dtype))


@torch.no_grad()
def test_hooks_and_another_forward_of_a_layer_are_called():
    model, x, seen = ew.KAN([2, 5, 1]), drawn(1, 2), []
    y = model(x)
    hook = model.layers[0].register_forward_hook(lambda *_: seen.append("hook"))
    torch.testing.assert_close(model(x), y)
    hook.remove()
    own = model.layers[1].forward
    model.layers[1].forward = lambda h: seen.append("forward") or own(h)
    torch.testing.assert_close(model(x), y)
    assert seen == ["hook", "forward"]


@torch.no_grad()
def test_symbols_masks_and_autocast():
    model, x = ew.KAN([2, 5, 1], generator=torch.Generator().manual_seed(3)), drawn(3, 2)
    agrees(model, x)
    fixed = fix(model, (0, 0, 1), "sin")
    agrees(fixed, x)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.layers[0](x).dtype is torch.bfloat16
    with pytest.raises(ValueError, match="2"):
        model(drawn(1, 3))


def test_forward_mode_without_reverse_mode_is_differentiated():
    layer, x = ew.KANLinear(64, 64), drawn(1, 64)
    with torch.no_grad():
        y, slope = torch.func.jvp(layer, (x,), (torch.ones_like(x),))
        torch.testing.assert_close(y, layer(x))
    with use_backend("reference"):
        torch.testing.assert_close(slope, torch.func.jvp(layer, (x,), (torch.ones_like(x),))[1])
