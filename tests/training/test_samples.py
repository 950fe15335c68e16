"""The data of `fit`: shapes match exactly, values are finite, and what is given twice is refused."""

import math

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import edgewise as ew
from edgewise import Auto, FirstOrder, LevenbergMarquardt

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
    with pytest.raises(ValueError, match="weights must be 120 finite values"):
        ew.fit(small(), data, sample_weight=torch.ones(3))
    for weighted in ((x, y, ones), {"x": x, "y": y, "weights": ones}):
        with pytest.raises(ValueError, match="leave one of the two out"):
            ew.fit(small(), weighted, ONE_STEP, sample_weight=ones)


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("method", ["auto", "lm", "adam"])
def test_targets_must_suit_the_loss(data, method):
    x, y = data
    for loss, bad, message in [
        ("bce", y, r"'bce' has no minimum for targets that are not between 0 and 1, and \d+ of 120 are not"),
        ("poisson", y - 2, "'poisson' has no minimum for targets that are not 0 or more"),
        ("mse", y / 0, "y is NaN or infinite in 120 of 120 rows"),
    ]:
        with pytest.raises(ValueError, match=message):
            ew.fit(small(), (x, bad), method, loss=loss)
    two = ew.KAN([2, 2], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"numbers of classes 0, 1, 2, ..., got 0\.5"):
        ew.fit(two, (x, torch.full((120,), 0.5)), method, loss="cross_entropy")
    with pytest.raises(ValueError, match="labels run from -1 to 0"):
        ew.fit(two, (x, -(torch.arange(120) % 2)), method, loss="cross_entropy")
    for weight, told in ((-1.0, "least value of -1.0"), (math.inf, "finite"), (math.nan, "finite")):
        with pytest.raises(ValueError, match=f"weights must be 120 finite values >= 0.*{told}|{told}"):
            ew.fit(small(), data, method, sample_weight=torch.full((120,), weight))


@pytest.mark.usefixtures("as_a_user")
def test_labels_may_be_floats_that_are_whole(data):
    labels = (data[1] > 1).double()
    result = ew.fit(ew.KAN([2, 2], dtype=torch.float64), (data[0], labels), ONE_STEP, loss="cross_entropy")
    assert math.isfinite(result.report.loss)


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("method", [LevenbergMarquardt(steps=2), Auto(starts=1, steps=1, extend=False), ONE_STEP])
def test_whole_numbers_are_values(method):
    x = torch.arange(40).reshape(20, 2) % 7
    y = x.sum(1)
    model = ew.KAN([2, 1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole, real = (ew.fit(model, data, method) for data in ((x, y), (x.double(), y.double())))
    assert whole.report.loss == real.report.loss


@pytest.mark.usefixtures("as_a_user")
def test_frames_keep_the_names_of_their_columns(data):
    frames = pytest.importorskip("pandas")
    x = frames.DataFrame({"mass": data[0][:, 0].numpy(), "speed": data[0][:, 1].numpy()})
    y = frames.Series(data[1].numpy(), name="energy")
    model = ew.fit(small(), (x, y), ONE_STEP).model
    assert (model.input_names, model.output_names) == (("mass", "speed"), ("energy",))
    expected = ew.fit(small(), data, ONE_STEP).model
    assert torch.equal(ew.trace(model, x).output, ew.trace(expected, data[0]).output)
    text = frames.DataFrame({"mass": ["a"] * 120, "speed": data[0][:, 1].numpy()})
    with pytest.raises(TypeError, match="'mass': not all values are numbers"):
        ew.fit(small(), (text, y), ONE_STEP)


@pytest.mark.usefixtures("as_a_user")
def test_rows_far_away_are_noted(data):
    x, y = data
    assert ew.fit(small(), data, ONE_STEP).report.notes == ()
    (note,) = ew.fit(small(), (10 * x, y), ONE_STEP).report.notes
    assert "120 rows lie far outside the grid" in note
    x = torch.cat([x, torch.tensor([[1e4, 0.0]], dtype=torch.float64)])
    notes = ew.fit(small(), (x, torch.cat([y, y[:1]])), Auto(starts=1, steps=1, extend=False)).report.notes
    assert any("1 of 121 rows lie far away" in note and "row 120, input 0 = 10000" in note for note in notes)


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
