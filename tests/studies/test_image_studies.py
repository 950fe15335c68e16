"""The studies of pictures run from data to table on tiny data, and their networks learn."""

import dataclasses

import pytest
import torch
from zoo import rng

from edgewise.compare import race
from studies.applications import conv, pictures, segmentation, vit
from studies.problems.images import Images, Tissues


@pytest.fixture(scope="module")
def stripes() -> pictures.Split:
    """Two classes: horizontal and vertical stripes with noise."""
    labels = torch.arange(240) % 2
    rows = torch.arange(16)[:, None].expand(16, 16) // 2 % 2
    images = torch.where(labels.bool()[:, None, None], rows, rows.T)[:, None] * 120
    images = images + torch.randint(0, 60, images.shape, generator=rng())
    parts = images[:160].byte(), labels[:160], images[160:].byte(), labels[160:]
    return pictures.split(Images(*parts, ("down", "across")))


def head() -> Tissues:
    """A ball with a bright core."""
    axes = [torch.linspace(-1, 1, n) for n in (197, 233, 140)]
    radius = sum(a**2 for a in torch.meshgrid(*axes, indexing="ij")) ** 0.5
    labels = (radius < 0.35).long() + (radius < 0.2).long()
    return Tissues(labels / 2.0, labels)


@pytest.mark.parametrize("name", list(conv.KINDS))
def test_convolutions_learn_at_one_size(stripes, name) -> None:
    tries = conv.tries(name, stripes, 1500)
    assert len(tries) == 6
    assert all(1300 < race.count_parameters(entry.build(0)) < 1700 for entry in tries)
    run = race.train(tries[0], pictures.task(stripes), 0, steps=50)
    assert run["score"] > 90


def test_convolutions_are_chosen_and_race(stripes, monkeypatch) -> None:
    monkeypatch.setattr(conv, "RATES", (0.02,))
    monkeypatch.setattr(conv, "KINDS", {name: dict([*kinds.items()][:2]) for name, kinds in conv.KINDS.items()})
    entries = conv.chosen(stripes, steps=10, parameters=700)
    rows, times, models = conv.study(entries, stripes, steps=10, seeds=1, rounds=3)
    names = [entry.name for entry in entries]
    assert [name.split(" (")[0] for name in names] == list(conv.KINDS)
    assert [(row["name"], row["budget"]) for row in rows if row["budget"] == "steps"] == [(n, "steps") for n in names]
    assert times.keys() == models.keys() == set(names)
    assert pictures.accuracy(models[names[0]], stripes) == rows[0]["scores"][0]


def test_transformers_learn(stripes) -> None:
    entries = [dataclasses.replace(entry, lr=0.005) for entry in vit.networks(stripes, 16)]
    rows, _, _ = vit.study(entries, stripes, steps=60, seeds=1, rounds=3)
    sizes = [row["parameters"] for row in rows]
    assert max(sizes) < 1.1 * min(sizes)
    assert min(row["mean"] for row in rows if row["budget"] == "steps") > 90


def test_tissues_are_found(monkeypatch) -> None:
    monkeypatch.setattr(segmentation, "SIZE", (32, 32))
    monkeypatch.setattr(segmentation, "RATES", (0.02,))
    train, test = (segmentation.slices(head(), range(start, start + 5), start) for start in (28, 36))
    assert train.images.shape == (5, 1, 32, 32)
    entries = segmentation.networks(0.5)[:2]
    rows, _, _ = segmentation.study(entries, train, test, steps=40, seeds=1, rounds=3)
    assert [(row["name"], row["budget"]) for row in rows] == [("U-Net", "steps"), ("U-KAN", "steps"), ("U-KAN", "time")]
    assert rows[1]["mean"] > 0.5


def test_equal_sizes() -> None:
    unet, u_kan, perceptrons, linear = (race.count_parameters(entry.build(0)) for entry in segmentation.networks())
    assert abs(u_kan / unet - 1) < 0.1
    assert abs(perceptrons / u_kan - 1) < 0.01
    assert linear < 0.85 * u_kan


def test_the_measures() -> None:
    truth = torch.tensor([[0, 1, 1, 2]])
    assert segmentation.mean_iou(torch.tensor([[0, 1, 2, 2]]), truth) == pytest.approx(0.5)
    table = pictures.confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
    assert table.tolist() == [[1, 1], [0, 1]]


def test_pictures_are_drawn(stripes, tmp_path) -> None:
    pictures.draw_confusions({"net": torch.tensor([[3, 1], [0, 4]])}, stripes.classes, tmp_path / "a" / "confusion.png")
    data = segmentation.slices(head(), range(30, 34), 0)
    segmentation.draw_masks({"truth": data.labels}, data, tmp_path / "masks.png")
    assert (tmp_path / "a" / "confusion.png").stat().st_size > 5000
    assert (tmp_path / "masks.png").stat().st_size > 5000
