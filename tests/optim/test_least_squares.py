"""Laws of Levenberg-Marquardt, whatever the problem: optimum, descent, invariance, refused steps, many starts."""

import math

import pytest
import scipy.optimize
import torch

from edgewise.optim import LeastSquares, NormalEquations, ResidualLeastSquares, RowwiseLeastSquares, levenberg_marquardt
from edgewise.progress import Budget

DAMPINGS = ("identity", "diagonal")


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


T = torch.linspace(0, 2, 60, dtype=torch.float64)
NOISY = 3 * torch.exp(-1.5 * T) + 0.2 + 0.01 * drawn(60, seed=3)


def decay(theta):
    """A curve of three parameters against noisy samples of it."""
    return theta[0] * torch.exp(-theta[1] * T) + theta[2] - NOISY


STARTS = torch.tensor([[1.0, 1.0, 0.0], [2.0, 0.2, 1.0], [5.0, 3.0, -1.0]], dtype=torch.float64)


@pytest.mark.parametrize("damping", DAMPINGS)
def test_a_linear_problem_takes_one_step_without_damping(damping):
    A, b = drawn(20, 4), drawn(20, seed=1)
    end = levenberg_marquardt(
        ResidualLeastSquares(lambda c: A @ c - b), torch.zeros(1, 4).double(), 1, damping=damping, mu=0.0
    )
    torch.testing.assert_close(end.theta[0], torch.linalg.lstsq(A, b[:, None]).solution[:, 0])
    assert end.steps == 1


def test_the_normal_equations_of_a_residual_are_those_of_autograd():
    at = ResidualLeastSquares(decay).normal_equations(STARTS)
    for s, theta in enumerate(STARTS):
        J = torch.func.jacrev(decay)(theta)
        gradient = torch.func.grad(lambda t: decay(t).square().mean())(theta)
        torch.testing.assert_close(at.gram[s], 2 * J.T @ J / 60)
        torch.testing.assert_close(at.gradient[s], gradient)
        torch.testing.assert_close(at.loss[s], decay(theta).square().mean())


def test_residuals_without_a_parameter_or_without_all_of_them_have_zero_columns():
    at = ResidualLeastSquares(lambda t: t[1] * T - NOISY).normal_equations(STARTS)
    assert not at.gram[:, [0, 2]].any()
    torch.testing.assert_close(at.gram[:, 1, 1], (2 * T.square().mean()).expand(3))
    still = ResidualLeastSquares(lambda _: NOISY).normal_equations(STARTS)
    assert not still.gram.any()
    assert not still.gradient.any()


@pytest.mark.parametrize("damping", DAMPINGS)
def test_the_minimum_is_that_of_scipy(damping):
    end = levenberg_marquardt(ResidualLeastSquares(decay), STARTS, 60, damping=damping, tolerance=1e-12)
    oracle = scipy.optimize.least_squares(
        lambda p: decay(torch.from_numpy(p)).numpy(), STARTS[0].numpy(), xtol=1e-14, ftol=1e-14, gtol=1e-14
    )
    best = torch.from_numpy(oracle.x).expand(3, 3)
    torch.testing.assert_close(end.theta, best, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(end.losses, torch.full((3,), 2 * oracle.cost / 60, dtype=torch.float64))


@pytest.mark.parametrize("damping", DAMPINGS)
def test_no_loss_rises(damping):
    problem = ResidualLeastSquares(decay)
    losses = torch.stack([levenberg_marquardt(problem, STARTS, n, damping=damping).losses for n in range(12)])
    assert bool((losses.diff(dim=0) <= 0).all())
    assert bool((losses[-1] < 1e-2 * losses[0]).all())


def test_damping_by_the_diagonal_is_blind_to_the_units_of_parameters_and_by_the_identity_is_not():
    units = torch.tensor([1e-3, 1.0, 1e2], dtype=torch.float64)

    def ends(damping):
        plain = levenberg_marquardt(ResidualLeastSquares(decay), STARTS, 4, damping=damping)
        scaled = levenberg_marquardt(
            ResidualLeastSquares(lambda c: decay(c * units)), STARTS / units, 4, damping=damping
        )
        return plain.theta, scaled.theta * units

    torch.testing.assert_close(*ends("diagonal"), rtol=1e-6, atol=1e-8)
    plain, scaled = ends("identity")
    assert not torch.allclose(plain, scaled, rtol=1e-2)


@pytest.mark.parametrize("damping", DAMPINGS)
def test_many_starts_are_that_many_runs(damping):
    problem = ResidualLeastSquares(decay)
    together = levenberg_marquardt(problem, STARTS, 9, damping=damping, patience=100)
    for s in range(3):
        alone = levenberg_marquardt(problem, STARTS[s : s + 1], 9, damping=damping, patience=100)
        torch.testing.assert_close(together.theta[s], alone.theta[0], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(together.mu[s], alone.mu[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("damping", DAMPINGS)
def test_a_step_out_of_the_domain_is_refused(damping):
    """From 0.5 a full step for log(theta) = -5 goes to a negative theta, where the residual is not defined."""
    target = torch.tensor(-5.0, dtype=torch.float64)
    problem = ResidualLeastSquares(lambda c: (torch.log(c) - target).expand(3))
    start = torch.tensor([[0.5]], dtype=torch.float64)
    first = levenberg_marquardt(problem, start, 1, damping=damping, mu=1e-6)
    assert torch.equal(first.theta, start)
    end = levenberg_marquardt(problem, start, 60, damping=damping, mu=1e-6, patience=60, target=1e-24)
    assert float(end.theta) == pytest.approx(math.exp(-5), rel=1e-9)


@pytest.mark.parametrize("damping", DAMPINGS)
def test_a_start_where_nothing_is_defined_stays_and_the_others_move(damping):
    problem = ResidualLeastSquares(lambda c: torch.log(c * (1 + T)) - T)
    start = torch.tensor([[-1.0], [0.5]], dtype=torch.float64)
    end = levenberg_marquardt(problem, start, 20, damping=damping)
    assert torch.equal(end.theta[0], start[0])
    assert end.losses[1] < problem.losses(start)[1]


@pytest.mark.parametrize("damping", DAMPINGS)
def test_a_parameter_that_nothing_depends_on_does_not_move(damping):
    problem = ResidualLeastSquares(lambda c: c[0] * T - 2 * T + 0 * c[1])
    start = torch.tensor([[0.0, 7.0]], dtype=torch.float64)
    end = levenberg_marquardt(problem, start, 30, damping=damping)
    assert float(end.theta[0, 0]) == pytest.approx(2)
    assert float(end.theta[0, 1]) == 7.0


def test_it_ends_at_the_target_when_patience_or_the_time_is_up_and_after_the_last_step():
    problem = ResidualLeastSquares(decay)
    assert levenberg_marquardt(problem, STARTS, 0).steps == 0
    assert levenberg_marquardt(problem, STARTS, 3).steps == 3
    assert levenberg_marquardt(problem, STARTS, 50, budget=Budget(0)).steps == 1
    assert levenberg_marquardt(problem, STARTS, 50, target=1e3).steps == 1
    patient = levenberg_marquardt(problem, STARTS, 50, patience=3)
    assert 3 < patient.steps < 50
    assert levenberg_marquardt(problem, patient.theta, 50, patience=3).steps == 3


def test_the_damping_of_one_run_starts_the_next():
    problem = ResidualLeastSquares(decay)
    for damping in DAMPINGS:
        first = levenberg_marquardt(problem, STARTS, 3, damping=damping)
        split = levenberg_marquardt(problem, first.theta, 3, damping=damping, mu=first.mu)
        assert bool((split.losses <= first.losses).all())
        assert bool((first.mu < 1e-3).any())


def test_a_quadratic_prior_is_more_rows_of_the_residual():
    A, b, strength = drawn(20, 4), drawn(20, seed=1), 0.7

    class Ridge:
        def value(self, theta):
            return strength * theta.square().sum(-1) / 2

        def times(self, theta):
            return strength * theta

        def add_to(self, gram):
            gram.diagonal(dim1=1, dim2=2).add_(strength)

    problem = ResidualLeastSquares(lambda c: A @ c - b)
    end = levenberg_marquardt(problem, torch.zeros(1, 4).double(), 20, prior=Ridge())
    ridge = torch.linalg.solve(2 * A.T @ A / 20 + strength * torch.eye(4), 2 * A.T @ b / 20)
    torch.testing.assert_close(end.theta[0], ridge, rtol=1e-6, atol=1e-8)


def test_whatever_has_losses_and_normal_equations_is_a_least_squares_problem():
    class Parabola:
        def losses(self, theta):
            return (theta - 3).square().sum(-1) - 100  # an energy may be negative

        def normal_equations(self, theta):
            eye = torch.eye(theta.shape[1], dtype=theta.dtype).expand(len(theta), -1, -1)
            return NormalEquations(2 * eye, 2 * (theta - 3), self.losses(theta))

    problem = Parabola()
    assert isinstance(problem, LeastSquares)
    end = levenberg_marquardt(problem, torch.zeros(2, 3).double(), 20, patience=20)
    torch.testing.assert_close(end.theta, torch.full((2, 3), 3.0).double())


def test_rows_of_one_sample_each_give_the_same_equations():
    """Reverse mode over samples with parameters of their own against forward mode; a parameter without effect, too."""
    x = torch.linspace(0.1, 2.0, 30, dtype=torch.float64)
    theta = torch.tensor([[0.7, 1.3, 0.2], [2.0, -0.4, 0.1]], dtype=torch.float64)

    def rows(t):
        return torch.stack([t[:, 0] * torch.exp(t[:, 1] * x), torch.sin(t[:, 0] * x)], -1) - 1

    def flat(t):
        return rows(t.expand(30, 3)).flatten()

    ours, theirs = RowwiseLeastSquares(rows, 30), ResidualLeastSquares(flat)
    for a, b in zip(ours.normal_equations(theta), theirs.normal_equations(theta), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(ours.losses(theta), theirs.losses(theta))
    constant = RowwiseLeastSquares(lambda t: torch.ones(30, 1, dtype=torch.float64), 30).normal_equations(theta)
    assert not constant.gram.any()
