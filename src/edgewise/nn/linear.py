"""The layer of curves: a drop-in for `nn.Linear` with a learnable function on every edge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from edgewise import functional
from edgewise.bases import Basis, BSpline, check_residual
from edgewise.kernels import EdgeSpec, edge_sum, edge_sums
from edgewise.nn._plain import few_outputs
from edgewise.nn.symbolic import SymbolicEdges

_compiling, _recorded = torch.compiler.is_compiling, torch.is_grad_enabled

# With fewer outputs, forming the coefficients and summing once is faster than two sums.
FACTORED_FROM = 128


class Adapter(nn.Module, ABC):
    """An update of the coefficients of a layer, stored in its attribute `adapter`."""

    @abstractmethod
    def forward(self) -> Tensor:
        """The update: (in, size, out), or a shape that broadcasts to it."""

    def pair(self) -> tuple[Tensor, Tensor] | None:
        """The update as a product of (in, size, rank) and (rank, out), or None where it is none."""
        return None

    def moved(self, maps: Float[Tensor, "in new_size size"]) -> Adapter:
        r"""The same update on another grid or basis, $\Delta'_{jmi} = \sum_k M_{jmk} \Delta_{jki}$.

        Raises `ValueError`, with the reason, where the form of the update cannot hold it.
        """
        raise ValueError(f"a {type(self).__name__} belongs to the coefficients that it was made for")


class KANLinear(nn.Module):
    r"""A sum over edges, $y_i = \sum_j \phi_{ij}(x_j) + b_i$, shapes (*batch, in) -> (*batch, out).

    An edge is absent, a curve or a symbol:

    $$ \phi_{ij} \in \{\,0,\ \sum_k c_{jki} B_k(x) + w_{ij}\, b(x),\ \gamma f(\alpha x + \beta) + \delta\,\} $$

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        basis: the functions $B_k$ (Liu et al., arXiv 2404.19756, eq. 2.10-2.12, uses cubic B-splines).
        residual: the fixed function $b$ that is added to every curve with a weight: "silu", "identity" or None.
        bias: learn the bias $b_i$.
        grid_range: the interval that the grid covers at the start, for every input.
        generator: source of randomness of the initial values; the global one of torch by default.

    Attributes:
        coef: (in, size [+ 1], out); the weight of the residual function is the last row.
        mask: (in, out), True where the edge is a curve.
        grid: (in, points), see `Basis.init_grid`.
        symbolic: the edges that are symbols.
        adapter: None, or an `Adapter`, whose call returns an update of `coef`.
        inputs_per_grid: how many consecutive inputs share a row of the grid: 1, or the number of taps of a
            convolution, which read the same channel.
    """

    mask: Tensor
    grid: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        basis: Basis | None = None,
        *,
        residual: str | None = "silu",
        bias: bool = True,
        grid_range: Sequence[float] = (-1.0, 1.0),
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features = _positive("in_features", in_features)
        self.out_features = _positive("out_features", out_features)
        self.basis = BSpline() if basis is None else basis
        if not isinstance(self.basis, Basis):
            raise TypeError(f"basis must be a Basis such as BSpline(5, 3), got {basis!r}")
        check_residual(residual)
        self.residual = residual
        size = self.basis.size + (residual is not None)
        grid = self.basis.init_grid(self.in_features, *grid_range, dtype=dtype or torch.get_default_dtype())
        self.register_buffer("grid", grid.to(device))
        self.coef = nn.Parameter(torch.empty(self.in_features, size, self.out_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(self.out_features, device=device, dtype=dtype)) if bias else None
        self.register_buffer("mask", torch.ones(self.in_features, self.out_features, dtype=torch.bool, device=device))
        self.symbolic = SymbolicEdges.empty()
        self.adapter: Adapter | None = None
        self.inputs_per_grid = 1
        self._dense = True
        self.register_load_state_dict_post_hook(_refresh)
        self.reset_parameters(generator)

    @classmethod
    def assemble(
        cls,
        basis: Basis,
        residual: str | None,
        *,
        coef: Float[Tensor, "in size out"],
        grid: Float[Tensor, "in points"],
        mask: Bool[Tensor, "in out"],
        bias: Float[Tensor, " out"] | None,
        symbolic: SymbolicEdges | None = None,
        inputs_per_grid: int = 1,
    ) -> KANLinear:
        """A layer from its parts, which are copied: the constructor of structural operations.

        Raises `ValueError` where an edge is both a symbol and, by the mask, a curve: an edge is one of them.
        """
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer.in_features, layer.out_features = mask.shape
        layer.basis, layer.residual = basis, residual
        layer.register_buffer("grid", grid.detach().clone())
        layer.coef = nn.Parameter(coef.detach().clone(memory_format=torch.contiguous_format))
        layer.bias = None if bias is None else nn.Parameter(bias.detach().clone())
        layer.register_buffer("mask", mask.detach().clone())
        layer.symbolic = SymbolicEdges.empty() if symbolic is None else symbolic.clone()
        shared = layer.symbolic.mask(mask.shape).to(mask.device) & mask
        if shared.any():
            j, i = shared.nonzero()[0].tolist()
            raise ValueError(f"edge (in={j}, out={i}) is both a curve and a symbol; clear the mask there first")
        layer.adapter = None
        layer.inputs_per_grid = inputs_per_grid
        layer._dense = bool(mask.all())
        layer.register_load_state_dict_post_hook(_refresh)
        return layer

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        r"""Set every edge to a random line plus small noise.

        The line, of slope $\mathcal N(0, 1/n_{in})$, is carried by the residual function where there is one, else by
        the curve itself; the noise on the coefficients has a tenth of that standard deviation. On the meta device there
        is nothing to set.
        """
        if self.coef.is_meta:
            return
        scale = self.in_features**-0.5
        draw = torch.randn(self.coef.shape, generator=generator, dtype=torch.float64) * scale
        size = self.basis.size
        slope = draw[:, -1:] if self.residual is not None else _like(draw[:, :1], generator) * scale
        draw[:, :size] *= 0.1
        if self.residual is None:
            points = self.basis.sample_points(self.grid.double().cpu())
            line = functional.fit_curves(points, points[..., None], self.grid.double().cpu(), self.basis)
            draw[:, :size] += slope * line
        self.coef.copy_(draw)
        if self.bias is not None:
            self.bias.zero_()

    def curves(self) -> Float[Tensor, "in size out"]:
        """The coefficients that the forward pass uses: adapted, and exactly zero on edges that are not curves."""
        coef = self.coef if self.adapter is None else self.coef + self.adapter().to(self.coef.dtype)
        return coef if self._dense else torch.where(self.mask[:, None], coef, 0)

    def forward(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        if not _compiling() and not _recorded() and type(self)._sum is KANLinear._sum:
            y = few_outputs(self, x)
            if y is not None:
                return y
        self._check(x)
        y = self._sum(x)
        symbols: Any = self._modules["symbolic"]  # as in `_plain`
        return symbols.add_to(y, x) if symbols.functions else y

    def edge_values(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b in out"]:
        r"""The value of every edge, $\phi_{ij}(x_j)$ at [..., j, i]; exactly zero where the edge is absent."""
        self._check(x)
        values = functional.edge_values(x, self.curves(), self.grid, self.basis, self.residual)
        if not self._dense:
            values = torch.where(self.mask, values, 0)
        return values if len(self.symbolic) == 0 else self.symbolic.place_in(values, x)

    def extra_repr(self) -> str:
        absent = self.in_features * self.out_features - int(self.mask.sum()) - len(self.symbolic)
        edges = "" if self._dense else f", symbols={len(self.symbolic)}, absent={absent}"
        bias = "" if self.bias is not None else ", bias=False"
        return f"{self.in_features}, {self.out_features}, {self.basis}, residual={self.residual!r}{bias}{edges}"

    @property
    def factored(self) -> bool:
        """Whether the forward pass leaves an update in factors: not with masked edges, nor with few outputs."""
        return self.adapter is not None and self._dense and self.out_features >= FACTORED_FROM

    def _sum(self, x: Tensor) -> Tensor:
        r"""Curves and bias; an update in factors, $A^0 + B W^T$, is a second sum of few outputs and a matrix."""
        own = self._parameters  # as in `_plain`
        coef, bias = own.get("coef"), own.get("bias")
        if self.adapter is None and self._dense and coef is not None and bias is not None:
            grid: Any = self._buffers["grid"]
            return edge_sum(x, coef, grid, EdgeSpec(self.basis, self.residual), bias=bias)
        pair = self.adapter.pair() if self.adapter is not None and self.factored else None
        if pair is None:
            return functional.edge_sum(x, self.curves(), self.grid, self.basis, self.residual, bias=self.bias)
        inner, outer = (part.to(self.coef.dtype) for part in pair)
        y, z = edge_sums(x, [self.coef, inner], self.grid, EdgeSpec(self.basis, self.residual))
        return self._biased(y + z @ outer)

    def _biased(self, y: Tensor) -> Tensor:
        return y if self.bias is None else y + self.bias.to(y.dtype)  # autocast leaves y in its low precision

    def _check(self, x: Tensor) -> None:
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(
                f"KANLinear takes inputs of shape (*batch, {self.in_features}), got {tuple(x.shape)}; "
                "the last dimension holds the features"
            )


def _refresh(layer: KANLinear, _: Any) -> None:
    """After `load_state_dict` the mask may differ from the one that the layer was built with."""
    if not layer.mask.is_meta:
        layer._dense = bool(layer.mask.all())


def _positive(name: str, value: int) -> int:
    number = int(value)
    if number != value or number < 1:
        raise ValueError(f"{name} must be a positive integer, got {value}")
    return number


def _like(t: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(t.shape, generator=generator, dtype=t.dtype)
