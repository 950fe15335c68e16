r"""Layers that compute in integers: every edge is a table of small integers, read by linear interpolation.

An input x becomes a position $p = \lfloor 2^8 (x - \mathrm{low}) / \mathrm{step} \rceil_0$, rounded towards zero, on a
table of N segments. With $u$ the position clamped to the table, m its segment and f its fraction in 256ths,

$$ v_e = 256\,t_{e,m} + (t_{e,m+1} - t_{e,m})\,f + \lfloor s_e\,(p - u) / 2^6 \rfloor, \qquad
   y_i = \mathrm{unit}_i \big( b_i + \textstyle\sum_{e \to i} \lfloor g_e v_e / 2^{15} \rfloor \big). $$

All but the first and the last product is integer arithmetic, so that a program in C gives the same bits: see the format
"c" of `export`. Outside its table an edge continues as a straight line, up to `FAR` widths of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from edgewise.nn.affine import Affine
from edgewise.nn.products import ProductNodes

FRACTION_BITS = 8
SLOPE_BITS = 6
GAIN_BITS = 15
FAR = 64
ACCUMULATOR = 2**31 - 1
_TERMS = 1 << 22
"""Terms of sums that are held at once: more rows are summed one part after the other."""


class _Kept(nn.Module):
    """A module that moves between devices and keeps its types: `double()` must change no rounding."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        return super()._apply(lambda t: fn(t) if fn(t).dtype == t.dtype else t.to(fn(t).device), recurse)


class IntegerEdges(_Kept):
    """A layer of edges as tables, shapes (*batch, in) -> (*batch, out), float32 at both ends.

    Args:
        low: (in,), float32, where the table of every input begins.
        inverse: (in,), float32, 256 positions per segment over the length of a segment.
        tables: (count, segments + 1), int8 or int16.
        table: (edges,), the table of every edge; several edges may share one.
        slopes: (edges, 2), int16, below and above the table, in 64ths of a table's unit per segment.
        gain: (edges,), int16, the weight of the table in units of 2^-15.
        sources: (edges,), the input of every edge, in increasing order.
        targets: (edges,), the output of every edge, in increasing order for one input.
        bias: (out,), int32.
        unit: (out,), float32, what one unit of the sum is worth.
    """

    low: Tensor
    inverse: Tensor
    tables: Tensor
    table: Tensor
    slopes: Tensor
    gain: Tensor
    sources: Tensor
    targets: Tensor
    bias: Tensor
    unit: Tensor

    def __init__(
        self,
        *,
        low: Float[Tensor, " in"],
        inverse: Float[Tensor, " in"],
        tables: Int[Tensor, "count points"],
        table: Int[Tensor, " edges"],
        slopes: Int[Tensor, "edges 2"],
        gain: Int[Tensor, " edges"],
        sources: Int[Tensor, " edges"],
        targets: Int[Tensor, " edges"],
        bias: Int[Tensor, " out"],
        unit: Float[Tensor, " out"],
    ) -> None:
        super().__init__()
        parts = {"tables": tables, "table": table, "slopes": slopes, "gain": gain, "sources": sources}
        parts |= {"low": low, "inverse": inverse, "targets": targets, "bias": bias, "unit": unit}
        for name, tensor in parts.items():
            self.register_buffer(name, tensor.detach().clone())
        self.in_features, self.out_features = len(low), len(unit)

    @property
    def segments(self) -> int:
        """The number N of segments of every table."""
        return self.tables.shape[1] - 1

    @property
    def nbytes(self) -> int:
        """Of the numbers that a program needs to store; indices of tables only where tables are shared."""
        size = self.tables.numel() * self.tables.element_size() + 6 * len(self.gain)
        size += 8 * self.in_features + 8 * self.out_features
        if len(self.tables) != len(self.gain):
            size += len(self.gain) * _width(len(self.tables) - 1)
        if len(self.gain) != self.in_features * self.out_features:
            size += (len(self.gain) + self.in_features) * _width(self.out_features)
        return size

    def forward(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        return self.sums(self.positions(x)).to(torch.float32) * self.unit

    def positions(self, x: Float[Tensor, "*b in"]) -> Int[Tensor, "*b in"]:
        """The position of every input on its table, in 256ths of a segment."""
        span = float(self.segments << FRACTION_BITS)
        p = (x.to(torch.float32) - self.low) * self.inverse
        # In this form a program in C sends what is no number to the same place.
        p = torch.where(p >= -FAR * span, torch.where(p <= (FAR + 1) * span, p, (FAR + 1) * span), -FAR * span)
        return p.to(torch.int64)

    def sums(self, p: Int[Tensor, "*b in"]) -> Int[Tensor, "*b out"]:
        """The sums over edges of every output, with the bias, in units of `unit`."""
        rows = p.flatten(0, -2) if p.ndim > 1 else p[None]
        parts = rows.split(max(1, _TERMS // max(1, len(self.gain))))
        return torch.cat([self._sums(part) for part in parts]).reshape(*p.shape[:-1], self.out_features)

    def _sums(self, p: Int[Tensor, "rows in"]) -> Int[Tensor, "rows out"]:
        span = self.segments << FRACTION_BITS
        u = p.clamp(0, span)
        segment = (u >> FRACTION_BITS).clamp(max=self.segments - 1)
        fraction, beyond = (u - (segment << FRACTION_BITS))[..., self.sources], (p - u)[..., self.sources]
        place = segment[..., self.sources]
        first = self.tables[self.table, place].long()
        second = self.tables[self.table, place + 1].long()
        slope = torch.where(beyond < 0, self.slopes[:, 0].long(), self.slopes[:, 1].long())
        v = (first << FRACTION_BITS) + (second - first) * fraction + ((slope * beyond) >> SLOPE_BITS)
        terms = (v * self.gain.long()) >> GAIN_BITS
        total = terms.new_zeros(len(p), self.out_features).index_add(-1, self.targets.long(), terms)
        return (total + self.bias.long()).clamp(-ACCUMULATOR, ACCUMULATOR)

    def extra_repr(self) -> str:
        shared = "" if len(self.tables) == len(self.gain) else f", edges={len(self.gain)}"
        return f"{self.in_features}, {self.out_features}, tables={tuple(self.tables.shape)}{shared}"


def _width(most: int) -> int:
    """Bytes of a whole number from 0 to `most`."""
    return 1 if most < 1 << 8 else 2 if most < 1 << 16 else 4


class IntegerKAN(_Kept):
    """A network of `IntegerEdges` and products, shapes (*batch, in) -> (*batch, out); `edgewise.quantize` makes it.

    It computes in float32 between layers and in integers inside, on the CPU, and has no gradients. A row with an input
    that is not finite gives NaN. Every result is the same, bit for bit, in the C program that `export` writes.

    Args:
        layers: `IntegerEdges` and `ProductNodes` in their order.
        output_affine: a change of units at the end, in float32.
        input_names: names of the inputs.
        output_names: names of the outputs.
    """

    def __init__(
        self,
        layers: Iterable[IntegerEdges | ProductNodes],
        output_affine: Affine | None = None,
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.output_affine = output_affine
        self.input_names, self.output_names = input_names, output_names
        first, last = self.layers[0], self.layers[-1]
        assert isinstance(first, IntegerEdges)
        assert isinstance(last, IntegerEdges | ProductNodes)
        self.in_features, self.out_features = first.in_features, last.out_features

    @property
    def nbytes(self) -> int:
        """Of the numbers that a program needs to store."""
        size = sum(layer.nbytes for layer in self.layers if isinstance(layer, IntegerEdges))
        return size + (0 if self.output_affine is None else 8 * self.out_features)

    @torch.no_grad()
    def forward(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        x = x.to(torch.float32)
        y = x
        for layer in self.layers:
            y = layer(y)
        if self.output_affine is not None:
            y = self.output_affine(y)
        return torch.where(x.isfinite().all(-1, keepdim=True), y, torch.nan)
