"""What a forward pass saw: the inputs and edge values of every KAN layer inside any module.

A forward pass stores nothing on the model (law 3); pruning, penalties and pictures take a `Trace` instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.nn import KANLinear


@dataclass(frozen=True)
class LayerTrace:
    """One KAN layer and the inputs that it saw, batch dimensions flattened to samples."""

    name: str
    layer: KANLinear
    inputs: Float[Tensor, "samples in"]

    def edges(self) -> Float[Tensor, "*samples in out"]:
        r"""The value $\phi_{ij}(x_j)$ of every edge at every sample."""
        return self.layer.edge_values(self.inputs)


class Trace(Mapping[str, LayerTrace]):
    """The traced layers by module name, in the order of the forward pass, and the output of the model."""

    def __init__(self, layers: list[LayerTrace], output: Tensor) -> None:
        self._layers = {layer.name: layer for layer in layers}
        self.output = output

    def __getitem__(self, name: str) -> LayerTrace:
        return self._layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)


def trace(model: nn.Module, x: Tensor) -> Trace:
    """Run the model once and return what every `KANLinear` inside saw.

    Gradients flow through the result unless the call stands under `torch.no_grad()`. A layer that runs several times
    has its inputs joined. Raises `ValueError` where the model has no KAN layer.
    """
    names = {module: name for name, module in model.named_modules() if isinstance(module, KANLinear)}
    if not names:
        raise ValueError(f"{type(model).__name__} has no KANLinear layer to trace")
    seen: dict[KANLinear, list[Tensor]] = {}

    def note(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, KANLinear)
        seen.setdefault(layer, []).append(args[0].reshape(-1, layer.in_features))

    handles = [layer.register_forward_pre_hook(note) for layer in names]
    try:
        output = model(x)
    finally:
        for handle in handles:
            handle.remove()
    return Trace([LayerTrace(names[layer], layer, torch.cat(inputs)) for layer, inputs in seen.items()], output)
