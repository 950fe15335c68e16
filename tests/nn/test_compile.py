"""Networks compile without a graph break and export. Run alone: `pytest -m compile`."""

import pytest
import torch
from zoo import BASES, mixed, network, samples

from edgewise import KANLinear

pytestmark = pytest.mark.compile


@pytest.mark.parametrize("basis", BASES, ids=lambda basis: basis.name)
def test_compiles_whole_with_gradients(basis):
    torch._dynamo.reset()
    model, x = network([2, (2, 1), 1], basis=basis), samples(16, 2)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), model(x), rtol=1e-9, atol=1e-9)
    ours = torch.autograd.grad(compiled(x).sum(), list(model.parameters()))
    theirs = torch.autograd.grad(model(x).sum(), list(model.parameters()))
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


def test_compiles_with_products_symbols_absent_edges_and_units():
    torch._dynamo.reset()
    model = mixed()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    for n in (16, 5):
        torch.testing.assert_close(compiled(samples(n, 3)), model(samples(n, 3)))


def test_compiles_natively():
    torch._dynamo.reset()
    model, x = mixed(dtype=torch.float32), samples(16, 3, dtype=torch.float32)
    torch.testing.assert_close(torch.compile(model, fullgraph=True)(x), model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", [network([3, 2], dtype=torch.float32), mixed(dtype=torch.float32)])
def test_exports_with_a_dynamic_batch(model):
    batch = torch.export.Dim("batch")
    exported = torch.export.export(model, (samples(4, 3, dtype=torch.float32),), dynamic_shapes=({0: batch},))
    for n in (4, 9):
        x = samples(n, 3, dtype=torch.float32)
        torch.testing.assert_close(exported.module()(x), model(x))


def test_a_layer_compiles_alone():
    torch._dynamo.reset()
    layer = KANLinear(2, 3)
    x = samples(4, 2, dtype=torch.float32)
    torch.testing.assert_close(torch.compile(layer, fullgraph=True, backend="eager")(x), layer(x))
