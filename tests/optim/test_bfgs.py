"""Self-scaled BFGS against functions whose minima are known."""

import torch

from edgewise.optim.bfgs import _update_, self_scaled_bfgs


def with_gradient(f):
    def objective(x):
        x = x.detach().requires_grad_()
        value = f(x)
        (g,) = torch.autograd.grad(value, x)
        return value.item(), g

    return objective


def test_the_estimate_satisfies_the_secant_equation_and_stays_symmetric():
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(6, 6, dtype=torch.float64, generator=generator)
    A = A @ A.T + torch.eye(6)
    s = torch.randn(6, dtype=torch.float64, generator=generator)
    H, y = torch.eye(6, dtype=torch.float64), A @ s
    _update_(H, s, y, float(s @ s))
    torch.testing.assert_close(H @ y, s)
    torch.testing.assert_close(H, H.T)
    assert (torch.linalg.eigvalsh(H) > 0).all()


def test_an_ill_conditioned_bowl_is_solved_to_rounding():
    scale = torch.logspace(0, 6, 20, dtype=torch.float64)
    target = torch.linspace(-1, 1, 20, dtype=torch.float64)
    x = self_scaled_bfgs(
        with_gradient(lambda x: (scale * (x - target) ** 2).sum()), torch.zeros(20, dtype=torch.float64), 400
    )
    torch.testing.assert_close(x, target, atol=1e-8, rtol=0)


def test_rosenbrock():
    f = with_gradient(lambda x: (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())
    start = -torch.ones(10, dtype=torch.float64)
    x = self_scaled_bfgs(f, start, 300)
    torch.testing.assert_close(x, torch.ones(10, dtype=torch.float64), atol=1e-7, rtol=0)
    assert start.unique().tolist() == [-1]


def test_it_ends_where_nothing_can_be_gained():
    f = with_gradient(lambda x: (x**2).sum())
    assert self_scaled_bfgs(f, torch.zeros(3, dtype=torch.float64), 10).abs().sum() == 0
