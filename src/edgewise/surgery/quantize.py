r"""Turns a trained network into tables of small integers, without training: for microcontrollers.

Every edge is tabulated over the range of its input and rounded to its own scale. The range of an input is that of its
samples, apart from those outside its grid that lie half a width beyond the inner 98 hundredths: a far row widens no
table, and is computed on the straight line beyond it. Tables of many edges can share a codebook of shapes with a gain
per edge, after SHARe-KAN (arXiv 2512.15742), which shares coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from edgewise._shown import shown
from edgewise.nn import KAN, Affine, IntegerEdges, IntegerKAN, KANLinear, ProductNodes
from edgewise.nn.integer import FRACTION_BITS, GAIN_BITS, SLOPE_BITS

MOST_SEGMENTS = 1 << 16
"""A position has 24 bits in float32, 8 of them inside a segment."""
VALUES = 1 << 22
"""Values of edges in float64 that are held at once."""
_OUTERMOST = 0.01
_ROUNDS = 25


@shown
@dataclass(frozen=True)
class Quantized:
    """A network of integers, and what it lost on the samples.

    Args:
        model: computes in integers; `export(model, path, format="c")` writes it as C.
        nbytes: of its numbers.
        float_nbytes: of the parameters of the network in float32, grids included. A table for every edge can be larger:
            than the factors of a slim layer, or than coefficients on a coarse grid. A codebook then helps.
        relative: the root mean square of its errors, in units of the standard deviation of the outputs.
        worst: the largest error on the samples.
        changed: the share of rows whose largest output is another one, as for classes; 0 with one output.
    """

    model: IntegerKAN
    nbytes: int
    float_nbytes: int
    relative: float
    worst: float
    changed: float

    def __str__(self) -> str:
        lost = f"error {self.relative:.2e} of the spread, {self.worst:.3g} at most"
        sizes = f"{self.nbytes:,} bytes, {self.float_nbytes:,} in float32"
        return f"{sizes}, {lost}" + (f", {self.changed:.2%} of classes changed" if self.changed else "")


@torch.no_grad()
def quantize(
    model: nn.Module, x: Float[Tensor, "samples in"], bits: int = 8, *, segments: int = 32, codebook: int | None = None
) -> Quantized:
    """The network as tables of integers, and the accuracy that this lost on the samples.

    Args:
        model: a KAN of any basis, with symbols and products; it does not change.
        x: some hundreds of inputs as the network will see them, which show the ranges.
        bits: of the entries of the tables, 2 to 16; up to 8 they are stored as bytes.
        segments: of every table. An edge of a network of cubic splines on 5 intervals needs some 32; finer ones more.
        codebook: the number of tables that the edges of a layer share at most, or None for a table per edge.

    Raises:
        TypeError: the model is no KAN.
        ValueError: a setting is out of its range, x has another shape or is not finite, or an edge is not.
    """
    if not isinstance(model, KAN):
        raise TypeError(f"quantize takes a KAN, not a {type(model).__name__}; of a fitted estimator give its `model_`")
    if not 2 <= bits <= 16 or not 1 <= segments <= MOST_SEGMENTS or (codebook is not None and codebook < 1):
        raise ValueError(
            f"bits must be 2 to 16, segments 1 to {MOST_SEGMENTS:,}, codebook at least 1; "
            f"got {bits}, {segments}, {codebook}"
        )
    if x.ndim != 2 or x.shape[1] != model.in_features or len(x) == 0 or not torch.isfinite(x).all():
        raise ValueError(f"x has the shape {tuple(x.shape)}; rows of {model.in_features} finite numbers are needed")
    exact, rough = x.double().cpu(), x.float().cpu()
    units = model.input_affine
    layers: list[IntegerEdges | ProductNodes] = []
    for layer in model.layers:
        if isinstance(layer, ProductNodes):
            layers.append(ProductNodes(layer.sums, layer.arities))
            exact, rough = layer(exact), layer(rough)
            continue
        assert isinstance(layer, KANLinear)
        edges = _Edges.of(layer, units, exact, segments)
        made = edges.rounded(bits, codebook)
        exact = edges.outputs(exact)
        _centre_(made, rough, exact)
        rough, units = made(rough), None
        layers.append(made)
    units, end = model.output_affine, None
    if units is not None:
        end = Affine(units.scale.detach().float().cpu(), units.shift.detach().float().cpu())
        exact = exact * units.scale.double().cpu() + units.shift.double().cpu()
    made = IntegerKAN(layers, end, model.input_names, model.output_names)
    numbers = [*model.parameters(), *(grid for name, grid in model.named_buffers() if name.endswith("grid"))]
    return _measured(made, 4 * sum(number.numel() for number in numbers), x.cpu(), exact)


@dataclass(frozen=True)
class _Edges:
    """The curves and symbols of a layer, as values on even points over the range of every input."""

    layer: KANLinear
    units: Affine | None
    low: Float[Tensor, " in"]
    high: Float[Tensor, " in"]
    values: Float[Tensor, "points edges"]
    slopes: Float[Tensor, "edges 2"]
    sources: Int[Tensor, " edges"]
    targets: Int[Tensor, " edges"]

    @classmethod
    def of(cls, layer: KANLinear, units: Affine | None, x: Tensor, segments: int) -> _Edges:
        low, high = _ranges(x, *_of_grid(layer, units), segments)
        owned = (layer.mask | layer.symbolic.mask(layer.mask.shape)).cpu()
        sources, targets = owned.nonzero().T
        t = torch.linspace(0, 1, segments + 1, dtype=torch.float64)[:, None]
        beyond = (high - low) / 4
        points = torch.cat([low - beyond[None], low + (high - low) * t, high + beyond[None]])
        values = _edge_values(layer, units, points)[:, sources, targets]
        if not torch.isfinite(values).all():
            e = int((~torch.isfinite(values).all(0)).nonzero()[0])
            raise ValueError(
                f"the edge (in={int(sources[e])}, out={int(targets[e])}) is not finite over the range of its input"
            )
        ends = torch.stack([values[1] - values[0], values[-1] - values[-2]], 1) * 4 / segments  # per segment
        return cls(layer, units, low, high, values[1:-1], ends, sources, targets)

    def outputs(self, x: Tensor) -> Tensor:
        """What the layer computes, in float64."""
        parts = x.split(max(1, VALUES // (self.layer.in_features * self.layer.out_features)))
        y = torch.cat([_edge_values(self.layer, self.units, part).sum(-2) for part in parts])
        return y if self.layer.bias is None else y + self.layer.bias.double().cpu()

    def rounded(self, bits: int, codebook: int | None) -> IntegerEdges:
        """The layer of integers; `_centre_` sets its bias."""
        most, segments = 2 ** (bits - 1) - 1, len(self.values) - 1
        centred = self.values - (self.values.amax(0) + self.values.amin(0)) / 2
        shapes, table, gains = _tables(centred, codebook)
        largest = shapes.abs().amax(1).clamp_min(1e-300)
        tables = torch.round(shapes / largest[:, None] * most)
        scale = gains * largest[table] / most  # what one unit of a table is worth, by edge
        unit = torch.zeros(self.layer.out_features, dtype=torch.float64)
        unit = unit.scatter_reduce(0, self.targets, scale.abs(), "amax")
        unit = torch.where(unit > 0, unit, 1.0)
        gain = torch.round(scale / unit[self.targets] * (2**GAIN_BITS - 1))
        worth = gain / 2**GAIN_BITS * unit[self.targets]  # as rounded
        steep = torch.where(worth[:, None] != 0, self.slopes / worth[:, None], 0) * 2**SLOPE_BITS
        inverse = (segments << FRACTION_BITS) / (self.high - self.low)
        return IntegerEdges(
            low=self.low.float(),
            inverse=inverse.float(),
            tables=tables.to(torch.int8 if bits <= 8 else torch.int16),
            table=table,
            slopes=steep.round().clamp(-32767, 32767).to(torch.int16),
            gain=gain.to(torch.int16),
            sources=self.sources,
            targets=self.targets,
            bias=torch.zeros(self.layer.out_features, dtype=torch.int32),
            unit=(unit / 2**FRACTION_BITS).float(),
        )


def _edge_values(layer: KANLinear, units: Affine | None, x: Tensor) -> Tensor:
    """The value of every edge in float64: (*b, in, out)."""
    own = layer.grid
    h = x.to(own) if units is None else x.to(own) * units.scale + units.shift
    return layer.edge_values(h).double().cpu()


def _of_grid(layer: KANLinear, units: Affine | None) -> tuple[Tensor, Tensor, Tensor]:
    """The ends of every grid and its shortest interval, in the units of x."""
    grid = layer.grid.double().cpu()
    ends, step = torch.stack(layer.basis.span(grid)), grid.diff(dim=-1).amin(-1)
    if units is not None:
        scale, shift = units.scale.double().cpu(), units.shift.double().cpu()
        scale = torch.where(scale.abs() < 1e-300, 1e-300, scale)
        ends, step = (ends - shift) / scale, step / scale.abs()
    return ends.amin(0), ends.amax(0), step


def _ranges(x: Tensor, first: Tensor, last: Tensor, step: Tensor, segments: int) -> tuple[Tensor, Tensor]:
    """The range of every column without its far samples: those half a width beyond the inner 98 hundredths.

    Of a column that is constant but for some rows it is that of all samples. Rare values within the grid, such as those
    of a pixel at the edge of images, are where a curve bends: they are not far, as long as a segment of the table stays
    no longer than the shortest interval of the grid. An input that never moves has a hundredth of the grid.

    Args:
        x: (samples, in).
        first: where the grid of every column begins.
        last: where it ends.
        step: its shortest interval.
        segments: of a table.
    """
    ordered = x.sort(0).values
    skip = int(_OUTERMOST * (len(x) - 1)) + (len(x) >= 20)  # a far row among twenty is left out
    low, high = ordered[skip], ordered[len(x) - 1 - skip]
    reach = (high - low) / 2
    near = torch.where((x >= low - reach) & (x <= high + reach), x, low)
    low, high = near.amin(0), near.amax(0)
    flat = high - low <= 1e-6 * torch.maximum(low.abs(), high.abs())
    low, high = torch.where(flat, ordered[0], low), torch.where(flat, ordered[-1], high)
    inside = torch.where((x >= first) & (x <= last), x, low)
    lowest, highest = torch.minimum(low, inside.amin(0)), torch.maximum(high, inside.amax(0))
    resolved = highest - lowest <= segments * step
    low, high = torch.where(resolved, lowest, low), torch.where(resolved, highest, high)
    half = torch.where(high > low, 0, (last - first) / 200)
    return low - half, high + half


def _tables(curves: Float[Tensor, "points edges"], codebook: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """Shapes of shape (count, points), the shape of every edge and its gain."""
    edges = curves.shape[1]
    if codebook is None or edges <= codebook:
        return curves.T, torch.arange(edges), torch.ones(edges, dtype=torch.float64)
    return _codebook(curves.T - curves.mean(0)[:, None], codebook)


def _codebook(curves: Float[Tensor, "edges points"], count: int) -> tuple[Tensor, Tensor, Tensor]:
    r"""Shapes $c_k$ of norm one that minimise $\sum_e \min_{k,g} |v_e - g\,c_k|^2$, by Lloyd's rounds.

    The first shape is that of the largest curve, each of the others that of the curve which those before fit worst.
    """
    left = curves.square().sum(1)
    shapes = curves.new_zeros(0, curves.shape[1])
    for _ in range(count):
        worst = curves[int(left.argmax())]
        shapes = torch.cat([shapes, (worst / worst.norm().clamp_min(1e-300))[None]])
        left = torch.minimum(left, curves.square().sum(1) - (curves @ shapes[-1]).square())
    for _ in range(_ROUNDS):
        gains = curves @ shapes.T
        table = gains.abs().argmax(1)
        own = gains.gather(1, table[:, None])
        sums = torch.zeros_like(shapes).index_add(0, table, own * curves)
        norms = sums.norm(dim=1, keepdim=True)
        shapes = torch.where(norms > 0, sums / norms.clamp_min(1e-300), shapes)
    gains = curves @ shapes.T
    table = gains.abs().argmax(1)
    return shapes, table, gains.gather(1, table[:, None])[:, 0]


def _centre_(made: IntegerEdges, rough: Tensor, exact: Tensor) -> None:
    """Set the bias so that the median error over the samples is zero: of roundings, and of the layers before."""
    unit = made.unit.double()
    error = exact / unit - made.sums(made.positions(rough)).double()
    made.bias.copy_(error.median(0).values.round().clamp(-(2**31) + 1, 2**31 - 1))


def _measured(model: IntegerKAN, float_nbytes: int, x: Tensor, exact: Tensor) -> Quantized:
    got = model(x).double()
    difference = (got - exact).abs()
    spread = float(exact.std(0, correction=0).square().mean().sqrt())
    rms = float(difference.square().mean().sqrt())
    changed = float((got.argmax(-1) != exact.argmax(-1)).double().mean()) if exact.shape[-1] > 1 else 0.0
    relative = rms / spread if spread > 0 else rms
    return Quantized(model, model.nbytes, float_nbytes, relative, float(difference.max()), changed)
