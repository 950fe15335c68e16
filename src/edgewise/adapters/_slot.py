"""Defines the module in `KANLinear.adapter`: named updates of the coefficients, added with weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.nn import Adapter, KANLinear
from edgewise.nn.factors import Factors


class Adapters(Adapter):
    r"""The update $\sum_a w_a \Delta^{(a)}$ of a layer's coefficients over the active adapters a.

    Attributes:
        updates: all adapters by name.
        weights: the weights of the active adapters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.updates = nn.ModuleDict()
        self.weights: dict[str, float] = {}

    def __getitem__(self, name: str) -> Factors:
        factors = self.updates[name]
        assert isinstance(factors, Factors)
        return factors

    def add(self, name: str, factors: Factors) -> None:
        """Add an adapter, active with weight 1."""
        self.updates[name] = factors
        self.weights[name] = 1.0

    def remove(self, name: str) -> None:
        """Drop an adapter, active or not."""
        del self.updates[name]
        self.weights.pop(name, None)

    def activate(self, weights: Mapping[str, float]) -> None:
        """Make these the active adapters; names that this layer does not have are ignored."""
        self.weights = {name: weight for name, weight in weights.items() if name in self.updates}

    def moved(self, maps: Float[Tensor, "in new_size size"]) -> Adapters:
        """The same adapters, with the same weights, on another grid or basis."""
        new = Adapters()
        for name in self.updates:
            new.add(name, self[name].moved(maps))
        new.activate(self.weights)
        return new.train(self.training)

    def forward(self) -> Tensor:
        """The update of the coefficients, (in, size, out); a scalar zero if no adapter is active."""
        updates = [weight * self[name]() for name, weight in self.weights.items()]
        return torch.stack(updates).sum(0) if updates else torch.zeros(())

    def pair(self) -> tuple[Float[Tensor, "in size rank"], Float[Tensor, "rank out"]] | None:
        """The update as a narrow layer and a matrix, for all active adapters; None if one has no such form."""
        if not self.weights or not all(self[name].splits for name in self.weights):
            return None
        inner = torch.cat([self[name].inner() for name in self.weights], dim=-1)
        outer = torch.cat([weight * self[name].factor("target").T for name, weight in self.weights.items()])
        return inner, outer


def adapted_layers(model: nn.Module) -> dict[str, KANLinear]:
    """The layers that have `Adapters`, by module name."""
    layers = ((name, module) for name, module in model.named_modules() if isinstance(module, KANLinear))
    return {name: layer for name, layer in layers if isinstance(layer.adapter, Adapters)}


def slot(layer: KANLinear) -> Adapters:
    """The adapters of a layer that has any."""
    assert isinstance(layer.adapter, Adapters)
    return layer.adapter


def adapter_names(model: nn.Module) -> tuple[str, ...]:
    """The names of all adapters of a model, in the order in which they were added."""
    names = (name for layer in adapted_layers(model).values() for name in slot(layer).updates)
    return tuple(dict.fromkeys(names))


def require_adapter(model: nn.Module, name: str | None = None) -> None:
    """Raise `ValueError` unless the model has this adapter, or any adapter if `name` is None."""
    names = adapter_names(model)
    if not names:
        raise ValueError(
            f"{type(model).__name__} has no adapters (a merged model has none); "
            "add one with `add_lotra` or `load_adapter`"
        )
    if name is not None and name not in names:
        raise ValueError(f"there is no adapter {name!r}; the model has {', '.join(map(repr, names))}")
