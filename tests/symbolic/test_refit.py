"""Laws of the joint refit: the equations of a network, or those of any module by torch.func, are the same."""

import pytest
import torch

import edgewise as ew
from edgewise.nn import KANLinear, ProductNodes, SymbolicEdges
from edgewise.symbolic import refit as room
from edgewise.symbolic.refit import refit_

X = 2 * torch.rand(80, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1


def network():
    """A symbol, an absent edge, a product and units at both ends."""
    g, basis = torch.Generator().manual_seed(1), ew.BSpline(3, 3)
    mask = torch.tensor([[True, False, True], [True, True, False]])
    affine = torch.tensor([[1.2, 0.3, 0.7, -0.1]], dtype=torch.float64)
    symbol = SymbolicEdges([ew.nn.DEFAULT_LIBRARY["sin"]], torch.tensor([0]), torch.tensor([1]), affine)

    def layer(fan_in, fan_out, mask=None, symbolic=None):
        return KANLinear.assemble(
            basis,
            None,
            coef=torch.randn(fan_in, basis.size, fan_out, generator=g, dtype=torch.float64),
            grid=basis.init_grid(fan_in, -2, 2, dtype=torch.float64),
            mask=torch.ones(fan_in, fan_out, dtype=torch.bool) if mask is None else mask,
            bias=torch.randn(fan_out, generator=g, dtype=torch.float64),
            symbolic=symbolic,
        )

    units = [
        ew.nn.Affine(torch.tensor(s).double(), torch.tensor(t).double())
        for s, t in (([1.5, 0.5], [0.1, 0.0]), ([3.0], [-2.0]))
    ]
    return ew.KAN.assemble(
        [layer(2, 3, mask, symbol), ProductNodes(1, (2,)), layer(2, 1)], input_affine=units[0], output_affine=units[1]
    )


@pytest.mark.parametrize("some", [False, True])
def test_both_ways_reach_the_same_minimum(monkeypatch, some):
    y = torch.sin(3 * X[:, :1]) * X[:, 1:] + 0.3
    free = None
    if some:  # the symbol, a bias and some coefficients of a curve
        mine = {name: torch.zeros_like(p, dtype=torch.bool) for name, p in network().named_parameters()}
        mine["layers.0.symbolic.affine"][:] = True
        mine["layers.2.bias"][:] = True
        mine["layers.2.coef"][1, 2:5] = True
        free = mine
    ours, theirs = network(), network()
    cost = refit_(ours, X, y, free=free, steps=6)
    monkeypatch.setattr(room, "_of_network", lambda *_: None)
    expected = refit_(theirs, X, y, free=free, steps=6)
    assert cost == pytest.approx(expected, rel=1e-6)
    assert cost < (network()(X) - y).square().mean()
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7, msg=name)


def test_a_free_entry_of_an_absent_edge_is_left_to_the_module():
    model = network()
    where = torch.ones_like(model.get_parameter("layers.0.coef"), dtype=torch.bool)
    problem = room._of_network(model, {"layers.0.coef": where.flatten().nonzero()[:, 0]}, X, X[:, :1], lambda: None)
    assert problem is None
