"""Native jets agree with nested autograd through the reference, in value and in the gradients of the parameters."""

import pytest
import torch
from torch.func import hessian, jacrev, vmap

from edgewise import KAN, BSpline, use_backend
from edgewise.kernels.cpu import load, taylor as jets
from edgewise.nn._fast import plain_layers

pytestmark = pytest.mark.skipif(load.library() is None, reason=str(load.why_not()))


def by_reference(model, x, directions, weights):
    with use_backend("reference"):
        value = model(x)
        first = vmap(jacrev(model))(x) @ directions.T
        second = torch.einsum("ri,boij,rj->bor", directions, vmap(hessian(model))(x), directions) @ weights.T
    return value, first.movedim(2, 0), second.movedim(2, 0)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("widths", "basis", "residual", "batch"),
    [
        ([2, 6, 5, 1], BSpline(10, 3), "silu", 300),
        ([3, 4, 2], BSpline(4, 4), None, 70),
        ([1, 3, 3], BSpline(5, 5, "uniform"), "identity", 1),
        ([2, 3, 1], BSpline(3, 2), "silu", 9),
    ],
    ids=str,
)
def test_jets_and_their_gradients(widths, basis, residual, batch, threads):
    generator = torch.Generator().manual_seed(0)
    model = KAN(widths, basis, residual=residual, dtype=torch.float64, generator=generator)
    x = torch.rand(batch, widths[0], dtype=torch.float64, generator=generator) * 2.4 - 1.2
    directions = torch.randn(3, widths[0], dtype=torch.float64, generator=generator)
    weights = torch.randn(2, 3, dtype=torch.float64, generator=generator)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        network = plain_layers(model)
        assert jets.refuses(network, x, 2) is None
        actual = jets.jet(network, x, directions, weights)
        expected = by_reference(model, x, directions, weights)
        for a, e in zip(actual, expected, strict=True):
            torch.testing.assert_close(a, e, rtol=1e-9, atol=1e-9)
        slopes = [torch.randn(e.shape, dtype=torch.float64, generator=generator) for e in expected]
        parameters = list(model.parameters())
        found = torch.autograd.grad(actual, parameters, slopes)
        wanted = torch.autograd.grad(expected, parameters, slopes)
    finally:
        torch.set_num_threads(before)
    for a, e in zip(found, wanted, strict=True):
        torch.testing.assert_close(a / e.abs().amax(), e / e.abs().amax(), rtol=0, atol=1e-10)


def test_laplacian_is_the_default():
    model = KAN([2, 4, 1], BSpline(5, 3), dtype=torch.float64)
    x = torch.rand(20, 2, dtype=torch.float64) * 1.6 - 0.8
    _, gradient, laplacian = jets.jet(plain_layers(model), x)
    _, wanted_gradient, wanted = by_reference(model, x, torch.eye(2).double(), torch.ones(1, 2).double())
    torch.testing.assert_close(gradient, wanted_gradient)
    torch.testing.assert_close(laplacian, wanted)
    assert "inputs need gradients" in jets.refuses(plain_layers(model), x.requires_grad_())
