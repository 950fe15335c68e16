"""Save and load a network as one file: the structure in its header, the parameters in its tensors.

The structure is bases, widths and names of functions. Loading runs no code from the file.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from edgewise.bases import basis_from_json, check_residual
from edgewise.io.container import read_file, write_file
from edgewise.io.reading import reading, require
from edgewise.io.surface_file import built_surface, described_surface
from edgewise.nn import (
    DEFAULT_LIBRARY,
    KAN,
    Affine,
    KANLinear,
    Library,
    ProductNodes,
    SlimKANLinear,
    Surface,
    SymbolicEdges,
)
from edgewise.nn.factors import Factors, find_form


def save(
    model: KAN | KANLinear | Surface, path: str | os.PathLike[str], *, extra: Mapping[str, Any] | None = None
) -> None:
    """Write a network, a layer or a surface to one file, whole or not at all.

    Args:
        model: a KAN, a KANLinear or a Surface. For other modules save the state_dict.
        path: the file; an existing one is replaced.
        extra: a JSON object, returned by `read_header(path)["extra"]`.
    """
    header, tensors = _described(model)
    write_file(path, header | {"extra": dict(extra or {})}, tensors)


def load(path: str | os.PathLike[str], *, library: Library = DEFAULT_LIBRARY) -> KAN | KANLinear | Surface:
    """The network, layer or surface that `save` wrote, on the CPU.

    Raises `FileFormatError` (a `ValueError`) for any other file.

    Args:
        path: the file.
        library: where the functions of symbols are looked up by name.
    """
    header, tensors = read_file(path)
    with reading(path):
        return _built(header, tensors, library)


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The header of a saved file: format, structure and `extra`."""
    return read_file(path)[0]


def _described(model: KAN | KANLinear | Surface) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The structure as JSON and the tensors by name."""
    if isinstance(model, Surface):
        return described_surface(model)
    if not isinstance(model, KAN | KANLinear):
        raise TypeError(
            f"save writes a KAN, a KANLinear or a Surface, not a {type(model).__name__}; save its state_dict instead"
        )
    header: dict[str, Any] = {"kind": type(model).__name__}
    tensors: dict[str, Tensor] = {}
    if isinstance(model, KAN):
        layers = list(model.layers)
        header["input_names"], header["output_names"] = model.input_names, model.output_names
        for end, affine in (("input_affine", model.input_affine), ("output_affine", model.output_affine)):
            header[end] = affine is not None
            if affine is not None:
                tensors |= {f"{end}.scale": affine.scale, f"{end}.shift": affine.shift}
    else:
        layers = [model]
    header["training"] = model.training
    header["layers"] = []
    for n, layer in enumerate(layers):
        description, parts = _described_layer(n, layer)
        header["layers"].append(description)
        tensors |= {f"layers.{n}.{name}": tensor for name, tensor in parts.items()}
    return header, tensors


def _described_layer(n: int, layer: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if isinstance(layer, ProductNodes):
        return {"kind": "products", "sums": layer.sums, "arities": layer.arities}, {}
    if layer.adapter is not None:
        raise ValueError(
            f"layer {n} has an adapter, which this file cannot hold; call `edgewise.adapters.merge(model)` first"
        )
    symbolic = layer.symbolic
    known = {fn.name: fn for fn in symbolic.functions}
    if any(known[fn.name] != fn for fn in symbolic.functions):
        raise ValueError(f"layer {n} has two different functions of one name; a saved file knows functions by name")
    factors = layer.factors if isinstance(layer, SlimKANLinear) else None
    curves = {"coef": layer.coef} if factors is None else {part: factors.factor(part) for part in factors.form.factors}
    parameters = {**curves, "bias": layer.bias, "affine": symbolic.affine}
    tensors = {name: p for name, p in parameters.items() if p is not None} | {"grid": layer.grid, "mask": layer.mask}
    if symbolic.affine is not None:
        tensors |= {"sources": symbolic.sources, "targets": symbolic.targets}
    description = {
        "kind": "curves",
        "basis": layer.basis.to_json(),
        "residual": layer.residual,
        "slim": None if factors is None else factors.name,
        "bias": layer.bias is not None,
        "functions": [fn.name for fn in symbolic.functions],
        "frozen": [name for name, p in parameters.items() if p is not None and not p.requires_grad],
    }
    return description, tensors


def _built(header: dict[str, Any], tensors: dict[str, Tensor], library: Library) -> KAN | KANLinear | Surface:
    require(header["kind"] != "adapter", "it holds an adapter; read it with `load_adapter(model, path)`")
    if header["kind"] == "Surface":
        return built_surface(header, tensors)
    left = dict(tensors)
    layers = []
    for n, description in enumerate(header["layers"]):
        prefix = f"layers.{n}."
        parts = {name.removeprefix(prefix): left.pop(name) for name in list(left) if name.startswith(prefix)}
        layers.append(_built_layer(n, description, parts, library))
    if header["kind"] == "KANLinear":
        require(len(layers) == 1 and isinstance(layers[0], KANLinear), "a KANLinear is one layer of curves")
        require(not left, f"unexpected tensors {sorted(left)}")
        return layers[0].train(header["training"])
    require(header["kind"] == "KAN", f"unknown kind of model {header['kind']!r}")
    _check_chain(layers)
    affines = {end: _affine(end, left) if header[end] else None for end in ("input_affine", "output_affine")}
    require(not left, f"unexpected tensors {sorted(left)}")
    model = KAN.assemble(layers, **affines, input_names=header["input_names"], output_names=header["output_names"])
    for affine, features in ((model.input_affine, model.in_features), (model.output_affine, model.out_features)):
        require(affine is None or affine.scale.shape == (features,), "an affine does not fit the number of features")
    return model.train(header["training"])


def _built_layer(n: int, description: dict[str, Any], parts: dict[str, Tensor], library: Library) -> Any:
    if description["kind"] == "products":
        require(not parts, f"layer {n}: product nodes have no tensors")
        sums, arities = description["sums"], description["arities"]
        valid = type(sums) is int and sums >= 0 and all(type(a) is int and a >= 2 for a in arities)
        require(valid, f"layer {n}: malformed product nodes")
        return ProductNodes(sums, tuple(arities))
    require(description["kind"] == "curves", f"layer {n}: unknown kind {description['kind']!r}")
    basis, residual, functions = (
        basis_from_json(description["basis"]),
        description["residual"],
        description["functions"],
    )
    check_residual(residual)
    factors = _factors(n, description.get("slim"), parts, basis.size + (residual is not None))
    expected = {"coef", "grid", "mask"} | ({"bias"} if description["bias"] else set())
    expected |= {"affine", "sources", "targets"} if functions else set()
    require(parts.keys() == expected, f"layer {n} needs the tensors {sorted(expected)}, has {sorted(parts)}")
    _check_tensors(n, parts, basis.size + (residual is not None), len(functions))
    points = basis.init_grid(1).shape[1]
    require(parts["grid"].shape[1] == points, f"layer {n}: its basis needs {points} grid points per input")
    basis.evaluate(parts["grid"][:, :1].T, parts["grid"])  # settings of a wrong type fail here, not in a later forward
    layer = KANLinear.assemble(
        basis,
        residual,
        coef=parts["coef"],
        grid=parts["grid"],
        mask=parts["mask"],
        bias=parts.get("bias"),
        symbolic=_symbols(n, functions, parts, library),
    )
    parameters: dict[str, Any] = {"bias": layer.bias, "affine": layer.symbolic.affine}
    if factors is None:
        parameters["coef"] = layer.coef
    else:
        layer = SlimKANLinear(layer, factors)
        parameters |= dict(factors.named_parameters())
    for name in description["frozen"]:
        require(parameters.get(name) is not None, f"layer {n}: there is no {name!r} to freeze")
        parameters[name].requires_grad_(False)
    return layer


def _factors(n: int, form: str | None, parts: dict[str, Tensor], size: int) -> Factors | None:
    """The factors of a slim layer, whose product takes their place among the parts."""
    if form is None:
        return None
    values = {name: parts.pop(name) for name in find_form(form).factors if name in parts}
    mask = parts.get("mask")
    require(mask is not None and mask.ndim == 2, f"layer {n}: the mask must be a matrix of booleans")
    assert mask is not None
    factors = Factors.assemble((mask.shape[0], size, mask.shape[1]), form, values)
    require("coef" not in parts, f"layer {n}: a slim layer has no coef")
    parts["coef"] = factors().detach()
    return factors


def _check_tensors(n: int, parts: dict[str, Tensor], size: int, symbols: int) -> None:
    """Shapes and dtypes of one layer, all derived from the mask and the settings."""
    mask = parts["mask"]
    require(mask.ndim == 2 and mask.dtype == torch.bool, f"layer {n}: the mask must be a matrix of booleans")
    ins, outs = mask.shape
    shapes = {
        "coef": (ins, size, outs),
        "grid": (ins, parts["grid"].shape[-1] if parts["grid"].ndim else 0),
        "bias": (outs,),
        "affine": (symbols, 4),
        "sources": (symbols,),
        "targets": (symbols,),
    }
    for name, tensor in parts.items():
        if name == "mask":
            continue
        right = tensor.dtype == torch.int64 if name in ("sources", "targets") else tensor.is_floating_point()
        require(right, f"layer {n}: {name} has the dtype {tensor.dtype}")
        require(
            tensor.shape == shapes[name], f"layer {n}: {name} has shape {tuple(tensor.shape)}, expected {shapes[name]}"
        )
    for name, limit in (("sources", ins), ("targets", outs)):
        if name in parts:
            require(bool(((parts[name] >= 0) & (parts[name] < limit)).all()), f"layer {n}: {name} out of range")


def _symbols(n: int, names: list[str], parts: dict[str, Tensor], library: Library) -> SymbolicEdges | None:
    if not names:
        return None
    unknown = sorted({name for name in names if name not in library})
    require(
        not unknown,
        f"layer {n}: the library has no function {', '.join(map(repr, unknown))}; pass `library=` with the functions "
        "that the model was saved with",
    )
    return SymbolicEdges([library[name] for name in names], parts["sources"], parts["targets"], parts["affine"])


def _affine(end: str, tensors: dict[str, Tensor]) -> Affine:
    scale, shift = tensors.pop(f"{end}.scale"), tensors.pop(f"{end}.shift")
    floating = scale.is_floating_point() and shift.is_floating_point()
    require(floating and scale.ndim == 1 and scale.shape == shift.shape, f"malformed {end}")
    return Affine(scale, shift)


def _check_chain(layers: list[Any]) -> None:
    """Curves first, products only after curves, every layer as wide as what it reads."""
    require(bool(layers) and isinstance(layers[0], KANLinear), "a network begins with a layer of curves")
    for n, (layer, following) in enumerate(itertools.pairwise(layers)):
        require(
            isinstance(layer, KANLinear) or isinstance(following, KANLinear), f"layers {n}, {n + 1} are both products"
        )
        require(
            layer.out_features == following.in_features,
            f"layer {n} has {layer.out_features} outputs, layer {n + 1} reads {following.in_features}",
        )
