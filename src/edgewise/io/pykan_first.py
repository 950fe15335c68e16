r"""Networks of pykan 0.0, in the layout of its later releases.

A file of `save_ckpt` holds tensors alone. Its curves are $m (w_b\,b(x) + w_s \sum_i c_i B_i(x))$, one row per edge with
the input fastest, on G intervals of which the ends are continued evenly by `degree` knots; sums get a bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

_EDGE = ("mask", "scale_base", "scale_sp")


def is_first_layout(state: Mapping[str, Any]) -> bool:
    """Whether these are the tensors of a network of pykan 0.0."""
    return "biases.0.weight" in state and "act_fun.0.grid" in state and "node_scale_0" not in state


def in_later_layout(state: Mapping[str, Tensor]) -> tuple[list[int], dict[str, Tensor]]:
    """The widths, and the tensors as pykan 0.2 names and shapes them.

    Raises `ValueError` where a tensor is missing or has another shape, or where the edges of one input have different
    knots.
    """
    depth = sum(name.startswith("biases.") for name in state)
    first = _expected(state, "symbolic_fun.0.mask", 2)
    widths, found = [first.shape[1]], {}
    for l in range(depth):
        bias = _expected(state, f"biases.{l}.weight", 2)
        ins, outs = widths[-1], bias.shape[1]
        widths.append(outs)
        grid, coef = (_expected(state, f"act_fun.{l}.{name}", 2, ins * outs) for name in ("grid", "coef"))
        degree = coef.shape[1] - grid.shape[1] + 1
        if degree < 0 or grid.shape[1] < 2:
            raise ValueError(f"act_fun.{l}: {coef.shape[1]} coefficients do not belong to {grid.shape[1]} knots")
        found[f"act_fun.{l}.grid"] = _one_per_input(_continued(grid, degree).unflatten(0, (outs, ins)), l)
        found[f"act_fun.{l}.coef"] = coef.unflatten(0, (outs, ins)).movedim(0, 1)
        for name in _EDGE:
            found[f"act_fun.{l}.{name}"] = _expected(state, f"act_fun.{l}.{name}", 1, ins * outs).view(outs, ins).T
        for name, axes in (("mask", 2), ("affine", 3)):
            found[f"symbolic_fun.{l}.{name}"] = _expected(state, f"symbolic_fun.{l}.{name}", axes)
        found |= {f"{kind}_scale_{l}": torch.ones_like(bias[0]) for kind in ("node", "subnode")}
        found |= {f"node_bias_{l}": torch.zeros_like(bias[0]), f"subnode_bias_{l}": bias[0]}
    return widths, found


def _expected(state: Mapping[str, Tensor], name: str, axes: int, rows: int | None = None) -> Tensor:
    t = state.get(name)
    if not isinstance(t, Tensor) or t.ndim != axes or (rows is not None and len(t) != rows):
        shape = "nothing" if t is None else str(tuple(getattr(t, "shape", ())))
        rest = "" if rows is None else f" and {rows} rows"
        raise ValueError(f"{name} is {shape}; a tensor with {axes} axes{rest} is expected of pykan 0.0")
    return t


def _continued(grid: Float[Tensor, "edges knots"], degree: int) -> Float[Tensor, "edges more"]:
    """The knots with `degree` more at either end, at the mean distance of those inside."""
    step = (grid[:, -1:] - grid[:, :1]) / (grid.shape[1] - 1)
    more = torch.arange(1, degree + 1, dtype=grid.dtype) * step
    return torch.cat([grid[:, :1] - more.flip(1), grid, grid[:, -1:] + more], 1)


def _one_per_input(grid: Float[Tensor, "outs ins knots"], l: int) -> Float[Tensor, "ins knots"]:
    """The knots of every input, which all of its edges share."""
    other = (grid != grid[:1]).any(-1).nonzero()
    if len(other):
        i, j = other[0].tolist()
        raise ValueError(
            f"layer {l}: the edges (in={j}, out=0) and (in={j}, out={i}) have different knots, and the edges of an "
            "input share them here; in pykan call `update_grid_from_samples` on one batch first"
        )
    return grid[0]
