"""Taylor mode equals nested autograd and finite differences."""

import itertools

import pytest
import torch
from torch import nn

from edgewise import jets, use_backend
from edgewise.bases import BSpline, Chebyshev, Gaussian
from edgewise.nn import DEFAULT_LIBRARY, KAN, Affine, KANLinear, SymbolicEdges

ORDER_4 = [a for a in itertools.product(range(5), repeat=2) if sum(a) <= 4]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def double(model):
    for p in model.parameters():
        nn.init.normal_(p, std=0.4, generator=generator(3))
    return model


def with_symbols():
    layer = KANLinear(2, 2, BSpline(4, 5), dtype=torch.float64, generator=generator())
    mask = layer.mask.clone()
    mask[0, 1] = mask[1, 0] = False
    symbols = SymbolicEdges(
        [DEFAULT_LIBRARY["tanh"], DEFAULT_LIBRARY["x^3"]],
        torch.tensor([0, 1]),
        torch.tensor([1, 0]),
        torch.tensor([[1.2, 0.1, 0.7, -0.2], [0.8, 0.3, -0.5, 0.1]], dtype=torch.float64),
    )
    first = KANLinear.assemble(
        layer.basis, "silu", coef=layer.coef, grid=layer.grid, mask=mask, bias=layer.bias, symbolic=symbols
    )
    last = KANLinear(2, 1, BSpline(3, 6), dtype=torch.float64, generator=generator(1))
    scale = Affine(torch.tensor([0.5, 2.0], dtype=torch.float64), torch.tensor([0.1, -0.2], dtype=torch.float64))
    return KAN.assemble([first, last], input_affine=scale)


def kan(widths, basis, residual="silu"):
    return KAN(widths, basis, residual=residual, dtype=torch.float64, generator=generator())


def mlp(activation, inputs=2):
    layers = [nn.Linear(inputs, 7), activation, nn.Linear(7, 6), activation, nn.Linear(6, 2)]
    return double(nn.Sequential(*layers).double())


MODELS = {
    "spline": lambda: kan([2, 5, 1], BSpline(6, 5)),
    "spline without residual": lambda: kan([2, 3, 3, 2], BSpline(4, 6), None),
    "gaussian": lambda: kan([2, 4, 1], Gaussian(5)),
    "chebyshev": lambda: kan([2, 3, 1], Chebyshev(4), None),
    "products": lambda: kan([2, (2, [2, 3]), 1], BSpline(5, 5)),
    "symbols": with_symbols,
    "tanh": lambda: mlp(nn.Tanh()),
    "sine": lambda: mlp(jets.Sine()),
    "silu": lambda: mlp(nn.SiLU()),
}


def points(n=7, d=2):
    return torch.rand(n, d, dtype=torch.float64, generator=generator(5)) * 1.8 - 0.9


def nested(model, x, index, output=0):
    """A mixed derivative by reverse mode upon reverse mode."""
    x = x.clone().requires_grad_()
    u = model(x)[:, output]
    for j, n in enumerate(index):
        for _ in range(n):
            u = torch.autograd.grad(u.sum(), x, create_graph=True, allow_unused=True)[0][:, j]
    return u.detach()


def close(got, expected, tolerance=1e-9):
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance * max(1.0, expected.abs().max().item()))


@pytest.mark.parametrize("name", MODELS)
def test_every_mixed_derivative_to_order_four_is_that_of_nested_autograd(name):
    model, x = MODELS[name](), points()
    for index, got in zip(ORDER_4, jets.partial(model, x, *ORDER_4), strict=True):
        for output in range(got.shape[1]):
            close(got[:, output], nested(model, x, index, output))


@pytest.mark.parametrize("name", MODELS)
def test_operators_are_sums_of_nested_derivatives(name):
    model, x = MODELS[name](), points()
    v = torch.randn(x.shape, dtype=torch.float64, generator=generator(9))
    H = {(j, k): nested(model, x, jets.plus(jets.unit(2, j), jets.unit(2, k))) for j in (0, 1) for k in (0, 1)}
    close(jets.gradient(model, x)[:, 0, 1], nested(model, x, (0, 1)))
    close(jets.laplacian(model, x)[:, 0], H[0, 0] + H[1, 1])
    close(jets.hessian_vector(model, x, v)[:, 0, 1], H[1, 0] * v[:, 0] + H[1, 1] * v[:, 1])
    close(jets.directional(model, x, v, 2)[:, 0], sum(H[j, k] * v[:, j] * v[:, k] for j, k in H))
    bilaplacian = nested(model, x, (4, 0)) + 2 * nested(model, x, (2, 2)) + nested(model, x, (0, 4))
    close(jets.bilaplacian(model, x)[:, 0], bilaplacian)


@pytest.mark.parametrize("name", ["spline", "products", "symbols", "sine"])
def test_derivatives_are_difference_quotients(name):
    model, x, h = MODELS[name](), points(), 1e-5
    e = torch.eye(2, dtype=torch.float64) * h
    close(jets.gradient(model, x)[..., 0], (model(x + e[0]) - model(x - e[0])) / (2 * h), 1e-7)
    slope = [jets.partial(model, x + s * e[1], (1, 0))[0] for s in (1, -1)]
    close(jets.partial(model, x, (1, 1))[0], (slope[0] - slope[1]) / (2 * h), 1e-6)


@pytest.mark.parametrize("batch", [(), (0,), (1,), (2, 3)])
def test_any_batch_shape(batch):
    model, x = MODELS["spline"](), torch.full((*batch, 2), 0.3, dtype=torch.float64)
    assert jets.laplacian(model, x).shape == (*batch, 1)
    assert jets.gradient(model, x).shape == (*batch, 1, 2)
    assert jets.partial(model, x, (2, 2))[0].shape == (*batch, 1)


@pytest.mark.parametrize("name", ["spline", "products", "symbols", "tanh"])
def test_derivatives_can_be_differentiated_in_the_parameters(name):
    model, x = MODELS[name](), points(4)

    def loss(values):
        return torch.func.functional_call(_Laplacian(model), {f"model.{k}": v for k, v in values.items()}, (x,)).sum()

    values = {k: v.detach() for k, v in model.named_parameters()}
    got = torch.func.grad(loss)(values)
    for k, gradient in got.items():
        flat = torch.zeros_like(values[k]).flatten()
        place = gradient.abs().flatten().argmax()
        flat[place] = 1e-5
        step = flat.view_as(values[k])
        quotient = (loss(values | {k: values[k] + step}) - loss(values | {k: values[k] - step})) / 2e-5
        close(gradient.flatten()[place], quotient, 1e-5)


class _Laplacian(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return jets.laplacian(self.model, x)


def test_the_two_algebras_agree_in_many_dimensions():
    model = kan([6, 4, 1], BSpline(5, 4))
    x = points(5, 6)
    axes = [jets.unit(6, j, 2) for j in range(6)]
    close(jets.laplacian(model, x), sum(jets.partial(model, x, *axes)))


def test_arithmetic_of_jets_is_arithmetic_of_functions():
    x = points() + 1.5
    u = jets.seed(x, jets.taylor([(3, 1), (0, 4)]))
    a, b = u[..., 0], u[..., 1]

    def f(a, b):
        return torch.sin(a * b) / (1 + b**2) + (2 - a) ** 1.5 * torch.exp(-b) - 3 / a + torch.sqrt(a) * x[0, 0]

    got = f(2 * a / 3, b)
    for index in [(0, 0), (3, 1), (0, 4), (1, 1), (2, 0)]:
        close(got.derivative(index), nested(lambda x: f(2 * x[:, :1] / 3, x[:, 1:]), x, index))


@pytest.mark.compile
@pytest.mark.parametrize("name", ["spline", "tanh"])
def test_a_compiled_laplacian_is_the_eager_one(name):
    model, x = MODELS[name](), points(16)
    compiled = torch.compile(lambda x: jets.laplacian(model, x), fullgraph=True, backend="aot_eager")
    close(compiled(x), jets.laplacian(model, x), 1e-12)


def test_what_a_jet_cannot_do_says_so():
    x = points()
    with pytest.raises(TypeError, match="no Taylor rule for a Dropout"):
        jets.laplacian(nn.Sequential(nn.Dropout()), x)
    u = jets.seed(x, jets.laplace(2))
    with pytest.raises(ValueError, match=r"does not carry the derivative \(2, 0\)"):
        u.derivative((2, 0))
    with pytest.raises(TypeError, match="sum of a jet is not known"):
        torch.sum(u)
    with pytest.raises(ValueError, match="one length"):
        jets.partial(MODELS["spline"](), x, (1, 0), (1,))


@pytest.mark.parametrize("widths", [[2, 5, 1], [2, 4, 3, 2]])
@pytest.mark.parametrize("residual", ["silu", None])
def test_the_native_sweep_is_the_reference(widths, residual):
    model, x = kan(widths, BSpline(6, 3), residual), points(50)
    model.input_affine = Affine(torch.tensor([0.5, 0.9], dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    model.output_affine = Affine(torch.full((widths[-1],), 3.0).double(), torch.ones(widths[-1]).double())
    operators = [
        lambda: jets.laplacian(model, x),
        lambda: torch.stack(jets.partial(model, x, (0, 0), (2, 0), (0, 2))),
        lambda: jets.gradient(model, x),
        lambda: jets.along_axes(model, x, jets.laplace(2, (1,))).laplacian(),
    ]
    for operator in operators:
        got = operator()
        slopes = torch.autograd.grad(got.square().sum(), list(model.parameters()))
        with use_backend("reference"):
            expected = operator()
            expected_slopes = torch.autograd.grad(expected.square().sum(), list(model.parameters()))
        close(got, expected)
        for a, b in zip(slopes, expected_slopes, strict=True):
            close(a, b)
