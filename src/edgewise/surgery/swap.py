"""Replaces the linear layers of any network by layers of curves."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from edgewise.bases import Basis
from edgewise.nn import KANLinear

M = TypeVar("M", bound=nn.Module)
METHOD = "edgewise"
"""The name under which the config of a transformers model lists them: see `edgewise.models.swapped_transformers`."""


def swap_linear(
    model: M,
    *,
    where: str | Sequence[str] | Callable[[str, nn.Module], bool] | None = None,
    basis: Basis | None = None,
    init: Literal["exact", "random"] = "exact",
    grid_range: Sequence[float] = (-3.0, 3.0),
    generator: torch.Generator | None = None,
) -> M:
    r"""A copy of the model with its linear layers replaced by `KANLinear` layers.

    With `init="exact"` the copy computes the same function: the weights become those of the identity function beside
    every curve, $\phi_{ij}(x) = w_{ij} x + \sum_k c_{jki} B_k(x)$ with $c = 0$. Train the whole copy, or `add_lotra` to
    train an update with few parameters; `adapt_grid_` fits the grids to data first.

    Layers of type `nn.Linear` and the Conv1D of GPT-2 are replaced. Subclasses are not, because code reads their
    weights without calling them, as `nn.MultiheadAttention` does with its output layer.

    Args:
        model: any module.
        where: names of layers as patterns such as "*.mlp.*", or a function of name and layer; by default every linear
            layer that shares no weight with another module.
        basis: of the curves, `BSpline(5, 3)` by default.
        init: "exact", or "random" for new layers.
        grid_range: the interval that the grids cover; the default suits inputs behind a normalisation.
        generator: source of randomness for "random".
    """
    linear = {name: module for name, module in model.named_modules() if _weight(module) is not None}
    if not linear:
        raise ValueError(f"{type(model).__name__} has no linear layer to swap")
    tied = _tied(model)
    names = _chosen(linear, where, tied)
    for name in names:
        if name in tied:
            others = ", ".join(map(repr, tied[name]))
            raise ValueError(f"layer {name!r} shares its weight with {others}; a swap would part them, leave it out")
    if "" in names:
        return swapped_layer(linear[""], basis, init, grid_range, generator)  # pyright: ignore[reportReturnType]
    new = copy.deepcopy(model)
    for name in names:
        new.set_submodule(name, swapped_layer(linear[name], basis, init, grid_range, generator))
    if hasattr(new, "config") and hasattr(new, "save_pretrained"):
        note_swapped(new, {name: new.get_submodule(name).basis.to_json() for name in names})  # type: ignore[union-attr, operator]
    for module in new.modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            module.activation_relu_or_gelu = 0  # its inference path reads linear1.weight and skips the call
        elif isinstance(module, nn.TransformerEncoder):
            module.use_nested_tensor = False
    return new


def note_swapped(model: Any, layers: Mapping[str, Mapping[str, Any]]) -> None:
    """Note swapped layers of a transformers model in its config, and make a loader that knows none of it fail.

    Each layer stores an empty `weight`: to fill a new linear layer with it is a size mismatch, in place of a new layer
    with random weights.
    """
    known = getattr(model.config, "quantization_config", None)
    if known is not None and not (isinstance(known, dict) and known.get("quant_method") == METHOD):
        return  # quantised in another way: its own quantizer decides
    noted = {**(known["layers"] if known else {}), **layers}
    model.config.quantization_config = {"quant_method": METHOD, "layers": noted}
    for name in layers:
        layer = model.get_submodule(name)
        layer._register_state_dict_hook(_with_empty_weight)
        layer.register_load_state_dict_pre_hook(_without_empty_weight)


def _with_empty_weight(layer: KANLinear, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    state[f"{prefix}weight"] = layer.coef.detach().new_empty(0)


def _without_empty_weight(_: nn.Module, state: dict[str, Tensor], prefix: str, *__: Any) -> None:
    state.pop(f"{prefix}weight", None)


@torch.no_grad()
def swapped_layer(
    linear: nn.Module,
    basis: Basis | None,
    init: str,
    grid_range: Sequence[float] = (-3.0, 3.0),
    generator: torch.Generator | None = None,
) -> KANLinear:
    """The layer of curves for a linear one."""
    weight, bias = _weight(linear), linear.bias
    assert weight is not None
    ins, outs = weight.shape
    layer = KANLinear(
        ins,
        outs,
        basis,
        residual="identity",
        bias=bias is not None,
        grid_range=grid_range,
        generator=generator,
        device=weight.device,
        dtype=weight.dtype,
    )
    if init == "exact":
        layer.coef.zero_()
        layer.coef[:, -1] = weight
        if layer.bias is not None and isinstance(bias, Tensor):
            layer.bias.copy_(bias)
    return layer.train(linear.training)


def _weight(module: nn.Module) -> Tensor | None:
    """The weight of a linear layer as (in, out); None for any other module."""
    if type(module) is nn.Linear:
        return module.weight.T
    # GPT-2's layer, found by its name so that transformers need not be there.
    if type(module).__name__ == "Conv1D" and isinstance(getattr(module, "nf", None), int):
        return module.get_parameter("weight")
    return None


def _tied(model: nn.Module) -> dict[str, list[str]]:
    """For every module that shares a parameter, the names of the other modules."""
    owners: dict[int, list[str]] = {}
    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(name)
    shared = [names for names in owners.values() if len(names) > 1]
    return {name: [other for other in names if other != name] for names in shared for name in names}


def _chosen(linear: dict[str, nn.Module], where: object, tied: dict[str, list[str]]) -> list[str]:
    """The names of the layers that `where` means. Raises `ValueError` where it matches none."""
    if where is None:
        names = [name for name in linear if name not in tied]
    elif callable(where):
        names = [name for name, module in linear.items() if where(name, module)]
    else:
        patterns = [where] if isinstance(where, str) else where
        assert isinstance(patterns, Sequence)
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in linear):
                raise ValueError(f"no linear layer is named {pattern!r}; there are {', '.join(map(repr, linear))}")
        names = [name for name in linear if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if not names:
        raise ValueError(f"no linear layer was chosen; there are {', '.join(map(repr, linear))}")
    return names
