"""Moving curves to other grids and bases: refine, change_basis, adapt_grid_."""

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn
from zoo import BASES, SEEDS, mixed, network, rng, same_tensors, samples, tensors

import edgewise as ew
from edgewise import BSpline, KANLinear
from edgewise.bases import Chebyshev, Gaussian
from edgewise.nn import Adapter

close = torch.testing.assert_close
KNOTS = st.sampled_from(["clamped", "uniform"])
OUTSIDE = st.sampled_from(["linear", "constant", "zero"])


@settings(max_examples=40)
@given(
    intervals=st.integers(1, 6),
    factor=st.integers(1, 4),
    degree=st.integers(0, 5),
    knots=KNOTS,
    outside=OUTSIDE,
    adaptive=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 1000),
)
def test_refine_by_a_multiple_keeps_the_function(intervals, factor, degree, knots, outside, adaptive, seed):
    model = network([2, 3, 1], seed=seed, basis=BSpline(intervals, degree, knots, outside))
    x = torch.cat([samples(80, 2, seed=seed), torch.tensor([[-1.0, 1.0]]).double()])
    ew.adapt_grid_(model, x, adaptive=adaptive)
    before = tensors(model)
    fine = ew.refine(model, factor * intervals)
    assert fine.layers[0].basis == BSpline(factor * intervals, degree, knots, outside)
    assert same_tensors(before, tensors(model))
    scale = 1 + model(x).abs().max().item()
    if degree > 0:
        close(fine(x), model(x), rtol=0, atol=1e-9 * scale)
    else:  # pieces of degree 0 jump: a hidden value that rounds across a jump is another one
        values = model.layers[0].edge_values(x)
        close(fine.layers[0].edge_values(x), values, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("seed", SEEDS)
def test_refine_many_times_as_the_papers_do(seed):
    model = network([2, 5, 1], seed=seed, dtype=torch.float32)
    x = samples(500, 2, seed=seed, dtype=torch.float32)
    fine = ew.refine(model, 200)
    assert (fine(x) - model(x)).abs().max() < 5e-5
    assert fine.layers[0].coef.dtype == torch.float32


@pytest.mark.parametrize("seed", SEEDS)
def test_refine_to_no_multiple_is_close_and_coarsening_is_least_squares(seed):
    smooth = network([1, 1], seed=seed, basis=BSpline(40, 3), residual=None)
    points = torch.linspace(-1, 1, 400, dtype=torch.float64)[:, None]
    target = torch.sin(3 * points)
    coef = ew.functional.fit_curves(points, target[..., None], smooth.layers[0].grid, smooth.layers[0].basis)
    smooth.layers[0].coef.data.copy_(coef)
    errors = [(ew.refine(smooth, n)(points) - smooth(points)).abs().max().item() for n in (5, 10, 20)]
    assert errors[0] < 0.01
    assert all(fine < coarse / 8 for coarse, fine in itertools.pairwise(errors)), errors


@pytest.mark.parametrize("basis", BASES, ids=lambda basis: basis.name)
def test_refine_and_change_basis_of_every_family(basis):
    model, x = network([2, 3], basis=basis), samples(60, 2, spread=1.0)
    finer = basis.resized(2 * basis.size)
    fine = ew.refine(model, 2 * basis.size)
    assert fine.layers[0].basis == finer
    assert fine.layers[0].coef.shape == (2, finer.size + 1, 3)
    other = ew.surgery.change_basis(model, BSpline(60, 5))
    assert (other(x) - model(x)).abs().max() < 1e-4
    back = ew.surgery.change_basis(other, basis)
    assert back.layers[0].basis == basis
    assert back(x).isfinite().all()


@settings(max_examples=20)
@given(degree=st.integers(0, 4), raised=st.integers(1, 4), seed=st.integers(0, 1000))
def test_a_polynomial_piece_has_every_higher_degree(degree, raised, seed):
    model = network([2, 2], seed=seed, basis=BSpline(1, degree, extrapolation="polynomial"))
    higher = ew.surgery.change_basis(model, BSpline(1, degree + raised, extrapolation="polynomial"))
    x = samples(50, 2, seed=seed)
    scale = 1 + model(x).abs().max().item()
    close(higher(x), model(x), rtol=0, atol=1e-8 * scale)
    line = ew.surgery.change_basis(higher, Chebyshev(degree + raised))
    inside = x / 2
    close(line(inside), model(inside), rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_else_is_carried(seed):
    model, x = mixed(seed=seed), samples(40, 3, seed=seed)
    before = tensors(model)
    fine = ew.refine(model, 10)
    close(fine(x), model(x), rtol=1e-10, atol=1e-10)
    assert same_tensors(before, tensors(model))
    assert fine.input_names == model.input_names
    assert fine.training is model.training is False
    assert fine.layers[2].bias.requires_grad is False
    assert [str(fn) for fn in fine.layers[0].symbolic.functions] == [
        str(fn) for fn in model.layers[0].symbolic.functions
    ]
    same = {"mask", "bias", "symbolic.affine", "symbolic.sources", "symbolic.targets"}
    kept = {name: t for name, t in before.items() if name.split(".", 2)[-1] in same or "affine" in name}
    assert same_tensors(kept, {name: t for name, t in tensors(fine).items() if name in kept})


@pytest.mark.parametrize("adaptive", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("basis", BASES, ids=lambda basis: basis.name)
def test_adapting_keeps_every_parameter(basis, adaptive):
    model, x = network([2, 3, 1], basis=basis), samples(200, 2)
    identities = {name: (id(p), p.shape) for name, p in model.named_parameters()}
    ew.adapt_grid_(model, x, adaptive=adaptive, margin=0.1)
    assert {name: (id(p), p.shape) for name, p in model.named_parameters()} == identities
    assert ew.tracing.outside_grid(ew.trace(model, x))["layers.0"] == 0
    assert model(x).isfinite().all()


@pytest.mark.parametrize("adaptive", [0.0, 0.5])
@pytest.mark.parametrize("seed", SEEDS)
def test_adapting_keeps_a_smooth_function(seed, adaptive):
    model = network([2, 2], seed=seed, basis=BSpline(20, 3), grid_range=(-2, 2))
    points = torch.linspace(-2, 2, 400, dtype=torch.float64)[:, None].expand(-1, 2)
    target = torch.stack([torch.sin(points), torch.exp(-points.square())], -1)
    layer = model.layers[0]
    layer.coef.data[:, :-1] = ew.functional.fit_curves(points, target, layer.grid, layer.basis)
    x = 0.9 * samples(300, 2, seed=seed)
    before = model(x)
    ew.adapt_grid_(model, x, adaptive=adaptive)
    assert (model(x) - before).abs().max() < 2e-4
    once = model(x)
    grid = layer.grid.clone()
    ew.adapt_grid_(model, x, adaptive=adaptive)
    close(layer.grid, grid, rtol=1e-12, atol=1e-12)
    close(model(x), once, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("far", [30.0, 1e6])
@pytest.mark.parametrize("adaptive", [0.0, 1.0])
@pytest.mark.parametrize("intervals", [5, 20])
def test_one_far_sample_does_not_cost_the_function_at_the_others(intervals, adaptive, far):
    model = network([2, 1], basis=BSpline(intervals, 3))
    layer = model.layers[0]
    layer.coef.data += 0.5 * torch.randn(layer.coef.shape, generator=rng(3), dtype=torch.float64)
    plain, x = copy.deepcopy(model), samples(500, 2, spread=1.0)
    before = model(x)
    without = ew.adapt_grid_(plain, x, adaptive=adaptive)["layers.0"]
    x[0, 0] = far
    change = ew.adapt_grid_(model, x, adaptive=adaptive)["layers.0"]
    moved = (model(x) - before).detach()[1:].square().mean().sqrt() / before.detach()[1:].std(correction=0)
    assert float(moved) == pytest.approx(change, rel=0.05)
    assert change < 2.5 * without + 1e-3 < 0.3


def test_a_constant_feature_keeps_its_grid():
    layer = KANLinear(2, 2, generator=rng(), dtype=torch.float64)
    x = samples(50, 2)
    x[:, 0] = 0.3
    grid, y = layer.grid.clone(), layer(x)[:, 0]
    ew.adapt_grid_(layer, x, adaptive=1.0)
    assert torch.equal(layer.grid[0], grid[0])
    assert layer.grid[1, 0] == x[:, 1].min()
    assert layer(x).isfinite().all()
    assert y.isfinite().all()


def test_bad_samples_change_nothing():
    model = network([2, 2, 1])
    before = tensors(model)
    x = samples(20, 2)
    x[3, 1] = torch.nan
    with pytest.raises(ValueError, match=r"layer 'layers.0': its inputs are not all finite"):
        ew.adapt_grid_(model, x)
    with pytest.raises(ValueError, match="has no samples"):
        ew.adapt_grid_(model, x[:0])
    assert same_tensors(before, tensors(model))


def test_hidden_coefficients_of_absent_edges_do_no_harm():
    model = ew.surgery.remove_edge(network([2, 2]), (0, 0, 1))
    with torch.no_grad():
        model.layers[0].coef[0, :, 1] = torch.nan
    x = samples(50, 2)
    fine = ew.refine(model, 10)
    close(fine(x), model(x), rtol=1e-10, atol=1e-10)
    ew.adapt_grid_(model, x)
    assert model(x).isfinite().all()


def test_inside_any_module_and_through_an_optimiser():
    net = nn.Sequential(
        nn.Linear(2, 3), KANLinear(3, 2, Gaussian(6), generator=rng()), KANLinear(2, 1, generator=rng())
    )
    x = samples(100, 2, dtype=torch.float32)
    fine = ew.refine(net, 12)
    assert [layer.basis.size for layer in fine[1:]] == [12, 15]
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(3):
        optimiser.zero_grad()
        net(x).square().mean().backward()
        optimiser.step()
        ew.adapt_grid_(net, x)
    assert net(x).isfinite().all()
    with pytest.raises(ValueError, match="Linear has no KANLinear layer"):
        ew.refine(nn.Linear(2, 2), 5)


class Shift(Adapter):
    """An adapter that adds the same number to every coefficient."""

    def __init__(self):
        super().__init__()
        self.delta = nn.Parameter(torch.tensor(0.1, dtype=torch.float64))

    def forward(self):
        return self.delta


def test_an_adapter_is_carried_or_named_as_the_reason():
    model, x = network([2, 3, 1]), samples(30, 2)
    model.layers[0].adapter = Shift()
    before = tensors(model)
    cut = ew.surgery.remove_edge(model, (0, 0, 0))
    assert cut.layers[0].adapter is not model.layers[0].adapter
    close(cut.layers[0].edge_values(x)[:, 1:], model.layers[0].edge_values(x)[:, 1:])
    fixed = ew.surgery.fix(model, (0, 1, 1), "sin")
    close(fixed.layers[0].edge_values(x)[:, 0], model.layers[0].edge_values(x)[:, 0])
    dead = ew.surgery.remove_edge(model, (1, 0, 0))
    for change in (
        lambda: ew.refine(model, 10),
        lambda: ew.surgery.change_basis(model, BSpline(5, 4)),
        lambda: ew.adapt_grid_(model, x),
        lambda: ew.surgery.widen(model, [2, 4, 1]),
        lambda: ew.compact(dead),
        lambda: ew.surgery.release(fixed, (0, 1, 1), x),
        lambda: ew.save(model, "never-written.safetensors"),
    ):
        with pytest.raises(ValueError, match="merge"):
            change()
    assert same_tensors(before, tensors(model))
