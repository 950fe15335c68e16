"""The native kernels are optional copies of the reference: equal in value and in three derivative orders."""

import threading

import pytest
import torch
from scipy.interpolate import BSpline as ScipySpline

from edgewise import BSpline
from edgewise.kernels import EdgeSpec, autograd, edge_sum, reference, use_backend
from edgewise.kernels.cpu import layer, load

pytestmark = pytest.mark.skipif(load.library() is None, reason=str(load.why_not()))

TOLERANCE = {torch.float32: 3e-5, torch.float64: 1e-12}


def problem(batch, features, out, spec, dtype=torch.float64, adapted=False, seed=0):
    """x with knots, both ends, points outside and far outside; coef, grid, g and h to go with it."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    grid = spec.basis.init_grid(features, -1.0, 1.0, dtype=torch.float64)
    if adapted:
        steps = torch.rand(grid.shape, generator=generator, dtype=torch.float64) + 0.1
        grid = steps.cumsum(-1) / steps.sum(-1, keepdim=True) * 2 - 1
    x = draw(batch, features) * 0.7
    points = torch.cat([grid, grid[:, :1] - 50, grid[:, -1:] + 1e3, grid[:, -1:] + 0.1], dim=1).T[:batch]
    x[: len(points)] = points
    coef, g, h = draw(features, spec.size, out), draw(batch, out), draw(batch, features)
    # Inputs are placed on the break points as they are in the tested precision.
    grid, x = grid.to(dtype), x.to(dtype)
    x[: min(batch, grid.shape[1])] = grid.T[:batch]
    return x, coef.to(dtype), grid, g.to(dtype), h.to(dtype)


def assert_close(actual, expected, dtype):
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    scale = expected.abs().amax().clamp(min=1) if expected.numel() else 1
    torch.testing.assert_close(actual.double() / scale, expected / scale, rtol=0, atol=TOLERANCE[dtype])


def assert_contractions_agree(problem, spec, dtype):
    x, coef, grid, g, h = problem
    x64, coef64, grid64, g64, h64 = (t.double() for t in problem)
    for weight, weight64 in ((None, None), (h, h64)):
        expected = reference.edge_sum(x64, coef64, grid64, spec, weight64)
        assert_close(layer.edge_sum(x, coef, grid, spec, weight), expected, dtype)
        outer = reference.edge_outer(g64, x64, grid64, spec, weight64)
        assert_close(layer.edge_outer(g, x, grid, spec, weight), outer, dtype)
        dx = reference.edge_pull(g64, x64, coef64, grid64, spec.differentiated())
        dx = dx if weight is None else dx * weight64
        found = layer.edge_gradients(g, x, coef, grid, spec, weight, bias=coef[0, 0])
        for actual, wanted in zip(found, (dx, outer, g64.sum(0)), strict=True):
            assert_close(actual, wanted, dtype)
    assert_close(layer.edge_pull(g, x, coef, grid, spec), reference.edge_pull(g64, x64, coef64, grid64, spec), dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("knots", ["clamped", "uniform"])
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_every_degree_and_order(degree, order, knots, dtype):
    for residual in (None, "identity", "silu"):
        for adapted in (False, True):
            spec = EdgeSpec(BSpline(6, degree, knots), residual, order)
            assert_contractions_agree(problem(150, 3, 19, spec, dtype, adapted), spec, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("out", [1, 3, 16, 48, 65, 1000])
@pytest.mark.parametrize("batch", [0, 1, 7, 1500])
def test_ragged_sizes(batch, out, dtype):
    spec = EdgeSpec(BSpline(5, 3), "silu")
    for features in (1, 2, 17):
        assert_contractions_agree(problem(batch, features, out, spec, dtype), spec, dtype)


@pytest.mark.parametrize("intervals", [1, 2, 31, 32, 33, 200])
def test_every_number_of_intervals(intervals):
    spec = EdgeSpec(BSpline(intervals, 3), "silu")
    for adapted in (False, True):
        p = problem(700, 4, 20, spec, torch.float64, adapted)
        assert_contractions_agree(p, spec, torch.float64)


@pytest.mark.slow
def test_a_million_samples():
    spec = EdgeSpec(BSpline(5, 3), "silu")
    p = problem(1_000_000, 2, 3, spec, torch.float64)
    assert_contractions_agree(p, spec, torch.float64)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_agrees_with_scipy(order):
    spec = EdgeSpec(BSpline(7, 3), None, order)
    x, coef, grid, _, _ = problem(300, 1, 5, spec)
    x = x.clamp(grid[0, 0], grid[0, -1])
    spline = ScipySpline(spec.basis.full_knots(grid)[0].numpy(), coef[0].numpy(), 3)
    expected = torch.from_numpy(spline(x[:, 0].numpy(), nu=order))
    torch.testing.assert_close(layer.edge_sum(x, coef, grid, spec), expected, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("intervals", [5, 50])
@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_a_bad_input_gives_nan_in_its_row_only(order, intervals, bad):
    spec = EdgeSpec(BSpline(intervals, 3), "silu", order)
    x, coef, grid, g, _ = problem(200, 3, 20, spec)
    x[77, 1] = bad
    y = layer.edge_sum(x, coef, grid, spec)
    assert y[77].isnan().all()
    assert y[torch.arange(200) != 77].isfinite().all()
    pulled = layer.edge_pull(g, x, coef, grid, spec)
    assert pulled[77, 1].isnan()
    assert pulled.isnan().sum() == 1


def test_bias_is_added():
    spec = EdgeSpec(BSpline(5, 3), "silu")
    for out in (1, 20, 64, 100):
        x, coef, grid, g, _ = problem(130, 3, out, spec)
        y = layer.edge_sum(x, coef, grid, spec, bias=g[0])
        torch.testing.assert_close(y, layer.edge_sum(x, coef, grid, spec) + g[0], rtol=1e-12, atol=1e-12)


def test_inputs_of_any_layout():
    spec = EdgeSpec(BSpline(5, 3), "silu")
    x, coef, grid, g, h = problem(60, 4, 6, spec)
    y = layer.edge_sum(x, coef, grid, spec, h)
    spread = lambda t: torch.stack([t, t], -1)[..., 0]
    assert not spread(x).is_contiguous()
    assert torch.equal(layer.edge_sum(spread(x), spread(coef), grid.T.contiguous().T, spec, h.T.contiguous().T), y)
    folded = layer.edge_sum(x.view(3, 4, 5, 4), coef, grid, spec, h.view(3, 4, 5, 4))
    assert torch.equal(folded.view(60, 6), y)
    assert torch.equal(layer.edge_outer(spread(g), spread(x), grid, spec), layer.edge_outer(g, x, grid, spec))
    assert layer.edge_sum(x[0], coef, grid, spec).shape == (6,)


def test_a_changed_grid_is_noticed():
    spec = EdgeSpec(BSpline(5, 3), "silu")
    x, coef, grid, _, _ = problem(60, 4, 6, spec)
    layer.edge_sum(x, coef, grid, spec)
    grid.mul_(1.5)
    torch.testing.assert_close(layer.edge_sum(x, coef, grid, spec), reference.edge_sum(x, coef, grid, spec))


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("features", [1, 2, 40])
def test_deterministic_at_every_number_of_threads(threads, features):
    spec = EdgeSpec(BSpline(5, 3), "silu")
    p = problem(500, features, 70, spec, torch.float64)
    x, coef, grid, g, _ = p
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert_contractions_agree(p, spec, torch.float64)
        first = layer.edge_sum(x, coef, grid, spec), *layer.edge_gradients(g, x, coef, grid, spec)[:2]
        second = layer.edge_sum(x, coef, grid, spec), *layer.edge_gradients(g, x, coef, grid, spec)[:2]
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_two_threads_with_two_models():
    spec = EdgeSpec(BSpline(5, 3), "silu")
    problems = [problem(400, 20, 33 * (seed + 1), spec, seed=seed) for seed in (0, 1)]
    expected = [layer.edge_sum(*p[:3], spec) for p in problems]
    wrong = []

    def work(p, y):
        for _ in range(30):
            if not torch.equal(layer.edge_sum(*p[:3], spec), y):
                wrong.append(p)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(problems, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_derivatives_of_every_kind():
    spec = EdgeSpec(BSpline(4, 4), "silu")
    x, coef, grid, _, h = problem(9, 2, 3, spec)
    x = torch.rand_like(x) * 1.8 - 0.9
    inputs = [t.requires_grad_() for t in (x, coef, h)]
    f = lambda x, coef, h: autograd.edge_sum(layer, x, coef, grid, spec, h)
    assert torch.autograd.gradcheck(f, inputs)
    assert torch.autograd.gradgradcheck(f, inputs)
    tangents = tuple(torch.randn_like(t) for t in inputs)
    plain = lambda x, coef, h: reference.edge_sum(x, coef, grid, spec, h)
    _, tangent = torch.func.jvp(f, tuple(inputs), tangents)
    _, expected = torch.func.jvp(plain, tuple(inputs), tangents)
    torch.testing.assert_close(tangent, expected)
    per_sample = torch.vmap(torch.func.jacrev(lambda t: f(t, coef, None)))(x)
    by_reference = torch.vmap(torch.func.jacrev(lambda t: plain(t, coef, None)))(x)
    torch.testing.assert_close(per_sample, by_reference)


def test_dispatch_chooses_the_kernel_and_says_why_not():
    spec = EdgeSpec(BSpline(5, 3), "silu")
    x, coef, grid, _, _ = problem(5, 2, 3, spec)
    assert layer.refuses(spec, x) is None
    assert "degree" in layer.refuses(EdgeSpec(BSpline(5, 7)), x)
    assert "linear" in layer.refuses(EdgeSpec(BSpline(5, 3, extrapolation="zero")), x)
    assert "order" in layer.refuses(spec._replace(order=4), x)
    assert "float16" in layer.refuses(spec, x.half())
    with use_backend("cpu"), pytest.raises(ValueError, match="cannot be used"):
        edge_sum(x, coef, grid, spec._replace(order=4))
