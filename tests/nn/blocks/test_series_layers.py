"""Laws of the layers for series: temporal KAN, mixture of KANs, reversible normalisation."""

import copy

import pytest
import torch
from torch.nn.functional import layer_norm
from zoo import BASES, rng

from edgewise.bases import BSpline, Chebyshev
from edgewise.nn import TKAN, MixtureOfKANs, RevIN, TKANCell
from edgewise.nn.blocks.recurrent import TKANState


def tkan(**settings) -> TKAN:
    """With random values wherever the start has zeros or equal numbers."""
    layer = TKAN(3, 5, BSpline(4, 3), generator=rng(), dtype=torch.float64, **settings)
    for n, p in enumerate(layer.parameters()):
        p.data += 0.2 * torch.randn(p.shape, generator=rng(n), dtype=p.dtype)
    return layer


def by_the_equations(cell: TKANCell, x: torch.Tensor) -> list[torch.Tensor]:
    """One sequence (time, in), one number after the other, by the equations of the module's docstring."""
    H, R, n = cell.hidden_size, cell.sublayers, cell.width
    W, b, U = cell.from_input.weight, cell.from_input.bias, cell.from_hidden.weight
    sigma = lambda t: 1 / (1 + torch.exp(-t))
    h, c = [0.0] * H, [0.0] * H
    z, outputs = [torch.zeros(n, dtype=x.dtype) for _ in range(R)], []
    for x_t in x:
        s = []
        for r in range(R):
            rows = slice(3 * H + r * n, 3 * H + (r + 1) * n)
            driven = W[rows] @ x_t + b[rows] + cell.from_memory[r].weight @ z[r]
            normal = layer_norm(driven, (n,), cell.norms[r].weight, cell.norms[r].bias)
            s.append(cell.curves[r].edge_values(normal).sum(0) + cell.curves[r].bias)
            z[r] = cell.written[r] * s[r] + cell.kept[r] * z[r]
        before, new = list(h), torch.cat(s)
        for j in range(H):
            i, f, g = (
                sigma(W[k * H + j] @ x_t + b[k * H + j] + sum(U[k * H + j, m] * before[m] for m in range(H)))
                for k in range(3)
            )
            c[j] = f * c[j] + i * g
            h[j] = sigma(cell.output.weight[j] @ new + cell.output.bias[j]) * torch.tanh(c[j])
        outputs.append(torch.stack(h))
    return outputs


@pytest.mark.parametrize("settings", [{}, {"sublayers": 2}, {"sublayers": 3, "width": 2}], ids=str)
def test_tkan_is_its_equations(settings):
    layer, x = tkan(**settings), torch.randn(2, 4, 3, generator=rng(9), dtype=torch.float64)
    y, state = layer(x)
    expected = torch.stack([torch.stack(by_the_equations(layer.cell, sequence)) for sequence in x])
    torch.testing.assert_close(y, expected)
    assert torch.equal(state.h, y[:, -1])


def test_tkan_goes_on_from_its_state_step_by_step():
    layer, x = tkan(sublayers=2), torch.randn(2, 6, 3, generator=rng(9), dtype=torch.float64)
    first, state = layer(x[:, :4])
    rest, last = layer(x[:, 4:], state)
    torch.testing.assert_close(torch.cat([first, rest], 1), layer(x)[0])
    state = None
    for t in range(6):
        state = layer.cell(x[:, t], state)
    torch.testing.assert_close(state, last)
    assert isinstance(state, TKANState)


def test_tkan_does_not_see_the_future():
    layer, x = tkan(), torch.randn(2, 6, 3, generator=rng(9), dtype=torch.float64)
    other = x.clone()
    other[:, 4:] += 1
    assert torch.equal(layer(x)[0][:, :4], layer(other)[0][:, :4])


@pytest.mark.parametrize("basis", BASES, ids=lambda b: b.name)
def test_a_mixture_is_the_sum_of_its_experts_weighted_by_the_gate(basis):
    layer = MixtureOfKANs(4, 3, [basis, Chebyshev(2), basis], generator=rng(), dtype=torch.float64)
    x = torch.randn(7, 4, generator=rng(1), dtype=torch.float64)
    for row, y in zip(x, layer(x), strict=True):
        weights = torch.exp(layer.gate.weight @ row + layer.gate.bias)
        parts = torch.stack([expert(row) for expert in layer.experts])
        torch.testing.assert_close(y, (weights / weights.sum()) @ parts)


LAYERS = {
    "tkan": lambda dtype=torch.float32: TKAN(4, 4, Chebyshev(3), sublayers=2, generator=rng(), dtype=dtype),
    "mixture": lambda dtype=torch.float32: MixtureOfKANs(4, 4, generator=rng(), dtype=dtype),
}
layers = pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)


def output(layer, x):
    y = layer(x)
    return y[0] if isinstance(y, tuple) else y


@layers
def test_any_batch_dtype_autocast_and_copies(build):
    for dtype in (torch.float32, torch.float64):
        layer = build(dtype)
        for batch in ((), (2, 3), (0,)):
            x = torch.randn(*batch, 5, 4, generator=rng(1), dtype=dtype)
            y = output(layer, x)
            assert (y.shape, y.dtype) == (x.shape, dtype)
            y.sum().backward()
    layer, x = build(), torch.randn(2, 5, 4, generator=rng(1))
    assert torch.equal(output(copy.deepcopy(layer), x), output(build(), x))
    with torch.autocast("cpu", torch.bfloat16):
        low = output(layer, x)
    torch.testing.assert_close(low.float(), output(layer, x), rtol=0.1, atol=0.1)


@layers
@pytest.mark.compile
def test_compiles_whole(build):
    torch._dynamo.reset()
    layer, x = build(), torch.randn(2, 3, 4, generator=rng(1))
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(output(compiled, x), output(layer, x))


@pytest.mark.parametrize("affine", [False, True])
def test_revin_is_undone_by_its_inverse(affine):
    norm = RevIN(3, affine=affine).double()
    for n, p in enumerate(norm.parameters()):
        p.data += torch.rand(p.shape, generator=rng(n), dtype=p.dtype)
    x = 100 + 30 * torch.randn(4, 50, 3, generator=rng(9), dtype=torch.float64)
    z, statistics = norm(x)
    torch.testing.assert_close(norm.restore(z, statistics), x)
    if not affine:
        torch.testing.assert_close(z.mean(1), torch.zeros(4, 3).double(), atol=1e-12, rtol=0)
        torch.testing.assert_close(z.var(1, unbiased=False), torch.ones(4, 3).double(), rtol=1e-6, atol=0)
    shifted, other = norm(5 * x + 7)
    torch.testing.assert_close(shifted, z, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(norm.restore(shifted, other), 5 * x + 7)
    assert norm(torch.ones(1, 6, 3).double())[0].isfinite().all()


@pytest.mark.usefixtures("as_a_user")
def test_errors_name_what_to_give():
    with pytest.raises(ValueError, match=r"\(\*batch, time, 3\) with at least one time, got \(2, 0, 3\)"):
        tkan()(torch.zeros(2, 0, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match="at least one expert"):
        MixtureOfKANs(2, 2, [])
