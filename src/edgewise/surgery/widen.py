"""Adds hidden nodes without changing the function."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgewise.nn import KAN, KANLinear, ProductNodes, SymbolicEdges
from edgewise.nn.layers import blocks, copied_kan, reassembled, replaced


@torch.no_grad()
def widen(model: nn.Module, widths: Sequence, *, generator: torch.Generator | None = None) -> KAN:
    """The same function with more hidden nodes.

    New nodes read random curves, as in a new network; the curves that read them are zero, so that the output does not
    change. Old products keep their order and arity, new ones come after them.

    Args:
        model: a KAN.
        widths: the new widths, as the constructor takes them; inputs and outputs as they are.
        generator: source of randomness of the new curves.
    """
    model = copied_kan(model, "widen")
    pairs = blocks(model)
    template = KAN(widths, generator=torch.Generator())  # for its shapes alone; spends no draw of the caller's
    shapes = blocks(template)
    if (
        len(shapes) != len(pairs)
        or template.in_features != model.in_features
        or shapes[-1][1].groups() != pairs[-1][1].groups()
    ):
        raise ValueError(f"widths {list(widths)} change the inputs, the outputs or the depth of {model.widths}")
    wider: list[tuple[KANLinear, ProductNodes]] = []
    sources = list(range(model.in_features))
    for n, ((layer, products), (_, goal)) in enumerate(zip(pairs, shapes, strict=True)):
        if goal.sums < products.sums or goal.arities[: len(products.arities)] != products.arities:
            raise ValueError(
                f"widths[{n + 1}] = {widths[n + 1]!r} has fewer nodes than {model.widths[n + 1]!r} or other products"
            )
        shift = goal.sums - products.sums
        targets = [i if i < products.sums else i + shift for i in range(products.in_features)]
        count = model.in_features if n == 0 else shapes[n - 1][1].out_features
        wider.append((_grown(layer, sources, targets, count, goal.in_features, generator), goal))
        sources = [i if i < products.sums else i + shift for i in range(products.out_features)]
    return reassembled(model, wider)


def _grown(
    layer: KANLinear,
    sources: list[int],
    targets: list[int],
    in_features: int,
    out_features: int,
    generator: torch.Generator | None,
) -> KANLinear:
    """A larger layer with the old edges at `sources` x `targets`.

    New outputs read every input through a random curve, old outputs read new inputs through a zero one.
    """
    new = KANLinear(
        in_features,
        out_features,
        layer.basis,
        residual=layer.residual,
        bias=layer.bias is not None,
        generator=generator,
        device=layer.coef.device,
        dtype=layer.coef.dtype,
    )
    j = torch.tensor(sources, device=layer.coef.device)
    i = torch.tensor(targets, device=layer.coef.device)
    coef, grid, mask = new.coef.detach(), new.grid, new.mask
    added = torch.ones(in_features, dtype=torch.bool, device=coef.device)
    added[j] = False
    coef[added.nonzero(), :, i] = 0
    coef[j[:, None], :, i] = layer.coef.movedim(1, 2)
    mask[j[:, None], i] = layer.mask
    grid[j] = layer.grid
    bias: Tensor | None = None
    if layer.bias is not None:
        bias = torch.zeros_like(coef[0, 0])
        bias[i] = layer.bias
    symbolic = layer.symbolic
    if symbolic.affine is not None:
        symbolic = SymbolicEdges(symbolic.functions, j[symbolic.sources], i[symbolic.targets], symbolic.affine)
    return replaced(layer, coef=coef, grid=grid, mask=mask, bias=bias, symbolic=symbolic)
