"""What a fitted estimator predicts, as a module: probabilities of classes, or the mean of an outcome behind a link."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.nn import DEFAULT_LIBRARY, KAN, KANLinear, SymbolicEdges
from edgewise.optim import get_loss
from edgewise.tables.additive import AdditiveModel

_INVERSES = {"log": ("exp", (1.0, 0.0, 1.0, 0.0)), "logit": ("tanh", (0.5, 0.0, 0.5, 0.5))}
"""The inverse of a link as a symbol: the logistic function is a tangens hyperbolicus."""


class ClassProbabilities(nn.Module):
    r"""The probabilities of a classifier: softmax of its scores, of $(0, s)$ where two classes have one score s.

    Args:
        network: from inputs to scores.
        classes: the labels.
    """

    def __init__(self, network: nn.Module, classes: Sequence[Any]) -> None:
        super().__init__()
        self.network, self.classes = network, tuple(classes)
        self.names = tuple(f"probability of {label}" for label in self.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(*batch, in) to (*batch, classes)."""
        scores = self.network(x)
        if len(self.classes) == 2:
            scores = torch.cat([scores * 0, scores], dim=-1)
        return scores.softmax(-1)


class Outcome(nn.Sequential):
    """A network, and a layer of symbols that takes its outputs from the scale of a link to that of the outcome."""

    @property
    def network(self) -> nn.Module:
        """The network alone."""
        return self[0]


def prediction_of(model: Any) -> nn.Module:
    """A copy of a module, or of the network of a fitted estimator with what its predictions need behind it.

    Raises `TypeError` for anything else, also for additive models that are no network.
    """
    if isinstance(model, nn.Module):
        return copy.deepcopy(model).eval()
    network = getattr(model, "model_", None)
    if isinstance(network, AdditiveModel):
        raise TypeError(
            f"this {type(model).__name__} has levels, missing cells, cyclic terms or surfaces, which no format holds: "
            "only curves of numbers without missing cells can be exported; `additive_` describes every term"
        )
    if not isinstance(network, nn.Module):
        raise TypeError(f"export takes a module, a fitted estimator or a Formula, not {type(model).__name__}")
    network = copy.deepcopy(network)
    if hasattr(model, "classes_"):
        return ClassProbabilities(network, [_plain(label) for label in model.classes_]).eval()
    link = _link_of(model)
    if link not in _INVERSES:
        return network.eval()
    assert isinstance(network, KAN)
    return Outcome(network, _symbols(link, network)).eval()


def core_of(module: nn.Module | None) -> nn.Module | None:
    """The network inside a prediction, which has the names, the units and the widths."""
    return module.network if isinstance(module, ClassProbabilities | Outcome) else module


def _link_of(estimator: Any) -> str:
    additive, loss = getattr(estimator, "additive_", None), getattr(estimator, "loss", None)
    if isinstance(additive, AdditiveModel):
        return additive.family.loss.link
    return "identity" if loss is None else get_loss(loss).link


def _symbols(link: str, network: KAN) -> KANLinear:
    """The inverse of the link of every output: symbols on the diagonal, no curves."""
    function, affine = _INVERSES[link]
    count, dtype, basis = network.out_features, next(network.parameters()).dtype, BSpline(1, 1)
    place = torch.arange(count)
    return KANLinear.assemble(
        basis,
        None,
        coef=torch.zeros(count, basis.size, count, dtype=dtype),
        grid=basis.init_grid(count, dtype=dtype),
        mask=torch.zeros(count, count, dtype=torch.bool),
        bias=None,
        symbolic=SymbolicEdges(
            [DEFAULT_LIBRARY[function]] * count, place, place, torch.tensor(affine, dtype=dtype).repeat(count, 1)
        ),
    )


def _plain(label: Any) -> Any:
    """A label of numpy as a value of Python."""
    return label.item() if hasattr(label, "item") else label
