"""The MLP matched to a model has its size and its ends, and both are trained alike."""

import pytest
import torch
from torch import nn

from edgewise import KAN, BSpline, KANLinear, freeze_
from edgewise.compare import compare, count_parameters, matched_mlp, mlp_size, mlp_widths, new_mlp


@pytest.mark.parametrize("widths", [[2, 5, 1], [16, 32, 26], [40, 11], [3, (4, 2), 2]])
def test_the_mlp_has_the_size_and_the_ends_of_the_network(widths) -> None:
    model = KAN(widths)
    mlp = matched_mlp(model)
    assert mlp(torch.zeros(7, model.in_features)).shape == (7, model.out_features)
    assert count_parameters(mlp) == pytest.approx(count_parameters(model), rel=0.1)


def test_any_module_with_linear_ends_has_a_matched_mlp_and_others_name_them() -> None:
    model = nn.Sequential(nn.LayerNorm(4), KANLinear(4, 30), nn.Tanh(), nn.Linear(30, 3))
    assert [matched_mlp(model)[0].in_features, matched_mlp(model)[-1].out_features] == [4, 3]
    with pytest.raises(ValueError, match="pass `in_features=`"):
        matched_mlp(nn.Bilinear(2, 2, 2))
    assert matched_mlp(nn.Bilinear(2, 2, 2), in_features=4, out_features=2)(torch.zeros(4)).shape == (2,)


def test_frozen_parameters_do_not_count() -> None:
    model = KAN([2, 3, 1])
    assert count_parameters(freeze_(model, "bias")) == count_parameters(KAN([2, 3, 1])) - 4


@pytest.mark.parametrize("hidden_layers", [1, 2, 4])
@pytest.mark.parametrize("parameters", [40, 500, 20_000])
def test_the_number_of_hidden_layers_can_be_chosen(hidden_layers, parameters) -> None:
    widths = mlp_widths(3, 2, parameters, hidden_layers=hidden_layers)
    assert len(widths) == hidden_layers + 2
    for width in (widths[1] - 1, widths[1] + 1):
        other = mlp_size([3, *[width] * hidden_layers, 2])
        assert abs(mlp_size(widths) - parameters) <= abs(other - parameters) + hidden_layers
    assert count_parameters(new_mlp(widths, activation=nn.Tanh)) == mlp_size(widths)
    with pytest.raises(ValueError, match="at least 1"):
        mlp_widths(3, 2, parameters, hidden_layers=0)


def test_initial_values_come_from_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, again = (new_mlp([2, 5, 1], torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first[0].weight, again[0].weight)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_comparison_trains_both_and_leaves_the_model_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(300, 1, generator=generator) * 2 - 1
    model = KAN([1, 1], BSpline(8, 3))
    before = {name: t.clone() for name, t in model.state_dict().items()}
    found = compare(
        model, (x[:200], (2 * x[:200]).sin()), (x[200:], (2 * x[200:]).sin()), steps=60, seeds=1, rates=(1e-2, 1e-1)
    )
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert [(row["name"], row["budget"]) for row in found.rows] == [("MLP", "steps"), ("KAN", "steps"), ("KAN", "time")]
    assert found.rows[1]["worst"] < 0.2
    assert "RMSE" in str(found)


def test_classes_are_compared_by_their_errors() -> None:
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    found = compare(KAN([2, 2]), (x, y), (x, y), loss="cross_entropy", steps=300, seeds=1, rates=(1e-1,))
    assert found.measure == "share of errors"
    assert max(row["mean"] for row in found.rows) < 0.1
