r"""Recurrent networks of curves: the temporal Kolmogorov-Arnold network (Genet, Inzirillo, arXiv 2405.07344).

A cell like that of an LSTM, whose output gate reads R small networks, each with a memory. With the logistic
function $\sigma$, the normalisation LN and vectors $a_r, b_r$ (products without a sign act element by element):

$$ [i, f, g] = \sigma(W x_t + U h_{t-1} + b), \qquad s_r = \mathrm{KAN}_r(\mathrm{LN}(W_r x_t + U_r z_r)), \qquad
   z_r \leftarrow a_r s_r + b_r z_r, $$
$$ c_t = f c_{t-1} + i g, \qquad h_t = \sigma(W_o [s_1, \dots, s_R] + b_o) \tanh c_t. $$
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.bases import Basis
from edgewise.nn.blocks.projection import projection
from edgewise.nn.linear import KANLinear


class TKANState(NamedTuple):
    """The state of a cell: output h and memory c, each (*batch, hidden), and z, (*batch, sublayers, width)."""

    h: Tensor
    c: Tensor
    z: Tensor


class TKANCell(nn.Module):
    r"""One step of the equations of this file: x (*batch, in) and a state -> the next state, whose h is the output.

    Args:
        input_size: number of inputs.
        hidden_size: width of h and c.
        basis: of the curves in KAN_r; `BSpline(5, 3)` by default.
        sublayers: number R of the small networks.
        width: of their inputs and outputs, `input_size` by default.
        residual: see `KANLinear`.
        generator: source of randomness of the initial values.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        basis: Basis | None = None,
        *,
        sublayers: int = 1,
        width: int | None = None,
        residual: str | None = "silu",
        generator: torch.Generator | None = None,
        **placement: Any,
    ) -> None:
        super().__init__()
        width = input_size if width is None else width
        self.input_size, self.hidden_size, self.sublayers, self.width = input_size, hidden_size, sublayers, width
        settings: dict[str, Any] = {"generator": generator, **placement}
        inner = sublayers * width
        self.from_input = projection(input_size, 3 * hidden_size + inner, **settings)
        self.from_hidden = projection(hidden_size, 3 * hidden_size, bias=False, **settings)
        self.from_memory = nn.ModuleList(
            projection(width, width, gain=0.5, bias=False, **settings) for _ in range(sublayers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width, **placement) for _ in range(sublayers))
        self.curves = nn.ModuleList(
            KANLinear(width, width, basis, residual=residual, grid_range=(-3, 3), **settings) for _ in range(sublayers)
        )
        self.written = nn.Parameter(torch.full((sublayers, width), 0.5, **placement))
        self.kept = nn.Parameter(torch.full((sublayers, width), 0.5, **placement))
        self.output = projection(inner, hidden_size, **settings)
        with torch.no_grad():  # forget little at first, as an LSTM does
            cast(Tensor, self.from_input.bias)[hidden_size : 2 * hidden_size] = 1.0

    def forward(self, x: Float[Tensor, "*b in"], state: TKANState | None = None) -> TKANState:
        return self.step(self.from_input(x), self.start(x) if state is None else state)

    def step(self, driven: Float[Tensor, "*b gates"], state: TKANState) -> TKANState:
        """The next state, given `from_input(x)`, which can be computed for a whole sequence at once."""
        h, c, z = state
        gates, inner = driven.split([3 * self.hidden_size, self.sublayers * self.width], -1)
        i, f, g = (gates + self.from_hidden(h)).sigmoid().chunk(3, -1)
        s = torch.stack(
            [
                cast(nn.Module, curves)(norm(part + memory(z[..., r, :])))
                for r, (part, memory, norm, curves) in enumerate(
                    zip(inner.chunk(self.sublayers, -1), self.from_memory, self.norms, self.curves, strict=True)
                )
            ],
            -2,
        )
        c = f * c + i * g
        h = self.output(s.flatten(-2)).sigmoid() * c.tanh()
        return TKANState(h, c, self.written * s + self.kept * z)

    def start(self, x: Float[Tensor, "*b in"]) -> TKANState:
        """The state before the first step: zeros."""
        h = x.new_zeros((*x.shape[:-1], self.hidden_size))
        return TKANState(h, h, x.new_zeros((*x.shape[:-1], self.sublayers, self.width)))


class TKAN(nn.Module):
    """A `TKANCell` along a sequence, x (*batch, time, in) -> outputs (*batch, time, hidden) and the last state.

    Args:
        input_size: number of inputs.
        hidden_size: number of outputs.
        basis: of the curves.
        **settings: of the `TKANCell`.
    """

    def __init__(self, input_size: int, hidden_size: int, basis: Basis | None = None, **settings: Any) -> None:
        super().__init__()
        self.cell = TKANCell(input_size, hidden_size, basis, **settings)

    def forward(
        self, x: Float[Tensor, "*b time in"], state: TKANState | None = None
    ) -> tuple[Float[Tensor, "*b time hidden"], TKANState]:
        if x.ndim < 2 or x.shape[-2] == 0 or x.shape[-1] != self.cell.input_size:
            raise ValueError(
                f"TKAN takes inputs of shape (*batch, time, {self.cell.input_size}) with at least one time, "
                f"got {tuple(x.shape)}"
            )
        state, outputs = self.cell.start(x[..., 0, :]) if state is None else state, []
        for driven in self.cell.from_input(x).unbind(-2):
            state = self.cell.step(driven, state)
            outputs.append(state.h)
        return torch.stack(outputs, -2), state
