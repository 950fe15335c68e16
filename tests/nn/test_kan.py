"""Laws of the network and its product nodes."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from zoo import mixed, network, rng, samples

from edgewise import KAN, KANLinear
from edgewise.bases import Gaussian
from edgewise.nn import ProductNodes

products = st.one_of(st.integers(0, 2), st.lists(st.integers(2, 3), max_size=2))
hidden = st.one_of(st.integers(1, 3), st.tuples(st.integers(1, 2), products))
widths = st.lists(hidden, min_size=1, max_size=3).flatmap(lambda h: st.integers(1, 3).map(lambda i: [i, *h]))


@settings(max_examples=25)
@given(widths=widths, batch=st.lists(st.integers(0, 3), max_size=2))
def test_any_widths_and_any_leading_shape(widths, batch):
    model = KAN(widths, generator=rng())
    last = widths[-1]
    outs = last if isinstance(last, int) else last[0] + (last[1] if isinstance(last[1], int) else len(last[1]))
    assert model(torch.zeros(*batch, widths[0])).shape == (*batch, outs)
    assert (model.in_features, model.out_features) == (widths[0], outs)
    again = KAN(model.widths, generator=rng())
    assert again.widths == model.widths
    assert torch.equal(again(torch.ones(2, widths[0])), model(torch.ones(2, widths[0])))


@pytest.mark.parametrize(
    "widths",
    [
        [],
        [2],
        [2, 0],
        [0, 2],
        [-1, 2],
        [2, 1.5],
        [2, "3"],
        [2, (1, [1])],
        [2, (0, 0), 1],
        [(2, 1), 1],
        [2, (1, 2, 3), 1],
        [2, None],
    ],
)
@pytest.mark.usefixtures("as_a_user")
def test_wrong_widths_are_told_with_their_place(widths):
    with pytest.raises(ValueError, match="widths"):
        KAN(widths)


@pytest.mark.usefixtures("as_a_user")
def test_the_widths_of_the_caller_stay_as_they_are():
    widths = [2, [3, [2, 2]], 1]
    KAN(widths)
    assert widths == [2, [3, [2, 2]], 1]
    assert KAN(tuple(torch.arange(2, 4).numpy())).widths == [2, 3]


def test_names_are_checked():
    assert KAN([2, 1], input_names="xy", output_names=["z"]).input_names == ("x", "y")
    for wrong in (["x"], ["x", "x"], ["x", "y", "z"]):
        with pytest.raises(ValueError, match="input_names must be 2 different names"):
            KAN([2, 1], input_names=wrong)
    with pytest.raises(ValueError, match="output_names"):
        KAN([2, 1], output_names=["a", "b"])


def test_a_network_is_its_layers_between_its_units():
    model, x = mixed(), samples(20, 3)
    z = x * model.input_affine.scale + model.input_affine.shift
    first, _, last = model.layers
    n = first(z)
    n = torch.stack([*n[:, :4].unbind(1), n[:, 4] * n[:, 5], n[:, 6] * n[:, 7] * n[:, 8]], 1)
    torch.testing.assert_close(model(x), last(n) * model.output_affine.scale + model.output_affine.shift)


@settings(max_examples=25)
@given(sums=st.integers(0, 3), arities=st.lists(st.integers(2, 4), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_products_multiply_their_factors(sums, arities, seed):
    nodes = ProductNodes(sums, tuple(arities))
    x = samples(5, nodes.in_features, seed=seed)
    expected, place = list(x[:, :sums].unbind(1)), sums
    for arity in arities:
        expected.append(x[:, place : place + arity].prod(1))
        place += arity
    torch.testing.assert_close(nodes(x), torch.stack(expected, 1))
    assert nodes.out_features == sums + len(arities)


def test_a_product_of_zeros_has_derivatives():
    x = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    y = ProductNodes(0, (2,))(x)
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    assert (g == 0).all()
    (second,) = torch.autograd.grad(g[0, 0], x)
    assert second.tolist() == [[0.0, 1.0]]


def test_settings_reach_every_layer():
    model = network([2, 3, 1], basis=Gaussian(6), residual=None, grid_range=(-3, 2), bias=False, dtype=torch.float32)
    for layer in model.layers:
        assert isinstance(layer, KANLinear)
        assert (layer.basis, layer.residual, layer.bias) == (Gaussian(6), None, None)
        assert layer.grid[:, [0, -1]].tolist() == [[-3, 2]] * layer.in_features
        assert layer.coef.dtype == layer.grid.dtype == torch.float32


def test_moving_to_another_dtype_moves_everything():
    model = mixed().float()
    assert model(samples(4, 3, dtype=torch.float32)).dtype == torch.float32
    model = model.to(torch.float64)
    assert {t.dtype for t in model.state_dict().values()} == {torch.float64, torch.bool, torch.int64}
