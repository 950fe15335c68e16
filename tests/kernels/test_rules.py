"""The derivative rules agree with plain autodiff of the reference, in every mode and order."""

import contextlib
from functools import partial

import pytest
import torch
from scipy.interpolate import BSpline as ScipySpline
from torch.autograd import gradcheck, gradgradcheck
from torch.func import hessian, jacrev, jvp, vmap
from zoo import BASES, network, rng, samples

from edgewise import BSpline, use_backend
from edgewise.kernels import Backend, EdgeSpec, autograd, reference, register_backend

IN, OUT, BATCH = 2, 3, 4
plain = reference.edge_sum
rules = partial(autograd.edge_sum, reference)
every_basis = pytest.mark.parametrize("basis", BASES, ids=lambda basis: basis.name)
every_residual = pytest.mark.parametrize("residual", [None, "silu", "identity"])
close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)

asked_for = [False]


class Rules:
    """The reference as a kernel, so that the derivative rules are used."""

    edge_sum, edge_pull, edge_outer = (
        staticmethod(f) for f in (reference.edge_sum, reference.edge_pull, reference.edge_outer)
    )

    @staticmethod
    def refuses(spec, x):
        return None if asked_for[0] else "it serves tests alone"


register_backend(Backend("rules", Rules()))


@contextlib.contextmanager
def the_rules():
    asked_for[0] = True
    try:
        with use_backend("rules"):
            yield
    finally:
        asked_for[0] = False


def problem(basis, residual=None, order=0, seed=0):
    """x inside and outside the grid and never on a knot, coefficients, grid, functions and weights h."""
    spec = EdgeSpec(basis, residual, order)
    generator = rng(seed)
    x = torch.rand(BATCH, IN, generator=generator, dtype=torch.float64) * 1.8 - 0.93
    x[0] = torch.tensor([-1.37, 1.61])
    coef = torch.randn(IN, spec.size, OUT, generator=generator, dtype=torch.float64)
    h = torch.randn(BATCH, IN, generator=generator, dtype=torch.float64)
    return x, coef, basis.init_grid(IN, dtype=torch.float64), spec, h


def wanting(*tensors):
    return tuple(t.clone().requires_grad_() for t in tensors)


@every_basis
@every_residual
def test_first_and_second_derivatives_agree_with_finite_differences(basis, residual):
    x, coef, grid, spec, h = problem(basis, residual)

    def f(x, c, h):
        return rules(x, c, grid, spec, h)

    assert gradcheck(f, wanting(x, coef, h), atol=1e-5, rtol=1e-4, fast_mode=True)
    assert gradgradcheck(f, wanting(x, coef, h), atol=1e-4, rtol=1e-3, fast_mode=True)


@every_basis
def test_pull_and_outer_are_differentiable_twice(basis):
    x, coef, grid, spec, h = problem(basis)
    g = torch.randn(BATCH, OUT, generator=rng(5), dtype=torch.float64)

    def pull(g, x, c):
        return autograd.edge_pull(reference, g, x, c, grid, spec)

    def outer(g, x, h):
        return autograd.edge_outer(reference, g, x, grid, spec, h)

    for f, inputs in ((pull, (g, x, coef)), (outer, (g, x, h))):
        assert gradcheck(f, wanting(*inputs), atol=1e-5, rtol=1e-4, fast_mode=True)
        assert gradgradcheck(f, wanting(*inputs), atol=1e-3, rtol=1e-3, fast_mode=True)


@every_basis
@every_residual
def test_third_derivative_in_x_then_gradient_in_the_coefficients(basis, residual):
    x, coef, grid, spec, _ = problem(basis, residual)
    x, coef = wanting(x, coef)
    y = rules(x, coef, grid, spec).sum()
    for _ in range(3):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (got,) = torch.autograd.grad(y.sum(), coef)
    third = reference.design(x.detach(), grid, spec._replace(order=3)).sum(0)
    close(got, third[..., None].expand_as(coef), rtol=1e-8, atol=1e-7)


def test_derivatives_of_splines_agree_with_scipy():
    basis = BSpline(5, 3)
    x, coef, grid, spec, _ = problem(basis)
    x = wanting(x[1:])[0]
    knots = basis.full_knots(grid)[0].numpy()
    y = rules(x, coef, grid, spec)
    for order in range(4):
        oracle = sum(
            torch.tensor(ScipySpline(knots, coef[j].numpy(), 3).derivative(order)(x[:, j].detach().numpy()))
            for j in range(IN)
        )
        total = (
            y.detach()
            if order == 0
            else torch.stack([_nth(x, coef[..., i : i + 1], grid, spec, order) for i in range(OUT)], 1)
        )
        close(total, oracle)


def _nth(x, coef, grid, spec, order):
    y = rules(x, coef, grid, spec).sum(-1)
    for _ in range(order):
        (d,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        y = d.sum(-1)
    return y.detach()


@every_basis
@every_residual
@pytest.mark.parametrize("order", [0, 1])
def test_rules_equal_plain_autodiff_in_every_mode(basis, residual, order):
    x, coef, grid, spec, h = problem(basis, residual, order)
    tx, tc, th = (torch.randn(t.shape, generator=rng(9), dtype=torch.float64) for t in (x, coef, h))

    def modes(edge_sum):
        def f(x, c, h):
            return edge_sum(x, c, grid, spec, h)

        def scalar(x, c, h):
            return f(x, c, h).square().sum()

        yield f(x, coef, h)
        yield torch.func.grad(scalar, argnums=(0, 1, 2))(x, coef, h)
        yield jvp(f, (x, coef, h), (tx, tc, th))
        yield jvp(lambda x: jvp(lambda x: f(x, coef, h), (x,), (tx,))[1], (x,), (tx,))
        yield jvp(lambda c: jvp(lambda x: f(x, c, h), (x,), (tx,))[1], (coef,), (tc,))
        yield jacrev(f, argnums=(0, 1))(x, coef, h)
        yield hessian(scalar, argnums=(0, 1))(x, coef, h)
        yield jvp(torch.func.grad(scalar), (x, coef, h), (tx, tc, th))
        yield edge_sum(x, coef, grid, spec)

    for ours, theirs in zip(modes(rules), modes(plain), strict=True):
        close(ours, theirs, rtol=1e-8, atol=1e-8)


@every_basis
def test_vmap_over_inputs_coefficients_and_both(basis):
    x, coef, grid, spec, h = problem(basis)
    xs, cs, hs = (torch.stack([t, 2 * t / 3, -t]) for t in (x, coef, h))
    for dims, args in (
        ((0, None, None), (xs, coef, h)),
        ((None, 0, None), (x, cs, h)),
        ((0, 0, 0), (xs, cs, hs)),
        ((1, None, None), (xs.movedim(0, 1), coef, h)),
    ):
        got = vmap(lambda x, c, h: rules(x, c, grid, spec, h), dims)(*args)
        rows = [torch.unbind(a, d) if d is not None else [a] * 3 for a, d in zip(args, dims, strict=True)]
        close(got, torch.stack([plain(*row[:2], grid, spec, row[2]) for row in zip(*rows, strict=True)]))


@every_basis
def test_per_sample_gradients(basis):
    x, coef, grid, spec, _ = problem(basis)

    def loss(edge_sum, c, x):
        return edge_sum(x[None], c, grid, spec).square().sum()

    ours, theirs = (vmap(torch.func.grad(partial(loss, f)), (None, 0))(coef, x) for f in (rules, plain))
    close(ours, theirs)

    def pull(f, x):
        return torch.func.grad(lambda x: f(x[None], coef, grid, spec).square().sum())(x)

    close(vmap(partial(pull, rules))(x), vmap(partial(pull, plain))(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@every_basis
def test_low_precision_stays_in_its_dtype_and_near_double(basis, dtype):
    x, coef, grid, spec, h = problem(basis, "silu")
    low = [t.to(dtype) for t in (x, coef, h)]
    wide = [t.double() for t in low]
    got = rules(low[0], low[1], grid.to(dtype), spec, low[2])
    assert got.dtype == dtype
    exact = plain(wide[0], wide[1], grid.to(dtype).double(), spec, wide[2])
    size = reference.edge_sum(wide[0], wide[1].abs(), grid.to(dtype).double(), spec, wide[2].abs()).abs().max() + 1
    assert ((got.double() - exact).abs() / size).max() < 40 * torch.finfo(dtype).eps


@every_basis
def test_a_network_computes_the_same_under_the_rules(basis):
    model, x = network([2, 3, 1], basis=basis), samples(6, 2)
    with the_rules():
        ours = torch.autograd.grad(model(x).sum(), list(model.parameters()))
    with use_backend("reference"):
        theirs = torch.autograd.grad(model(x).sum(), list(model.parameters()))
    close(ours, theirs)


def test_a_backend_that_refuses_is_not_used_silently():
    with use_backend("rules"), pytest.raises(ValueError, match="'rules' was asked for"):
        network([2, 1])(samples(3, 2))
    with pytest.raises(ValueError, match="unknown backend 'gpu'"), use_backend("gpu"):
        pass
    with pytest.raises(ValueError, match="registered already"):
        register_backend(Backend("rules"))


@pytest.mark.parametrize("shape", [(0,), (1,), (0, 5), (2, 0, 3)])
def test_empty_batches_have_derivatives(shape):
    _, coef, grid, spec, _ = problem(BSpline())
    x, coef = wanting(torch.zeros(*shape, IN, dtype=torch.float64), coef)
    y = rules(x, coef, grid, spec)
    assert y.shape == (*shape, OUT)
    dx, dc = torch.autograd.grad(y.sum(), (x, coef))
    assert dx.shape == x.shape
    assert torch.isfinite(dc).all()
