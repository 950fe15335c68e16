"""The Triton kernels in Triton's interpreter, on the CPU, are equal to the reference. No GPU is needed."""

import pytest
import torch

pytest.importorskip("triton")

from edgewise import BSpline
from edgewise.kernels import EdgeSpec, reference
from edgewise.kernels.triton import launch as layer


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize(("degree", "knots"), [(1, "clamped"), (3, "clamped"), (3, "uniform"), (5, "clamped")])
@pytest.mark.parametrize("residual", [None, "silu"])
def test_contractions(degree, knots, residual, order):
    generator = torch.Generator().manual_seed(0)
    spec = EdgeSpec(BSpline(20, degree, knots), residual, order)
    # Blocks are of 32 samples, 16 functions and 64 outputs: one block, part of a second in each direction. The weights
    # multiply what the kernels read, and the interpreter counts the blocks: one shape has them.
    for batch, features, out, weighted in ((1, 1, 1, False), (7, 2, 65, True), (33, 1, 20, False)):
        draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
        grid = spec.basis.init_grid(features, dtype=torch.float64)
        x, coef, g, h = draw(batch, features), draw(features, spec.size, out), draw(batch, out), draw(batch, features)
        x[0] = grid[:, 2]
        weight = h if weighted else None
        torch.testing.assert_close(
            layer.edge_sum(x, coef, grid, spec, weight), reference.edge_sum(x, coef, grid, spec, weight)
        )
        torch.testing.assert_close(
            layer.edge_outer(g, x, grid, spec, weight), reference.edge_outer(g, x, grid, spec, weight)
        )
        torch.testing.assert_close(layer.edge_pull(g, x, coef, grid, spec), reference.edge_pull(g, x, coef, grid, spec))


def test_refuses_what_is_not_on_a_gpu():
    assert "CUDA" in layer.refuses(EdgeSpec(BSpline(5, 3)), torch.zeros(1, 1))
