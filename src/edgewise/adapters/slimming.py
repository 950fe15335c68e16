"""Replaces the coefficients of KAN layers by low-rank factors: slim KANs (Gao, Ng, Tan, arXiv 2502.06153)."""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import torch
from torch import nn

from edgewise.adapters.decompose import ranks_of_size, ranks_within, tucker, tucker_numel
from edgewise.adapters.lotra import Where, select_layers
from edgewise.nn import KANLinear, SlimKANLinear
from edgewise.nn.factors import Factors, Ranks, clamped_ranks
from edgewise.nn.layers import with_layers

M = TypeVar("M", bound=nn.Module)


def slim(
    model: M,
    ranks: Ranks | None = None,
    *,
    tolerance: float | None = None,
    keep: float | None = None,
    where: Where = None,
    init: Literal["fit", "random"] = "fit",
    generator: torch.Generator | None = None,
) -> M:
    """A copy of the model whose KAN layers own Tucker factors instead of coefficients.

    Train the copy: a few steps on the factors recover most of what the truncation loses. A layer that would not become
    smaller stays as it is. `expand` multiplies the factors out.

    Args:
        model: any module with KAN layers.
        ranks: one per axis of `coef` (in, basis, out), as for `add_lotra`.
        tolerance: instead of ranks, the allowed error of the coefficients of a layer, relative to their norm.
        keep: instead of ranks, the number of parameters of the factors as a share of the coefficients of the layer.
        where: which KAN layers, as for `add_lotra`.
        init: "fit" approximates the coefficients (HOSVD, then HOOI); "random" draws new factors of the same norm, to
            train a slim network from scratch.
        generator: random generator for "random".
    """
    if sum(option is not None for option in (ranks, tolerance, keep)) != 1:
        raise ValueError("give one of ranks=, tolerance= and keep=")
    for name, share in (("tolerance", tolerance), ("keep", keep)):
        if share is not None and not 0 < share < 1:
            raise ValueError(f"{name} must be between 0 and 1, got {share}")
    new: dict[str, KANLinear] = {}
    for name, layer in select_layers(model, where).items():
        if layer.adapter is not None:
            raise ValueError(f"layer {name!r} has an adapter; `merge` it first")
        chosen = _ranks(layer, ranks, tolerance, keep)
        if tucker_numel(layer.coef.shape, chosen) >= layer.coef.numel():
            continue
        factors = _random(layer, chosen, generator) if init == "random" else _fitted(layer, chosen)
        new[name] = SlimKANLinear(layer, factors.to(layer.coef))
    return with_layers(model, new)


def expand(model: M) -> M:
    """A copy of the model in which dense layers that compute the same function replace the slim ones."""
    slims = {name: module for name, module in model.named_modules() if isinstance(module, SlimKANLinear)}
    return with_layers(model, {name: layer.dense() for name, layer in slims.items()})


def _ranks(layer: KANLinear, ranks: Ranks | None, tolerance: float | None, keep: float | None) -> list[int]:
    if ranks is not None:
        return list(clamped_ranks(_shape(layer), "tucker", ranks).values())
    with torch.no_grad():
        coef = layer.curves().double()
    if tolerance is not None:
        return ranks_within(coef, tolerance)
    assert keep is not None
    return ranks_of_size(coef, int(keep * coef.numel()))


def _random(layer: KANLinear, ranks: list[int], generator: torch.Generator | None) -> Factors:
    """New factors whose product has the same norm as the coefficients."""
    factors = Factors(_shape(layer), "tucker", ranks, zero=None, generator=generator, dtype=torch.float64)
    factors.scale_to_(layer.coef.norm().item())
    return factors


@torch.no_grad()
def _fitted(layer: KANLinear, ranks: list[int]) -> Factors:
    """The best factors for the curves of the layer, scaled like new ones, so that the same learning rates suit them."""
    core, matrices = tucker(layer.curves().double().cpu(), ranks)
    shape = _shape(layer)
    scales = [1.0, shape[1] ** 0.5, shape[2] ** 0.5]  # entries of RMS n^-1/2, 1 and 1
    names = ("source", "basis", "target")
    values = {name: scale * matrix for name, scale, matrix in zip(names, scales, matrices, strict=True)}
    return Factors.assemble(shape, "tucker", values | {"core": core / math.prod(scales)})


def _shape(layer: KANLinear) -> tuple[int, int, int]:
    size, outs = layer.coef.shape[1:]
    return layer.in_features, size, outs
