"""Saves and loads adapters without their model, as values and as small files."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from edgewise.adapters._slot import adapted_layers, require_adapter, slot
from edgewise.adapters.lotra import attach, check_name
from edgewise.io.container import read_file, write_file
from edgewise.io.reading import reading, require
from edgewise.nn import KANLinear
from edgewise.nn.factors import Factors

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class AdapterState:
    """The parameters of one adapter, and the layers that it fits.

    Attributes:
        name: the name of the adapter.
        layers: form, shape, basis, residual and grid range of every layer, by layer name.
        tensors: the factors by "layer/factor".
    """

    name: str
    layers: Mapping[str, Mapping[str, Any]]
    tensors: Mapping[str, Tensor]

    def numel(self) -> int:
        """The number of parameters of the adapter."""
        return sum(t.numel() for t in self.tensors.values())


def adapter_state(model: nn.Module, name: str = "default") -> AdapterState:
    """A copy of the parameters of an adapter."""
    require_adapter(model, name)
    layers: dict[str, dict[str, Any]] = {}
    tensors: dict[str, Tensor] = {}
    for layer_name, layer in adapted_layers(model).items():
        if name not in slot(layer).updates:
            continue
        factors = slot(layer)[name]
        layers[layer_name] = {"form": factors.name, **_place(layer)}
        tensors |= {f"{layer_name}/{part}": factors.factor(part).detach().clone() for part in factors.form.factors}
    return AdapterState(name, layers, tensors)


def save_adapter(
    model: nn.Module, path: str | os.PathLike[str], name: str = "default", *, extra: Mapping[str, Any] | None = None
) -> None:
    """Write one adapter, without the frozen network, to a safetensors file; the file is complete or does not exist.

    Args:
        model: the adapted model.
        path: the file; an existing one is replaced.
        name: the name of the adapter.
        extra: any JSON value, returned by `read_header(path)["extra"]`.
    """
    state = adapter_state(model, name)
    write_file(
        path, {"kind": "adapter", "name": name, "layers": state.layers, "extra": dict(extra or {})}, state.tensors
    )


def read_adapter(path: str | os.PathLike[str]) -> AdapterState:
    """The adapter that `save_adapter` wrote. Raises `FileFormatError` (a `ValueError`) for any other file."""
    header, tensors = read_file(path)
    with reading(path):
        require(header["kind"] == "adapter", f"it holds a {header['kind']}, not an adapter; read it with `load(path)`")
        return AdapterState(header["name"], header["layers"], tensors)


def load_adapter(model: M, source: str | os.PathLike[str] | AdapterState, name: str | None = None) -> M:
    """A copy of the model with a saved adapter, active in addition to its own; everything else is frozen.

    Raises `ValueError` if a layer is missing or differs from the one that the adapter was trained in, and its subclass
    `FileFormatError` for a file that is damaged or no adapter.

    Args:
        model: the network that the adapter was trained on, or one with the same layers.
        source: the file, or a state.
        name: the name of the adapter in the model; its saved name by default.
    """
    if isinstance(source, AdapterState):
        return _loaded(model, source, name)
    with reading(source):
        try:
            return _loaded(model, read_adapter(source), name)
        except _OtherNetworkError as error:
            mismatch = error
    raise ValueError(f"{os.fspath(source)} is the adapter of another network: {mismatch}") from mismatch


class _OtherNetworkError(ValueError):
    """The file is well; the model is another one."""


def _loaded(model: M, state: AdapterState, name: str | None) -> M:
    name = state.name if name is None else name
    check_name(model, name)
    modules = dict(model.named_modules())
    updates: dict[str, Factors] = {}
    for layer_name, settings in state.layers.items():
        layer = _checked(layer_name, modules.get(layer_name), settings)
        prefix = f"{layer_name}/"
        values = {key.removeprefix(prefix): t for key, t in state.tensors.items() if key.startswith(prefix)}
        try:
            factors = Factors.assemble(tuple(settings["shape"]), settings["form"], values)
        except ValueError as error:
            raise ValueError(f"layer {layer_name!r}: {error}; nothing was loaded") from error
        updates[layer_name] = factors.to(
            device=layer.coef.device, dtype=torch.promote_types(layer.coef.dtype, torch.float32)
        )
    new = copy.deepcopy(model).requires_grad_(False)
    for layer_name, factors in updates.items():
        layer = new.get_submodule(layer_name)
        assert isinstance(layer, KANLinear)
        attach(layer, name, factors)
    return new


def unmerge(model: M, state: AdapterState) -> M:
    """A copy of a merged model with the adapter subtracted from its coefficients and active as an adapter.

    The coefficients are restored up to rounding. `merge` leaves its input unchanged; keep that if every bit counts.
    """
    new = load_adapter(model, state)
    for layer in adapted_layers(new).values():
        adapters = slot(layer)
        if state.name in adapters.updates:
            with torch.no_grad():
                layer.coef.sub_(torch.where(layer.mask[:, None], adapters[state.name]().to(layer.coef), 0))
    return new


def _place(layer: KANLinear) -> dict[str, Any]:
    """The properties of a layer that give an update its meaning."""
    low, high = layer.basis.span(layer.grid.double())
    return {
        "shape": list(layer.coef.shape),
        "basis": layer.basis.to_json(),
        "residual": layer.residual,
        "grid": [low.mean().item(), high.mean().item(), layer.grid.double().square().mean().item()],
    }


def _checked(name: str, layer: nn.Module | None, settings: Mapping[str, Any]) -> KANLinear:
    """The layer, if it matches the one that the adapter was trained in."""
    if not isinstance(layer, KANLinear):
        raise _OtherNetworkError(
            f"the adapter is for a KANLinear {name!r}, which the model does not have; nothing was loaded"
        )
    for key, value in _place(layer).items():
        saved = settings[key]
        if key == "grid":
            same = all(math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6) for a, b in zip(value, saved, strict=True))
        else:
            same = value == saved
        if not same:
            raise _OtherNetworkError(
                f"layer {name!r}: its {key} is {value}, the adapter was trained with {saved}; load it into the network "
                "that it was trained on"
            )
    return layer
