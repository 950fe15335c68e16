"""Convolutions of curves: against loops in numpy, torch's own convolutions, and the layer of curves over patches."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from numpy.polynomial.chebyshev import chebval
from torch import nn
from zoo import BASES, rng

import edgewise as ew
from edgewise.bases import Chebyshev, Hinge
from edgewise.nn import (
    KANConv1d,
    KANConv2d,
    KANConv3d,
    KANConvTranspose1d,
    KANConvTranspose2d,
    KANConvTranspose3d,
)

CONV = {1: KANConv1d, 2: KANConv2d, 3: KANConv3d}
TRANSPOSE = {1: KANConvTranspose1d, 2: KANConvTranspose2d, 3: KANConvTranspose3d}
NUMPY_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    """Inside the range of the curves, where numpy's polynomials are the same functions."""
    return 4 * torch.rand(shape, generator=rng(seed), dtype=torch.float64) - 2


def curve(coef: np.ndarray, x: float) -> float:
    """A Chebyshev series on [-2, 2] plus the weight of silu."""
    return chebval(x / 2, coef[:-1]) + coef[-1] * x / (1 + np.exp(-x))


def by_loops(conv, x: torch.Tensor) -> np.ndarray:
    dims, taps = conv.dims, list(itertools.product(*map(range, conv.kernel_size)))
    coefs = [layer.coef.detach().numpy() for layer in conv.edges]
    ends = (conv.padding,) * dims if isinstance(conv.padding, int) else conv.padding
    pads = [(0, 0), (0, 0), *((p, p) for p in ends)]
    x = np.pad(x.numpy(), pads, mode=NUMPY_MODES[conv.padding_mode])
    shape = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], conv.kernel_size, conv.stride, conv.dilation, strict=True)
    ]
    ins, outs = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    y = np.zeros((len(x), conv.out_channels, *shape))
    for b, o, *p in itertools.product(range(len(x)), range(conv.out_channels), *map(range, shape)):
        group, target = divmod(o, outs)
        total = conv.bias[o].item()
        for c, (u, tap) in itertools.product(range(ins), enumerate(taps)):
            place = [s * q + d * t for s, q, d, t in zip(conv.stride, p, conv.dilation, tap, strict=True)]
            total += curve(coefs[group][c * len(taps) + u, :, target], x[(b, group * ins + c, *place)])
        y[(b, o, *p)] = total
    return y


def by_loops_transposed(conv, x: torch.Tensor) -> np.ndarray:
    taps = list(itertools.product(*map(range, conv.kernel_size)))
    coefs = [layer.coef.detach().numpy() for layer in conv.edges]
    ins, outs = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    settings_ = list(
        zip(x.shape[2:], conv.stride, conv.dilation, conv.kernel_size, conv.padding, conv.output_padding, strict=True)
    )
    shape = [(n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, s, d, k, p, e in settings_]
    y = np.zeros((len(x), conv.out_channels, *shape)) + conv.bias.detach().numpy().reshape(-1, *[1] * conv.dims)
    for b, c, *p in itertools.product(range(len(x)), range(conv.in_channels), *map(range, x.shape[2:])):
        group, source = divmod(c, ins)
        for o, (u, tap) in itertools.product(range(outs), enumerate(taps)):
            place = [s * q + d * t - e for q, t, (_, s, d, _, e, _) in zip(p, tap, settings_, strict=True)]
            if all(0 <= q < n for q, n in zip(place, shape, strict=True)):
                y[(b, group * outs + o, *place)] += curve(
                    coefs[group][source, :, o * len(taps) + u], x[(b, c, *p)].item()
                )
    return y


def made(kind, ins: int, outs: int, kernel, *arguments, **settings):
    settings = {"basis": Chebyshev(3), "dtype": torch.float64, "generator": rng()} | settings
    conv = kind(ins, outs, kernel, *arguments, **settings)
    for parameter in conv.parameters():
        parameter.data.normal_(generator=rng(1))
    return conv


@given(
    dims=st.sampled_from([1, 2, 2, 3]),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
    mode=st.sampled_from(list(NUMPY_MODES)),
    kernel=st.integers(1, 3),
)
@settings(max_examples=25)
def test_convolution_is_the_sum_over_taps(dims, stride, padding, dilation, groups, mode, kernel) -> None:
    size, kernel = (7, 5, 4)[dims - 1], min(kernel, (3, 3, 2)[dims - 1])
    conv = made(CONV[dims], 2, 2, kernel, stride, padding, dilation, groups, padding_mode=mode)
    x = images(1, 2, *[size] * dims)
    expected = by_loops(conv, x)
    np.testing.assert_allclose(conv.by_expansion(x).detach() + shaped_bias(conv), expected, atol=1e-11)
    np.testing.assert_allclose(conv.by_edges(x).detach() + shaped_bias(conv), expected, atol=1e-11)
    np.testing.assert_allclose(conv(x).detach(), expected, atol=1e-11)


@given(
    dims=st.sampled_from([1, 2, 2, 3]),
    stride=st.integers(1, 3),
    padding=st.integers(0, 1),
    extra=st.integers(0, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
)
@settings(max_examples=20)
def test_transposed_convolution_spreads_every_pixel(dims, stride, padding, extra, dilation, groups) -> None:
    extra = min(extra, max(stride, dilation) - 1)
    conv = made(TRANSPOSE[dims], 2, 2, 2 if dims == 3 else 3, stride, padding, extra, groups, True, dilation)
    x = images(1, 2, *[3] * dims)
    expected = by_loops_transposed(conv, x)
    np.testing.assert_allclose(conv.by_expansion(x).detach() + shaped_bias(conv), expected, atol=1e-11)
    np.testing.assert_allclose(conv.by_edges(x).detach() + shaped_bias(conv), expected, atol=1e-11)


def shaped_bias(conv):
    return conv.bias.detach().view(-1, *[1] * conv.dims)


@pytest.mark.parametrize("basis", [*BASES, Hinge(1)], ids=lambda basis: basis.name)
@pytest.mark.parametrize("kind", [KANConv2d, KANConvTranspose2d])
def test_both_executions_agree_with_their_gradients(basis, kind) -> None:
    conv, x = made(kind, 2, 3, (3, 2), 2, 1, basis=basis), images(2, 2, 6, 5).requires_grad_()
    wanted = [x, *conv.edges.parameters()]
    found = [torch.autograd.grad(run(x).square().sum(), wanted) for run in (conv.by_edges, conv.by_expansion)]
    torch.testing.assert_close(*found, rtol=1e-8, atol=1e-8)


def test_gradients_of_two_orders() -> None:
    conv, x = made(KANConv1d, 1, 1, 2, 1, 1, basis=ew.BSpline(3, 3)), images(1, 1, 4).requires_grad_()
    assert torch.autograd.gradcheck(conv, x)
    assert torch.autograd.gradgradcheck(conv, x)


@pytest.mark.parametrize(
    ("ours", "theirs", "settings"),
    [
        (KANConv1d, nn.Conv1d, {"padding": "same", "kernel_size": 4, "dilation": 2}),
        (KANConv2d, nn.Conv2d, {"padding": (1, 2), "kernel_size": (3, 2), "stride": (2, 1), "groups": 2}),
        (KANConv3d, nn.Conv3d, {"padding": 1, "kernel_size": 2, "padding_mode": "replicate"}),
        (KANConvTranspose2d, nn.ConvTranspose2d, {"padding": 1, "kernel_size": 3, "stride": 2, "output_padding": 1}),
        (KANConvTranspose3d, nn.ConvTranspose3d, {"kernel_size": 2, "stride": 2, "groups": 2}),
    ],
)
def test_straight_lines_are_the_convolution_of_torch(ours, theirs, settings) -> None:
    settings = {"in_channels": 4, "out_channels": 6, "dtype": torch.float64} | settings
    reference, conv = theirs(**settings), ours(**settings, residual="identity")
    taps, groups = reference.weight[0, 0].numel(), reference.groups
    for layer, weight in zip(conv.edges, reference.weight.detach().chunk(groups), strict=True):
        layer.coef.data.zero_()
        rows = weight.flatten(1) if "Transpose" not in theirs.__name__ else weight.flatten(1).T
        layer.coef.data[:, -1] = rows.T
    assert conv.edges[0].in_features * conv.edges[0].out_features == 4 * 6 * taps // groups**2
    conv.bias.data.copy_(reference.bias)
    x = images(2, 4, *[6] * conv.dims)
    torch.testing.assert_close(conv(x), reference(x))
    torch.testing.assert_close(conv(x[0]), reference(x[0]))


def test_padding_is_padding_of_the_input() -> None:
    """A curve is evaluated at the border: phi(0) counts."""
    inside, outside = made(KANConv2d, 2, 3, 3, padding=1), made(KANConv2d, 2, 3, 3)
    outside.load_state_dict(inside.state_dict())
    x = images(1, 2, 5, 5)
    torch.testing.assert_close(inside(x), outside(nn.functional.pad(x, (1, 1, 1, 1))))


def test_an_empty_batch_and_copies() -> None:
    conv = made(KANConv2d, 2, 3, 3, 1, "same", groups=1)
    assert conv(images(0, 2, 5, 5)).shape == (0, 3, 5, 5)
    for other in (copy.deepcopy(conv), pickle.loads(pickle.dumps(conv))):
        torch.testing.assert_close(other(images(1, 2, 5, 5)), conv(images(1, 2, 5, 5)))


@pytest.mark.parametrize("kind", [KANConv2d, KANConvTranspose2d])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_low_precision_and_autocast(kind, dtype) -> None:
    conv = made(kind, 2, 3, 3, dtype=torch.float32)
    x = images(1, 2, 5, 5).float()
    with torch.autocast("cpu", torch.bfloat16):
        low = conv(x.to(dtype))
    assert low.dtype is torch.bfloat16
    torch.testing.assert_close(low.float(), conv(x), rtol=0.05, atol=0.5)


def test_bottleneck_has_curves_between_two_lines() -> None:
    conv = made(KANConv2d, 8, 12, 3, padding=1, bottleneck=4)
    assert conv.edges[0].coef.shape == (2 * 9, 5, 3)
    x = images(1, 8, 4, 4)
    fresh, twin = (KANConv2d(8, 12, 3, padding=1, bottleneck=4, generator=rng(), dtype=torch.float64) for _ in "ab")
    assert torch.equal(fresh(x), twin(x))
    assert 0.1 < fresh(x).std() < 10
    middle = conv.by_expansion(nn.functional.conv2d(x, conv.down.weight))
    torch.testing.assert_close(conv(x), nn.functional.conv2d(middle, conv.up.weight, conv.up.bias))


def test_the_operations_of_layers_work_on_convolutions() -> None:
    model = nn.Sequential(made(KANConv2d, 2, 4, 3, padding=1), made(KANConv2d, 4, 3, 3, stride=2, groups=1))
    x = images(4, 2, 7, 7)
    seen = ew.trace(model, x)
    assert list(seen) == ["0.edges.0", "1.edges.0"]
    torch.testing.assert_close(seen.output, model(x))
    scores = ew.edge_scores(seen)
    pruned = ew.prune(model, scores, edge=float(scores["0.edges.0"].median()))
    assert (~pruned[0].edges[0].mask).sum() > 0
    torch.testing.assert_close(pruned[0].by_edges(x), pruned[0].by_expansion(x))
    fixed = ew.fix(model, ("0.edges.0", 0, 0), "sin")
    torch.testing.assert_close(fixed[0](x)[:, 1:], model[0](x)[:, 1:])
    refined = ew.change_basis(model, Chebyshev(6))
    torch.testing.assert_close(refined(x), model(x))


def test_grids_adapt_per_channel() -> None:
    """All taps of a channel keep one grid, so that the expansion stays the same function as the edges."""
    model, x = made(KANConv2d, 2, 3, 3, padding=1, basis=ew.BSpline(6, 3), residual=None), images(8, 2, 9, 9) / 2
    before = model(x)
    ew.adapt_grid_(model, x, adaptive=0.5)
    grid = model.edges[0].grid.unflatten(0, (2, 9))
    assert torch.equal(grid, grid[:, :1].expand_as(grid))
    torch.testing.assert_close(model.by_edges(x), model.by_expansion(x))
    torch.testing.assert_close(model(x), before, rtol=0.1, atol=0.5)
    refined = ew.refine(model, 12)
    torch.testing.assert_close(refined(x), model(x))
    assert refined.edges[0].inputs_per_grid == 9


@pytest.mark.parametrize("kind", [KANConv2d, KANConvTranspose2d])
def test_adapters_of_low_rank(kind) -> None:
    model = made(kind, 4, 6, 3, padding=1)
    x = images(2, 4, 5, 5)
    tuned = ew.add_lotra(model, (4, 2, 4), generator=rng())
    torch.testing.assert_close(tuned(x), model(x))
    assert {n for n, p in tuned.named_parameters() if p.requires_grad} == {
        f"edges.0.adapter.updates.default.{factor}" for factor in ("basis", "source", "core", "target")
    }
    optimizer = torch.optim.Adam(ew.lotra_groups(tuned, 0.1))
    target = x.mean(1, keepdim=True).expand_as(tuned(x))
    first = (tuned(x) - target).square().mean()
    for _ in range(20):
        optimizer.zero_grad()
        loss = (tuned(x) - target).square().mean()
        loss.backward()
        optimizer.step()
    assert loss < 0.7 * first
    torch.testing.assert_close(tuned.by_edges(x), tuned.by_expansion(x))
    torch.testing.assert_close(ew.merge(tuned)(x), tuned(x))
    slimmed = ew.slim(model, (4, 5, 6))
    torch.testing.assert_close(slimmed.by_edges(x), slimmed.by_expansion(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 3, "groups": 2}, "in_channels=3 must be a positive multiple of groups=2"),
        ({"kernel_size": (3, 3, 3)}, "kernel_size must be one integer of at least 1 or 2 of them"),
        ({"padding": "same", "stride": 2}, "'same' needs stride 1"),
        ({"padding": "full"}, "padding must be integers, 'same' or 'valid'"),
        ({"padding_mode": "mirror"}, "padding_mode must be one of zeros"),
        ({"padding": -1}, "padding must be one integer of at least 0"),
    ],
)
def test_wrong_settings_are_explained(arguments, message, as_a_user) -> None:
    with pytest.raises(ValueError, match=message):
        KANConv2d(**({"in_channels": 4, "out_channels": 4, "kernel_size": 3} | arguments))


def test_wrong_inputs_are_explained() -> None:
    with pytest.raises(ValueError, match=r"takes inputs of shape \(\[batch,\] 4, .*got \(1, 3, 5, 5\)"):
        KANConv2d(4, 4, 3)(torch.zeros(1, 3, 5, 5))
    with pytest.raises(ValueError, match="output_padding 2 must be smaller"):
        KANConvTranspose2d(4, 4, 3, stride=2, output_padding=2)


@pytest.mark.compile
@pytest.mark.parametrize("kind", [KANConv2d, KANConvTranspose2d])
@pytest.mark.parametrize("basis", [Chebyshev(3), ew.BSpline(5, 3)], ids=["chebyshev", "bspline"])
def test_compiles_whole_and_exports(kind, basis) -> None:
    torch._dynamo.reset()
    conv, x = made(kind, 2, 3, 3, padding=1, groups=1, basis=basis), images(2, 2, 6, 6)
    compiled = torch.compile(conv, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), conv(x))
    ours, theirs = (torch.autograd.grad(f(x).square().sum(), list(conv.parameters())) for f in (compiled, conv))
    torch.testing.assert_close(ours, theirs)
    exported = torch.export.export(conv, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(exported.module()(images(5, 2, 6, 6)), conv(images(5, 2, 6, 6)))
