"""`Auto(widths="auto")`: the front of error against edges, small shapes first."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

import edgewise as ew
from edgewise import Auto
from edgewise.training import search_widths as shapes


def samples(n=200, features=2):
    return 2 * torch.rand(n, features, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1


QUICK = Auto(starts=4, degrees=(3,), steps=15, widths="auto")


def search(x, y, method=QUICK, seed=0):
    return ew.fit(ew.KAN([x.shape[1], 1], input_names=("a", "b")), (x, y), method, seed=seed)


@pytest.fixture(autouse=True)
def few_shapes(monkeypatch):
    monkeypatch.setattr(shapes, "HIDDEN", ((), (1,), (2,)))


def test_nothing_on_the_front_beats_another():
    x = samples(100)
    method = replace(QUICK, max_parameters=80)  # finer grids lower every error and change no order
    result = search(x, torch.exp(torch.sin(math.pi * x[:, 0]) + x[:, 1] ** 2), method)
    assert [shape.widths for shape in result.front][:2] == [(2, 1), (2, 1, 1)]
    for small, large in itertools.pairwise(result.front):
        assert small.edges < large.edges
        assert small.error > large.error
    for shape in result.front:
        assert shape.edges == sum(a * b for a, b in itertools.pairwise(shape.widths))
        assert shape.parameters == sum(p.numel() for p in shape.model.parameters())
    assert result.report.validation <= result.front[-1].error
    assert result.front[1].error < 1e-2 * result.front[0].error
    assert {tuple(record["widths"]) for record in result.history} == {(2, 1), (2, 1, 1), (2, 2, 1)}
    assert result.to_json()["front"][0]["widths"] == (2, 1)
    assert result.model.input_names == ("a", "b")


def test_a_solved_shape_ends_the_walk():
    x = samples()
    result = search(x, 3 * x[:, 0] ** 2 - x[:, 1])
    assert [shape.widths for shape in result.front] == [(2, 1)]
    assert {tuple(record["widths"]) for record in result.history} == {(2, 1)}
    assert result.report.validation < 1e-24


def test_it_repeats_and_ends_in_time(monkeypatch):
    monkeypatch.setattr(shapes, "HIDDEN", ((), (1,)))  # two shapes are enough to repeat a walk
    x, short = samples(60), replace(QUICK, starts=2, steps=5)
    y = x[:, 0] * x[:, 1]
    first, second = (search(x, y, short, seed=3) for _ in range(2))
    assert [shape.error for shape in first.front] == [shape.error for shape in second.front]
    hurried = search(x, y, replace(QUICK, seconds=0.0))
    assert [shape.widths for shape in hurried.front] == [(2, 1)]
