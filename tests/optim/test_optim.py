"""Laws of second-order training: Jacobians, normal equations, Levenberg-Marquardt, smoothing."""

import math
import sys

import numpy as np
import pytest
import scipy.interpolate
import torch
from torch.func import functional_call, hessian, jacrev

import edgewise as ew
from edgewise.bases import Chebyshev
from edgewise.nn import KANLinear, ProductNodes, SymbolicEdges
from edgewise.optim import (
    Network,
    NetworkLeastSquares,
    Parameters,
    Smoothing,
    edge_bands,
    get_loss,
    jacobian,
    levenberg_marquardt,
)
from edgewise.optim.local_equations import LocalEquations, layer_inputs
from edgewise.optim.regrid import _relative_fit, even_grid, regrid
from edgewise.optim.smoothing import order_on, roughness
from edgewise.optim.spline_values import values_and_slopes


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def samples(n, features, seed=0):
    return 2 * torch.rand(n, features, generator=generator(seed), dtype=torch.float64) - 1


def tangled():
    """Products, absent edges, symbols, residual rows, a layer without bias, two outputs."""
    mask = torch.ones(3, 7, dtype=torch.bool)
    mask[0, 1] = mask[1, 2] = mask[2, 5] = False
    basis = ew.BSpline(4, 3)
    g = generator(7)

    def layer(fan_in, fan_out, residual, bias, mask=None, symbolic=None):
        rows = basis.size + (residual is not None)
        return KANLinear.assemble(
            basis,
            residual,
            coef=torch.randn(fan_in, rows, fan_out, generator=g, dtype=torch.float64),
            grid=basis.init_grid(fan_in, -2, 2, dtype=torch.float64),
            mask=torch.ones(fan_in, fan_out, dtype=torch.bool) if mask is None else mask,
            bias=torch.randn(fan_out, generator=g, dtype=torch.float64) if bias else None,
            symbolic=symbolic,
        )

    lib = ew.nn.DEFAULT_LIBRARY
    affine = torch.tensor([[1.2, 0.3, 0.7, -0.1], [0.5, 0.1, -1.1, 0.4]], dtype=torch.float64)
    symbolic = SymbolicEdges([lib["sin"], lib["x^2"]], torch.tensor([0, 2]), torch.tensor([1, 5]), affine)
    first = layer(3, 7, "silu", True, mask, symbolic)
    return ew.KAN.assemble([first, ProductNodes(2, (2, 3)), layer(4, 3, None, False), layer(3, 2, "identity", True)])


def functional(model):
    """The model as a function of the flat vector, through functional_call: the oracle of every derivative."""
    names = dict(model.named_parameters())
    masks = {name: _where(model, name) for name in names}

    def f(theta, x):
        parameters, start = {}, 0
        for name, p in names.items():
            count = int(masks[name].sum())
            flat = torch.zeros(p.numel(), dtype=torch.float64)
            flat = flat.index_put((masks[name].flatten().nonzero()[:, 0],), theta[start : start + count])
            parameters[name] = flat.reshape(p.shape)
            start += count
        with ew.use_backend("reference"):
            return functional_call(model, parameters, (x,))

    return f


def _where(model, name):
    p = model.get_parameter(name)
    if not name.endswith("coef"):
        return torch.ones_like(p, dtype=torch.bool)
    return model.get_submodule(name.removesuffix(".coef")).mask[:, None].expand_as(p)


MODELS = {
    "tangled": tangled,
    "plain": lambda: ew.KAN([3, 4, 2], dtype=torch.float64, generator=generator(1)),
    "one layer": lambda: ew.KAN([3, 1], ew.BSpline(6, 5), residual=None, dtype=torch.float64, generator=generator(1)),
    "deep": lambda: ew.KAN([3, 2, 2, 2, 1], ew.BSpline(3, 7), dtype=torch.float64, generator=generator(1)),
    "constant": lambda: ew.KAN(
        [3, 2, 1], ew.BSpline(4, 3, extrapolation="constant"), dtype=torch.float64, generator=generator(1)
    ),
    "zero": lambda: ew.KAN(
        [3, 2, 1], ew.BSpline(4, 3, extrapolation="zero"), dtype=torch.float64, generator=generator(1)
    ),
    "polynomial": lambda: ew.KAN(
        [3, 2, 1], ew.BSpline(4, 2, "uniform", "polynomial"), dtype=torch.float64, generator=generator(1)
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_jacobian_is_that_of_autograd(name):
    model, x = MODELS[name](), 1.5 * samples(25, 3)
    network, numbers = Network.of(model)
    expected = jacrev(functional(model))(numbers.theta[0], x)
    torch.testing.assert_close(jacobian(network, numbers, x)[0], expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(network.values(numbers, x.T)[0].T, model(x).detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", ["mse", "huber", "cross_entropy"])
@pytest.mark.parametrize("name", MODELS)
def test_native_normal_equations_are_those_of_the_reference(name, loss):
    """Of three networks at once, with grids of their own behind the first layer, weights, and inputs outside."""
    network, start = Network.of(MODELS[name]())
    x, outputs, criterion = 1.5 * samples(150, 3), network.edges[-1].mask.shape[1], get_loss(loss)
    y = torch.arange(150) % outputs if criterion.labels else samples(150, outputs, 3)
    weights = torch.rand(150, generator=generator(4), dtype=torch.float64)
    theta = start.theta + 0.1 * torch.randn(3, start.theta.shape[1], generator=generator(5), dtype=torch.float64)
    scale = torch.tensor([1.0, 0.8, 1.3], dtype=torch.float64)[:, None, None]
    grids = (start.grids[0], *(g.sinh() * scale for g in start.grids[1:]))
    native = NetworkLeastSquares(network, grids, x, y, weights, criterion)
    with ew.use_backend("reference"):
        reference = NetworkLeastSquares(network, grids, x, y, weights, criterion)
    assert native._local is not None
    assert reference._local is None
    for ours, theirs in zip(native.normal_equations(theta), reference.normal_equations(theta), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12 * max(1.0, float(theirs.abs().max())))
    torch.testing.assert_close(native.losses(theta), reference.losses(theta), rtol=1e-12, atol=0)


@pytest.mark.parametrize("starts", [1, 3])
def test_a_loss_and_its_equations_take_one_pass_and_no_stale_one(starts, monkeypatch):
    network, numbers = Network.of(MODELS["plain"]())
    theta = numbers.theta.repeat(starts, 1) + samples(starts, network.parameters, 3)
    grids = tuple(g.expand(starts, -1, -1).contiguous() for g in numbers.grids)
    x, y = samples(200, 3), samples(200, 2, 1)
    passes = []
    forward = LocalEquations.forward
    monkeypatch.setattr(LocalEquations, "forward", lambda *a, **k: passes.append(1) or forward(*a, **k))
    problem = NetworkLeastSquares(network, grids, x, y, None, get_loss("mse"))
    for at in (theta, 2 * theta, theta):
        losses, equations = problem.losses(at), problem.normal_equations(at)
        fresh = NetworkLeastSquares(network, grids, x, y, None, get_loss("mse")).normal_equations(at)
        for found, expected in zip((losses, *equations), (fresh.loss, *fresh), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert len(passes) == 3 + 3
    theta.mul_(3)  # in place, after it was kept
    fresh = NetworkLeastSquares(network, grids, x, y, None, get_loss("mse"))
    torch.testing.assert_close(problem.losses(theta), fresh.losses(theta))


def test_native_normal_equations_on_many_samples_and_threads():
    """Several blocks, cells of one sample, and threads: the same sums."""
    model = ew.KAN([5, 3, 1], ew.BSpline(30, 3), dtype=torch.float64, generator=generator(1))
    network, start = Network.of(model)
    x, y = 1.1 * samples(9000, 5), samples(9000, 1, 2)
    found = []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            problem = NetworkLeastSquares(network, start.grids, x, y, None, get_loss("mse"))
            found.append(problem.normal_equations(start.theta))
    finally:
        torch.set_num_threads(threads)
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14 * float(theirs.abs().max()))
    with ew.use_backend("reference"):
        reference = NetworkLeastSquares(network, start.grids, x, y, None, get_loss("mse"))
    for ours, theirs in zip(found[0], reference.normal_equations(start.theta), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12 * float(theirs.abs().max()))


@pytest.mark.parametrize("backend", [None, "reference"])
def test_some_parameters_have_their_part_of_the_normal_equations(backend):
    network, start = Network.of(tangled())
    x, y, loss = samples(60, 3), samples(60, 2, 1), get_loss("mse")
    index = torch.randperm(network.parameters, generator=generator(2))[:40].sort().values
    with ew.use_backend(backend):
        whole = NetworkLeastSquares(network, start.grids, x, y, None, loss)
        part = NetworkLeastSquares(network, start.grids, x, y, None, loss, (start.theta[0], index))
    moved = start.theta[:, index] + 0.1
    full = start.theta.index_copy(1, index, moved)
    ours, theirs = part.normal_equations(moved), whole.normal_equations(full)
    torch.testing.assert_close(ours.gram, theirs.gram[:, index][:, :, index], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours.gradient, theirs.gradient[:, index], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(part.losses(moved), whole.losses(full))


def test_bases_that_are_not_local_take_the_reference():
    network, start = Network.of(ew.KAN([2, 1], Chebyshev(5), dtype=torch.float64, generator=generator()))
    problem = NetworkLeastSquares(network, start.grids, samples(9, 2), samples(9, 1), None, get_loss("mse"))
    assert problem._local is None


@pytest.mark.parametrize("degree", range(10))
@pytest.mark.parametrize("knots", ["clamped", "uniform"])
def test_values_and_slopes_are_those_of_the_basis(degree, knots):
    basis = ew.BSpline(4, degree, knots)
    grid = torch.tensor([[-1.0, -0.5, 0.0, 0.25, 1.0], [0.0, 1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    x = torch.cat([grid.T, samples(20, 2) * 3])
    value, slope = values_and_slopes(basis, x.T, grid)
    torch.testing.assert_close(value.permute(2, 0, 1), basis.evaluate(x, grid), rtol=1e-12, atol=1e-12)
    if degree > 0:
        torch.testing.assert_close(slope.permute(2, 0, 1), basis.derivative(x, grid, 1), rtol=1e-12, atol=1e-12)


TARGETS = {
    "mse": lambda n, out: torch.randn(n, out, generator=generator(3), dtype=torch.float64),
    "huber": lambda n, out: 5 * torch.randn(n, out, generator=generator(3), dtype=torch.float64),
    "bce": lambda n, out: torch.randint(2, (n, out), generator=generator(3)).double(),
    "poisson": lambda n, out: torch.randint(4, (n, out), generator=generator(3)).double(),
    "cross_entropy": lambda n, out: torch.randint(out, (n,), generator=generator(3)),
}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("weighted", [False, True])
def test_normal_equations_are_those_of_the_dense_jacobian(name, weighted, monkeypatch):
    model, x, loss = tangled(), samples(40, 3), get_loss(name)
    y = TARGETS[name](40, 2)
    w = torch.rand(40, generator=generator(5), dtype=torch.float64) if weighted else None
    network, numbers = Network.of(model)
    f = functional(model)
    j = jacrev(f)(numbers.theta[0], x)
    share = torch.full((40,), 1 / 40, dtype=torch.float64) if w is None else w / w.sum()
    factor = loss.factor(model(x).detach(), y)
    curvature = factor.transpose(1, 2) @ factor
    dense = torch.einsum("b,bop,bor,brq->pq", share, j, curvature, j)
    gradient = torch.func.grad(lambda t: loss(f(t, x), y, w))(numbers.theta[0])
    for block in (4_000_000, 1000):
        monkeypatch.setattr(sys.modules["edgewise.optim.jacobian"], "BLOCK", block)
        got = NetworkLeastSquares(network, numbers.grids, x, y, w, loss).normal_equations(numbers.theta)
        torch.testing.assert_close(got.gram[0], dense, rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(got.gradient[0], gradient, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(got.loss[0], loss(model(x), y, w).detach())


@pytest.mark.parametrize("name", ["mse", "bce", "poisson", "cross_entropy"])
def test_the_curvature_is_the_hessian_of_the_loss(name):
    loss, f, y = get_loss(name), samples(6, 3), TARGETS[name](6, 3)
    factor = loss.factor(f, y)
    for b in range(6):
        exact = hessian(lambda t, b=b: loss.values(t[None], y[b : b + 1])[0])(f[b])
        torch.testing.assert_close(factor[b].T @ factor[b], exact, rtol=1e-10, atol=1e-12)


def test_many_starts_are_that_many_networks():
    model, x = ew.KAN([2, 3, 1], residual=None, dtype=torch.float64, generator=generator(1)), samples(30, 2)
    y = samples(30, 1, seed=9)
    network, one = Network.of(model)
    theta = torch.randn(4, one.theta.shape[1], generator=generator(2), dtype=torch.float64)
    grids = (one.grids[0], one.grids[1] * torch.tensor([1.0, 2.0, 3.0, 0.5], dtype=torch.float64)[:, None, None])
    together = NetworkLeastSquares(network, grids, x, y, None, get_loss("mse")).normal_equations(theta)
    for s in range(4):
        alone = Parameters(theta, grids)[s : s + 1]
        single = NetworkLeastSquares(network, alone.grids, x, y, None, get_loss("mse")).normal_equations(alone.theta)
        for a, b in zip(together, single, strict=True):
            torch.testing.assert_close(a[s], b[0], rtol=1e-10, atol=1e-13)


def test_linear_least_squares_in_one_step():
    model = ew.KAN([2, 1], ew.BSpline(4, 3), residual=None, bias=False, dtype=torch.float64, generator=generator(1))
    x, y = samples(200, 2), samples(200, 1, seed=4)
    network, numbers = Network.of(model)
    problem = NetworkLeastSquares(network, numbers.grids, x, y, None, get_loss("mse"))
    end = levenberg_marquardt(problem, numbers.theta, 1, mu=0.0)
    j = jacobian(network, numbers, x)[0, :, 0]
    best = y - j @ torch.linalg.lstsq(j, y, driver="gelsd").solution
    assert float(end.losses) == pytest.approx(float(best.square().mean()), rel=1e-10)


def test_directions_without_data_do_not_move():
    model = ew.KAN([1, 1], ew.BSpline(8, 3), residual=None, dtype=torch.float64, generator=generator(1))
    x = samples(50, 1) / 2 - 0.5  # nothing in the right half of the grid
    network, numbers = Network.of(model)
    problem = NetworkLeastSquares(network, numbers.grids, x, x**2, None, get_loss("mse"))
    end = levenberg_marquardt(problem, numbers.theta, 30)
    assert float(end.losses) < 1e-12
    unseen = slice(7, 11)
    assert torch.equal(end.theta[0, unseen], numbers.theta[0, unseen])
    assert bool(end.theta.isfinite().all())


def test_a_start_without_slopes_stays_and_the_others_go_on():
    """sqrt has a value and no slope at 0: its Gram matrix is infinite, and no damping makes it regular."""
    symbol = SymbolicEdges(
        [ew.nn.DEFAULT_LIBRARY["sqrt"]], torch.tensor([0]), torch.tensor([0]), torch.ones(1, 4).double()
    )
    layer = KANLinear.assemble(
        ew.BSpline(2, 1),
        None,
        coef=torch.zeros(1, 3, 1, dtype=torch.float64),
        grid=ew.BSpline(2, 1).init_grid(1, dtype=torch.float64),
        mask=torch.zeros(1, 1, dtype=torch.bool),
        bias=None,
        symbolic=symbol,
    )
    network, numbers = Network.of(ew.KAN.assemble([layer]))
    x = torch.linspace(0, 1, 20, dtype=torch.float64)[:, None]
    theta = torch.tensor([[1.0, 0.0, 1.0, 1.0], [1.0, 0.5, 1.0, 1.0]], dtype=torch.float64)
    problem = NetworkLeastSquares(network, numbers.grids, x, (2 * x + 1).sqrt(), None, get_loss("mse"))
    found = levenberg_marquardt(problem, theta, 60)
    assert torch.equal(found.theta[0], theta[0])
    assert found.losses[1] < 1e-6


def test_the_loss_never_rises():
    model = ew.KAN([2, 3, 1], residual=None, dtype=torch.float64, generator=generator(1))
    x = samples(100, 2)
    y = torch.exp(torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2)
    network, numbers = Network.of(model)
    problem = NetworkLeastSquares(network, numbers.grids, x, y, None, get_loss("mse"))
    losses = [float(levenberg_marquardt(problem, numbers.theta, n).losses) for n in range(12)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-3 * losses[0]


def test_a_refit_keeps_the_function():
    x = 1.5 * samples(100, 2)
    for widths, residual, finer, tolerance in [
        ([2, 3, 1], None, ew.BSpline(20, 3), 1e-12),
        ([2, 1], "identity", ew.BSpline(10, 3), 1e-12),
        ([2, 1], "silu", ew.BSpline(40, 3), 1e-6),
    ]:
        model = ew.KAN(widths, residual=residual, dtype=torch.float64, generator=generator(1))
        network, numbers = Network.of(model)
        points = x if residual is None else x.clamp(-1, 1)
        grids = [even_grid(finer, g[..., 0], g[..., -1]) for g in numbers.grids]
        new, refitted = regrid(network, numbers, [finer] * len(grids), grids)
        before, after = network.values(numbers, points.T), new.values(refitted, points.T)
        torch.testing.assert_close(after, before, rtol=tolerance, atol=tolerance)
        assert all(edges.residual is None for edges in new.edges)


@pytest.mark.parametrize("knots", ["uniform", "clamped"])
@pytest.mark.parametrize(("intervals", "degree"), [(1, 1), (3, 3), (160, 5), (20, 9)])
def test_a_refit_returns_the_coefficients_of_a_spline(knots, intervals, degree):
    basis = ew.BSpline(intervals, degree, knots)
    points, inverse = _relative_fit(basis)
    design = basis.evaluate(points[:, None], basis.init_grid(1, 0.0, 1.0, dtype=torch.float64))[:, 0]
    rounding = 100 * torch.finfo(torch.float64).eps * float(torch.linalg.cond(design))
    torch.testing.assert_close(inverse @ design, torch.eye(basis.size).double(), rtol=0, atol=rounding)


def test_the_model_of_a_network_is_the_model():
    model = tangled()
    model.input_names = ("a", "b", "c")
    network, numbers = Network.of(model)
    back = network.model(numbers, 0, model, None, None)
    x = samples(20, 3)
    assert torch.equal(back(x), model(x))
    assert back.input_names == model.input_names


def test_smoothing_is_the_roughness_of_every_curve():
    model = tangled()
    network, numbers = Network.of(model)
    prior = Smoothing.weak(network, 1, 100)
    p = network.parameters
    dense = torch.zeros(1, p, p, dtype=torch.float64)
    prior.add_to(dense)
    theta = numbers.theta
    torch.testing.assert_close(prior.times(theta), theta @ dense[0])
    torch.testing.assert_close(prior.value(theta)[0], theta[0] @ dense[0] @ theta[0] / 2)
    expected, r = 0.0, roughness(ew.BSpline(4, 3))
    for layer, strength in zip([m for m in model.layers if isinstance(m, KANLinear)], prior.strengths, strict=True):
        for n, (j, i) in enumerate(layer.mask.nonzero().tolist()):
            c = layer.coef[j, :7, i].detach()
            expected += float(strength[0, n] * (c @ r @ c)) / 2
    assert float(prior.value(theta)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("order", "degree", "intervals"), [(2, 3, 4), (2, 3, 40), (4, 5, 3), (4, 9, 6), (2, 1, 5)])
@pytest.mark.parametrize("knots", ["uniform", "clamped"])
def test_roughness_is_the_integral_of_the_squared_derivative(order, degree, intervals, knots):
    basis = ew.BSpline(intervals, degree, knots)
    t = basis.full_knots(basis.init_grid(1, 0, 1, dtype=torch.float64))[0].numpy()
    m = order_on(basis, order)
    exact = np.zeros((basis.size, basis.size))
    if m <= degree:
        pieces = [scipy.interpolate.BSpline(t, row, degree).derivative(m) for row in np.eye(basis.size)]
        u, w = np.polynomial.legendre.leggauss(12)
        edges = np.linspace(0, 1, intervals + 1)
        points, weights = (edges[:-1, None] + (u + 1) / 2 / intervals).ravel(), np.tile(w / 2 / intervals, intervals)
        values = np.stack([piece(points) for piece in pieces])
        exact = (values * weights) @ values.T
    np.testing.assert_allclose(roughness(basis, order), exact, rtol=1e-9, atol=1e-11 * max(1.0, exact.max()))


@pytest.mark.parametrize("name", ["plain", "constant", "zero", "polynomial", "tangled"])
@pytest.mark.parametrize("most", [0, 10**6])
def test_what_a_layer_sees_is_what_the_layers_before_it_give(name, most, monkeypatch):
    monkeypatch.setattr("edgewise.optim.local_equations.DENSE", most)
    model, x = MODELS[name](), 2 * samples(300, 3)  # beyond the grids, too
    network, numbers = Network.of(model)
    found = iter(layer_inputs(network, numbers, x.T.contiguous()))
    with torch.no_grad(), ew.use_backend("reference"):
        for layer in model.layers:
            if isinstance(layer, KANLinear):
                torch.testing.assert_close(next(found)[0].T, x, rtol=1e-11, atol=1e-11)
            x = layer(x)


@pytest.mark.parametrize(("order", "degree", "null"), [(2, 3, 2), (4, 3, 2), (4, 5, 4), (4, 9, 4)])
def test_roughness_is_zero_on_polynomials_below_its_order_and_there_alone(order, degree, null):
    basis = ew.BSpline(6, degree, knots="clamped")
    values = torch.linalg.eigvalsh(roughness(basis, order))
    assert int((values < 1e-10 * values.max()).sum()) == null
    assert order_on(basis, order) == null
    t = torch.linspace(0, 1, 200, dtype=torch.float64)[:, None]
    rows = basis.evaluate(t, basis.init_grid(1, 0.0, 1.0, dtype=torch.float64))[:, 0]
    for power in range(null):
        c = torch.linalg.lstsq(rows, t**power).solution[:, 0]
        assert float(c @ roughness(basis, order) @ c) < 1e-12 * float(values.max())


def test_smoothing_never_pays():
    # A direction that it does not see must not bring a negative penalty by rounding, however far one goes along it.
    network, _ = Network.of(ew.KAN([1, 1], ew.BSpline(10, 9, knots="clamped"), residual=None, dtype=torch.float64))
    prior = Smoothing.constant(network, 1, 1e6)
    for shift in (1.0, 1e4, 1e8):
        assert float(prior.value(torch.full((1, network.parameters), shift, dtype=torch.float64))) >= 0


def test_evidence_finds_the_strength_and_forgets_it_without_noise():
    x = samples(300, 1)
    clean = torch.sin(3 * x)
    noisy = clean + 0.3 * torch.randn(300, 1, generator=generator(8), dtype=torch.float64)
    model = ew.KAN([1, 1], ew.BSpline(30, 3), residual=None, dtype=torch.float64, generator=generator(1))
    network, numbers = Network.of(model)

    def strength(y):
        prior, at = Smoothing.weak(network, 1, 300), numbers.theta
        problem = NetworkLeastSquares(network, numbers.grids, x, y, None, get_loss("mse"))
        for _ in range(8):
            end = levenberg_marquardt(problem, at, 10, prior=prior)
            at, prior = end.theta, prior.updated(end.theta, end.gram, end.losses, 300, False)
        error = (network.values(Parameters(at, numbers.grids), x.T)[0].T - clean).square().mean().sqrt()
        return float(prior.strengths[0]), float(error)

    with_noise, error = strength(noisy)
    without, exact = strength(clean)
    assert with_noise > 1e4 * without
    problem = NetworkLeastSquares(network, numbers.grids, x, noisy, None, get_loss("mse"))
    plain = Parameters(levenberg_marquardt(problem, numbers.theta, 40).theta, numbers.grids)
    assert error < 0.7 * float((network.values(plain, x.T)[0].T - clean).square().mean().sqrt())
    assert exact < 1e-5


def test_bands_are_those_of_linear_regression():
    x = samples(400, 2)
    basis = ew.BSpline(5, 3)
    model = ew.KAN([2, 1], basis, residual=None, bias=False, dtype=torch.float64, generator=generator(1))
    y = samples(400, 1, seed=4)
    network, numbers = Network.of(model)
    problem = NetworkLeastSquares(network, numbers.grids, x, y, None, get_loss("mse"))
    end = levenberg_marquardt(problem, numbers.theta, 2, mu=0.0)
    fitted = network.model(Parameters(end.theta, numbers.grids), 0, model, None, None)
    bands = edge_bands(fitted, x, y)["layers.0"]
    # The oracle: ordinary least squares on the centred columns of each input and an intercept.
    grid = basis.init_grid(2, dtype=torch.float64)
    phi = basis.evaluate(x, grid)
    mean = phi.mean(0)
    a = torch.cat([torch.ones(400, 1).double(), (phi - mean).flatten(1)], 1)
    rss = (fitted(x).detach() - y).square().sum()
    covariance = rss / (400 - torch.linalg.matrix_rank(a)) * torch.linalg.pinv(a.T @ a, rtol=1e-10)
    for j in range(2):
        block = covariance[1 + 8 * j : 9 + 8 * j, 1 + 8 * j : 9 + 8 * j]
        at = basis.evaluate(bands.points, grid)[:, j] - mean[j]
        torch.testing.assert_close(bands.std[:, j, 0], ((at @ block) * at).sum(-1).sqrt(), rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(bands.values[:, j, 0], at @ fitted.layers[0].coef[j, :, 0].detach())


def test_many_inputs_of_few_nodes_take_the_dense_product():
    """A pair of inputs costs a sort, whatever is summed then."""
    for widths, local in ([100, 1, 1], False), ([12, 5, 1], True), ([2, 5, 1], True):
        network, start = Network.of(ew.KAN(widths, ew.BSpline(10, 5), residual=None, dtype=torch.float64))
        x, y = samples(5, widths[0]), samples(5, 1)
        problem = NetworkLeastSquares(network, start.grids, x, y, None, get_loss("mse"))
        assert (problem._local is not None) == local, widths
