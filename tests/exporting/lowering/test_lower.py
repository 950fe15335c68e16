"""A lowered model computes what the model computes, whatever its layers, at every input."""

import pytest
import torch
from torch import nn
from zoo import BASES, mixed, network, rng, samples

import edgewise as ew
from edgewise.adapters import add_lotra, slim
from edgewise.bases import BSpline, Hinge
from edgewise.exporting.lowering import lowered
from edgewise.exporting.lowering.curve_features import residual_values
from edgewise.exporting.lowering.lowered_linear import RAMPS_UP_TO
from edgewise.models.kan_gpt import KANGPT, GPTConfig
from edgewise.nn import (
    TKAN,
    Affine,
    GroupRational,
    KANAttention,
    KANConv1d,
    KANConv2d,
    KANConv3d,
    KANConvTranspose1d,
    KANConvTranspose2d,
    KANConvTranspose3d,
    KANFeedForward,
    MixtureOfKANs,
    SymbolicEdges,
)

EXTRAPOLATIONS = ("linear", "constant", "polynomial", "zero")


def special(grid: torch.Tensor) -> torch.Tensor:
    """Knots, ends, their neighbours in this precision, points outside, and what is not finite: (rows, in)."""
    low, high = grid[:, :1], grid[:, -1:]
    width = high - low
    inf = torch.full_like(low, torch.inf)
    points = [grid, grid.nextafter(inf), grid.nextafter(-inf), low - width, high + width, low - 9 * width]
    return torch.cat([*points, high + 9 * width], dim=1).T


def agree(model, x, dtype=torch.float64, atol=None):
    got = lowered(model, dtype)(x.to(dtype) if x.is_floating_point() else x)
    with torch.no_grad():
        expected = model.eval()(x)
    atol = (1e-11 if dtype == torch.float64 else 1e-5) if atol is None else atol
    for y, m in zip(flat(got), flat(expected), strict=True):
        assert y.dtype == dtype
        scale = 1 + m.nan_to_num(0, 0, 0).abs().max() if m.numel() else 1.0
        torch.testing.assert_close(y.double(), m.double(), rtol=0, atol=float(atol * scale), equal_nan=True)


def flat(outputs):
    return [outputs] if isinstance(outputs, torch.Tensor) else [t for part in outputs for t in flat(part)]


@pytest.mark.parametrize("extrapolation", EXTRAPOLATIONS)
@pytest.mark.parametrize("knots", ["clamped", "uniform"])
@pytest.mark.parametrize("degree", [0, 1, 2, 3, 5])
def test_splines_everywhere(degree, knots, extrapolation):
    for intervals in (1, 2, 5, RAMPS_UP_TO + 3):
        basis = BSpline(intervals, degree, knots, extrapolation)
        model = network([3, 2], seed=degree, basis=basis, residual="silu" if intervals == 5 else None)
        if intervals > 2:
            ew.adapt_grid_(model, samples(100, 3), adaptive=0.5 if intervals < 9 or degree % 2 else 0.0)
        x = torch.cat([samples(40, 3), special(model.layers[0].grid)])
        with torch.no_grad():
            largest = model(x).abs().max()
        agree(model, x, atol=1e-11 * 4**degree)
        bad = torch.tensor([[torch.nan, 0.1, 0.2], [0.1, torch.inf, 0.2], [0.1, 0.2, -torch.inf], [0.1, 0.2, 0.3]])
        got = lowered(model, torch.float64)(bad.double())
        assert got[:3].isnan().all(), largest
        assert got[3].isfinite().all()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_single_precision_far_from_zero(seed):
    """Knots such as 2000.1 are rounded in float32: the pieces belong to the rounded ones."""
    for intervals in (5, 40):
        model = network([2, 2], seed=seed, basis=BSpline(intervals, 3), residual=None, grid_range=(1999.9, 2001.3))
        x = (2000.6 + 0.9 * samples(200, 2, seed=seed, spread=1)).float().double()
        agree(model, x, torch.float32, atol=2e-6)
        units = Affine(torch.tensor([1.4, 1.4]).double().reciprocal(), torch.tensor([-1429.0, -1429.0]).double())
        scaled = network([2, 3, 1], seed=seed)
        scaled.input_affine = units
        agree(scaled, x, torch.float32, atol=5e-6)


@pytest.mark.parametrize("extrapolation", EXTRAPOLATIONS)
def test_steps_jump_at_the_same_single_precision_number(extrapolation):
    model = network([1, 1], basis=BSpline(7, 0, extrapolation=extrapolation), residual=None, grid_range=(-0.1, 0.1))
    near = model.layers[0].grid[0].float()
    x = torch.cat([near, near.nextafter(near + 1), near.nextafter(near - 1)])[:, None].double()
    agree(model, x, torch.float32, atol=1e-6)


@pytest.mark.parametrize("basis", [*BASES, Hinge(3)], ids=lambda basis: basis.name)
def test_every_basis(basis):
    model = network([3, (2, 1), 2], basis=basis)
    low, high = basis.span(model.layers[0].grid)
    x = torch.cat([samples(60, 3), low[None], high[None], special(model.layers[0].grid)])
    agree(model, x)
    bad = torch.tensor([[torch.nan, 0.1, 0.2], [0.1, torch.inf, 0.2], [0.1, 0.2, -torch.inf]], dtype=torch.float64)
    assert lowered(model, torch.float64)(bad).isnan().all()
    assert model(bad).isnan().all()


def test_silu_is_accurate_from_the_one_end_to_the_other():
    x = torch.linspace(-120, 120, 241)
    torch.testing.assert_close(residual_values("silu", x), torch.nn.functional.silu(x.double()).float())
    ends = torch.tensor([-torch.inf, torch.nan, torch.inf])
    torch.testing.assert_close(residual_values("silu", ends), ends * ends.sigmoid(), equal_nan=True)


BLOCKS = {
    "everything": (mixed, (3,)),
    "masked": (lambda: ew.surgery.remove_edge(network([3, 4, 2]), (0, 1, 2)), (3,)),
    "identity": (lambda: network([3, 2], residual="identity", bias=False), (3,)),
    "lotra": (lambda: trained_lotra(network([3, 4, 2])), (3,)),
    "slim": (lambda: slim(network([6, 8, 8]), ranks=(3, 3, 3)), (6,)),
    "slim with symbol": (lambda: ew.surgery.fix(slim(network([6, 8, 8]), ranks=(3, 3, 3)), (0, 1, 2), "sin"), (6,)),
    "conv1d": (lambda: conv(KANConv1d(2, 4, 3, padding=1, groups=2, stride=2)), (2, 9)),
    "conv2d": (lambda: conv(KANConv2d(2, 4, (3, 2), padding="same", padding_mode="reflect")), (2, 5, 6)),
    "conv2d chebyshev": (lambda: conv(KANConv2d(2, 4, 3, basis=ew.bases.Chebyshev(4), bottleneck=2)), (2, 5, 6)),
    "conv2d constant": (lambda: conv(KANConv2d(2, 2, 3, basis=BSpline(20, 2, extrapolation="zero"))), (2, 5, 6)),
    "conv2d with symbol": (lambda: ew.surgery.fix(conv(KANConv2d(2, 2, 2)), ("edges.0", 1, 1), "sin"), (2, 4, 4)),
    "conv3d": (lambda: conv(KANConv3d(1, 2, 2, dilation=2)), (1, 4, 3, 3)),
    "transposed 1d": (lambda: conv(KANConvTranspose1d(4, 2, 3, stride=2, padding=1, groups=2)), (4, 5)),
    "transposed 2d": (lambda: conv(KANConvTranspose2d(2, 2, 3, stride=2, output_padding=1)), (2, 3, 4)),
    "transposed 3d": (lambda: conv(KANConvTranspose3d(1, 2, 2, basis=BSpline(3, 0))), (1, 3, 2, 2)),
    "rational": (lambda: randomised(GroupRational(6, 3)), (6,)),
    "rational image": (lambda: randomised(GroupRational(4, 2, dim=1)), (4, 3, 3)),
    "feedforward": (lambda: randomised(KANFeedForward(4, 8, groups=2)), (4,)),
    "attention": (lambda: KANAttention(4, 2, BSpline(4, 2), generator=rng()), (5, 4)),
    "recurrent": (lambda: TKAN(3, 4, sublayers=2, generator=rng()), (4, 3)),
    "mixture": (lambda: MixtureOfKANs(3, 2, generator=rng()), (3,)),
    "tied": (lambda: tied(network([3, 3])), (3,)),
}


def conv(module):
    generator = rng(1)
    for p in module.parameters():
        p.data.normal_(0, 0.4, generator=generator)
    return module.double()


def randomised(module):
    generator = rng(2)
    for p in module.parameters():
        p.data += 0.3 * torch.randn(p.shape, generator=generator)
    return module.double()


def trained_lotra(model):
    model = add_lotra(model, (2, 2, 2), generator=rng())
    return randomised(model)


def tied(model):
    return nn.Sequential(model.layers[0], nn.Tanh(), model.layers[0])


@pytest.mark.parametrize("name", BLOCKS)
def test_every_layer(name):
    make, shape = BLOCKS[name]
    model = make().double().eval()
    before = {key: t.clone() for key, t in model.state_dict().items()}
    x = 2 * torch.randn((7, *shape), generator=rng(3), dtype=torch.float64)
    for rows in (7, 1, 0) if "conv" not in name and "image" not in name else (7, 1):
        agree(model, x[:rows])
    agree(model, x, torch.float32)
    assert all(torch.equal(t, before[key]) for key, t in model.state_dict().items())
    found = {type(module).__name__ for module in lowered(model).modules()}
    assert not found & {"KANLinear", "SlimKANLinear", "KAN", "GroupRational", "Affine"}


def test_a_language_model():
    config = GPTConfig(symbols=11, context=6, features=8, heads=2, layers=1, attention=BSpline(3, 2))
    model = KANGPT(config, generator=rng())
    agree(model.double(), torch.randint(0, 11, (2, 5), generator=rng()))


def test_a_layer_used_twice_stays_one():
    copy = lowered(tied(network([3, 3])))
    assert copy[0] is copy[2]


def test_symbols_that_are_undefined_leave_the_other_outputs_alone():
    model = network([2, 2], bias=False)
    for i, fn in enumerate(("log", "sin")):
        model = ew.surgery.fix(model, (0, 0, i), fn, (1.0, 0.0, 1.0, 0.0))
    for edge in ((0, 1, 0), (0, 1, 1)):
        model = ew.surgery.remove_edge(model, edge)
    x = torch.tensor([[-1.0, 0.5], [1.0, 0.5]], dtype=torch.float64)
    agree(model, x)
    assert lowered(model, torch.float64)(x)[0, 1].isfinite()
    assert isinstance(model.layers[0].symbolic, SymbolicEdges)


def test_a_layer_with_its_own_forward_pass_stays_as_it_is():
    class Doubled(ew.KANLinear):
        def forward(self, x):
            return 2 * super().forward(x)

    model = Doubled(2, 2, generator=rng(), dtype=torch.float64)
    agree(model, samples(5, 2))
    assert isinstance(lowered(model), Doubled)
