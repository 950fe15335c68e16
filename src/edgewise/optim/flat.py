r"""Many networks of one structure, as flat vectors of parameters: the model of second-order training.

A `Network` is the structure of a `KAN`: which parameters are free and what they mean. The `Parameters` of S networks
(starts of a search, or one) are a matrix theta (S, P) and the grids. Samples come last in every array, so that the rows
of $J^T$ are contiguous. Masked edges have no parameters: they are absent, not zero.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise.bases import Basis, BSpline, residual_derivative
from edgewise.nn import KAN, Affine, KANLinear, ProductNodes, SymbolicEdges, SymbolicFn
from edgewise.optim.spline_values import values_and_slopes


@dataclass(frozen=True)
class Edges:
    """The structure of one `KANLinear`; `curves` are the positions of its free coefficients, None for all."""

    basis: Basis
    residual: str | None
    mask: Tensor
    has_bias: bool
    functions: tuple[SymbolicFn, ...]
    sources: Tensor
    targets: Tensor
    curves: Int[Tensor, " n"] | None

    @property
    def rows(self) -> int:
        """Coefficients per edge."""
        return self.basis.size + (self.residual is not None)

    @property
    def rows_reached(self) -> int:
        """Of these, those that a sample reaches."""
        return min(self.rows, getattr(self.basis, "degree", self.basis.size) + 1 + (self.residual is not None))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The number of free coefficients, biases and parameters of symbols."""
        curves = self.mask.numel() * self.rows if self.curves is None else len(self.curves)
        return curves, self.mask.shape[1] * self.has_bias, 4 * len(self.functions)

    def with_basis(self, basis: Basis, residual: str | None) -> Edges:
        """The same edges on another basis."""
        rows = basis.size + (residual is not None)
        return dataclasses.replace(self, basis=basis, residual=residual, curves=_free(self.mask, rows))


@dataclass(frozen=True)
class Parameters:
    """The parameters of S networks: theta (S, P), and for every layer its grid, (S or 1, in, points)."""

    theta: Float[Tensor, "starts parameters"]
    grids: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.theta)

    def __getitem__(self, index: Tensor | slice) -> Parameters:
        return Parameters(self.theta[index], tuple(g if len(g) == 1 else g[index] for g in self.grids))


@dataclass(frozen=True)
class Network:
    """Layers of edges and products between two changes of units."""

    layers: tuple[Edges | ProductNodes, ...]

    @classmethod
    def of(cls, model: KAN) -> tuple[Network, Parameters]:
        """The structure and the parameters of a model, in float64; its changes of units are left to the caller."""
        parts: list[Edges | ProductNodes] = []
        theta: list[Tensor] = []
        grids: list[Tensor] = []
        for layer in model.layers:
            if isinstance(layer, ProductNodes):
                parts.append(layer)
                continue
            assert isinstance(layer, KANLinear)
            edges, flat = _edges(layer)
            parts.append(edges)
            theta.append(flat)
            grids.append(layer.grid.detach().double()[None])
        return cls(tuple(parts)), Parameters(torch.cat(theta)[None], tuple(grids))

    @property
    def parameters(self) -> int:
        """Free parameters of one network."""
        return sum(sum(edges.sizes) for edges in self.edges)

    @property
    def edges(self) -> list[Edges]:
        """The layers with edges."""
        return [layer for layer in self.layers if isinstance(layer, Edges)]

    def with_bases(self, bases: Sequence[Basis], residual: str | None) -> Network:
        """The same network on other bases, one per layer of edges."""
        new = iter(bases)
        return Network(tuple(e.with_basis(next(new), residual) if isinstance(e, Edges) else e for e in self.layers))

    def model(
        self,
        parameters: Parameters,
        start: int,
        like: KAN,
        input_affine: Affine | None,
        output_affine: Affine | None,
    ) -> KAN:
        """One of the networks as a model in float64, named like the given one."""
        layers: list[KANLinear | ProductNodes] = []
        parts, grids = iter(self.split(parameters.theta)), iter(parameters.grids)
        for edges in self.layers:
            if isinstance(edges, ProductNodes):
                layers.append(ProductNodes(edges.sums, edges.arities))
                continue
            coef, bias, affine = next(parts)
            grid = next(grids)
            layers.append(
                KANLinear.assemble(
                    edges.basis,
                    edges.residual,
                    coef=coef[start],
                    grid=grid[start if len(grid) > 1 else 0],
                    mask=edges.mask,
                    bias=bias[start] if edges.has_bias else None,
                    symbolic=SymbolicEdges(edges.functions, edges.sources, edges.targets, affine[start])
                    if edges.functions
                    else None,
                )
            )
        return KAN.assemble(
            layers,
            input_affine=input_affine,
            output_affine=output_affine,
            input_names=like.input_names,
            output_names=like.output_names,
        )

    def split(self, theta: Float[Tensor, "starts parameters"]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Per layer of edges: coefficients (S, in, rows, out), 0 on absent edges, biases (S, out), affine (S, n, 4)."""
        parts = []
        start = 0
        for edges in self.edges:
            curves, biases, symbols = edges.sizes
            flat = theta[:, start : start + curves]
            shape = (edges.mask.shape[0], edges.rows, edges.mask.shape[1])
            if edges.curves is not None:
                full = theta.new_zeros(len(theta), shape[0] * shape[1] * shape[2])
                flat = full.index_copy_(1, edges.curves, flat)
            start += curves
            bias = theta[:, start : start + biases]
            start += biases
            affine = theta[:, start : start + symbols].unflatten(1, (symbols // 4, 4))
            start += symbols
            parts.append((flat.unflatten(1, shape), bias, affine))
        return parts

    def join(self, parts: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Float[Tensor, "starts parameters"]:
        """The inverse of `split`."""
        theta = []
        for edges, (coef, bias, affine) in zip(self.edges, parts, strict=True):
            flat = coef.flatten(1)
            theta += [flat if edges.curves is None else flat[:, edges.curves], bias, affine.flatten(1)]
        return torch.cat(theta, 1)

    def values(
        self, parameters: Parameters, x: Float[Tensor, "in samples"], first: Design | None = None
    ) -> Float[Tensor, "starts out samples"]:
        """The outputs; `first` is the design of the first layer where it is known already."""
        return self.forward(parameters, x, first, slopes=False)[-1].output

    def forward(self, parameters: Parameters, x: Tensor, first: Design | None, *, slopes: bool) -> list[Step]:
        """Every layer with what it saw and gave."""
        steps: list[Step] = []
        parts, grids = iter(self.split(parameters.theta)), iter(parameters.grids)
        value = x[None]
        for layer in self.layers:
            if isinstance(layer, ProductNodes):
                steps.append(Step(layer, value, None, None, products(layer, value)))
            else:
                part, grid = next(parts), next(grids)
                known = first if not steps else None
                there = known if known is not None else design(layer, value, grid, slopes=slopes and bool(steps))
                steps.append(Step(layer, value, there, part, _sums(layer, value, there, part)))
            value = steps[-1].output
        return steps


@dataclass(frozen=True)
class Design:
    """The functions of one layer at its inputs, and their slopes: (S, in, rows, samples)."""

    values: Tensor
    slopes: Tensor | None


@dataclass(frozen=True)
class Step:
    """One layer of a forward pass."""

    layer: Edges | ProductNodes
    inputs: Tensor
    design: Design | None
    part: tuple[Tensor, Tensor, Tensor] | None
    output: Tensor


def design(
    edges: Edges,
    x: Float[Tensor, "starts features samples"],
    grid: Float[Tensor, "grids features points"],
    *,
    slopes: bool,
) -> Design:
    """The functions of a layer at the inputs of S networks."""
    basis = edges.basis
    if isinstance(basis, BSpline):
        value, slope = values_and_slopes(basis, x, grid.expand(len(x), -1, -1))
    else:
        flat, points = x.flatten(0, 1).T, grid.expand(len(x), -1, -1).flatten(0, 1)
        value, slope = (
            basis.derivative(flat, points, order).permute(1, 2, 0).unflatten(0, x.shape[:2]) for order in (0, 1)
        )
    if edges.residual is not None:
        value = torch.cat([value, residual_derivative(edges.residual, x, 0).unsqueeze(-2)], dim=-2)
        if slopes:
            slope = torch.cat([slope, residual_derivative(edges.residual, x, 1).unsqueeze(-2)], dim=-2)
    return Design(value, slope if slopes else None)


def products(layer: ProductNodes, x: Float[Tensor, "starts factors b"]) -> Float[Tensor, "S nodes b"]:
    """The nodes of a product layer, samples last."""
    return torch.cat([x[:, group.start : group.stop].prod(1, keepdim=True) for group in layer.groups()], dim=1)


def symbols(edges: Edges, x: Tensor, affine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""$f(\alpha x + \beta)$ and $f'(\alpha x + \beta)$ of every symbol and its input x: each (S, n, samples)."""
    at = x[:, edges.sources]
    inner = affine[..., 0:1] * at + affine[..., 1:2]
    with (
        torch.enable_grad()
    ):  # a backward pass over elementwise functions takes a fifth of the time of `torch.func.jvp`
        inner = inner.detach().requires_grad_()
        value = torch.stack([fn(inner[:, n]).expand_as(inner[:, n]) for n, fn in enumerate(edges.functions)], 1)
        slope = torch.zeros_like(inner)
        if value.requires_grad:
            (slope,) = torch.autograd.grad(value.sum(), inner, materialize_grads=True)
    return value.detach(), slope, at


def _sums(edges: Edges, x: Tensor, there: Design, part: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    coef, bias, affine = part
    y = coef.flatten(1, 2).transpose(1, 2) @ there.values.flatten(1, 2)
    if edges.has_bias:
        y = y + bias[..., None]
    if edges.functions:
        value, _, _ = symbols(edges, x.expand(len(coef), -1, -1), affine)
        y = y.index_add(1, edges.targets, affine[..., 2:3] * value + affine[..., 3:4])
    return y


def _edges(layer: KANLinear) -> tuple[Edges, Tensor]:
    mask, bias, symbolic = layer.mask.detach(), layer.bias, layer.symbolic
    curves = _free(mask, layer.coef.shape[1])
    coef = layer.curves().detach().double().flatten()
    theta = [coef if curves is None else coef[curves]]
    if bias is not None:
        theta.append(bias.detach().double())
    if symbolic.affine is not None:
        theta.append(symbolic.affine.detach().double().flatten())
    edges = Edges(
        layer.basis,
        layer.residual,
        mask.clone(),
        bias is not None,
        symbolic.functions,
        symbolic.sources,
        symbolic.targets,
        curves,
    )
    return edges, torch.cat(theta)


def _free(mask: Tensor, rows: int) -> Tensor | None:
    if bool(mask.all()):
        return None
    return mask[:, None].expand(-1, rows, -1).flatten().nonzero()[:, 0]
