r"""Implements LoTRA: fine-tuning by an update of low tensor rank (Gao, Ng, Tan, arXiv 2502.06153).

Every layer computes with $A_{jki} = A^0_{jki} + \sum_{pqr} G_{pqr} U_{jp} V_{kq} W_{ir}$, where $A^0$ (in, size, out)
is frozen and the four factors are trained. We had only the abstract of the paper: the form is the paper's, the initial
values, ranks and learning rates are ours (docs/guides/lotra.md).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal, TypeVar

import torch
from torch import nn

from edgewise.adapters._slot import Adapters, adapted_layers, adapter_names, require_adapter, slot
from edgewise.nn import KANLinear, SlimKANLinear
from edgewise.nn.factors import Factors, Ranks, factored_numel, largest_ranks, requested_ranks
from edgewise.nn.layers import with_layers

M = TypeVar("M", bound=nn.Module)
Wanted = Ranks | str | None
Where = str | Sequence[str] | Callable[[str, KANLinear], bool] | None


def add_lotra(
    model: M,
    ranks: Wanted | Mapping[str, Wanted] = None,
    *,
    where: Where = None,
    form: str = "tucker",
    zero: Literal["core", "target"] = "core",
    name: str = "default",
    also_train: Iterable[str] = (),
    generator: torch.Generator | None = None,
) -> M:
    """A copy of the model with a trainable update of low rank in its KAN layers; everything else is frozen.

    The copy computes the same function. Train it like any module; `lotra_groups` gives every factor its own learning
    rate. Adapters that the model already has stay active and are frozen.

    Args:
        model: any module with KAN layers.
        ranks: one per axis of `coef` (in, basis, out), or one for all axes, or a mapping from patterns of layer names
            to ranks. An integer is a size, a float in (0, 1] a share of the axis. Ranks are clamped in layers that are
            too small for them; a rank above that of every layer raises `ValueError`. "full" is an update without
            factors. None is (8, 4, 8), and "full" in layers where the factors would have more than half as many
            parameters as the layer.
        where: which KAN layers: a pattern such as "layers.[01]" or several, or a function of name and layer; all by
            default.
        form: "tucker", "tucker2", "cp", "tt", "lora" or "full": see `edgewise.nn.factors`.
        zero: the factor that starts at zero, "core" or "target".
        name: the name of the adapter.
        also_train: patterns of the names of other parameters to train, such as "*.bias" or "head.*".
        generator: random generator of the initial factors.
    """
    layers = select_layers(model, where)
    check_name(model, name)
    patterns = dict(ranks) if isinstance(ranks, Mapping) else {"*": ranks}
    chosen = {name: form_and_ranks(layer, form, _ranks_of(name, patterns, layers)) for name, layer in layers.items()}
    _check_ranks(layers, chosen)
    trained = _matching([n for n, _ in model.named_parameters()], also_train)
    new = copy.deepcopy(model).requires_grad_(False)
    for parameter in trained:
        new.get_parameter(parameter).requires_grad_()
    for layer_name in layers:
        layer = new.get_submodule(layer_name)
        assert isinstance(layer, KANLinear)
        ins, size, outs = layer.coef.shape
        factors = Factors(
            (ins, size, outs),
            *chosen[layer_name],
            zero=zero,
            generator=generator,
            device=layer.coef.device,
            dtype=torch.promote_types(layer.coef.dtype, torch.float32),  # half precision rounds small updates away
        )
        attach(layer, name, factors)
    return new


def merge(model: M, names: Iterable[str] | None = None) -> M:
    """A copy of the model with the active adapters added to its coefficients, and without adapters.

    With `names`, only these adapters are merged, with weight 1 if they are not active. The copy is a plain network that
    can be pruned, plotted or read as a formula. Frozen parameters stay frozen; `requires_grad_()` makes them trainable.
    """
    require_adapter(model)
    for name in names or ():
        require_adapter(model, name)
    slims = {name: layer for name, layer in adapted_layers(model).items() if isinstance(layer, SlimKANLinear)}
    new = with_layers(model, {name: layer.dense() for name, layer in slims.items()})
    for layer in adapted_layers(new).values():
        adapters = slot(layer)
        if names is not None:
            adapters.activate({name: adapters.weights.get(name, 1.0) for name in names})
        with torch.no_grad():
            layer.coef.add_(torch.where(layer.mask[:, None], adapters().to(layer.coef), 0))
        layer.adapter = None
    return new


def use_adapters_(model: M, names: str | Iterable[str] | Mapping[str, float]) -> M:
    """Activate exactly these adapters, in place; `()` deactivates all. Returns the model itself.

    A mapping from names to weights combines adapters: their updates are added with these weights.
    """
    wanted = [names] if isinstance(names, str) else names
    weights = dict(wanted) if isinstance(wanted, Mapping) else dict.fromkeys(wanted, 1.0)
    require_adapter(model)
    for name in weights:
        require_adapter(model, name)
    for layer in adapted_layers(model).values():
        slot(layer).activate(weights)
    return model


def remove_adapter(model: M, name: str) -> M:
    """A copy of the model without this adapter."""
    require_adapter(model, name)
    new = copy.deepcopy(model)
    for layer in adapted_layers(new).values():
        adapters = slot(layer)
        if name in adapters.updates:
            adapters.remove(name)
        if not adapters.updates:
            layer.adapter = None
    return new


def select_layers(model: nn.Module, where: Where) -> dict[str, KANLinear]:
    """The KAN layers that `where` selects. Raises `ValueError` with the available names if it selects none."""
    layers = {name: module for name, module in model.named_modules() if isinstance(module, KANLinear)}
    if not layers:
        raise ValueError(f"{type(model).__name__} has no KANLinear layer; `swap_linear` replaces Linear layers by them")
    if where is None:
        return layers
    if callable(where):
        found = {name: layer for name, layer in layers.items() if where(name, layer)}
        if not found:
            raise ValueError(f"where selected none of the KAN layers {', '.join(map(repr, layers))}")
        return found
    names = _matching(list(layers), [where] if isinstance(where, str) else where)
    return {name: layer for name, layer in layers.items() if name in names}


def form_and_ranks(layer: KANLinear, form: str, wanted: Wanted) -> tuple[str, Ranks | None]:
    """The form and ranks for one layer: see `ranks` of `add_lotra`."""
    if isinstance(wanted, str) and wanted != "full":
        raise ValueError(f"ranks must be integers, floats or 'full', got {wanted!r}")
    if wanted is None and factored_numel(layer.coef.shape, form) > layer.coef.numel() / 2:
        wanted = "full"
    return ("full", None) if isinstance(wanted, str) else (form, wanted)


def attach(layer: KANLinear, name: str, factors: Factors) -> None:
    """Add a new adapter to this layer."""
    if layer.adapter is None:
        layer.adapter = Adapters()
    slot(layer).add(name, factors)


def check_name(model: nn.Module, name: str) -> None:
    """Raise `ValueError` unless a new adapter can have this name."""
    if not name.isidentifier() or hasattr(nn.ModuleDict, name):
        raise ValueError(f"the name of an adapter must be an identifier and not a method of a dictionary, got {name!r}")
    if name in adapter_names(model):
        raise ValueError(
            f"the model already has an adapter {name!r}; choose another name, or `remove_adapter` it first"
        )
    for layer, module in model.named_modules():
        if isinstance(module, KANLinear) and not isinstance(module.adapter, Adapters | None):
            raise ValueError(f"layer {layer!r} has an adapter of another kind, {type(module.adapter).__name__}")


def _matching(names: Sequence[str], patterns: Iterable[str]) -> set[str]:
    """The names that match a pattern; every pattern must match at least one."""
    found: set[str] = set()
    for pattern in patterns:
        matches = {name for name in names if fnmatchcase(name, pattern)}
        if not matches:
            raise ValueError(f"no name matches {pattern!r}; there are {', '.join(map(repr, names))}")
        found |= matches
    return found


def _ranks_of(name: str, patterns: Mapping[str, Wanted], layers: Iterable[str]) -> Wanted:
    for pattern, ranks in patterns.items():
        if fnmatchcase(name, pattern):
            return ranks
    raise ValueError(
        f"no pattern of ranks matches layer {name!r}; the patterns are {', '.join(map(repr, patterns))} "
        f"for the layers {', '.join(map(repr, layers))}; add '*' as the last pattern for the rest"
    )


def _check_ranks(layers: Mapping[str, KANLinear], chosen: Mapping[str, tuple[str, Ranks | None]]) -> None:
    """Raise for ranks below 1 and for ranks above the full rank of every selected layer."""
    room: dict[str, int] = {}
    wanted: dict[str, int] = {}
    for name, (form, ranks) in chosen.items():
        largest = largest_ranks(layers[name].coef.shape, form)
        for index, rank in requested_ranks(form, ranks).items():
            room[index] = max(room.get(index, 0), largest[index])
            if ranks is not None and isinstance(rank, int):
                wanted[index] = min(wanted.get(index, rank), rank)
    for place, (index, rank) in enumerate(wanted.items()):
        if rank > room[index]:
            raise ValueError(
                f"rank {rank} at place {place} of ranks is above the full rank of every selected layer, {room[index]}; "
                "give a smaller rank, a float as a share, or omit ranks"
            )
