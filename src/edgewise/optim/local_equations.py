r"""The normal equations of S networks of B-splines by a native kernel: a sample reaches few coefficients.

The kernel computes layers of curves and sums $J^T A^T A J$; products and symbols are computed here, between its layers.
`edgewise.optim.jacobian` is the specification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise.bases import BSpline
from edgewise.kernels import EdgeSpec, find
from edgewise.nn import ProductNodes
from edgewise.optim.flat import Edges, Network, Parameters, Step, products, symbols

KEPT = 32_000_000  # entries of the windows of the first layer, at most, that are kept from call to call: 256 MB
DENSE = 500  # parameters up to which nothing is to be gained by a product of dense matrices
BLOCK = 16_000_000  # entries of all windows of a block of samples
TOGETHER = (
    7  # columns without intervals that are summed at once: as many as leave four rows of registers in csrc/gram.h
)

K = TypeVar("K")


@dataclass(frozen=True)
class LocalStep:
    """One layer of a forward pass."""

    layer: Edges | ProductNodes
    inputs: Float[Tensor, "sets features samples"]
    output: Float[Tensor, "S nodes samples"]
    windows: Any = None
    slope: Float[Tensor, "S features nodes samples"] | None = None
    affine: Float[Tensor, "S symbols 4"] | None = None
    functions: tuple[Tensor, Tensor, Tensor] | None = None  # values, slopes and inputs of the symbols


class LocalEquations:
    """A network at samples: its outputs, and its Gauss-Newton matrix from derivatives at the outputs.

    Args:
        network: the structure.
        grids: of every layer of edges, (S or 1, in, points).
        x: inputs, (in, samples) in float64.
        kernel: with the capability "gauss_newton".
        free: the positions of the parameters that the matrix is of, in its order; None for all.
    """

    def __init__(
        self,
        network: Network,
        grids: tuple[Tensor, ...],
        x: Float[Tensor, "in samples"],
        kernel: Any,
        free: Tensor | None = None,
    ) -> None:
        self.network, self.x, self.kernel = network, x, kernel
        self._knots = [_knots(edges, grid) for edges, grid in zip(network.edges, grids, strict=True)]
        self._free = free
        self._first: Any = None

    @cached_property
    def _places(self) -> list[_Places]:
        return _places(self.network, self._free)

    @classmethod
    def of(
        cls, network: Network, grids: tuple[Tensor, ...], x: Float[Tensor, "in samples"], free: Tensor | None = None
    ) -> LocalEquations | None:
        """None where no kernel serves these functions, or a grid does not increase."""
        kernel = find("gauss_newton", [_spec(edges) for edges in network.edges], x)
        if (
            kernel is None
            or not all(bool((grid.diff(dim=-1) > 0).all()) for grid in grids)
            or _dense_is_faster(network)
        ):
            return None
        return cls(network, grids, x, kernel, free)

    def samples_at_once(self, starts: int) -> int:
        """How many samples a block may have."""
        width = sum(8 * edges.mask.shape[0] * (1 + edges.mask.shape[1] // 4) for edges in self.network.edges)
        return max(1, BLOCK // (starts * width))

    def forward(self, theta: Float[Tensor, "S P"], rows: slice, *, slopes: bool) -> list[LocalStep]:
        """Every layer with what it saw and gave; `slopes` are those that `add` needs."""
        parts, number = self.network.split(theta), 0
        value, steps = self.x[None, :, rows].contiguous(), list[LocalStep]()
        for layer in self.network.layers:
            if isinstance(layer, ProductNodes):
                steps.append(LocalStep(layer, value, products(layer, value)))
            else:
                steps.append(self._edges(number, layer, parts[number], value, rows, slopes and bool(steps)))
                number += 1
            value = steps[-1].output
        return steps

    def add(self, steps: list[LocalStep], upstream: Float[Tensor, "S r out b"], gram: Tensor, gradient: Tensor) -> None:
        """Add the matrix of all combinations of the outputs but the last, and the gradient along the last, in place."""
        at = upstream.contiguous()
        nodes: list[Tensor] = []
        features: list[Any] = []
        number = len(self.network.edges)
        for n, step in reversed(list(enumerate(steps))):
            if isinstance(step.layer, Edges):
                number -= 1
                nodes.insert(0, at)
                features = [*self._features(number, step), *features]
            if n > 0:
                at = self._pulled(step, at)
        self.kernel.add_gram(features, nodes, gram, gradient)

    def _edges(
        self, n: int, layer: Edges, part: tuple[Tensor, Tensor, Tensor], x: Tensor, rows: slice, slopes: bool
    ) -> LocalStep:
        coef, bias, affine = part
        known = self._first if n == 0 and len(self.network.layers) and x.shape[-1] == self.x.shape[1] else None
        windows, y, slope = self.kernel.curves(
            _spec(layer),
            x,
            self._knots[n],
            coef.contiguous(),
            bias.contiguous() if layer.has_bias else None,
            slopes=slopes,
            known=None if slopes else known,
        )
        if self.network.layers[0] is layer and x.shape[-1] == self.x.shape[1] and windows.values.numel() <= KEPT:
            self._first = windows
        if not layer.functions:
            return LocalStep(layer, x, y, windows, slope)
        found = symbols(layer, x.expand(len(coef), -1, -1), affine)
        y = y.index_add(1, layer.targets, affine[..., 2:3] * found[0] + affine[..., 3:4])
        return LocalStep(layer, x, y, windows, slope, affine, found)

    def _pulled(self, step: LocalStep, u: Float[Tensor, "S r out b"]) -> Float[Tensor, "S r in b"]:
        """From derivatives in a layer's outputs to those in its inputs."""
        if isinstance(step.layer, ProductNodes):
            return pull_products(step.layer, step.inputs, u)
        v = self.kernel.pull_back(u, step.slope)
        if step.functions is not None:
            assert step.affine is not None
            through = step.affine[..., 2:3] * step.functions[1] * step.affine[..., 0:1]
            v = v.index_add(2, step.layer.sources, u[:, :, step.layer.targets] * through[:, None])
        return v

    def _features(self, n: int, step: LocalStep) -> list[Any]:
        """What the parameters of a layer multiply, each with where its parameters are."""
        assert isinstance(step.layer, Edges)
        places, windows, make = self._places[n], step.windows, self.kernel.LocalFeature
        degree = getattr(step.layer.basis, "degree", 0)
        found = [
            make(n, at, windows.values[:, j], degree + 1, windows.interval[:, j]) for j, at in places.curves.items()
        ]
        for inputs, at in places.together:
            found.append(make(n, at, _columns(windows.residual, inputs), len(at)))
        if step.functions is not None:
            assert step.affine is not None
            four = symbol_rows(step.affine, *step.functions).permute(0, 1, 3, 2).contiguous()
            found += [make(n, at, four[:, k], 4) for k, at in places.symbols.items()]
        return found


def layer_inputs(
    network: Network, parameters: Parameters, x: Float[Tensor, "in samples"]
) -> list[Float[Tensor, "sets features samples"]]:
    """What every layer of edges sees, by the kernel where one serves the network."""
    local = LocalEquations.of(network, parameters.grids, x)
    steps: Sequence[LocalStep | Step]
    if local is None:
        steps = network.forward(parameters, x, None, slopes=False)
    else:
        steps = local.forward(parameters.theta, slice(None), slopes=False)
    return [step.inputs for step in steps if isinstance(step.layer, Edges)]


@dataclass(frozen=True)
class _Places:
    """Where the parameters of a layer are in theta: per input with edges, for what has no intervals, and per symbol.

    `together` are the residual functions of some inputs and, as None, the bias: a sample reaches all of these, so that
    they are summed as if they were the functions of one input.
    """

    curves: dict[int, Int[Tensor, "size nodes"]]
    together: list[tuple[list[int | None], Int[Tensor, "functions nodes"]]]
    symbols: dict[int, Int[Tensor, "4 nodes"]]


def _places(network: Network, free: Tensor | None) -> list[_Places]:
    found, start = [], 0
    new = torch.arange(network.parameters + 1, dtype=torch.int32)  # the last is that of no parameter
    if free is not None:
        new = torch.full_like(new, -1)
        new[free] = torch.arange(len(free), dtype=torch.int32)
    new[-1] = -1
    for edges in network.edges:
        curves, biases, constants = edges.sizes
        fan_in, fan_out = edges.mask.shape
        full = torch.arange(fan_in * edges.rows * fan_out, dtype=torch.int32)
        if edges.curves is not None:
            full = torch.full_like(full, -1)
            full[edges.curves] = torch.arange(curves, dtype=torch.int32)
        full = torch.where(full >= 0, full + start, -1).view(fan_in, edges.rows, fan_out)
        size, start = edges.basis.size, start + curves
        bias = torch.arange(start, start + biases)[None]
        start += biases
        symbols = torch.full((len(edges.functions), 4, fan_out), -1)
        for k, node in enumerate(edges.targets.tolist()):
            symbols[k, :, node] = torch.arange(start + 4 * k, start + 4 * k + 4)
        start += constants
        full, bias, symbols = (new[t.long()] for t in (full, bias, symbols))
        curves_of = _used({j: full[j, :size] for j in range(fan_in)})
        dense = _used({j: full[j, size:] for j in range(fan_in)} | {None: bias})
        found.append(_Places(curves_of, _together(dense), _used(dict(enumerate(symbols)))))
    return found


def _together(dense: dict[int | None, Tensor]) -> list[tuple[list[int | None], Tensor]]:
    """Equal groups of at most `TOGETHER` columns."""
    columns, groups = list(dense), -(-len(dense) // TOGETHER)
    cut = [columns[len(columns) * n // groups : len(columns) * (n + 1) // groups] for n in range(groups)]
    return [(group, torch.cat([dense[j] for j in group]).contiguous()) for group in cut]


def _columns(residual: Tensor | None, inputs: list[int | None]) -> Float[Tensor, "sets b stride"] | None:
    """The residual functions of these inputs side by side, ones for None; None where all of it is ones."""
    if inputs == [None]:
        return None
    assert residual is not None
    columns = residual.new_zeros(len(residual), residual.shape[2], 4 * -(-len(inputs) // 4))
    for k, j in enumerate(inputs):
        columns[..., k] = 1 if j is None else residual[:, j]
    return columns


def _used(places: Mapping[K, Tensor]) -> dict[K, Tensor]:
    return {n: at.contiguous() for n, at in places.items() if at.numel() and bool((at >= 0).any())}


def symbol_rows(affine: Tensor, value: Tensor, slope: Tensor, x: Tensor) -> Float[Tensor, "S symbols 4 b"]:
    r"""The derivatives of $\gamma f(\alpha x + \beta) + \delta$ in these four."""
    outer = affine[..., 2:3] * slope
    return torch.stack([outer * x, outer, value, torch.ones_like(value)], dim=2)


def pull_products(layer: ProductNodes, x: Tensor, u: Float[Tensor, "S r nodes b"]) -> Float[Tensor, "S r factors b"]:
    """Through a product: times the other factors."""
    columns = []
    for node, group in enumerate(layer.groups()):
        for factor in group:
            others = [m for m in group if m != factor]
            columns.append(u[:, :, node] * x[:, others].prod(1)[:, None] if others else u[:, :, node])
    return torch.stack(columns, dim=2)


def _dense_is_faster(network: Network) -> bool:
    """Whether a product of dense matrices takes less time: where inputs are many and nodes are few.

    In nanoseconds of one sample, measured on a processor with AVX-512: sorting a pair of inputs takes 6, a product
    of two functions 0.45 for every eight nodes, and a multiplication of the dense product 0.03.
    """
    p = network.parameters
    if p <= DENSE:
        return False
    local = sum(
        n * (n + 1) / 2 * (6 + 0.45 * edges.rows_reached**2 * max(1, out * (out + 1) / 16))
        for edges in network.edges
        for n, out in [edges.mask.shape]
    )
    hidden = sum(edges.mask.shape[0] * 70 * edges.rows_reached for edges in network.edges[1:])
    return local > 0.03 * p**2 / 2 + 2 * p + hidden


def _spec(edges: Edges) -> EdgeSpec:
    return EdgeSpec(edges.basis, edges.residual)


def _knots(edges: Edges, grid: Float[Tensor, "sets features points"]) -> Float[Tensor, "sets features knots"]:
    assert isinstance(edges.basis, BSpline)
    return edges.basis.full_knots(grid.flatten(0, 1)).unflatten(0, grid.shape[:2]).contiguous()
