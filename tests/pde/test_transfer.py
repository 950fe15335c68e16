"""A solved problem is the start of a similar one, of which an adapter holds the difference."""

import math

import pytest
import torch
from lotra_zoo import same, state

from edgewise.adapters import adapter_names, add_lotra, merge, remove_adapter, save_adapter
from edgewise.adapters.state import load_adapter
from edgewise.pde import Box, BySize, Collocation, GaussNewton, Problem, QuasiNewton, dirichlet, initial, solve

pytestmark = pytest.mark.usefixtures("module_as_a_user")
FEW = Collocation(points=100)


def heat(diffusion):
    start = initial(lambda x: torch.sin(math.pi * x))
    return Problem(Box(x=(0, 1), t=(0, 1)), lambda u: u.dt - diffusion * u.dxx, [start, dirichlet(0.0)])


def exact(diffusion):
    return lambda p: torch.sin(math.pi * p[:, 0]) * torch.exp(-diffusion * math.pi**2 * p[:, 1])


@pytest.fixture(scope="module")
def base(module_as_a_user):
    return solve(heat(0.2), [3], GaussNewton(starts=1, steps=16, intervals=()), collocation=FEW)


@pytest.mark.parametrize(
    ("method", "form", "ranks", "better"),
    [
        (BySize(steps=10), "tucker", None, 0.1),
        (BySize(steps=10), "lora", 2, 0.1),
        (QuasiNewton("lbfgs", steps=10), "tucker", None, 0.6),
    ],
    ids=["full", "lora", "lbfgs"],
)
def test_an_adapter_learns_a_changed_problem_and_the_base_does_not_move(base, method, form, ranks, better, tmp_path):
    before, known = state(base.model), base.sample(200)
    model = add_lotra(base.model, ranks, form=form, generator=torch.Generator().manual_seed(0))
    solution = solve(heat(0.3), model, method, collocation=FEW)
    assert same(state(remove_adapter(solution.model, "default")), before)
    assert same(state(base.model), before)
    assert solution.error(exact(0.3), known) < better * base.error(exact(0.3), known)
    torch.testing.assert_close(heat(0.3).evaluate(merge(solution.model), known), solution(known))
    save_adapter(solution.model, tmp_path / "warmer.safetensors")
    again = load_adapter(base.model, tmp_path / "warmer.safetensors")
    assert adapter_names(again) == ("default",)
    torch.testing.assert_close(heat(0.3).evaluate(again, known), solution(known), rtol=0, atol=1e-12)


def test_what_is_frozen_is_not_drawn_anew(base):
    """Several starts would replace the coefficients that an adapter belongs to: there is one."""
    model = add_lotra(base.model)
    solution = solve(heat(0.3), model, GaussNewton(starts=4, steps=0), collocation=FEW)
    assert [stage.name for stage in solution.history] == ["search, 1 start", "3 intervals"]
