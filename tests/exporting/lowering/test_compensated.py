"""Compensated sums lose no digit to cancellation; a compensated copy computes what the model computes."""

from fractions import Fraction

import pytest
import torch
from torch import nn
from zoo import BASES, mixed, network, rng, samples

import edgewise as ew
from edgewise.adapters import slim
from edgewise.bases import BSpline
from edgewise.exporting.lowering import lowered
from edgewise.exporting.lowering.compensated_rational import horner
from edgewise.exporting.lowering.compensated_sums import (
    CompensatedProduct,
    Pair,
    compensated_products,
    compensated_softmax,
    shortened,
    two_product,
    two_sum,
)
from edgewise.exporting.lowering.lowered_linear import RAMPS_UP_TO
from edgewise.exporting.prediction import ClassProbabilities
from edgewise.nn import Affine, KANAttention, KANFeedForward

EXTRAPOLATIONS = ("linear", "constant", "polynomial", "zero")


def numbers(*shape, seed=0):
    """float32 numbers of all sizes between 1e-4 and 1e4."""
    x = torch.randn(shape, generator=rng(seed))
    return x * 10 ** (8 * torch.rand(shape, generator=rng(seed + 1)) - 4)


def exact(a, b, of):
    return [of(Fraction(float(x)), Fraction(float(y))) for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_and_products_are_exact(dtype):
    a, b = numbers(300).to(dtype), numbers(300, seed=5).to(dtype)
    total, lost = two_sum(a, b)
    assert [Fraction(float(t)) + Fraction(float(e)) for t, e in zip(total, lost, strict=True)] == exact(
        a, b, lambda x, y: x + y
    )
    product, lost = two_product(a, b)
    digits = 2.0 ** (-47 if dtype == torch.float32 else -104)
    for p, e, whole in zip(product, lost, exact(a, b, lambda x, y: x * y), strict=True):
        assert abs(Fraction(float(p)) + Fraction(float(e)) - whole) <= digits * abs(whole)


@pytest.mark.parametrize("bits", [4, 8, 12])
def test_short_numbers_have_so_many_bits(bits):
    x = numbers(50, 7)
    for dim in (-1, None):
        short = shortened(x, bits, dim)
        largest = (x.abs() if dim is None else x.abs().amax(-1, keepdim=True)).double()
        unit = 2.0 ** (largest.log2().floor() + 1 - bits)
        assert ((short.double() / unit * 2) % 1 == 0).all()  # half a unit where the sum changes its binade
        assert ((short - x).abs() <= unit).all()


@pytest.mark.parametrize("terms", [1, 7, 300])
def test_a_compensated_product_does_not_feel_cancellation(terms):
    w, b = torch.randn(terms, 5, generator=rng(3)).double(), torch.randn(5, generator=rng(4)).double()
    x = 1e3 * torch.randn(40, terms, generator=rng(5))
    b[0] = -(x[0].double() @ w[:, 0])  # an output that is almost nothing beside its terms
    expected = x.double() @ w + b
    size = x.double().abs() @ w.abs() + b.abs()
    got = CompensatedProduct(w, b, torch.float32).pair(Pair(x))
    plain = (x @ w.float() + b.float() - expected).abs() / size
    error = (got.high.double() + got.low.double() - expected).abs() / size
    assert error.max() < 2e-9
    if terms > 1:
        assert plain.max() > 20 * error.max()


def test_inner_products_of_results():
    q, k = (
        Pair(100 * torch.randn(2, 6, 4, generator=rng(s)), 1e-6 * torch.randn(2, 6, 4, generator=rng(s + 1)))
        for s in (0, 7)
    )
    a, b = (x.high.double() + x.low.double() for x in (q, k))
    high, low = compensated_products(q, k)
    error = (high.double() + low.double() - a @ b.mT).abs() / (a.abs() @ b.abs().mT)
    assert error.max() < 2e-9


def test_softmax_of_large_scores():
    exact_scores = 5e4 + 3 * torch.randn(20, 6, generator=rng(), dtype=torch.float64)
    high = exact_scores.float()
    low = (exact_scores - high.double()).float()
    got = compensated_softmax(Pair(high, low), 0.5)
    expected = (exact_scores * 0.5).softmax(-1)
    torch.testing.assert_close(got.double(), expected, rtol=0, atol=3e-7)
    assert (high.mul(0.5).softmax(-1) - expected).abs().max() > 1e-4


def test_horner_near_a_root():
    a = [torch.tensor(v) for v in (-1.0, 5.0, -10.0, 10.0, -5.0, 1.0)]  # (x - 1)^5
    x = 1 + torch.linspace(-0.02, 0.02, 41)
    p, low = horner(a, Pair(x))
    expected = (x.double() - 1) ** 5
    assert (p.double() + low.double() - expected).abs().max() < 1e-12
    assert (p.double() - expected).abs().max() > 1e-8


def agree(model, x, atol=1e-11):
    got = lowered(model, torch.float64, compensated=True)(x.double())
    with torch.no_grad():
        expected = model.eval()(x.double())
    scale = 1 + expected.abs().max()
    torch.testing.assert_close(got, expected, rtol=0, atol=float(atol * scale))


@pytest.mark.parametrize("extrapolation", EXTRAPOLATIONS)
@pytest.mark.parametrize("intervals", [1, 5, RAMPS_UP_TO + 3])
def test_splines_everywhere(intervals, extrapolation):
    for degree in (0, 1, 3):
        basis = BSpline(intervals, degree, extrapolation=extrapolation)
        model = network([3, 4, 2], seed=degree, basis=basis, residual="silu" if degree else "identity")
        agree(model, torch.cat([samples(30, 3), 9 * samples(30, 3)]), atol=1e-10)


@pytest.mark.parametrize("basis", BASES, ids=repr)
def test_every_basis(basis):
    agree(network([2, 3, 2], basis=basis), samples(30, 2))


def test_symbols_products_units_and_factors():
    model = mixed()
    model.input_affine = Affine(torch.tensor([0.5, 0.0, 1.0][: model.in_features]), torch.ones(model.in_features))
    agree(model, samples(40, model.in_features))
    agree(slim(network([8, 12, 8]), (4, 3, 4)), 2 * samples(20, 8))


def test_blocks_and_modules_of_torch():
    for block, shape in (
        (KANAttention(8, 2, BSpline(4, 3), generator=rng(), dtype=torch.float64), (3, 5, 8)),
        (KANFeedForward(8, 16, groups=4, generator=rng(), dtype=torch.float64), (9, 8)),
        (KANFeedForward(4, 6, BSpline(4, 3), generator=rng(), dtype=torch.float64), (9, 4)),
        (nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2, bias=False)).double(), (7, 3)),
        (ClassProbabilities(network([3, 1]), ["a", "b"]), (7, 3)),
        (ClassProbabilities(network([3, 4]), list("abcd")), (7, 3)),
    ):
        agree(block, 3 * torch.randn(shape, generator=rng(1), dtype=torch.float64))


@pytest.mark.parametrize("seed", [11, 12])
def test_far_outside_in_single_precision(seed):
    """Two layers far outside their grids: plain single precision loses several times as much."""
    model = ew.KAN([4, 8, 1], generator=rng(seed))
    with torch.no_grad():
        for p in model.parameters():
            p += 0.3 * torch.randn(p.shape, generator=rng(seed + 1))
    x = 20 * torch.randn(2000, 4, generator=rng(seed + 2))
    with torch.no_grad():
        expected = lowered(model, torch.float64)(x.double())
        errors = [
            ((lowered(model, compensated=c)(x).double() - expected).abs() / (1 + expected.abs())).max()
            for c in (False, True)
        ]
    assert errors[1] < min(3e-6, errors[0] / 4)


def test_what_is_not_finite_stays_so():
    model = lowered(network([2, 3, 1]), compensated=True)
    bad = torch.tensor([[torch.nan, 0.0], [torch.inf, 0.0], [0.1, 0.2]])
    assert model(bad)[:2].isnan().all()
    assert model(bad)[2].isfinite().all()
