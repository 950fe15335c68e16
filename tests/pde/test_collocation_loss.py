"""The Jacobian of residuals equals automatic differentiation of the whole thing."""

import math

import pytest
import torch
from lotra_zoo import SOME, shaken
from torch import nn

from edgewise.adapters import add_lotra
from edgewise.bases import BSpline
from edgewise.jets import Sine
from edgewise.nn import DEFAULT_LIBRARY, KAN, KANLinear, SymbolicEdges
from edgewise.pde import Box, Problem, dirichlet, initial, neumann, observe, periodic, robin
from edgewise.pde.collocation_loss import CollocationLoss


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def kan(widths):
    return KAN(widths, BSpline(4, 5), dtype=torch.float64, generator=generator())


def symbols_and_products():
    first = KANLinear(2, 4, BSpline(3, 5), dtype=torch.float64, generator=generator())
    mask = first.mask.clone()
    mask[0, 1] = mask[1, 3] = False
    symbol = SymbolicEdges(
        [DEFAULT_LIBRARY["sin"]], torch.tensor([0]), torch.tensor([1]), torch.tensor([[1.1, 0.2, 0.5, 0.1]])
    ).double()
    first = KANLinear.assemble(
        first.basis, "silu", coef=first.coef, grid=first.grid, mask=mask, bias=first.bias, symbolic=symbol
    )
    model = KAN([2, (2, 1), 1], BSpline(3, 5), dtype=torch.float64, generator=generator())
    return KAN.assemble([first, *list(model.layers)[1:]])


def adapted():
    """An update of low rank in every layer; only its factors, and one bias, are trained."""
    model = add_lotra(kan([2, 4, 1]), SOME, also_train=["layers.1.bias"], generator=generator(1))
    return shaken(model)


MODELS = {
    "adapted": adapted,
    "adapted in full": lambda: shaken(add_lotra(kan([2, 3, 1]), "full")),
    "kan": lambda: kan([2, 3, 1]),
    "symbols and products": symbols_and_products,
    "tanh": lambda: nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1)).double(),
    "sine": lambda: nn.Sequential(nn.Linear(2, 4), Sine(), nn.Linear(4, 4), Sine(), nn.Linear(4, 1)).double(),
}

BOX = Box(x=(-1, 1), t=(0, 1))
PROBLEMS = {
    "burgers with unknown viscosity": Problem(
        BOX,
        lambda u, nu, t: u.dt + u * u.dx - nu * u.dxx + torch.sin(t),
        [
            initial(lambda x: x**2, rate=0.5),
            robin(lambda x: 1 + x, 2.0, 0.3, "x-"),
            neumann(lambda t, nu: nu * t, "x+"),
            observe(torch.rand(5, 2, dtype=torch.float64, generator=generator()), torch.arange(5.0)),
        ],
        unknowns={"nu": 0.3},
    ),
    "periodic, features, ansatz": Problem(
        BOX,
        lambda u: u.laplacian + u.dt * u**2,
        [periodic("x", order=2)],
        features=lambda x, t: (torch.sin(math.pi * x), t),
        ansatz=lambda u, x, t: x + t * torch.exp(-x) * u,
    ),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_jacobian_is_that_of_forward_mode(model, problem):
    model, problem = MODELS[model](), PROBLEMS[problem]
    terms = problem.terms(6, 4, generator())
    fitting = CollocationLoss(problem, model, terms)
    theta = fitting.theta(dict(problem.unknowns))
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    names = list(trained)

    def residuals(theta, term):
        parts = theta.split([p.numel() for p in trained.values()] + [1] * len(problem.unknowns))
        values = {n: v.view_as(p) for n, v, p in zip(names, parts, trained.values(), strict=False)}
        unknowns = {n: v[0] for n, v in zip(problem.unknowns, parts[len(names) :], strict=True)}
        wrapped = _Residuals(problem, model, term, unknowns)
        return torch.func.functional_call(wrapped, {f"model.{n}": v for n, v in values.items()}, ())

    for term in terms:
        r, J = fitting.jacobian(theta, term)
        torch.testing.assert_close(r, residuals(theta[0], term).detach())
        expected = torch.autograd.functional.jacobian(lambda t, term=term: residuals(t, term), theta[0])
        torch.testing.assert_close(J, expected, rtol=1e-9, atol=1e-9)


class _Residuals(nn.Module):
    def __init__(self, problem, model, term, unknowns):
        super().__init__()
        self.model, self.rest = model, (problem, term, unknowns)

    def forward(self):
        problem, term, unknowns = self.rest
        return problem.residuals(self.model, term, unknowns)


def test_normal_equations_are_those_of_the_jacobian_whatever_the_blocks(monkeypatch):
    problem, model = PROBLEMS["burgers with unknown viscosity"], kan([2, 3, 1])
    fitting = CollocationLoss(problem, model, problem.terms(40, 10, generator()))
    theta = fitting.theta({"nu": 0.3})
    fitting.balance(theta, most=50.0)
    gram, gradient, loss = fitting.normal_equations(theta)
    expected_gram, expected_gradient, expected_loss = 0, 0, 0
    for term in fitting.terms:
        r, J = (part.flatten(0, 1) for part in fitting.jacobian(theta, term))
        w = term.weight / term.points.shape[1]
        expected_gram, expected_gradient = expected_gram + 2 * w * J.T @ J, expected_gradient + 2 * w * J.T @ r
        expected_loss = expected_loss + w * r.square().sum()
    torch.testing.assert_close(gram[0], expected_gram)
    torch.testing.assert_close(gradient[0], expected_gradient)
    torch.testing.assert_close(loss[0], expected_loss)
    torch.testing.assert_close(loss, fitting.losses(theta))
    monkeypatch.setattr("edgewise.pde.collocation_loss.BLOCK", 1000)
    for got, whole in zip(fitting.normal_equations(theta), (gram, gradient, loss), strict=True):
        torch.testing.assert_close(got, whole)


def test_balanced_weights_lie_between_one_and_the_bound_and_given_ones_stay():
    problem = Problem(
        Box(x=(-1, 1), y=(-1, 1)), lambda u: u.laplacian, [dirichlet(0.0, weight=7.0), neumann(1.0, "x-")]
    )
    fitting = CollocationLoss(problem, kan([2, 3, 1]), problem.terms(50, 20, generator()))
    fitting.balance(fitting.theta({}), most=20.0)
    equation, given, balanced = (term.weight for term in fitting.terms)
    assert (equation, given) == (1.0, 7.0)
    assert 1 <= balanced <= 20
