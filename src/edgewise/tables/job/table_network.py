"""The network of a run: train it on encoded rows, prune it while its error permits, score it, rank its inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from edgewise.discovery.noisy import prune_network, train_network
from edgewise.nn import KAN, Affine, KANLinear
from edgewise.optim import get_loss
from edgewise.progress import Budget
from edgewise.tables.encode import Encoding
from edgewise.tables.job.record import NetworkFacts
from edgewise.tables.prepare import Prepared
from edgewise.tables.simplest import Fit, compare, row_losses, simple_fits, units_of
from edgewise.tracing import outside_grid, trace
from edgewise.training.samples import Samples

Array = np.ndarray
TRAIN_SHARE, VALIDATION_SHARE = 0.7, 0.15
THRESHOLDS = (0.2, 0.1, 0.05, 0.02, 0.01)
SHUFFLED, LEAST_ROWS = 30_000_000, 200
"""Values of curves that all importances may need together, and the rows that each one has at least."""

ALLOWED = 1.05
"""Pruning may raise the error on the validation rows by this factor."""


@dataclass(frozen=True)
class Rows:
    """Rows of an encoded table."""

    inputs: Float[Array, "rows features"]
    outcome: Num[Array, " rows"]

    def __len__(self) -> int:
        return len(self.inputs)

    def tensors(self, encoding: Encoding) -> tuple[Tensor, Tensor]:
        """Inputs and targets as `fit` takes them: amounts (n, 1), or class labels where there are more than two."""
        y = torch.as_tensor(self.outcome)
        many = encoding.task == "classification" and len(encoding.classes) > 2
        return torch.as_tensor(self.inputs), y.long() if many else y.double()[:, None]


def split(prepared: Prepared, rows: int, seed: int) -> tuple[Encoding, Rows, Rows, Rows, list[str]]:
    """Rows for training, validation and test (70, 15 and 15 per cent), and notes for the reader.

    The encoding is that of `prepared`, with the levels of many decided by the training rows.

    Every class is split separately. Of more than `rows` training rows, a random part is used.
    """
    rng = np.random.default_rng(seed)
    n = len(prepared.outcome)
    order = rng.permutation(n)
    if prepared.encoding.task == "classification":
        rank = np.empty(n)
        for label in np.unique(prepared.outcome):
            members = order[prepared.outcome[order] == label]
            rank[members] = (np.arange(len(members)) + rng.uniform()) / len(members)
        order = np.argsort(rank, kind="stable")
    first, second = round(TRAIN_SHARE * n), round((TRAIN_SHARE + VALIDATION_SHARE) * n)
    parts = [order[:first], order[first:second], order[second:]]
    notes = []
    if first > rows:
        parts = [rng.permutation(part)[:limit] for part, limit in zip(parts, (rows, rows // 4, 5 * rows), strict=True)]
        notes.append(
            f"{n} rows: trained on {rows} of them drawn at random, with {len(parts[1])} validation and "
            f"{len(parts[2])} test rows (--rows sets the first number)"
        )
    prepared = prepared.coded(parts[0], seed)
    training, validation, test = (Rows(prepared.inputs[part], prepared.outcome[part]) for part in parts)
    return prepared.encoding, training, validation, test, notes


def loss_name(encoding: Encoding) -> str:
    """The loss that a task is trained with."""
    if encoding.task == "regression":
        return "mse"
    return "bce" if len(encoding.classes) == 2 else "cross_entropy"


def output_names(encoding: Encoding) -> list[str]:
    """Names of the outputs of the network: the amount, one log-odds, or one score per class."""
    if encoding.task == "regression":
        return [encoding.target]
    if len(encoding.classes) == 2:
        return [f"log-odds of {encoding.target} = {encoding.classes[1]}"]
    return [f"score of {label}" for label in encoding.classes]


def predict(model: Callable[[Tensor], Tensor], encoding: Encoding, inputs: Array) -> Array:
    """Amounts (rows,), or class probabilities (rows, classes)."""
    with torch.no_grad():
        raw = torch.cat([model(part) for part in torch.as_tensor(inputs).split(65_536)])
    if encoding.task == "regression":
        return raw[:, 0].numpy()
    if raw.shape[1] == 1:
        raw = torch.cat([torch.zeros_like(raw), raw], dim=1)
    return raw.softmax(-1).numpy()


def scores(encoding: Encoding, outcome: Num[Array, " rows"], prediction: Array) -> dict[str, float]:
    """R2, RMSE, MAE and, where the amounts are few, accuracy; or accuracy and log loss of class probabilities."""
    if encoding.task == "classification":
        chosen = prediction[np.arange(len(outcome)), outcome.astype(int)]
        return {
            "accuracy": float(np.mean(prediction.argmax(1) == outcome)),
            "log_loss": float(-np.log(np.clip(chosen, 1e-15, 1)).mean()),
        }
    wrong = prediction - outcome
    variance = float(np.var(outcome))
    found = {
        "r2": 1 - float(np.mean(wrong**2)) / variance if variance > 0 else float("nan"),
        "rmse": float(np.mean(wrong**2) ** 0.5),
        "mae": float(np.abs(wrong).mean()),
    }
    if encoding.values:
        found = {"accuracy": float(np.mean(encoding.round(prediction) == outcome)), **found}
    return found


def loss(encoding: Encoding, outcome: Num[Array, " rows"], prediction: Array) -> float:
    """What importance and pruning compare: mean square error, or log loss."""
    found = scores(encoding, outcome, prediction)
    return found["rmse"] ** 2 if encoding.task == "regression" else found["log_loss"]


def train(encoding: Encoding, rows: Rows, validation: Rows, hidden: int, budget: Budget, seed: int) -> KAN:
    """The network with one hidden layer (none for `hidden` 0), in the user's units and with the user's names."""
    outputs = len(output_names(encoding))
    widths = [len(encoding.features), *([hidden] if hidden else []), outputs]
    data, held = rows.tensors(encoding), validation.tensors(encoding)
    return named(train_network(widths, data, held, loss=loss_name(encoding), seconds=budget.left, seed=seed), encoding)


def simple_models(encoding: Encoding, rows: Rows) -> dict[str, Callable[[], KAN]]:
    """What fits the linear and the additive model to the training rows, in the user's units; what is affordable."""
    x, y = rows.tensors(encoding)
    units, scale = units_of(x, torch.ones(len(x), dtype=x.dtype)), None
    if encoding.task == "regression":
        spread = y.std(0, correction=0)
        scale = Affine(torch.where(spread > 0, spread, torch.ones_like(spread)), y.mean(0))
        y = (y - scale.shift) / scale.scale
    samples, criterion = Samples(units(x), y), get_loss(loss_name(encoding))

    def in_user_units(make: Fit) -> KAN:
        layers = cast(list[Any], list(make(samples).layers))
        return named(KAN.assemble(layers, input_affine=units, output_affine=scale), encoding)

    fits = simple_fits(samples, criterion, len(output_names(encoding)))
    return {name: partial(in_user_units, make) for name, make in fits.items()}


def simplest_of(models: dict[str, KAN], encoding: Encoding, validation: Rows) -> str:
    """The name of the simplest of these models, in this order, within one standard error on the validation rows."""
    x, y = validation.tensors(encoding)
    held, criterion = Samples(x, y), get_loss(loss_name(encoding))
    return compare({name: row_losses(model, held, criterion) for name, model in models.items()})[0]


def prune_while_good(model: KAN, encoding: Encoding, rows: Rows, validation: Rows, budget: Budget, seed: int) -> KAN:
    """The smallest of several prunings that raise the error on the validation rows by at most 5 %; else the model."""
    bound = ALLOWED * loss(encoding, validation.outcome, predict(model, encoding, validation.inputs))
    data, held = rows.tensors(encoding), validation.tensors(encoding)
    for edge in THRESHOLDS:
        seconds = budget.seconds / len(THRESHOLDS)
        smaller = prune_network(model, data, held, loss=loss_name(encoding), edge=edge, seed=seed, seconds=seconds)
        if smaller is model:
            continue
        if loss(encoding, validation.outcome, predict(smaller, encoding, validation.inputs)) <= bound:
            return named(smaller, encoding)
    return model


def importance(model: KAN, encoding: Encoding, validation: Rows, seed: int) -> list[float]:
    """The rise of the error when one column is shuffled, in units of the error of the constant model, by input.

    All inputs of a column are shuffled together and have its value: of indicators of levels exactly one is 1 in every
    row, and what a network makes of others says nothing about the column. Wide tables use a part of the rows, so that
    all columns take a few seconds.
    """
    rows = max(LEAST_ROWS, SHUFFLED // max(1, len(encoding.names) * count_edges(model)))
    validation = Rows(validation.inputs[:rows], validation.outcome[:rows])
    rng = np.random.default_rng(seed)
    base = loss(encoding, validation.outcome, predict(model, encoding, validation.inputs))
    if encoding.task == "regression":
        scale = float(np.var(validation.outcome)) or 1.0
    else:
        share = np.bincount(validation.outcome.astype(int), minlength=len(encoding.classes)) / len(validation)
        scale = float(-(share[share > 0] * np.log(share[share > 0])).sum()) or 1.0
    columns = [feature.column for feature in encoding.features]
    rises = {}
    for column in dict.fromkeys(columns):
        shuffled, own = validation.inputs.copy(), [j for j, name in enumerate(columns) if name == column]
        shuffled[:, own] = rng.permutation(shuffled[:, own])
        rises[column] = (loss(encoding, validation.outcome, predict(model, encoding, shuffled)) - base) / scale
    return [rises[column] for column in columns]


def named(model: KAN, encoding: Encoding) -> KAN:
    """The same network with the table's names at its ends."""
    return KAN.assemble(
        cast(list[Any], list(model.layers)),
        input_affine=model.input_affine,
        output_affine=model.output_affine,
        input_names=encoding.names,
        output_names=output_names(encoding),
    )


def active_parameters(model: KAN) -> int:
    """The parameters that the network's function depends on: of its curves and symbols, not of absent edges; biases."""
    count = 0
    for layer in model.layers:
        if isinstance(layer, KANLinear):
            count += int(layer.mask.sum()) * layer.coef.shape[1] + 4 * len(layer.symbolic)
            count += 0 if layer.bias is None else len(layer.bias)
    return count


def count_edges(model: KAN) -> int:
    """How many edges are curves or symbols."""
    layers = [layer for layer in model.layers if isinstance(layer, KANLinear)]
    return sum(int(layer.mask.sum()) + len(layer.symbolic) for layer in layers)


def unused_inputs(model: KAN) -> list[str]:
    """The inputs that no edge reads."""
    first = next(layer for layer in model.layers if isinstance(layer, KANLinear))
    read = first.mask | first.symbolic.mask(tuple(first.mask.shape))
    return [name for name, used in zip(model.input_names or (), read.any(1).tolist(), strict=True) if not used]


def cautions(model: KAN, test: Rows) -> list[str]:
    """Warnings about the test rows: inputs far outside the range of training."""
    share = outside_grid(trace(model, torch.as_tensor(test.inputs)))
    first = next(iter(share.values()))
    if first > 0.01:
        return [f"{first:.1%} of the test inputs are outside the range of training, where curves continue as lines"]
    return []


def network_facts(full: KAN, model: KAN, encoding: Encoding) -> NetworkFacts:
    """What the record says about the network before and after pruning."""
    return NetworkFacts(
        widths_before=(len(encoding.names), *full.widths[1:]),
        widths=(len(encoding.names), *model.widths[1:]),
        edges_before=count_edges(full),
        edges=count_edges(model),
        parameters=active_parameters(model),
        unused_inputs=tuple(unused_inputs(model)),
    )
