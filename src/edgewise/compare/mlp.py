r"""MLPs of a given size: the first control of any network of curves.

An MLP with widths $(n_0, \dots, n_L)$ has $\sum_l (n_l + 1)\, n_{l+1}$ parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import nn

from edgewise.nn.layers import count_parameters

MIN_WIDTH = 4
"""Two hidden layers narrower than this become one."""


def matched_mlp(
    model: nn.Module,
    *,
    in_features: int | None = None,
    out_features: int | None = None,
    hidden_layers: int | None = None,
    activation: Callable[[], nn.Module] = nn.SiLU,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """An MLP with the inputs and outputs of a model and as nearly as possible its number of parameters.

    Args:
        model: a KAN, or any module; only its size, its dtype and its ends are read.
        in_features: the model's inputs, where it has neither `in_features` nor a first layer that has it.
        out_features: the same of its outputs.
        hidden_layers: as in `mlp_widths`.
        activation: makes the module between two linear layers.
        generator: source of randomness of the initial values; seed 0 by default.
    """
    inputs = _features(model, "in_features", 0) if in_features is None else in_features
    outputs = _features(model, "out_features", -1) if out_features is None else out_features
    widths = mlp_widths(inputs, outputs, count_parameters(model), hidden_layers=hidden_layers)
    mlp = new_mlp(widths, generator, activation=activation)
    return mlp.to(next((p.dtype for p in model.parameters()), torch.get_default_dtype()))


def new_mlp(
    widths: Sequence[int],
    generator: torch.Generator | None = None,
    *,
    activation: Callable[[], nn.Module] = nn.SiLU,
) -> nn.Sequential:
    """Linear layers of these widths with the activation between them; initial values from the generator alone.

    Args:
        widths: inputs, hidden widths, outputs.
        generator: source of randomness; seed 0 by default.
        activation: makes the module between two linear layers.
    """
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)  # the usual initialisation draws from the global state
        assert isinstance(linear, nn.Linear)
        nn.init.kaiming_uniform_(linear.weight, a=5**0.5, generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers[:-1])


def mlp_widths(inputs: int, outputs: int, parameters: int, *, hidden_layers: int | None = None) -> list[int]:
    r"""The widths of the MLP with equal hidden layers whose size is nearest to `parameters`.

    With d hidden layers of width h it has $(d-1)h^2 + h(n_{in} + n_{out} + d) + n_{out}$ parameters.

    Args:
        inputs: number of inputs.
        outputs: number of outputs.
        parameters: the size to match.
        hidden_layers: how many; two by default, or one where two would be narrower than 4.
    """
    if hidden_layers is not None:
        return [inputs, *[_hidden_width(inputs, outputs, parameters, hidden_layers)] * hidden_layers, outputs]
    widths = mlp_widths(inputs, outputs, parameters, hidden_layers=2)
    return widths if widths[1] >= MIN_WIDTH else mlp_widths(inputs, outputs, parameters, hidden_layers=1)


def mlp_size(widths: Sequence[int]) -> int:
    """The number of parameters of the MLP with these widths."""
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(widths))


def _hidden_width(inputs: int, outputs: int, parameters: int, hidden_layers: int) -> int:
    """The positive root of the size in h, rounded."""
    if hidden_layers < 1:
        raise ValueError(f"hidden_layers must be at least 1, got {hidden_layers}")
    a, b, c = hidden_layers - 1, inputs + outputs + hidden_layers, max(parameters - outputs, 0)
    root = c / b if a == 0 else (math.sqrt(b * b + 4 * a * c) - b) / (2 * a)
    return max(1, round(root))


def _features(model: nn.Module, name: str, place: int) -> int:
    """The number of features at one end: of the model, or of its first or last layer that has both ends."""
    layers = [m for m in model.modules() if isinstance(getattr(m, "in_features", None), int)]
    layers = [model] if isinstance(getattr(model, name, None), int) else layers
    if not layers:
        raise ValueError(f"{type(model).__name__} does not say its {name}; pass `{name}=` to matched_mlp")
    return cast(int, getattr(layers[place], name))
