"""The native kernels under `torch.compile` and `torch.export`, and torch's own checks of every custom op."""

import pytest
import torch

from edgewise import KAN, BSpline, KANLinear
from edgewise.kernels.cpu import load, ops

pytestmark = [
    pytest.mark.compile,
    pytest.mark.skipif(load.library() is None, reason=str(load.why_not())),
]


def arguments(order=0, weight=True):
    basis = BSpline(5, 3)
    x = torch.randn(7, 2, dtype=torch.float64)
    coef = torch.randn(2, basis.size + 1, 3, dtype=torch.float64)
    h = torch.randn_like(x) if weight else None
    g = torch.randn(7, 3, dtype=torch.float64)
    return g, x, coef, h, basis.init_grid(2, dtype=torch.float64), (5, 3, True, "silu", order)


@pytest.mark.parametrize("weight", [False, True])
def test_opcheck(weight):
    g, x, coef, h, grid, settings = arguments(weight=weight)
    differentiable = [t if t is None else t.clone().requires_grad_() for t in (x, coef, h)]
    torch.library.opcheck(ops.edge_sum_op, (*differentiable, grid, *settings))
    torch.library.opcheck(ops.edge_pull_op, (g, x, coef, grid, *settings))
    torch.library.opcheck(ops.edge_outer_op, (g, x, h, grid, *settings))
    torch.library.opcheck(ops.edge_gradients_op, (g, x, coef, h, grid, *settings))


def test_compile_fullgraph_forward_and_backward():
    model = KAN([3, 4, 2], dtype=torch.float64)
    x = torch.randn(10, 3, dtype=torch.float64, requires_grad=True)
    expected = model(x)
    expected_grads = torch.autograd.grad(expected.square().sum(), [x, *model.parameters()])
    compiled = torch.compile(model, fullgraph=True)
    y = compiled(x)
    torch.testing.assert_close(y, expected)
    grads = torch.autograd.grad(y.square().sum(), [x, *model.parameters()])
    for actual, wanted in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(actual, wanted)


def test_export_holds_the_op():
    layer = KANLinear(3, 4)
    x = torch.randn(5, 3)
    program = torch.export.export(layer, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},))
    assert "edgewise.edge_sum" in str(program.graph)
    x = torch.randn(11, 3)
    torch.testing.assert_close(program.module()(x), layer(x))
