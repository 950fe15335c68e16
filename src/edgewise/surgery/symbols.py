"""Turns a curve into a symbol and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise import functional
from edgewise.nn import DEFAULT_LIBRARY, KANLinear, Library, SymbolicEdges, SymbolicFn
from edgewise.nn.layers import EdgeLike, find_edge, replaced, require_plain, symbols_where, with_layers
from edgewise.tracing import trace

M = TypeVar("M", bound=nn.Module)


def fix(
    model: M,
    edge: EdgeLike,
    fn: str | SymbolicFn,
    affine: Sequence[float] = (1.0, 0.0, 1.0, 0.0),
    *,
    library: Library = DEFAULT_LIBRARY,
) -> M:
    r"""The model with one edge turned into the symbol $\gamma f(\alpha x + \beta) + \delta$, whatever it was before.

    Args:
        model: any module with KAN layers.
        edge: an `EdgeKey`, or a tuple (layer, source, target) with the name or the index of the layer.
        fn: a function, or its name in the library.
        affine: the four parameters $(\alpha, \beta, \gamma, \delta)$.
        library: where names are looked up.

    >>> import edgewise as ew
    >>> ew.fix(ew.KAN([2, 1]), (0, 1, 0), "sin", (2.0, 0.0, 1.0, 0.5)).layers[0].symbolic
    SymbolicEdges(1->0: sin)
    """
    name, old = find_edge(model, edge)
    _, source, target = edge
    parameters = torch.as_tensor(affine, dtype=torch.float64)
    if parameters.shape != (4,) or not torch.isfinite(parameters).all():
        raise ValueError(f"affine must be four finite numbers (alpha, beta, gamma, delta), got {affine!r}")
    fn = library[fn] if isinstance(fn, str) else fn
    return with_layers(model, {name: _with_symbol(old, source, target, fn, parameters)})


def release(model: M, edge: EdgeLike, x: Float[Tensor, "*b features"]) -> M:
    """The model with one symbol turned back into a curve, fitted on the inputs of the layer for samples x."""
    name, old = find_edge(model, edge)
    _, source, target = edge
    require_plain(name, old)
    if not old.symbolic.mask(old.mask.shape)[source, target]:
        raise ValueError(f"layer {name!r}: edge (in={source}, out={target}) is not a symbol")
    gone = torch.zeros_like(old.mask)
    gone[source, target] = True
    with torch.no_grad():
        inputs = trace(model, x)[name].inputs
        values = old.edge_values(inputs)[:, source, target]
        finite = values.isfinite()
        if not finite.any():
            raise ValueError(
                f"layer {name!r}: the symbol at (in={source}, out={target}) is finite at no sample; nothing to fit"
            )
        grid = old.grid[source : source + 1]
        curve = functional.fit_curves(inputs[finite, source, None], values[finite, None, None], grid, old.basis)
        coef = old.coef.detach().clone()
        coef[source, :, target] = 0
        coef[source, : old.basis.size, target] = curve[0, :, 0]
    freed = replaced(old, coef=coef, mask=old.mask | gone, symbolic=symbols_where(old.symbolic, ~gone))
    return with_layers(model, {name: freed})


def _with_symbol(layer: KANLinear, source: int, target: int, fn: SymbolicFn, affine: Tensor) -> KANLinear:
    gone = torch.zeros_like(layer.mask)
    gone[source, target] = True
    rest = symbols_where(layer.symbolic, ~gone)
    row = affine.to(layer.coef)[None]
    place = torch.tensor([[source], [target]], device=layer.mask.device)
    symbolic = SymbolicEdges(
        (*rest.functions, fn),
        torch.cat([rest.sources, place[0]]),
        torch.cat([rest.targets, place[1]]),
        row if rest.affine is None else torch.cat([rest.affine, row]),
    )
    return replaced(layer, mask=layer.mask & ~gone, symbolic=symbolic)
