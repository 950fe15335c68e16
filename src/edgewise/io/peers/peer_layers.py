"""The layers of a network of another library, as tensors by name, from a module, its state dict or a file of it."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.bases import BSpline, check_residual
from edgewise.io.reading import reading
from edgewise.io.tensor_file import one_precision, read_tensors
from edgewise.nn import KAN, KANLinear

# The wrappers of DistributedDataParallel and torch.compile, then the place of the layer, then the name in it.
_KEY = re.compile(r"((?:module\.|_orig_mod\.)*(?:(?:layers\.)?(\d+)\.)?)(.+)")
_OUR_RESIDUALS: dict[Any, str] = {nn.SiLU: "silu", nn.functional.silu: "silu", nn.Identity: "identity"}


@dataclass(frozen=True)
class PeerLayer:
    """One layer of another library; `module` is None where tensors alone were given."""

    place: str
    tensors: Mapping[str, Tensor]
    module: nn.Module | None

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise ValueError(f"{self.place}{name} is missing")
        return self.tensors[name]

    def expect(self, name: str, *shape: int) -> Tensor:
        """The tensor of this name, which must be of this shape, floating-point and finite; -1 is any length."""
        t = self[name]
        fits = t.ndim == len(shape) and all(n in (-1, m) for n, m in zip(shape, t.shape, strict=True))
        if not fits or not t.is_floating_point() or not torch.isfinite(t).all():
            wanted = tuple("any" if n == -1 else n for n in shape)
            raise ValueError(
                f"{self.place}{name} is {t.dtype} of the shape {tuple(t.shape)}; finite numbers {wanted} are expected"
            )
        return t

    def residual(self, attribute: str, default: str) -> str:
        """The residual function by our name: that of the module, or the one that the user says of bare tensors."""
        if self.module is None:
            require_residual(self.place, default)
            return default
        function = getattr(self.module, attribute)
        name = _OUR_RESIDUALS.get(type(function) if isinstance(function, nn.Module) else function)
        if name is None:
            raise ValueError(
                f"{self.place}{attribute} is {function!r}; the residual functions here are silu and identity"
            )
        return name


def require_residual(place: str, name: str | None) -> None:
    """Raise `ValueError` unless this is a residual function: without one the weights of the layer would be lost."""
    check_residual(name)
    if name is None:
        raise ValueError(f"{place}residual: the layer has weights of a residual function; say 'silu' or 'identity'")


def peer_layers(
    source: Any, library: str, required: Collection[str], optional: Collection[str] = ()
) -> list[PeerLayer]:
    """The layers in their order.

    Raises:
        TypeError: where the source is none of module, mapping and path.
        ValueError: naming a tensor that such a layer does not have, or lacks. Of a file a `FileFormatError`.
    """
    if isinstance(source, str | os.PathLike):
        with reading(source):
            return _grouped(read_tensors(source), None, library, set(required), set(optional))
    if isinstance(source, nn.Module):
        return _grouped(source.state_dict(), source, library, set(required), set(optional))
    if isinstance(source, Mapping) and all(isinstance(t, Tensor) for t in source.values()):
        return _grouped(source, None, library, set(required), set(optional))
    raise TypeError(
        f"a network of {library} is a module, its state dict or the path of a file, not {_described(source)}"
    )


def _described(source: Any) -> str:
    if isinstance(source, Mapping):
        return f"a mapping with more than tensors, under {', '.join(map(repr, list(source)[:5]))}; give its state dict"
    return f"a {type(source).__name__}"


def _grouped(
    state: Mapping[str, Tensor], model: nn.Module | None, library: str, required: set[str], optional: set[str]
) -> list[PeerLayer]:
    groups: dict[str, dict[str, Tensor]] = {}
    places: list[int] = []
    for key, tensor in one_precision(state).items():
        matched = _KEY.fullmatch(key)
        assert matched is not None
        prefix, place, name = matched.groups()
        if name not in required | optional:
            raise ValueError(
                f"{key!r} is no part of a layer of {library}, which has {', '.join(sorted(required | optional))}; "
                "give the network alone, without modules around it"
            )
        if prefix not in groups:
            places.append(int(place or 0))
        groups.setdefault(prefix, {})[name] = tensor
    for prefix, tensors in groups.items():
        if required - set(tensors):
            raise ValueError(f"{prefix or 'the layer'} lacks {', '.join(sorted(required - set(tensors)))}")
    if not groups or sorted(places) != list(range(len(places))):
        raise ValueError(f"the layers of a network of {library} are 0, 1, ...; found {places or 'none'}")
    ordered = sorted(zip(places, groups, strict=True))
    return [
        PeerLayer(prefix, groups[prefix], None if model is None else model.get_submodule(prefix.rstrip(".")))
        for _, prefix in ordered
    ]


def spline_layer(
    place: str,
    knots: Float[Tensor, "in knots"],
    coef: Float[Tensor, "in size out"],
    *,
    residual: str | None,
    weights: Float[Tensor, "in out"] | None = None,
    bias: Float[Tensor, " out"] | None = None,
) -> KANLinear:
    r"""A layer of the curves $w_{ij} b(x) + \sum_k c_{jki} B_k(x)$ with B-splines on these knots and zero elsewhere.

    All knots become the grid. The functions that the longer grid adds at its ends have the coefficient zero, so the
    curve fades over the outer knots as in libraries that follow efficient-kan or pykan.
    """
    degree = knots.shape[-1] - 1 - coef.shape[1]
    if not 0 <= degree <= 9:
        raise ValueError(f"{place}: {knots.shape[-1]} knots and {coef.shape[1]} coefficients make no spline")
    if not (knots.diff(dim=-1) > 0).all():
        raise ValueError(f"{place}: two knots of a grid coincide, or they do not increase; update it on varying inputs")
    padded = nn.functional.pad(coef, (0, 0, degree, degree))
    if residual is not None:
        assert weights is not None
        padded = torch.cat([padded, weights[:, None]], 1)
    basis = BSpline(knots.shape[-1] - 1, degree, extrapolation="zero")
    return plain_layer(basis, residual, padded, knots, bias)


def plain_layer(basis: Any, residual: str | None, coef: Tensor, grid: Tensor, bias: Tensor | None) -> KANLinear:
    """A layer all of whose edges are curves; `ValueError` where tensors of a file do not belong together."""
    size = basis.size + (residual is not None)
    fits = coef.ndim == 3 and coef.shape[1] == size and grid.shape == (coef.shape[0], basis.points)
    if not fits or (bias is not None and bias.shape != coef.shape[2:]):
        shapes = ", ".join(str(tuple(t.shape)) for t in (coef, grid, bias) if t is not None)
        raise ValueError(f"coefficients, grid and bias of a layer of {basis} have the shapes {shapes}")
    mask = torch.ones(coef.shape[0], coef.shape[2], dtype=torch.bool)
    return KANLinear.assemble(basis, residual, coef=coef, grid=grid, mask=mask, bias=bias)


def as_network(layers: Sequence[KANLinear]) -> KAN:
    """The layers as one network."""
    check_widths(layers)
    return KAN.assemble(layers)


def check_widths(layers: Sequence[Any]) -> None:
    """Raise `ValueError` unless each layer takes what the one before it gives."""
    for n, (before, after) in enumerate(itertools.pairwise(layers)):
        if before.out_features != after.in_features:
            raise ValueError(
                f"layer {n} has {before.out_features} outputs, and layer {n + 1} has {after.in_features} inputs"
            )
