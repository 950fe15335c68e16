"""New samples change the curves where they lie and nowhere else."""

import numpy as np
import pytest
import torch

from edgewise import KAN, KANLinear, prune
from edgewise.bases import BSpline
from edgewise.optim import absorb_


def layer_of(inputs: int, outputs: int, *, residual: str | None = "silu") -> KANLinear:
    generator = torch.Generator().manual_seed(0)
    return KANLinear(inputs, outputs, BSpline(20, 3), residual=residual, generator=generator, dtype=torch.float64)


def test_what_lies_out_of_reach_stays_to_the_last_bit() -> None:
    layer, far = layer_of(1, 2), torch.linspace(0.4, 1, 50, dtype=torch.float64)[:, None]
    before, bias, weights = layer(far), layer.bias.clone(), layer.coef[:, -1].clone()
    x = torch.linspace(-1, 0, 200, dtype=torch.float64)[:, None]
    target = torch.cat([x.exp(), x.cos()], dim=1)
    absorb_(layer, x, target)
    assert torch.allclose(layer(x), target, atol=1e-7)
    assert torch.equal(layer(far), before)
    assert torch.equal(layer.bias, bias)
    assert torch.equal(layer.coef[:, -1], weights)


def test_the_change_is_the_least_that_explains_few_samples() -> None:
    layer = layer_of(3, 1, residual=None)
    x = torch.rand(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1
    old = layer.coef.detach().clone()
    absorb_(layer, x, torch.ones(5, 1, dtype=torch.float64))
    assert torch.allclose(layer(x), torch.ones(5, 1, dtype=torch.float64), atol=1e-10)
    change = (layer.coef.detach() - old).flatten().numpy()
    phi = layer.basis.evaluate(x, layer.grid).flatten(1).numpy()
    projector = phi.T @ np.linalg.solve(phi @ phi.T, phi)  # onto the row space: least norm lies in it
    assert abs(projector @ change - change).max() < 1e-12


def test_with_memory_the_parts_in_turn_are_the_whole_at_once() -> None:
    x = torch.rand(400, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2 - 1
    y = torch.stack([(3 * x[:, 0]).sin() + x[:, 1], x[:, 0] * x[:, 1]], dim=1)
    layer, memory = layer_of(2, 2), None
    phi = layer.basis.evaluate(x, layer.grid).flatten(1)
    target = y - layer(x).detach() + phi @ layer.coef.detach()[:, :-1].flatten(0, 1)  # without residual and bias
    for part in x[:, 0].argsort().split(80):  # one region after the other
        memory = absorb_(layer, x[part], y[part], memory)
    whole = np.linalg.lstsq(phi.numpy(), target.numpy(), rcond=None)[0]
    assert np.allclose(phi @ layer.coef.detach()[:, :-1].flatten(0, 1), phi.numpy() @ whole, atol=1e-8)
    assert torch.allclose(memory.T @ memory, phi.T @ phi, atol=1e-10)


@pytest.mark.usefixtures("as_a_user")
def test_it_refuses_what_it_cannot_keep() -> None:
    pruned = prune(KAN([2, 1]), {"layers.0": torch.tensor([[0.0], [1.0]])}).layers[0]
    with pytest.raises(ValueError, match="absent or symbolic edges"):
        absorb_(pruned, torch.zeros(4, 2), torch.zeros(4, 1))
    with pytest.raises(ValueError, match="must have the shape"):
        absorb_(layer_of(1, 1), torch.zeros(4, 1), torch.zeros(4))
