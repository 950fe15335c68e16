"""Maps of the functions are the functions, whichever way a family evaluates them."""

import pytest
import torch
from zoo import BASES, samples

from edgewise.bases import Basis, Hinge


@pytest.mark.parametrize("basis", [*BASES, Hinge(1), Hinge()], ids=repr)
def test_maps_are_the_values_with_their_gradients(basis: Basis) -> None:
    x = samples(40, 3, spread=3.0).unflatten(0, (2, 4, 5)).movedim(-1, 1).requires_grad_()
    grid = basis.init_grid(3, -1.5, 2.0, dtype=torch.float64)
    maps = torch.stack(basis.evaluate_maps(x, grid), -1)
    values = basis.evaluate(x.movedim(1, -1), grid).movedim(-2, 1)
    torch.testing.assert_close(maps, values)
    weights = torch.linspace(-1, 1, maps.numel(), dtype=torch.float64).view(maps.shape)
    slopes = [torch.autograd.grad((v * weights).sum(), x)[0] for v in (maps, values)]
    torch.testing.assert_close(*slopes)
