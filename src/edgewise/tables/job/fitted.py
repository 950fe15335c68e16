"""The network of a run: trained on the table's rows, pruned while its error allows it, asked what matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from edgewise.discovery.noisy import prune_network, train_network
from edgewise.nn import KAN, KANLinear
from edgewise.tables.encode import Encoding
from edgewise.tables.job.scores import loss

Array = np.ndarray
THRESHOLDS = (0.2, 0.1, 0.05, 0.02, 0.01)
ALLOWED = 1.05
"""Pruning may raise the error on the rows that choose by this factor."""


@dataclass(frozen=True)
class Rows:
    """Rows of a table as numbers."""

    inputs: Float[Array, "rows features"]
    outcome: Num[Array, " rows"]

    def __len__(self) -> int:
        return len(self.inputs)

    def tensors(self, encoding: Encoding) -> tuple[Tensor, Tensor]:
        """Inputs and targets as `fit` takes them: (n, 1) numbers, or class labels where there are more than two."""
        y = torch.as_tensor(self.outcome)
        many = encoding.task == "classification" and len(encoding.classes) > 2
        return torch.as_tensor(self.inputs), y.long() if many else y.double()[:, None]


def loss_name(encoding: Encoding) -> str:
    """The loss that a task is trained with."""
    if encoding.task == "regression":
        return "mse"
    return "bce" if len(encoding.classes) == 2 else "cross_entropy"


def output_names(encoding: Encoding) -> list[str]:
    """What the outputs of the network are: an amount, one log-odds, or one score per class."""
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


def train(encoding: Encoding, rows: Rows, held: Rows, hidden: int, seconds: float, seed: int) -> KAN:
    """The network with one hidden layer (none for `hidden` 0), in the user's units and with the user's names."""
    outputs = len(output_names(encoding))
    widths = [len(encoding.features), *([hidden] if hidden else []), outputs]
    data, kept = rows.tensors(encoding), held.tensors(encoding)
    return named(train_network(widths, data, kept, loss=loss_name(encoding), seconds=seconds, seed=seed), encoding)


def prune_while_good(model: KAN, encoding: Encoding, rows: Rows, held: Rows, seconds: float, seed: int) -> KAN:
    """The smallest of several prunings whose error on the rows held out stays within 5 %; else the model itself."""
    bound = ALLOWED * loss(encoding, held.outcome, predict(model, encoding, held.inputs))
    data, kept = rows.tensors(encoding), held.tensors(encoding)
    for edge in THRESHOLDS:
        smaller = prune_network(
            model, data, kept, loss=loss_name(encoding), edge=edge, seed=seed, seconds=seconds / len(THRESHOLDS)
        )
        if smaller is model:
            continue
        if loss(encoding, held.outcome, predict(smaller, encoding, held.inputs)) <= bound:
            return named(smaller, encoding)
    return model


def importance(model: KAN, encoding: Encoding, held: Rows, seed: int) -> list[float]:
    """By how much the error rises when one column is shuffled, in units of the error of knowing nothing."""
    rng = np.random.default_rng(seed)
    base = loss(encoding, held.outcome, predict(model, encoding, held.inputs))
    if encoding.task == "regression":
        scale = float(np.var(held.outcome)) or 1.0
    else:
        share = np.bincount(held.outcome.astype(int), minlength=len(encoding.classes)) / len(held)
        scale = float(-(share[share > 0] * np.log(share[share > 0])).sum()) or 1.0
    found = []
    for j in range(held.inputs.shape[1]):
        shuffled = held.inputs.copy()
        shuffled[:, j] = rng.permutation(shuffled[:, j])
        found.append((loss(encoding, held.outcome, predict(model, encoding, shuffled)) - base) / scale)
    return found


def named(model: KAN, encoding: Encoding) -> KAN:
    """The same network with the table's names at its ends."""
    return KAN.assemble(
        cast(list[Any], list(model.layers)),
        input_affine=model.input_affine,
        output_affine=model.output_affine,
        input_names=encoding.names,
        output_names=output_names(encoding),
    )


def parameters(model: KAN) -> int:
    """The numbers that the network's function depends on: coefficients of curves, symbols, biases."""
    count = 0
    for layer in model.layers:
        if isinstance(layer, KANLinear):
            count += int(layer.mask.sum()) * layer.coef.shape[1] + 4 * len(layer.symbolic)
            count += 0 if layer.bias is None else len(layer.bias)
    return count


def edges(model: KAN) -> tuple[int, int]:
    """How many edges are there, and how many there could be."""
    layers = [layer for layer in model.layers if isinstance(layer, KANLinear)]
    return sum(int(n.mask.sum()) + len(n.symbolic) for n in layers), sum(n.mask.numel() for n in layers)


def unused_inputs(model: KAN) -> list[str]:
    """The inputs that no edge reads."""
    first = next(layer for layer in model.layers if isinstance(layer, KANLinear))
    read = first.mask | first.symbolic.mask(tuple(first.mask.shape))
    return [name for name, used in zip(model.input_names or (), read.any(1).tolist(), strict=True) if not used]
