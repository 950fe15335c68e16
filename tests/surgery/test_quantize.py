"""Networks of integers: their equation, the accuracy that they lose, and that one far row costs nothing."""

import math

import pytest
import torch
from zoo import SEEDS, mixed, network, samples, tensors

import edgewise as ew
from edgewise.nn import Affine, IntegerEdges, ProductNodes
from edgewise.surgery import quantize

INSIDE = {"spread": 1.0}


def error(model, exact, x):
    """Root mean square in units of the spread of the outputs."""
    y = exact(x).detach()
    return float((model(x).double() - y).square().mean().sqrt() / y.std(0, correction=0).square().mean().sqrt())


def by_the_equation(layer, row):
    """One row through a layer in Python's own integers, as the docstring of `edgewise.nn.integer` states it."""
    span = 256 * layer.segments
    sums = [int(b) for b in layer.bias]
    for e, (j, i) in enumerate(zip(layer.sources.tolist(), layer.targets.tolist(), strict=True)):
        p = (row[j] - layer.low[j]) * layer.inverse[j]  # float32
        p = math.trunc(min(max(float(p), -64 * span), 65 * span))
        u = min(max(p, 0), span)
        m = min(u // 256, layer.segments - 1)
        table = layer.tables[int(layer.table[e])].tolist()
        v = 256 * table[m] + (table[m + 1] - table[m]) * (u - 256 * m)
        v += int(layer.slopes[e, int(p > u)]) * (p - u) // 64
        sums[i] += v * int(layer.gain[e]) // 2**15
    return torch.tensor(sums).float() * layer.unit


@pytest.mark.parametrize("settings", [{}, {"bits": 5, "segments": 7}, {"bits": 16}, {"codebook": 3}], ids=str)
def test_it_computes_its_equation(settings):
    model = mixed()
    quantized = quantize(model, samples(200, 3), **settings).model
    x = torch.cat([samples(20, 3, spread=4.0), torch.full((1, 3), 1e30), torch.full((1, 3), -1e6)]).float()
    for row, got in zip(x, quantized(x), strict=True):
        h = row
        for layer in quantized.layers:
            h = layer(h) if isinstance(layer, ProductNodes) else by_the_equation(layer, h)
        assert torch.equal(quantized.output_affine(h), got)


def test_the_model_stays_as_it_was():
    model = mixed()
    before, x = tensors(model), samples(100, 3)
    quantized = quantize(model, x)
    assert all(torch.equal(before[name], t) for name, t in tensors(model).items())
    assert torch.equal(quantize(model, x).model(x), quantized.model(x))


def test_eight_bits_lose_little_and_more_bits_less():
    lost = {bits: [] for bits in (4, 8, 16)}
    for seed in SEEDS:
        model, x = network([4, 8, 1], seed=seed), samples(400, 4, seed=seed, **INSIDE)
        for bits, values in lost.items():
            quantized = quantize(model, x, bits, segments=32 if bits < 16 else 512)
            values.append(quantized.relative)
            assert quantized.relative == pytest.approx(error(quantized.model, model, x), rel=1e-3)
    assert max(lost[8]) < 0.02
    assert max(lost[16]) < 1e-3
    assert min(lost[4]) > 3 * max(lost[8])


def test_a_small_network_takes_less_than_two_kilobytes():
    quantized = quantize(network([4, 8, 1]), samples(100, 4, **INSIDE))
    held = sum(t.numel() * t.element_size() for layer in quantized.model.layers for t in _stored(layer))
    assert quantized.nbytes == held < 2000


def _stored(layer):
    """What a dense layer without a codebook stores; which edges there are needs no numbers."""
    return layer.low, layer.inverse, layer.tables, layer.slopes, layer.gain, layer.bias, layer.unit


def test_one_far_row_costs_nothing_on_the_others():
    for seed in SEEDS:
        model, x = network([4, 8, 1], seed=seed), samples(400, 4, seed=seed, **INSIDE)
        far = torch.cat([x, torch.full((1, 4), 20.0)])
        alone, beside = (error(quantize(model, rows).model, model, x) for rows in (x, far))
        assert beside < 1.25 * alone
        # And the far row itself is on the straight line on which a curve goes on outside its grid.
        y = float(model(far[-1]).detach())
        assert abs(float(quantize(model, far).model(far[-1])) - y) < 0.2 * abs(y)


def test_rare_values_within_the_grid_are_in_the_table():
    """A pixel at the edge of images is dark in nearly all of them; where it is not, the curve still bends."""
    for seed in SEEDS:
        model, x = network([4, 1], seed=seed), samples(4000, 4, seed=seed, **INSIDE)
        dark = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < 0.993
        rare = torch.where(dark, -1 + 0.01 * (x + 1), x)
        seen = x.clamp(rare.amin(0), rare.amax(0))
        alone, seldom = (error(quantize(model, rows).model, model, seen) for rows in (x, rare))
        assert seldom < 3 * alone


def test_a_codebook_makes_many_edges_small():
    model, x = network([12, 16, 3], seed=1), samples(300, 12, **INSIDE)
    apart, shared, few = (quantize(model, x, codebook=count) for count in (None, 32, 8))
    assert shared.nbytes < 0.5 * apart.nbytes
    assert few.nbytes < shared.nbytes
    assert apart.relative < shared.relative < few.relative < 0.5
    every = quantize(model, x, codebook=12 * 16)
    assert torch.equal(every.model(x), apart.model(x))


def test_curves_that_are_copies_share_their_table_without_loss():
    """Edges that differ by a factor and a constant alone: a codebook of one shape is exact up to rounding."""
    model = network([6, 1])
    layer = model.layers[0]
    factors = torch.tensor([1.0, -2.0, 0.5, 3.0, -1.0, 0.1])
    layer.coef.data = layer.coef.data[:1] * factors[:, None, None]
    x = torch.linspace(-1, 1, 301, dtype=torch.float64)[:, None].expand(-1, 6)[:, torch.randperm(6)]
    assert quantize(model, x, codebook=1).relative < 2 * quantize(model, x).relative + 1e-3


def test_what_is_not_finite_gives_nan_in_its_row_alone():
    model, x = mixed(), samples(5, 3).float()
    quantized = quantize(model, samples(100, 3)).model
    bad = x.clone()
    bad[1, 0], bad[3, 2] = torch.nan, torch.inf
    assert quantized(bad).isnan().all(-1).tolist() == [False, True, False, True, False]
    assert torch.equal(quantized(bad)[[0, 2, 4]], quantized(x)[[0, 2, 4]])
    assert quantized(x[:0]).shape == (0, 2)


def test_an_input_that_never_moves_has_a_table():
    model, x = network([2, 1]), samples(50, 2, **INSIDE)
    x[:, 1] = 0.25
    assert quantize(model, x).relative < 0.02
    # Also where its units are tiny, so that a table of any other width would drown the other edges.
    model.input_affine = Affine(torch.tensor([1.0, 1e9]).double(), torch.tensor([0.0, -0.25e9]).double())
    assert quantize(model, x).relative < 0.02


def test_an_input_that_moves_in_few_rows_keeps_them():
    """Such as a pixel at the border: nine hundred and ninety-five rows are zero."""
    model, x = network([2, 1]), samples(1000, 2, **INSIDE)
    x[5:, 1] = 0.0
    quantized = quantize(model, x).model
    y = model(x[:5]).detach()
    assert float((quantized(x[:5]) - y).abs().max()) < 0.03 * float(model(x).detach().std())


def test_what_cannot_be_quantised_is_named():
    model, x = network([2, 1]), samples(10, 2)
    with pytest.raises(TypeError, match="takes a KAN, not a Linear"):
        quantize(torch.nn.Linear(2, 1), x)
    for bad in ({"bits": 1}, {"bits": 17}, {"segments": 0}, {"segments": 65537}, {"codebook": 0}):
        with pytest.raises(ValueError, match="bits must be 2 to 16"):
            quantize(model, x, **bad)
    for rows in (x[:0], x[:, :1], x * torch.nan):
        with pytest.raises(ValueError, match="rows of 2 finite numbers"):
            quantize(model, rows)
    pole = ew.surgery.fix(model, (0, 1, 0), "1/x", (1.0, 0.0, 1.0, 0.0))
    with pytest.raises(ValueError, match=r"edge \(in=1, out=0\) is not finite"):
        quantize(pole, torch.linspace(-1, 1, 65)[:, None].expand(-1, 2).double())


def test_a_network_of_integers_has_no_parameters_and_says_its_size():
    quantized = quantize(mixed(), samples(100, 3))
    assert not list(quantized.model.parameters())
    x = samples(20, 3).float()
    y = quantized.model(x)
    for moved in (quantized.model.double(), quantized.model.half(), quantized.model.to("cpu", torch.bfloat16)):
        assert torch.equal(moved(x), y)
    edges = [layer for layer in quantized.model.layers if isinstance(layer, IntegerEdges)]
    assert quantized.nbytes == sum(layer.nbytes for layer in edges) + 16
    assert f"{quantized.nbytes:,} bytes" in str(quantized)


def test_it_says_what_the_numbers_took_before():
    model = ew.KAN([20, 30], generator=torch.Generator().manual_seed(0))
    (layer,) = model.layers
    numbers = layer.coef.numel() + layer.bias.numel() + layer.grid.numel()
    assert quantize(model, samples(100, 20).float()).float_nbytes == 4 * numbers
    tabulated = quantize(ew.adapters.slim(model, (2, 4, 2)), samples(100, 20).float())
    assert tabulated.float_nbytes < tabulated.nbytes
    assert f"{tabulated.float_nbytes:,} in float32" in str(tabulated)
