"""The studies of images run from data to table on tiny data, and their networks learn."""

import dataclasses

import pytest
import torch
from zoo import rng

from edgewise.compare import count_parameters, race
from studies import figures, runner
from studies.applications import classification, conv, segmentation, vit
from studies.problems.images import Images, Tissues
from studies.races import race_cases


@pytest.fixture(scope="module")
def stripes() -> classification.Split:
    """Two classes: horizontal and vertical stripes with noise."""
    labels = torch.arange(240) % 2
    rows = torch.arange(16)[:, None].expand(16, 16) // 2 % 2
    images = torch.where(labels.bool()[:, None, None], rows, rows.T)[:, None] * 120
    images = images + torch.randint(0, 60, images.shape, generator=rng())
    parts = images[:160].byte(), labels[:160], images[160:].byte(), labels[160:]
    return classification.split(Images(*parts, ("down", "across")))


def head() -> Tissues:
    """A ball with a bright core."""
    axes = [torch.linspace(-1, 1, n) for n in (197, 233, 140)]
    radius = sum(a**2 for a in torch.meshgrid(*axes, indexing="ij")) ** 0.5
    labels = (radius < 0.35).long() + (radius < 0.2).long()
    return Tissues(labels / 2.0, labels)


@pytest.mark.parametrize("name", list(conv.KINDS))
def test_convolutions_learn_at_one_size(stripes, name) -> None:
    tries = conv.tries(name, stripes, conv.ConvSettings(parameters=1500))
    assert len(tries) == 6
    assert all(1300 < count_parameters(entry.build(0)) < 1700 for entry in tries)
    run = race.train(tries[0], classification.task(stripes), 0, steps=50)
    assert run["score"] > 90


def test_convolutions_are_chosen_and_race(stripes, monkeypatch, tmp_path) -> None:
    names = ["CNN", "rational units"]
    monkeypatch.setattr(conv, "KINDS", {name: dict([*conv.KINDS[name].items()][:2]) for name in names})
    monkeypatch.setattr(classification, "load", lambda dataset: stripes)
    settings = conv.ConvSettings(parameters=700, steps=10, rates=(0.02,))
    study = classification.image_study("conv", "a race of convolutions", names, conv.race_of, settings)
    result = runner.run(study, settings, (0,), folder=tmp_path)
    assert [(row["name"], row["budget"]) for row in result.rows] == [
        (names[0], "steps"),
        *((name, budget) for name in names[1:] for budget in ("steps", "time")),
    ]
    assert [row["entry"].split(" (")[0] for row in result.rows] == [row["name"] for row in result.rows]
    assert result.shared["FashionMNIST step times"].keys() == set(names)
    for row in result.rows:
        counts = torch.tensor(row["kept"])
        assert 100 * float(counts.diag().sum() / counts.sum()) == pytest.approx(row["score"])
    assert (tmp_path / "conv_FashionMNIST.png").stat().st_size > 5000


def test_transformers_learn(stripes) -> None:
    competition = vit.race_of(stripes, vit.TransformerSettings(features=16, rates=(0.005,)))
    runs = [race.train(entry, competition.task, 0, steps=60) for (entry,) in competition.entries.values()]
    sizes = [run["parameters"] for run in runs]
    assert max(sizes) < 1.1 * min(sizes)
    assert min(run["score"] for run in runs) > 90


@pytest.mark.slow
def test_tissues_are_found(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(segmentation, "SIZE", (32, 32))
    train, test = (segmentation.slices(head(), range(start, start + 5), start) for start in (28, 36))
    assert train.images.shape == (5, 1, 32, 32)
    settings = segmentation.TissueSettings(steps=30, rates=(0.02,))
    competition = segmentation.race_of(segmentation.networks(0.5)[:2], train, test, settings)
    cases = lambda settings, seeds: race_cases(competition.entries, seeds)
    study = dataclasses.replace(segmentation.STUDY, cases=cases, measure=competition.measure)
    rows = runner.run(study, settings, (0,), folder=tmp_path).rows
    assert [(row["name"], row["budget"]) for row in rows] == [("U-Net", "steps"), ("U-KAN", "steps"), ("U-KAN", "time")]
    assert rows[1]["score"] > 0.5
    assert (tmp_path / "segmentation.png").stat().st_size > 5000


def test_equal_sizes() -> None:
    unet, u_kan, mlps, linear = (count_parameters(entry.build(0)) for entry in segmentation.networks())
    assert abs(u_kan / unet - 1) < 0.1
    assert abs(mlps / u_kan - 1) < 0.01
    assert linear < 0.85 * u_kan


def test_the_measures() -> None:
    truth = torch.tensor([[0, 1, 1, 2]])
    assert segmentation.mean_iou(torch.tensor([[0, 1, 2, 2]]), truth) == pytest.approx(0.5)
    table = classification.confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
    assert table.tolist() == [[1, 1], [0, 1]]


def test_confusions_are_drawn(stripes, tmp_path) -> None:
    table = torch.tensor([[3, 1], [0, 4]])
    classification.draw_confusions({"net": table}, stripes.classes, tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 5000


def test_what_a_figure_needs_is_stored_to_a_255th() -> None:
    values = torch.rand(3, 4, 5, generator=rng())
    torch.testing.assert_close(figures.unpack(figures.pack(values), (3, 4, 5)), values, atol=1 / 510 + 1e-6, rtol=0)
