"""Laws of traces and of the scores computed from them."""

import pytest
import torch
from torch import nn
from zoo import SEEDS, mixed, network, rng, samples

import edgewise as ew
from edgewise import KANLinear

close = torch.testing.assert_close


@pytest.mark.parametrize("seed", SEEDS)
def test_a_trace_holds_inputs_and_edges_of_every_layer(seed):
    model, x = mixed(seed=seed), samples(12, 3, seed=seed).reshape(4, 3, 3)
    seen = ew.trace(model, x)
    assert list(seen) == ["layers.0", "layers.2"]
    assert torch.equal(seen.output, model(x))
    assert seen.model is model
    first, last = seen["layers.0"], seen["layers.2"]
    close(first.inputs, model.input_affine(x).reshape(-1, 3))
    close(last.edges().sum(1) + model.layers[2].bias, model.layers[2](last.inputs))
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_trace_carries_gradients_unless_switched_off():
    model, x = network([2, 2, 1]), samples(6, 2)
    ew.trace(model, x)["layers.1"].edges().sum().backward()
    assert model.layers[0].coef.grad is not None
    with torch.no_grad():
        assert not ew.trace(model, x).output.requires_grad


def test_hooks_go_even_when_the_model_raises():
    model = network([2, 2, 1])
    with pytest.raises(ValueError, match="shape"):
        ew.trace(model, samples(3, 4))
    assert not any(module._forward_pre_hooks for module in model.modules())
    with pytest.raises(ValueError, match="Linear has no KANLinear layer to trace"):
        ew.trace(nn.Linear(2, 1), samples(3, 2))


def test_a_layer_that_runs_twice_has_its_inputs_joined():
    layer = KANLinear(2, 2, generator=rng())
    x = samples(5, 2, dtype=torch.float32)
    seen = ew.trace(nn.Sequential(layer, layer), x)
    assert list(seen) == ["0"]
    close(seen["0"].inputs, torch.cat([x, layer(x)]))


def test_a_layer_that_is_called_by_keyword_is_seen():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = KANLinear(2, 1, generator=rng())

        def forward(self, z):
            return self.layer(x=z)

    x = samples(5, 2, dtype=torch.float32)
    assert torch.equal(ew.trace(Named(), x)["layer"].inputs, x)


def linear_network(*weights):
    """A network of symbols x, with these weights (in, out) on the edges of each layer."""
    model = network([len(weights[0]), *(len(w[0]) for w in weights)], bias=False)
    for n, w in enumerate(weights):
        for j, row in enumerate(w):
            for i, value in enumerate(row):
                model = ew.fix(model, (n, j, i), "x", (1, 0, value, 0))
    return model


def uncorrelated(n: int) -> torch.Tensor:
    """Inputs of equal variance and exactly no correlation: the columns of a Hadamard matrix."""
    h = torch.ones(1, 1, dtype=torch.float64)
    while len(h) < 8:
        h = torch.cat([torch.cat([h, h], 1), torch.cat([h, -h], 1)])
    return h[:, 1 : n + 1]


def test_scores_of_a_sum_are_shares_of_its_spread():
    model = linear_network([[3.0, 0.0], [4.0, 2.0]])
    scores = ew.edge_scores(ew.trace(model, uncorrelated(2)))["layers.0"]
    close(scores, torch.tensor([[3 / 5, 0.0], [4 / 5, 1.0]], dtype=torch.float64))


def test_scores_go_back_through_the_layers():
    # h = (3a + 4b, b), y = 2 h_0 = 6a + 8b: h_1 is not read, so that its edges score nothing.
    model = linear_network([[3.0, 0.0], [4.0, 1.0]], [[2.0], [0.0]])
    seen = ew.trace(model, uncorrelated(2))
    scores = ew.edge_scores(seen)
    close(scores["layers.1"], torch.tensor([[1.0], [0.0]], dtype=torch.float64))
    close(scores["layers.0"], torch.tensor([[0.6, 0.0], [0.8, 0.0]], dtype=torch.float64))
    close(ew.input_scores(seen), torch.tensor([0.6, 0.8], dtype=torch.float64))
    close(ew.node_scores(seen)["layers.1"], torch.tensor([1.0, 0.0], dtype=torch.float64))


def test_every_factor_inherits_the_score_of_its_product():
    model = network([3, (1, [2]), 1], bias=False)
    for j in range(3):
        for i in range(3):
            model = ew.fix(model, (0, j, i), "x", (1, 0, float(i == j), 0))
    for j, weight in enumerate((3.0, 4.0)):  # y = 3 a + 4 b c
        model = ew.fix(model, (1, j, 0), "x", (1, 0, weight, 0))
    h = uncorrelated(4)
    scores = ew.edge_scores(ew.trace(model, h[:, [0, 1, 3]]))
    close(scores["layers.2"], torch.tensor([[0.6], [0.8]], dtype=torch.float64))
    close(scores["layers.0"], torch.diag(torch.tensor([0.6, 0.8, 0.8], dtype=torch.float64)))


def test_a_product_at_the_output_counts_as_one_output():
    model = network([2, (1, 1)], bias=False)
    for j, i in ((0, 0), (0, 1), (1, 2)):  # y = (a, a b)
        model = ew.fix(model, (0, j, i), "x")
    for j, i in ((1, 0), (1, 1), (0, 2)):
        model = ew.remove_edge(model, (0, j, i))
    scores = ew.edge_scores(ew.trace(model, uncorrelated(2)))["layers.0"]
    close(scores, torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64))


def test_scores_outside_a_network_are_local():
    net = nn.Sequential(
        linear_network([[3.0], [4.0]]).layers[0], nn.Linear(1, 1).double(), KANLinear(1, 2, dtype=torch.float64)
    )
    scores = ew.edge_scores(ew.trace(net, uncorrelated(2)))
    close(scores["0"], torch.tensor([[0.6], [0.8]], dtype=torch.float64))
    close(scores["2"], torch.ones(1, 2, dtype=torch.float64))


def test_what_does_not_vary_scores_nothing():
    model = network([2, 3, 1])
    scores = ew.edge_scores(ew.trace(model, torch.full((7, 2), 0.123456789, dtype=torch.float64)))
    assert all((score == 0).all() for score in scores.values())
    absent = ew.remove_edge(model, (0, 0, 0))
    assert ew.edge_scores(ew.trace(absent, samples(20, 2)))["layers.0"][0, 0] == 0
    with pytest.raises(ValueError, match="scores need at least 2"):
        ew.edge_scores(ew.trace(model, samples(1, 2)))


def test_the_share_outside_the_grid():
    model = network([2, 2, 1])
    x = torch.tensor([[-2.0, 0.0], [0.5, 0.5], [1.0, -1.0], [3.0, 1.5]], dtype=torch.float64)
    assert ew.outside_grid(ew.trace(model, x))["layers.0"] == 3 / 8
    assert ew.outside_grid(ew.trace(model, x[:0])) == {"layers.0": 0.0, "layers.1": 0.0}
