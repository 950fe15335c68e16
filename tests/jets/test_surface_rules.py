"""Derivatives of a surface by jets are those of autograd, and the taped rows are the Jacobian."""

import torch

from edgewise.jets import partial, push, seed, taylor
from edgewise.nn import Surface


def surface() -> Surface:
    grids = [torch.linspace(0, 1, 4, dtype=torch.float64) ** 2, torch.linspace(-1, 1, 9, dtype=torch.float64)]
    s = Surface(grids, 2, degree=5, periodic=[1])
    with torch.no_grad():
        s.coef.normal_(generator=torch.Generator().manual_seed(0))
    return s


def test_derivatives_are_those_of_autograd():
    s, x = surface(), torch.rand(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = partial(s, x, (0, 0), (1, 0), (2, 1))
    x.requires_grad_()
    first = torch.autograd.grad(s(x)[:, 1].sum(), x, create_graph=True)[0][:, 0]
    second = torch.autograd.grad(first.sum(), x, create_graph=True)[0][:, 0]
    mixed = torch.autograd.grad(second.sum(), x)[0][:, 1]
    for got, expected in zip(found, (s(x)[:, 1], first, mixed), strict=True):
        assert torch.allclose(got[:, 1], expected, rtol=1e-9, atol=1e-9)


def test_taped_rows_are_the_jacobian_in_the_coefficients():
    s, x = surface(), torch.rand(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    algebra, tape = taylor([(1, 1)]), []
    r = push(s, seed(x, algebra), tape).derivative((1, 1)).sum(-1)
    (slope,) = torch.autograd.grad(r.sum(), [tape[0].output])
    rows = tape[0].rows(slope)
    dense = torch.func.jacrev(lambda c: partial_with(s, c, x))(s.coef.detach())
    assert torch.allclose(rows, dense.flatten(1), atol=1e-9)


def partial_with(s: Surface, coef: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    B = [s.curves(j, x[:, j], 1) for j in range(2)]
    index = s.columns([columns for columns, _ in B])
    W = (B[0][1][1][:, :, None] * B[1][1][1][:, None, :]).flatten(1)
    return torch.einsum("bl,bli->b", W, coef.flatten(0, -2)[index])
