"""The study: every reference satisfies its equation and its conditions."""

import math

import pytest
import torch

from studies.pde.study import final_size, kan, tanh_mlp
from studies.problems.equations import (
    CASES,
    VISCOSITY,
    allen_cahn_spectral,
    burgers_exact,
    least_uncertainty,
    measured,
)

TABULATED = {"allen-cahn", "eigenvalue"}  # no formula to differentiate


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def derivatives_of(reference, x):
    x = x.clone().requires_grad_()
    values = reference(x).reshape(len(x), -1)

    def derivative(field, index):
        u = values[:, field]
        if index == ():
            return sum(derivative(field, tuple(2 * (j == k) for j in range(x.shape[1]))) for k in space)
        for j, n in enumerate(index):
            for _ in range(n):
                u = torch.autograd.grad(u.sum(), x, create_graph=True)[0][:, j]
        return u

    space = range(x.shape[1])
    return derivative, space


@pytest.mark.parametrize("case", [c for c in CASES if c.name not in TABULATED], ids=lambda c: c.name)
def test_every_reference_solves_its_problem(case):
    problem = case.problem(0)
    terms = problem.terms(40, 10, generator())
    start = problem.domain.coordinates.index("t") if "t" in problem.domain.coordinates else None
    for term in terms:
        if "observed" in term.name:
            continue
        x = term.points.flatten(0, 1)
        # Burgers' integral is singular at the start, the corner of the L at the corner.
        inside = x[:, start] > 0 if case.name.endswith("burgers") else torch.ones(len(x), dtype=torch.bool)
        inside &= x.norm(dim=-1) > 1e-3 if case.name == "l-shape" else inside
        x = x[inside]
        if len(x) == 0:
            continue
        derivative, _ = derivatives_of(case.reference, x)
        if start is not None:
            derivative = _over_space(derivative, x.shape[1], start)
        names = list(problem.fields)
        normals = None if term.normals is None else term.normals.flatten(0, 1)[inside]
        scope = problem.scope(x, normals, lambda f, a, d=derivative, n=names: d(n.index(f), a), case.unknowns, {})
        residual = term.residual(scope)
        for part in residual if isinstance(residual, tuple) else (residual,):
            assert part.abs().max() < 1e-6 * _scale(case)


def _over_space(derivative, d, time):
    def over(field, index):
        if index != ():
            return derivative(field, index)
        return sum(derivative(field, tuple(2 * (j == k) for j in range(d))) for k in range(d) if k != time)

    return over


def _scale(case):
    """Steep solutions have large terms that cancel."""
    return {"burgers": 1e4, "inverse-burgers": 1e4, "helmholtz": 1e2, "wave": 1e3, "wave-characteristics": 1e3}.get(
        case.name, 1.0
    )


def test_the_spectral_reference_starts_as_given_and_stays_even():
    # The start has a corner at the ends of the period, where its Fourier series converges slowly.
    x = torch.linspace(-0.9, 0.9, 101, dtype=torch.float64)
    start = torch.stack([x, torch.zeros_like(x)], -1)
    torch.testing.assert_close(allen_cahn_spectral(start), x**2 * torch.cos(math.pi * x), rtol=0, atol=5e-5)
    later = torch.stack([x, torch.full_like(x, 0.7)], -1)
    torch.testing.assert_close(allen_cahn_spectral(later), allen_cahn_spectral(later * torch.tensor([-1.0, 1.0])))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_the_mlp_has_the_size_of_the_kan(case):
    problem = case.problem(0)
    parameters = final_size(case, kan(case, problem, 0))
    size = sum(p.numel() for p in tanh_mlp(problem, parameters, 0).parameters())
    assert abs(size / parameters - 1) < 0.1


def test_an_unknown_is_found_as_well_as_the_bound_says_and_no_better():
    errors = []
    for seed in range(20):
        x, values = measured(seed, 1e-3)
        nu = VISCOSITY
        for _ in range(3):  # Gauss-Newton on the exact solution
            slope = (burgers_exact(x, nu * 1.001) - burgers_exact(x, nu * 0.999)) / 0.002
            nu *= 1 + float(slope @ (values - burgers_exact(x, nu)) / slope.square().sum())
        errors.append((nu / VISCOSITY - 1) / least_uncertainty(seed, 1e-3))
    assert 0.6 < torch.tensor(errors).square().mean().sqrt() < 1.5  # 20 draws of a chi: three standard deviations
