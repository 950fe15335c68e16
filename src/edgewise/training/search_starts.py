"""How a search begins: units in which the data are of order 1, random lines, and grids that follow the values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases import Basis, BSpline
from edgewise.nn import KAN, Affine
from edgewise.optim.flat import Network, Parameters
from edgewise.optim.local_equations import layer_inputs
from edgewise.optim.regrid import even_grid, regrid

NOISE = 0.1
MARGIN = 0.02  # a grid reaches beyond its samples by this share of their range, by half an interval at most
REACH = 0.05  # how far a hidden grid may reach beyond its samples, as a share of their range
FAR_REACH = 0.15  # the same without noise, where the curves are to be trusted beyond the samples
OCCUPIED = 6  # samples in every interval of a hidden grid


@dataclass(frozen=True)
class Units:
    """The network sees `x * scale + shift`; its output times `out_scale` plus `out_shift` is y."""

    scale: Float[Tensor, " in"]
    shift: Float[Tensor, " in"]
    out_scale: Float[Tensor, " out"]
    out_shift: Float[Tensor, " out"]

    @classmethod
    def of_data(cls, x: Float[Tensor, "samples in"], y: Tensor, outputs: int, *, scale_outputs: bool) -> Units:
        """The units in which the samples fill [-1, 1] and the targets have mean 0 and variance 1."""
        low, high = x.amin(0), x.amax(0)
        half = torch.where(high > low, (high - low) / 2, torch.ones_like(high))
        out_scale, out_shift = torch.ones(outputs, dtype=x.dtype), torch.zeros(outputs, dtype=x.dtype)
        if scale_outputs:
            std, out_shift = y.std(0, correction=0), y.mean(0)
            out_scale = torch.where(std > 0, std, torch.ones_like(std))
        return cls(1 / half, -(high + low) / 2 / half, out_scale, out_shift)

    @classmethod
    def of_model(cls, model: KAN) -> Units:
        """The units that a model has already."""
        inputs, outputs = model.input_affine, model.output_affine
        one, zero = torch.ones(model.in_features).double(), torch.zeros(model.in_features).double()
        out_one, out_zero = torch.ones(model.out_features).double(), torch.zeros(model.out_features).double()
        return cls(
            one if inputs is None else inputs.scale.double(),
            zero if inputs is None else inputs.shift.double(),
            out_one if outputs is None else outputs.scale.double(),
            out_zero if outputs is None else outputs.shift.double(),
        )

    def inputs(self, x: Tensor) -> Tensor:
        """What the network sees."""
        return x * self.scale + self.shift

    def targets(self, y: Tensor) -> Tensor:
        """What the network should give."""
        return (y - self.out_shift) / self.out_scale

    def input_affine(self) -> Affine | None:
        """The change of units in front of the network; None where there is nothing to do."""
        if bool((self.scale == 1).all()) and bool((self.shift == 0).all()):
            return None
        return Affine(self.scale, self.shift)

    def output_affine(self) -> Affine | None:
        """The change of units behind the network; None where there is nothing to do."""
        if bool((self.out_scale == 1).all()) and bool((self.out_shift == 0).all()):
            return None
        return Affine(self.out_scale, self.out_shift)


def random_lines(network: Network, starts: int, generator: torch.Generator) -> Parameters:
    """Every curve a random line plus small noise, on even grids over [-1, 1]."""
    parts, grids = [], []
    for edges in network.edges:
        fan_in, fan_out = edges.mask.shape
        one = torch.ones(1, fan_in, dtype=torch.float64)
        basis = edges.basis
        assert isinstance(basis, BSpline)
        grid = even_grid(basis, -one, one)
        slope = torch.randn(starts, fan_in, 1, fan_out, generator=generator, dtype=torch.float64)
        noise = torch.randn(starts, fan_in, basis.size, fan_out, generator=generator, dtype=torch.float64)
        coef = (slope * basis.greville(grid[0])[:, :, None] + NOISE * noise) * fan_in**-0.5
        parts.append(
            (coef, coef.new_zeros(starts, fan_out * edges.has_bias), coef.new_zeros(starts, len(edges.functions), 4))
        )
        grids.append(grid if not grids else grid.expand(starts, -1, -1))
    return Parameters(network.join(parts), tuple(grids))


def track(
    network: Network,
    parameters: Parameters,
    x: Float[Tensor, "in samples"],
    basis: Basis,
    *,
    box: Float[Tensor, "in points"] | None = None,
    hidden: Basis | None = None,
    occupied: int = 0,
    reach: float = REACH,
) -> tuple[Network, Parameters]:
    """Every layer on `basis`, its grid over the present range of its inputs, its curves refitted.

    Hidden layers are on the basis `hidden` where it is given.

    A hidden layer may see more between the samples, and more yet at the corners of the `box` that they come from: its
    grid reaches as far, by the share `reach` of its range at most. With `occupied`, a hidden grid gets as many
    intervals as hold that many samples each, up to those of the basis: on an interval without samples a curve does what
    it likes.
    """
    inputs = layer_inputs(network, parameters, x)
    reached = inputs if box is None else layer_inputs(network, parameters, box)
    bases, grids = [], []
    for n, (values, possible) in enumerate(zip(inputs, reached, strict=True)):
        low, high = _range(values, possible, reach)
        own = basis if n == 0 or hidden is None else hidden
        if occupied and n > 0 and isinstance(basis, BSpline):
            own = basis.resized(_occupied_intervals(values, low, high, basis.intervals, occupied))
        bases.append(own)
        grids.append(_around(own, low, high))
    return regrid(network, parameters, bases, grids)


def flat_curves(network: Network, basis: Basis, x: Float[Tensor, "in samples"]) -> tuple[Network, Parameters]:
    """A network of one layer on `basis` over the range of its inputs, all curves zero."""
    network = network.with_bases([basis], None)
    theta = torch.zeros(1, network.parameters, dtype=torch.float64)
    return network, Parameters(theta, (_around(basis, *_range(x[None], x[None], REACH)),))


def _around(basis: Basis, low: Tensor, high: Tensor) -> Tensor:
    """The even grid that reaches a little beyond a range."""
    extra = (high - low) * (min(MARGIN, 0.5 / basis.intervals) if isinstance(basis, BSpline) else MARGIN)
    return even_grid(basis, low - extra, high + extra)


def _range(values: Float[Tensor, "starts features samples"], possible: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """The range of the values, widened towards what is possible."""
    low, high = values.amin(-1), values.amax(-1)
    flat = ~(high - low > 1e-9)
    low, high = torch.where(flat, low - 1, low), torch.where(flat, high + 1, high)
    far = reach * (high - low)
    wide_low = torch.maximum(torch.minimum(low, possible.amin(-1)), low - far)
    wide_high = torch.minimum(torch.maximum(high, possible.amax(-1)), high + far)
    return wide_low, wide_high


def _occupied_intervals(
    x: Float[Tensor, "starts features samples"], low: Tensor, high: Tensor, intervals: int, samples: int
) -> int:
    while intervals > 3:
        index = ((x - low[..., None]) / (high - low)[..., None] * intervals).long().clamp(0, intervals - 1)
        count = torch.zeros(*x.shape[:2], intervals).scatter_add_(2, index, torch.ones(index.shape))
        if float(count.min()) >= samples:
            break
        intervals = max(3, int(0.8 * intervals))
    return intervals
