"""Models of images: shapes, gradients everywhere, and switches that do what they say."""

import pytest
import torch
from torch import nn
from zoo import rng

from edgewise import BSpline, KANLinear
from edgewise.bases import Chebyshev
from edgewise.models.kan_resnet import KANResNet
from edgewise.models.kan_vit import KANViT
from edgewise.models.u_kan import UKAN
from edgewise.nn import KANConv2d


def numel(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def count(model: nn.Module, kind: type) -> int:
    return sum(isinstance(module, kind) for module in model.modules())


@pytest.mark.parametrize(
    ("model", "shape", "out"),
    [
        (UKAN(2, 3, 4, channels=(4, 6, 8), token_levels=1), (2, 3, 17, 22), (2, 4, 17, 22)),
        (UKAN(3, 1, 2, channels=(2, 3, 4), token_levels=2), (2, 1, 8, 9, 10), (2, 2, 8, 9, 10)),
        (KANResNet(3, 5, channels=(4, 6), blocks=2), (2, 3, 9, 9), (2, 5)),
        (KANResNet(3, 5, channels=(4, 6), kan=False), (2, 3, 9, 9), (2, 5)),
        (KANViT(8, 4, 1, 3, features=8, layers=1, heads=2), (2, 1, 8, 8), (2, 3)),
        (KANViT(8, 4, 1, 3, features=8, heads=2, feed_forward=BSpline(3, 2)), (2, 1, 8, 8), (2, 3)),
        (KANViT(8, 4, 1, 3, features=8, heads=2, feed_forward=lambda d: nn.Linear(d, d)), (2, 1, 8, 8), (2, 3)),
    ],
)
def test_every_parameter_learns(model, shape, out) -> None:
    y = model(torch.randn(shape, generator=rng()))
    assert y.shape == out
    (y * torch.randn(out, generator=rng(1))).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_the_ablation_has_no_curves_and_may_be_of_equal_size() -> None:
    def build(**switches: bool) -> UKAN:
        return UKAN(2, 1, 3, channels=(4, 8, 12, 16), **switches)

    curves, linear, matched = build(), build(kan=False), build(kan=False, matched=True)
    assert count(curves, KANLinear) == 3 * 3
    assert count(linear, KANLinear) == count(matched, KANLinear) == 0
    assert count(linear, nn.Linear) == 3 * 3
    assert numel(linear) < numel(curves)
    assert abs(numel(matched) / numel(curves) - 1) < 0.02


def test_the_channels_asked_for_are_the_channels_built() -> None:
    assert UKAN(2, 5, 3, channels=(4, 8), token_levels=1).down[0][0][0].in_channels == 5
    assert count(KANResNet(1, 2, channels=(4, 4)), KANConv2d) == 4
    assert count(KANResNet(1, 2, channels=(4, 4), kan=False), KANConv2d) == 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: UKAN(1, 1, 1), "spatial_dims must be 2 or 3"),
        (lambda: UKAN(2, 1, 1, channels=(4, 8), token_levels=2), "token_levels must be 1 to 1"),
        (lambda: KANViT(9, 4, 1, 2), "image_size=9 must be a multiple of patch_size=4"),
        (lambda: KANViT(8, 4, 1, 2, features=10), "cannot be divided among 4 heads"),
        (lambda: KANViT(8, 4, 1, 2, feed_forward="kan"), "feed_forward must be"),
    ],
)
def test_wrong_settings_are_explained(build, message) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_blocks_of_the_transformer_are_of_equal_size() -> None:
    sizes = [numel(KANViT(8, 4, 1, 3, feed_forward=kind)) for kind in ("mlp", "rational", Chebyshev(3))]
    assert max(sizes) < 1.02 * min(sizes)
