r"""The networks whose rounding `small` measures: on tables, a slim one on images, and one that forecasts a series.

Each is trained as the study that it belongs to trains it, and judged on rows that it has not seen, in points: the
percentage of right classes, and of a forecast $100 R^2 = 100 (1 - \mathrm{MSE} / \mathrm{Var}(y))$ over all test
windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

import edgewise as ew
from edgewise.adapters import lotra_groups, slim
from edgewise.bases import BSpline
from edgewise.compare import race
from edgewise.models.forecast import Forecaster
from edgewise.nn import Affine
from edgewise.tables.shipped import KNOTS, load_knots
from studies.applications.forecast import LENGTH, entries, error_of, forecasting
from studies.lotra.common import batches, rng, train
from studies.problems import load_etth1
from studies.problems.images import load_fashion_mnist

HELD = 0.25
SEEN = 1000
"""Inputs that show the ranges of a network on images or windows."""
EPOCHS, BATCH, RATE, RANKS = 6, 256, 0.1, (42, 4, 24)
"""Of the slim network, as in `lotra-fashion`; the rate is the middle one of its three."""
HORIZON, STEPS, FORECAST_RATE = 96, 350, 0.01
"""Of the forecast, as in `forecast-96`, where this rate was chosen by the validation months."""

Score = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True)
class Trained:
    """A trained network and its judge.

    Args:
        network: a KAN.
        seen: inputs of the training part.
        score: of a module in place of the network, "points" and what else is reported.
    """

    network: ew.KAN
    seen: Tensor
    score: Score


def on_table(name: str, seed: int, steps: int, rows: int) -> Trained:
    """Eight hidden nodes on the standardised columns of a table of classes, by Adam."""
    x, y = _table(name)
    order = np.random.default_rng(seed).permutation(len(y))[:rows]
    held = int(HELD * len(order))
    test, seen = order[:held], torch.as_tensor(x[order[held:]])
    classes, labels = np.unique(y, return_inverse=True)
    spread = torch.where(seen.std(0) > 0, seen.std(0), 1.0)
    units = Affine((1 / spread).float(), (-seen.mean(0) / spread).float())
    model = ew.KAN([x.shape[1], 8, len(classes)], grid_range=(-2.0, 2.0), generator=rng(seed))
    method = ew.FirstOrder("adam", lr=1e-2, steps=steps, batch_size=256)
    target = torch.as_tensor(labels[order[held:]])
    fitted = ew.fit(model, (units(seen).float(), target), method, loss="cross_entropy", seed=seed).model
    network = ew.KAN.assemble(fitted.layers, input_affine=units).eval()
    return Trained(network, seen, _accuracy(torch.as_tensor(x[test]).float(), torch.as_tensor(labels[test])))


def on_images(seed: int) -> Trained:
    """FashionMNIST by [784, 64, 10], whose first layer has Tucker factors of a tenth of its coefficients."""
    images, generator = load_fashion_mnist(), rng(seed)
    x, y = _pixels(images.train)[:55_000], images.train_labels[:55_000]
    dense = ew.KAN([784, 64, 10], BSpline(5, 3), generator=generator)
    model = slim(dense, RANKS, where="layers.0", init="random", generator=generator)
    order = batches(len(x), BATCH, EPOCHS, rng(seed + 300))

    def loss(model: nn.Module) -> Tensor:
        rows = next(order)
        return nn.functional.cross_entropy(model(x[rows]), y[rows])

    train(model, lotra_groups(model, RATE), loss, EPOCHS * (len(x) // BATCH))
    return Trained(model.eval(), x[:SEEN], _accuracy(_pixels(images.test), images.test_labels))


def on_series(seed: int) -> Trained:
    """The next 96 hours of ETTh1 by two layers of splines, between the halves of the usual normalisation."""
    series = load_etth1()
    channels = len(series.names)
    named = next(entry for entry in entries(HORIZON, channels) if entry.name == "B-spline KAN")
    found, models = race.remembering([replace(named, lr=FORECAST_RATE)])
    race.train(found[0], forecasting(series, HORIZON), seed, steps=STEPS)
    forecaster = models[named.name].eval()
    assert isinstance(forecaster, Forecaster)
    windows, _ = series.windows("train", LENGTH, HORIZON)
    rows = torch.randperm(len(windows), generator=rng(seed))[: SEEN // channels]
    seen, _ = forecaster.norm(windows[rows])
    variance = float(series.windows("test", LENGTH, HORIZON)[1].var(correction=0))

    def score(core: nn.Module) -> dict[str, float]:
        mse = error_of(_in_place(forecaster, core), series, HORIZON, "test")["MSE"]
        return {"points": 100 * (1 - mse / variance), "MSE": mse}

    return Trained(_joined(forecaster.core), seen.transpose(-1, -2).flatten(0, 1).detach(), score)


def _in_place(forecaster: Forecaster, core: nn.Module) -> Forecaster:
    """The forecaster with another core."""
    other = Forecaster(core, 1)
    other.norm = forecaster.norm
    return other.eval()


def _joined(core: nn.Module) -> ew.KAN:
    """The layers of a forecaster as one network."""
    assert isinstance(core, Iterable)
    return ew.KAN.assemble(list(core)).eval()


def _accuracy(x: Tensor, y: Tensor) -> Score:
    @torch.no_grad()
    def score(network: nn.Module) -> dict[str, float]:
        return {"points": float(100 * (network(x).argmax(-1) == y).double().mean())}

    return score


def _pixels(images: Tensor) -> Tensor:
    return images.flatten(1).float() / 127.5 - 1


def _table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The columns of numbers and the classes."""
    from sklearn import datasets

    if name == "knots":
        frame = load_knots()
        target = KNOTS.references[0].target
        columns = [c for c in frame.columns if c != target and frame[c].dtype.kind in "iufb"]
        return frame[columns].to_numpy(float), frame[target].to_numpy(int)
    loaded = datasets.load_digits() if name == "digits" else datasets.load_breast_cancer()
    return loaded.data.astype(float), loaded.target
