"""A family of problems is solved along its parameter, and steps that fail are halved."""

import math

import pytest
import torch

from edgewise.pde import Box, Problem, ProblemError, Surfaces, dirichlet, follow, following, initial, periodic, solve

METHOD = Surfaces(tolerance=1e-3, steps=10, most=200)


def layer(width: float) -> Problem:
    """Of Burgers' steady equation: $u = -\\tanh(x / w)$, which is odd."""
    end = -math.tanh(1 / width)
    return Problem(Box(x=(0, 1)), lambda u: width / 2 * u.dxx - u * u.dx, [dirichlet(0.0, "x-"), dirichlet(end, "x+")])


def bratu(strength: float) -> Problem:
    """$u'' = -\\lambda e^u$, which has solutions up to 3.5138 alone."""
    return Problem(Box(x=(0, 1)), lambda u: u.dxx + strength * torch.exp(u.value), [dirichlet(0.0)])


def test_thin_layers_are_reached_along_thick_ones():
    widths = (0.5, 0.1, 0.02)
    found = follow(layer, widths, method=METHOD)
    for width, solution in zip(widths, found, strict=True):
        assert solution.solved
        assert solution.error(lambda x, w=width: -torch.tanh(x[:, 0] / w), solution.sample(500)) < 1e-3
    assert len(found[-1].history) < 6  # it begins with the grid before


@pytest.mark.slow
def test_beyond_a_fold_nothing_is_found_and_the_rest_is_not_tried(monkeypatch):
    monkeypatch.setattr(following, "HALVINGS", 1)
    events, few = [], Surfaces(tolerance=1e-3, steps=4, most=100, degree=4)
    found = follow(bratu, (1.0, 3.0, 6.0, 7.0), method=few, progress=events.append)
    assert len(found) == 3
    assert found[1].solved
    assert not found[2].solved
    assert "parameters from 7 on were not tried" in found[2].message
    assert all(0 <= e.fraction <= 1 for e in events)
    tried = {e.stage.split(",")[0] for e in events}
    assert f"parameter {following._between(3.0, 6.0):g}" in tried


def test_values_between():
    assert following._between(100.0, 400.0) == pytest.approx(200.0)
    assert following._between(-4.0, -1.0) == pytest.approx(-2.0)
    assert following._between(-1.0, 3.0) == 1.0


def test_no_time_is_said():
    found = follow(layer, (0.5, 0.1), method=METHOD, seconds=0)
    assert len(found) == 1
    assert "parameters from 0.1 on were not tried" in found[0].message


def test_what_cannot_be_followed_is_refused():
    for values in ((), (1.0, math.nan)):
        with pytest.raises(ProblemError, match="needs one value of the parameter"):
            follow(layer, values)
    start = solve(layer(0.5), method=METHOD).model
    wave = Problem(Box(x=(0, 1), t=(0, 1)), lambda u: u.dt + u.dx, [initial(0.0), periodic("x")])
    with pytest.raises(ProblemError, match="begins with these"):
        solve(wave, start, "surface")
    with pytest.raises(ProblemError, match="on the same box"):
        solve(Problem(Box(x=(0, 2)), lambda u: u.dxx - u, [dirichlet(1.0)]), start, "surface")
    ring = Problem(Box(x=(0, 1)), lambda u, x: u.dxx - u - torch.sin(2 * math.pi * x), [periodic("x")])
    with pytest.raises(ProblemError, match="not periodic where"):
        solve(ring, start, "surface")
    with pytest.raises(ProblemError, match="a surface is its own model"):
        solve(layer(0.5), [4], "surface")


def test_a_start_is_not_changed_and_saves_the_search():
    first = solve(layer(0.1), method=METHOD)
    kept = first.model.coef.detach().clone()
    again = solve(layer(0.1), first.model, METHOD)
    assert torch.equal(first.model.coef, kept)
    assert len(again.history) == 1 < len(first.history)
    finer = solve(layer(0.1), first.model, Surfaces(tolerance=1e-3, degree=5))
    assert finer.model.degree == 5
