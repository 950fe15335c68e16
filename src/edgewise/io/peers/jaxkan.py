r"""Import networks of jaxKAN (0.3): splines, Gaussian bumps, Fourier series, and polynomials of tanh.

| layer_type | here |
|---|---|
| base, spline | B-splines on all knots of `layer.grid.item`, zero outside them, with weights `c_spl` multiplied in |
| rbf | `Gaussian`; the kernel's `std` belongs to the model, and the centres must be evenly spaced |
| fourier | `Fourier` on $[-\pi, \pi]$ |
| chebyshev, legendre | two layers: symbols tanh, then `Chebyshev` on [-1, 1]; without a residual function |

The knots of the splines are in no variable of `nnx.state`, so that after `update_grids` the state alone computes
another function; with a state the grids are asked for. Nothing of jax is imported: arrays become numpy's.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgewise.bases import BSpline, Chebyshev, Fourier, Gaussian
from edgewise.io.peers.peer_layers import check_widths, plain_layer, require_residual, spline_layer
from edgewise.io.reading import reading, require
from edgewise.io.tensor_file import one_precision
from edgewise.nn import DEFAULT_LIBRARY, KAN, KANLinear, SymbolicEdges

_KINDS = {
    "BaseLayer": "base",
    "SplineLayer": "spline",
    "RBFLayer": "rbf",
    "FourierLayer": "fourier",
    "ChebyshevLayer": "chebyshev",
    "LegendreLayer": "legendre",
}
_PARTS = ("c_basis", "c_spl", "c_ext", "c_res", "c_cos", "c_sin", "bias")
UNPACKED = 64
"""Coefficients are packed to a half, or to little where they are zero; more than so many times is no network."""

_OUR_RESIDUALS = {"silu": "silu", "swish": "silu", "identity": "identity"}


@dataclass(frozen=True)
class _Layer:
    place: str
    kind: str
    tensors: Mapping[str, Tensor]
    grid: Tensor | None
    residual: str | None
    std: float | None = None

    def scaled(self) -> Tensor:
        """The coefficients with the external weights multiplied in: (out, in, size)."""
        require("c_basis" in self.tensors, f"{self.place}: the coefficients c_basis are missing")
        coef, scale = self.tensors["c_basis"], self.tensors.get("c_spl", self.tensors.get("c_ext"))
        if self.kind == "base":  # rows in the order out * n_in + in
            require(self.grid is not None, f"{self.place}: the grid is missing")
            outputs = len(self.tensors["c_basis"]) // self.inputs
            coef = coef.reshape(outputs, self.inputs, -1)
        require(coef.ndim == 3, f"{self.place}.c_basis has the shape {tuple(coef.shape)}")
        return coef if scale is None else coef * scale[..., None]

    @property
    def inputs(self) -> int:
        """The number of inputs of a layer "base", which its two-dimensional `c_basis` alone does not tell."""
        for name in ("c_res", "c_spl"):
            if name in self.tensors:
                return self.tensors[name].shape[1]
        if "bias" in self.tensors:
            return len(self.tensors["c_basis"]) // len(self.tensors["bias"])
        raise ValueError(f"{self.place}: neither weights nor a bias tell the number of inputs; give the model itself")


def from_jaxkan(
    source: Any,
    *,
    grids: Sequence[Any] | None = None,
    layer_type: str | None = None,
    residual: str = "silu",
) -> KAN:
    """The network of jaxKAN as a KAN that computes the same.

    Args:
        source: a `jaxkan` KAN; or its `nnx.state`, also as nested or flat dictionary of arrays; or the path of an npz
            file with keys such as "layers.0.c_basis". From orbax or pickle, restore the state and give it.
        grids: with a state or file of splines, `layer.grid.item` of every layer.
        layer_type: with a state or file, "base", "spline", "fourier", "chebyshev" or "legendre", where its names leave
            it open. "rbf" needs the model, whose kernel is in no state.
        residual: the residual function, "silu" or "identity", of a state or file that has weights `c_res` for one.

    Raises:
        TypeError: where the source is none of these.
        ValueError: naming what has no counterpart: layers of sines, another residual function, one beside polynomials
            of tanh, uneven centres, or grids that are missing.
    """
    if isinstance(source, str | os.PathLike):
        with reading(source):
            return _assembled(_from_arrays(_arrays(source), grids, layer_type, residual))
    if isinstance(source, Mapping):  # first: an nnx.State has an attribute "layers" as well
        layers = _from_arrays(dict(_flat(source)), grids, layer_type, residual)
    elif hasattr(source, "layers"):
        layers = [_from_module(f"layers.{n}", layer) for n, layer in enumerate(source.layers)]
    else:
        raise TypeError(
            "from_jaxkan takes a KAN of jaxkan, its nnx.state or the path of an npz file, "
            f"not a {type(source).__name__}"
        )
    return _assembled(layers)


def _assembled(layers: Sequence[_Layer]) -> KAN:
    built = [layer for old in layers for layer in _built(old)]
    check_widths(built)
    return KAN.assemble(built)


def _arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of an npz file that does not unpack to much more than it is."""
    size = Path(path).stat().st_size
    with zipfile.ZipFile(path) as archive:
        require(sum(part.file_size for part in archive.infolist()) <= UNPACKED * size, "it unpacks to too much")
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _from_module(place: str, layer: Any) -> _Layer:
    kind = type(layer).__name__
    if kind not in _KINDS:
        raise ValueError(f"{place} is a {kind}; what can be converted are {', '.join(_KINDS)}")
    arrays = {name: getattr(layer, name, None) for name in _PARTS}
    tensors = one_precision({name: _tensor(a) for name, a in arrays.items() if a is not None})
    function = getattr(layer, "residual", None)
    name = None if function is None else _OUR_RESIDUALS.get(getattr(function, "__name__", ""))
    if function is not None and name is None:
        raise ValueError(f"{place}.residual is {function!r}; the residual functions here are silu and identity")
    grid = getattr(layer, "grid", None)
    kernel = getattr(layer, "kernel", None) or {}
    std = float(kernel.get("std", 1.0)) if kind == "RBFLayer" else None
    return _Layer(place, _KINDS[kind], tensors, None if grid is None else _tensor(grid.item), name, std)


def _flat(state: Mapping[Any, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in state.items():
        where = f"{path}{'.' * bool(path)}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, where)
        elif "rngs" not in where:
            yield where, value


def _from_arrays(
    arrays: Mapping[str, Any], grids: Sequence[Any] | None, layer_type: str | None, residual: str
) -> list[_Layer]:
    groups: dict[int, dict[str, Tensor]] = {}
    for key, value in arrays.items():
        where = key.replace("/", ".").split(".")
        placed = len(where) in (2, 3) and where[-2].isdecimal() and where[:-2] in ([], ["layers"])
        known = placed and where[-1] in _PARTS
        require(known, f"{key!r} is no part of a layer that can be converted, which has {', '.join(_PARTS)}")
        groups.setdefault(int(where[-2]), {})[where[-1]] = _tensor(value)
    found = sorted(groups)
    require(bool(found) and found == list(range(len(found))), f"the layers are {found or 'missing'}")
    if grids is not None:
        require(len(grids) == len(groups), f"{len(grids)} grids were given for {len(groups)} layers")
    layers = []
    for n in range(len(groups)):
        tensors = one_precision(groups[n])
        kind = _kind_of(f"layers.{n}", tensors, layer_type)
        if kind in ("base", "spline") and grids is None:
            raise ValueError(
                "the knots of jaxkan's splines are in no variable of nnx.state, and `update_grids` moves them; "
                "give the model, or `grids=[layer.grid.item for layer in model.layers]` with the state"
            )
        if "c_res" in tensors:
            require_residual(f"layers.{n}.", residual)
        grid = None if grids is None or kind not in ("base", "spline") else _tensor(grids[n])
        layers.append(_Layer(f"layers.{n}", kind, tensors, grid, residual if "c_res" in tensors else None))
    return layers


def _kind_of(place: str, tensors: Mapping[str, Tensor], said: str | None) -> str:
    if "c_cos" in tensors:
        found: str | None = "fourier"
    elif "c_basis" in tensors and tensors["c_basis"].ndim == 2:
        found = "base"
    else:
        found = "spline" if "c_spl" in tensors else None
    if said == "rbf":
        raise ValueError("the kernel of a layer of bumps is in no state; give the model itself")
    if said is not None and said not in _KINDS.values():
        raise ValueError(f"layer_type {said!r} cannot be converted; it is one of {', '.join(_KINDS.values())}")
    if found is not None and said not in (None, found):
        raise ValueError(f"{place} is a layer {found!r}, not {said!r}")
    if found is None and said is None:
        raise ValueError(f"{place} may be of several kinds; say which by layer_type, as it was given to jaxkan")
    return found or said or ""


def _tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    array = np.array(value)
    return torch.from_numpy(array.astype(np.float32) if array.dtype.name == "bfloat16" else array)


def _built(old: _Layer) -> list[KANLinear]:
    bad = [name for name, t in old.tensors.items() if not t.is_floating_point() or not torch.isfinite(t).all()]
    if bad:
        raise ValueError(f"{old.place}.{bad[0]} holds other than finite numbers")
    build = {"base": _spline, "spline": _spline, "rbf": _bumps, "fourier": _series}.get(old.kind, _polynomials)
    return build(old)


def _spline(old: _Layer) -> list[KANLinear]:
    coef = old.scaled()
    outputs, inputs, _ = coef.shape
    assert old.grid is not None
    grid = old.grid.to(coef)
    if old.kind == "base":
        grid = grid.reshape(outputs, inputs, -1)
        require(bool((grid == grid[:1]).all()), f"{old.place}: the grids of one input differ from output to output")
        grid = grid[0]
    require(grid.shape[0] == inputs, f"{old.place}: {grid.shape[0]} grids for {inputs} inputs")
    weights = old.tensors.get("c_res")
    return [
        spline_layer(
            old.place,
            grid,
            coef.movedim(0, 2),
            residual=old.residual,
            weights=None if weights is None else weights.T,
            bias=old.tensors.get("bias"),
        )
    ]


def _bumps(old: _Layer) -> list[KANLinear]:
    assert old.grid is not None
    assert old.std is not None
    centers = old.grid.double()
    gaps = centers.diff(dim=-1)
    spacing = float(gaps.mean())
    if not spacing > 0 or float((gaps - spacing).abs().max()) > 1e-5 * float(centers.abs().max()):
        raise ValueError(f"{old.place}: the centres are unevenly spaced, or differently for different inputs")
    basis = Gaussian(centers.shape[1], math.sqrt(2) * old.std / spacing)
    coef = old.scaled().movedim(0, 2)
    if old.residual is not None:
        coef = torch.cat([coef, old.tensors["c_res"].T[:, None]], 1)
    return [plain_layer(basis, old.residual, coef, old.grid.to(coef), old.tensors.get("bias"))]


def _series(old: _Layer) -> list[KANLinear]:
    cosines, sines = old.tensors["c_cos"], old.tensors["c_sin"]
    coef = torch.cat([torch.zeros_like(cosines[..., :1]), cosines, sines], -1).movedim(0, 2)
    basis = Fourier(cosines.shape[-1])
    grid = basis.init_grid(coef.shape[0], -math.pi, math.pi, dtype=coef.dtype)
    return [plain_layer(basis, None, coef, grid, old.tensors.get("bias"))]


def _polynomials(old: _Layer) -> list[KANLinear]:
    if "c_res" in old.tensors:
        raise ValueError(f"{old.place}: a residual function of x beside polynomials of tanh x has no counterpart")
    coef, bias = old.scaled(), old.tensors.get("bias")
    if bias is not None:  # the constant is left to it
        coef = torch.cat([torch.zeros_like(coef[..., :1]), coef], -1)
    if old.kind == "legendre":
        columns = [
            np.polynomial.chebyshev.poly2cheb(np.polynomial.legendre.leg2poly([0.0] * n + [1.0]))
            for n in range(coef.shape[-1])
        ]
        change = torch.tensor(np.array([np.pad(c, (0, coef.shape[-1] - len(c))) for c in columns]))
        coef = (coef.double() @ change).to(coef)
    basis = Chebyshev(coef.shape[-1] - 1)
    inputs = coef.shape[1]
    grid = basis.init_grid(inputs, dtype=coef.dtype)
    return [_tanh(inputs, coef.dtype), plain_layer(basis, None, coef.movedim(0, 2), grid, bias)]


def _tanh(features: int, dtype: torch.dtype) -> KANLinear:
    """A layer that takes tanh of every input: symbols on the diagonal, no curves."""
    basis, place = BSpline(1, 1), torch.arange(features)
    affine = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=dtype).expand(features, 4)
    return KANLinear.assemble(
        basis,
        None,
        coef=torch.zeros(features, basis.size, features, dtype=dtype),
        grid=basis.init_grid(features, dtype=dtype),
        mask=torch.zeros(features, features, dtype=torch.bool),
        bias=None,
        symbolic=SymbolicEdges([DEFAULT_LIBRARY["tanh"]] * features, place, place, affine),
    )
