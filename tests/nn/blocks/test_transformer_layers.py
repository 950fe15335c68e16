"""Laws of the layers of transformers: grouped rational units, feed-forward blocks, attention."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import gelu, silu
from zoo import BASES, rng

from edgewise.bases import BSpline, Chebyshev, Gaussian
from edgewise.kernels import use_backend
from edgewise.nn import GroupRational, KANAttention, KANFeedForward
from edgewise.nn.blocks.projection import projection

X = torch.linspace(-5, 5, 1001, dtype=torch.float64)[:, None]
BLOCKS = {
    "rational": lambda **k: KANFeedForward(16, **k),
    "chebyshev": lambda **k: KANFeedForward(16, None, Chebyshev(3), **k),
    "b-spline": lambda **k: KANFeedForward(16, None, BSpline(5, 3), residual="silu", **k),
    "attention": lambda **k: KANAttention(16, 4, **k),
    "attention of curves": lambda **k: KANAttention(16, 4, BSpline(5, 3), **k),
}
blocks = pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)


def numbers(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def moved(unit: GroupRational) -> GroupRational:
    """With other coefficients in every group."""
    for p in unit.parameters():
        p.data += 0.3 * torch.randn(p.shape, generator=rng(7), dtype=p.dtype)
    return unit


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_rational_unit_starts_as_the_identity_to_the_last_bit(dtype):
    x = torch.randn(50, 16, generator=rng(), dtype=dtype) * 100
    assert torch.equal(GroupRational(16, dtype=dtype)(x), x)


@pytest.mark.parametrize(("start", "curve", "error"), [("silu", silu, 2.6e-5), ("gelu", gelu, 2.5e-3)])
def test_a_rational_unit_starts_as_an_activation_function(start, curve, error):
    assert (GroupRational(1, 1, start=start, dtype=torch.float64)(X) - curve(X)).abs().max() < error


def test_a_rational_unit_is_its_equation():
    unit = moved(GroupRational(6, 3, start="silu", dtype=torch.float64))
    x = 2 * torch.randn(40, 6, generator=rng(), dtype=torch.float64)
    a, b = unit.numerator.detach().numpy(), unit.denominator.detach().numpy()
    for j in range(6):
        t = x[:, j].numpy()
        expected = np.polyval(a[j // 2][::-1], t) / (1 + abs(np.polyval([*b[::-1], 0], t)))
        np.testing.assert_allclose(unit(x)[:, j].detach().numpy(), expected, rtol=1e-12)


def test_a_rational_unit_has_exact_gradients_and_learns_its_denominator_from_the_identity():
    unit, x = moved(GroupRational(4, 2, dtype=torch.float64)), torch.randn(5, 4, generator=rng(), dtype=torch.float64)
    names = [name for name, _ in unit.named_parameters()]
    call = lambda x, *p: torch.func.functional_call(unit, dict(zip(names, p, strict=True)), (x,))
    inputs = (x.requires_grad_(), *unit.parameters())
    assert torch.autograd.gradcheck(call, inputs)
    assert torch.autograd.gradgradcheck(call, inputs)
    (slope,) = torch.autograd.grad(unit(x.detach()).square().sum(), unit.denominator, create_graph=True)
    slope.sum().backward()  # the input asks for no derivative
    fresh = GroupRational(4, 2)
    fresh(torch.randn(5, 4, generator=rng())).sum().backward()
    assert (fresh.denominator.grad != 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("batch", "features", "groups"), [(1, 1, 1), (333, 21, 1), (200, 21, 21), (900, 64, 8), (3, 6, 3)]
)
def test_native_units_are_the_reference_in_value_and_gradients(batch, features, groups, dtype):
    unit = moved(GroupRational(features, groups, start="gelu", dtype=dtype))
    x, g = (torch.randn(batch, features, generator=rng(n), dtype=dtype) for n in (1, 2))
    x[0, 0] = 0.0
    found = []
    for backend in (None, "reference"):
        with use_backend(backend):
            y = unit(x.requires_grad_())
            found.append((y, *torch.autograd.grad(y, [x, *unit.parameters()], g)))
    for native, reference in zip(*found, strict=True):
        assert native.shape == reference.shape
        assert (native - reference).abs().max() <= 100 * torch.finfo(dtype).eps * reference.abs().max()


@pytest.mark.parametrize("groups", [1, 3, 6])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_units_of_channels_are_those_of_pixels(groups, layout):
    of_pixels = moved(GroupRational(6, groups, start="silu", dtype=torch.float64))
    of_channels = GroupRational(6, groups, dim=1, dtype=torch.float64)
    of_channels.load_state_dict(of_pixels.state_dict())
    x = torch.randn(3, 6, 5, 4, generator=rng(1), dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    y, expected = of_channels(x), of_pixels(x.movedim(1, -1)).movedim(-1, 1)
    weight = torch.randn(y.shape, generator=rng(2), dtype=torch.float64)
    gradients = [
        torch.autograd.grad(out, [x, *unit.parameters()], weight)
        for out, unit in ((y, of_channels), (expected, of_pixels))
    ]
    assert torch.allclose(y, expected, rtol=1e-12, atol=0)
    assert all(torch.allclose(p, q, rtol=1e-10, atol=1e-12) for p, q in zip(*gradients, strict=True))


def test_native_units_do_not_depend_on_the_number_of_threads():
    unit, x = moved(GroupRational(48, 8)), torch.randn(3000, 48, generator=rng(1))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            y = unit(x)
            found.append((y, *torch.autograd.grad(y.square().sum(), unit.parameters())))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, many) for one, many in zip(*found, strict=True))


@pytest.mark.parametrize("features", [64, 128, 192])
@pytest.mark.parametrize(
    "settings",
    [{}, {"basis": Chebyshev(3)}, {"basis": BSpline(5, 3), "residual": "silu"}, {"basis": Gaussian(5)}],
    ids=["rational", "chebyshev", "b-spline", "rbf"],
)
def test_a_block_has_the_size_of_an_mlp_four_times_as_wide(features, settings):
    mlp = 8 * features**2 + 5 * features
    assert numbers(KANFeedForward(features, **settings)) == pytest.approx(mlp, rel=0.02)


@pytest.mark.parametrize("basis", [None, *BASES], ids=lambda b: b.name if b else "rational")
def test_a_block_keeps_the_scale_of_its_inputs_times_the_gain(basis):
    x = torch.randn(2000, 64, generator=rng(1))
    y = KANFeedForward(64, 64, basis, gain=0.5, generator=rng())(x)
    assert 0.1 < y.std() < 1


@blocks
def test_blocks_take_any_batch_and_dtype(block):
    for dtype in (torch.float32, torch.float64):
        model = block(generator=rng(), dtype=dtype)
        for batch in ((), (3,), (2, 3), (0,)):
            x = torch.randn(*batch, 5, 16, generator=rng(1), dtype=dtype)
            y = model(x)
            assert (y.shape, y.dtype) == (x.shape, dtype)
            y.sum().backward()
    assert torch.equal(block(generator=rng())(x.float()), block(generator=rng())(x.float()))


@blocks
def test_blocks_run_under_autocast(block):
    model, x = block(generator=rng()), torch.randn(2, 5, 16, generator=rng(1))
    with torch.autocast("cpu", torch.bfloat16):
        low = model(x)
    torch.testing.assert_close(low.float(), model(x), rtol=0.05, atol=0.05)
    low.float().sum().backward()


@blocks
@pytest.mark.compile
def test_blocks_compile_whole(block):
    torch._dynamo.reset()
    model, x = block(generator=rng()), torch.randn(2, 5, 16, generator=rng(1))
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), model(x))
    ours, theirs = (torch.autograd.grad(f(x).sum(), list(model.parameters())) for f in (compiled, model))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("basis", [None, BSpline(5, 3)], ids=["linear", "curves"])
def test_attention_does_not_see_the_future(basis):
    model = KANAttention(8, 2, basis, generator=rng(), dtype=torch.float64)
    x = torch.randn(3, 6, 8, generator=rng(1), dtype=torch.float64)
    other = x.clone()
    other[:, 4:] += 1
    assert torch.equal(model(x)[:, :4], model(other)[:, :4])
    assert not torch.allclose(model(x)[:, 4:], model(other)[:, 4:])


def test_attention_is_torchs_own():
    model = KANAttention(8, 2, generator=rng(), dtype=torch.float64)
    oracle = nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    oracle.load_state_dict(
        {
            "in_proj_weight": model.qkv.weight,
            "in_proj_bias": model.qkv.bias,
            "out_proj.weight": model.output.weight,
            "out_proj.bias": model.output.bias,
        }
    )
    x = torch.randn(3, 6, 8, generator=rng(1), dtype=torch.float64)
    future = torch.ones(6, 6, dtype=torch.bool).triu(1)
    torch.testing.assert_close(model(x), oracle(x, x, x, attn_mask=future, need_weights=False)[0])


@pytest.mark.parametrize("cuts", [(1, 1, 1, 1, 1, 1), (4, 2), (1, 5), (3, 1, 2)])
def test_attention_in_pieces_is_attention(cuts):
    model = KANAttention(8, 2, Chebyshev(3), generator=rng(), dtype=torch.float64)
    x, past, pieces = torch.randn(3, 6, 8, generator=rng(1), dtype=torch.float64), None, []
    for piece in x.split(cuts, 1):
        y, past = model.extend(piece, past)
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, 1), model(x))


def test_a_device_of_none_is_the_usual_one():
    assert projection(2, 3, device=None, dtype=None, generator=rng()).weight.device == torch.empty(0).device


@pytest.mark.usefixtures("as_a_user")
def test_errors_name_what_to_give():
    with pytest.raises(ValueError, match="divisor of 10"):
        GroupRational(10, 4)
    with pytest.raises(ValueError, match="unknown start 'relu'; there are identity, silu, gelu"):
        GroupRational(8, start="relu")
    with pytest.raises(ValueError, match=r"shape \(\*batch, 8\), got \(2, 7\)"):
        GroupRational(8)(torch.zeros(2, 7))
    with pytest.raises(ValueError, match="divisor of 10"):
        KANAttention(10, 4)
    with pytest.raises(ValueError, match=r"\(\*batch, time, 8\), got \(8,\)"):
        KANAttention(8, 2)(torch.zeros(8))


@blocks
def test_blocks_are_copied(block):
    model = block(generator=rng())
    x = torch.randn(2, 5, 16, generator=rng(1))
    assert torch.equal(copy.deepcopy(model)(x), model(x))
