"""The data of `fit`: shapes match exactly, values are finite, and what is given twice is refused."""

import math

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import edgewise as ew
from edgewise import FirstOrder

ONE_STEP = FirstOrder("adam", steps=1)


@pytest.fixture
def data():
    x = 2 * torch.rand(120, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 1
    return x, torch.exp(torch.sin(math.pi * x[:, 0]) + x[:, 1] ** 2)


def small():
    return ew.KAN([2, 1, 1], generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_shapes_never_broadcast(data):
    x, y = data
    two = ew.KAN([2, 2], dtype=torch.float64)
    for model, xs, ys, message in [
        (two, x, y, r"\(120,\).*\(120, 2\)"),
        (small(), x, y[None], r"\(120, 2\).*\(1, 120\)"),
        (small(), x, y[:100], r"\(120, 2\).*\(100,\)"),
        (small(), x[:, :1], y, r"\(120, 1\).*2 features"),
        (small(), x, torch.stack([y, y], 1), r"\(120, 2\).*\(120, 1\)"),
        (small(), x[:0], y[:0], "no samples"),
    ]:
        with pytest.raises(ValueError, match=message):
            ew.fit(model, (xs, ys), ONE_STEP)
    with pytest.raises(ValueError, match="labels run from 0 to 5"):
        ew.fit(two, (x, torch.arange(120) % 6), ONE_STEP, loss="cross_entropy")


def test_bad_values_are_named(data):
    x, y = data
    x[3, 1], x[77, 0] = math.nan, math.inf
    with pytest.raises(ValueError, match=r"x is NaN or infinite in 2 of 120 rows \(rows 3, 77\)"):
        ew.fit(small(), (x, y), ONE_STEP)


def test_weights_are_checked_and_given_once(data):
    x, y = data
    ones = torch.ones(120)
    with pytest.raises(ValueError, match="weights must be 120 values"):
        ew.fit(small(), data, sample_weight=torch.ones(3))
    for weighted in ((x, y, ones), {"x": x, "y": y, "weights": ones}):
        with pytest.raises(ValueError, match="leave one of the two out"):
            ew.fit(small(), weighted, ONE_STEP, sample_weight=ones)


def test_a_loader_makes_its_own_batches(data):
    loader = DataLoader(TensorDataset(data[0], data[1][:, None]), batch_size=40)
    with pytest.raises(ValueError, match="leave out batch_size"):
        ew.fit(small(), loader, FirstOrder("adam", steps=1, batch_size=10))
    with pytest.raises(ValueError, match="cannot be split"):
        ew.fit(small(), loader, ONE_STEP, validation=0.2)


def test_a_mapping_and_a_loader_of_one_batch_are_the_data_themselves(data):
    x, y = data
    loader = DataLoader(TensorDataset(x, y[:, None]), batch_size=120)
    method = FirstOrder("sgd", steps=3)
    pair, mapping, batches = (ew.fit(small(), d, method).history for d in (data, {"x": x, "y": y}, loader))
    assert pair == mapping
    for a, b in zip(pair, batches, strict=True):
        assert a == pytest.approx(b, rel=1e-12)
