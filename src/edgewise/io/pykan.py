r"""Import networks of pykan: the same network, equal outputs at every input.

pykan's curve is $w_b\,b(x) + w_s \sum_i c_i B_i(x)$ with B-splines on G intervals and `degree` more knots at either
end, between which the curve fades to zero. Here all of these knots are the grid, and the functions that the longer grid
adds at its ends have the coefficient zero: the same curve, outside the range as well.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases import BSpline
from edgewise.io.pykan_first import in_later_layout, is_first_layout
from edgewise.io.reading import read_text, reading
from edgewise.io.tensor_file import one_precision, read_tensors
from edgewise.nn import DEFAULT_LIBRARY, KAN, KANLinear, Library, ProductNodes, SymbolicEdges

_OUR_NAMES: dict[str, str] = {"x^0.5": "sqrt", "1/sqrt(x)": "1/sqrt", "1/x^0.5": "1/sqrt", "sgn": "sign"}

_RESIDUALS = {"silu": "silu", "identity": "identity", "zero": None}
# As a model names them after `prune_input`, or where the user gave a module or a function.
_RESIDUALS |= {
    "torch.nn.modules.activation.SiLU": "silu",
    "torch.nn.functional.silu": "silu",
    "torch.nn.modules.linear.Identity": "identity",
    "kan.MultKAN.<lambda>": None,
}
MAX_CONFIG = 1 << 24


@dataclass(frozen=True)
class _Source:
    """What pykan stores of a model."""

    widths: list[tuple[int, int]]
    arities: int | Sequence[Sequence[int]]
    residual: str | None
    symbolic: bool
    names: list[list[list[str]]]
    tensors: Mapping[str, Tensor]
    kept: list[int]

    def products(self, l: int) -> tuple[int, ...]:
        """The arities of the products of layer l."""
        count = self.widths[l][1]
        return (self.arities,) * count if isinstance(self.arities, int) else tuple(self.arities[l][:count])


def from_pykan(
    source: Any, *, inputs: int | None = None, residual: str = "silu", library: Library = DEFAULT_LIBRARY
) -> KAN:
    """The network of pykan (0.0.1 to 0.2.8) as a KAN that computes the same.

    Args:
        source: a live `MultKAN` (or `KAN` of 0.0), or the path of a checkpoint: as `saveckpt` takes it, without the
            endings of its files, or the one file of `save_ckpt`. Nothing in the files is executed. A checkpoint does
            not store which inputs `prune_input` removed.
        inputs: number of columns of the data, where inputs were pruned from the end.
        residual: the residual function of a file of `save_ckpt`, which does not name it: "silu", "identity" or "zero".
        library: where the functions of symbols are looked up by name; add your own to it.

    Raises:
        ValueError: naming what has no counterpart, such as an edge that is a curve and a symbol at once.
    """
    if not isinstance(source, str | os.PathLike):
        return _converted(_from_model(source), inputs, library)
    with reading(source):
        return _converted(_from_files(source, residual), inputs, library)


def _converted(old: _Source, inputs: int | None, library: Library) -> KAN:
    layers: list[KANLinear | ProductNodes] = []
    for l in range(len(old.widths) - 1):
        arities = old.products(l + 1)
        if not arities:
            layers.append(_layer(old, l, library, *_node_affine(old, l)))
            continue
        scale, shift = _node_affine(old, l)
        sums = old.widths[l + 1][0]
        firsts = [sums + sum(arities[:m]) for m in range(len(arities))]  # a product is scaled by its first factor
        factors = torch.ones(sums + sum(arities), dtype=scale.dtype)
        factors[:sums], factors[firsts] = scale[:sums], scale[sums:]
        shifts = torch.zeros_like(factors)
        shifts[:sums] = shift[:sums]
        layers += [_layer(old, l, library, factors, shifts), ProductNodes(sums, arities)]
        if shift[sums:].any():
            layers.append(_shifted(torch.cat([torch.zeros_like(shift[:sums]), shift[sums:]]), library))
    first = layers[0]
    assert isinstance(first, KANLinear)
    layers[0] = _spread(first, old.kept, max(old.kept) + 1 if inputs is None else inputs)
    return KAN.assemble(layers)


def _from_model(model: Any) -> _Source:
    if all(hasattr(model, name) for name in ("biases", "base_fun", "symbolic_fun", "state_dict")):
        return _of_first(model.state_dict(), model.base_fun, [layer.funs_name for layer in model.symbolic_fun])
    needed = ("width", "mult_arity", "base_fun_name", "symbolic_fun", "symbolic_enabled", "input_id", "state_dict")
    missing = [name for name in needed if not hasattr(model, name)]
    if missing:
        raise TypeError(
            f"from_pykan takes pykan's MultKAN (0.2.x) or the path of its checkpoint; this {type(model).__name__} has "
            f"no {', '.join(missing)}"
        )
    return _source(
        {
            "width": model.width,
            "mult_arity": model.mult_arity,
            "base_fun_name": model.base_fun_name,
            "symbolic_enabled": model.symbolic_enabled,
        },
        [layer.funs_name for layer in model.symbolic_fun],
        model.state_dict(),
        [int(n) for n in model.input_id],
    )


def _of_first(state: Mapping[str, Tensor], residual: Any, names: list[list[list[str]]] | None) -> _Source:
    """A network of pykan 0.0; its files do not name the functions of symbols."""
    widths, tensors = in_later_layout(state)
    if names is None:
        symbols = [l for l in range(len(widths) - 1) if tensors[f"symbolic_fun.{l}.mask"].any()]
        if symbols:
            raise ValueError(
                f"layer {symbols[0]} has symbols, and a file of pykan 0.0 does not name their functions: load it in "
                "pykan 0.0 into a network with the same `fix_symbolic`, and give that network"
            )
        names = [[] for _ in widths]
    config = {"width": widths, "mult_arity": 2, "base_fun_name": residual, "symbolic_enabled": True}
    return _source(config, names, tensors, list(range(widths[0])))


def _from_files(path: str | os.PathLike[str], residual: str) -> _Source:
    """The configuration as YAML without objects, and the tensors without unpickling objects."""
    config_path, state_path = Path(f"{os.fspath(path)}_config.yml"), Path(f"{os.fspath(path)}_state")
    if not config_path.exists() and Path(path).is_file():
        state = one_precision(read_tensors(Path(path)))
        if is_first_layout(state):
            return _of_first(state, residual, None)
        raise ValueError(
            "it holds no network of pykan 0.0; later releases write NAME_config.yml and NAME_state, which are read by "
            "`from_pykan(NAME)`"
        )
    with reading(config_path):
        config = _configuration(read_text(config_path, MAX_CONFIG))
        names = [config[f"symbolic.funs_name.{l}"] for l in range(len(config["width"]) - 1)]
        first = config["width"][0]
        kept = list(range(first if isinstance(first, int) else sum(first)))
        with reading(state_path):
            state = one_precision(read_tensors(state_path))
        return _source(config, names, state, kept)


def _configuration(text: str) -> Any:
    """The mapping of a YAML text; a Python object in it becomes the name of its class, and is not made."""
    try:
        import yaml
    except ImportError as error:
        raise ImportError("checkpoints of pykan need PyYAML: pip install edgewise[pykan]") from error

    class Names(yaml.SafeLoader):
        pass

    for kind in ("object:", "name:"):
        Names.add_multi_constructor(f"tag:yaml.org,2002:python/{kind}", lambda _, name, node: name)
    Names.add_constructor("tag:yaml.org,2002:python/tuple", Names.construct_sequence)
    return Names(text).get_single_data()


def _source(config: Mapping[str, Any], names: Any, state: Mapping[str, Tensor], kept: list[int]) -> _Source:
    residual = config["base_fun_name"]
    if not isinstance(residual, str):
        named = residual if hasattr(residual, "__name__") else type(residual)
        residual = f"{named.__module__}.{named.__name__}"
    if residual not in _RESIDUALS:
        raise ValueError(f"the residual function {residual!r} has no counterpart; there are silu, identity and zero")
    arities = config["mult_arity"]
    return _Source(
        [(w, 0) if isinstance(w, int) else (int(w[0]), int(w[1])) for w in config["width"]],
        arities if isinstance(arities, int) else [[int(a) for a in row] for row in arities],
        _RESIDUALS[residual],
        bool(config["symbolic_enabled"]),
        names,
        {name: tensor.detach().cpu() for name, tensor in state.items()},
        kept,
    )


def _node_affine(old: _Source, l: int) -> tuple[Tensor, Tensor]:
    return old.tensors[f"node_scale_{l}"], old.tensors[f"node_bias_{l}"]


def _layer(old: _Source, l: int, library: Library, scale: Tensor, shift: Tensor) -> KANLinear:
    """The curves and symbols of layer l with both of pykan's affine maps, of the subnodes and of the nodes, in them."""
    part = {name: old.tensors[f"act_fun.{l}.{name}"] for name in ("grid", "coef", "mask", "scale_base", "scale_sp")}
    size = part["coef"].shape[-1]
    degree = part["grid"].shape[-1] - 1 - size
    _check_shapes(old, l, part, scale)
    if not (part["grid"].diff(dim=-1) > 0).all():
        raise ValueError(
            f"layer {l}: two knots of a grid coincide; call `update_grid` on varying inputs in pykan first"
        )
    total = scale * old.tensors[f"subnode_scale_{l}"]
    spline = (part["mask"] * part["scale_sp"])[..., None] * part["coef"] * total[:, None]
    coef = torch.nn.functional.pad(spline.movedim(2, 1), (0, 0, degree, degree))
    if old.residual is not None:
        coef = torch.cat([coef, (part["mask"] * part["scale_base"] * total)[:, None]], 1)
    mask = part["mask"] != 0
    return KANLinear.assemble(
        BSpline(part["grid"].shape[-1] - 1, degree, extrapolation="zero"),
        old.residual,
        coef=coef,
        grid=part["grid"],
        mask=mask,
        bias=scale * old.tensors[f"subnode_bias_{l}"] + shift,
        symbolic=_symbols(old, l, library, mask, total),
    )


def _check_shapes(old: _Source, l: int, part: Mapping[str, Tensor], scale: Tensor) -> None:
    """Raise `ValueError` unless the tensors of layer l are those of its widths."""
    ins, outs = sum(old.widths[l]), len(scale)
    basis = part["coef"].shape[2:] if part["coef"].ndim == 3 else (0,)
    shapes = {f"act_fun.{l}.{name}": (ins, outs) for name in ("mask", "scale_base", "scale_sp")}
    shapes |= {f"act_fun.{l}.coef": (ins, outs, *basis), f"act_fun.{l}.grid": (ins, part["grid"].shape[-1])}
    shapes |= {f"symbolic_fun.{l}.mask": (outs, ins), f"symbolic_fun.{l}.affine": (outs, ins, 4)}
    shapes |= {f"subnode_{name}_{l}": (outs,) for name in ("scale", "bias")}
    for name, shape in shapes.items():
        t = old.tensors[name]
        if t.shape != shape or not t.is_floating_point() or not torch.isfinite(t).all():
            raise ValueError(f"{name} is {t.dtype} of the shape {tuple(t.shape)}; finite numbers {shape} are expected")


def _symbols(old: _Source, l: int, library: Library, curves: Tensor, total: Tensor) -> SymbolicEdges:
    weight = old.tensors[f"symbolic_fun.{l}.mask"].T
    edges = weight.nonzero().tolist() if old.symbolic else []
    if not edges:
        return SymbolicEdges.empty()
    both = [(j, i) for j, i in edges if curves[j, i]]
    if both:
        j, i = both[0]
        raise ValueError(
            f"layer {l}: edge (in={j}, out={i}) is a curve and a symbol at once, and an edge has one owner here; "
            f"in pykan set the mask of one of them to zero, such as `model.act_fun[{l}].mask.data[{j}, {i}] = 0`"
        )
    theirs: list[str] = [old.names[l][i][j] for j, i in edges]
    names = [_OUR_NAMES.get(name, name) for name in theirs]
    unknown = sorted({name for name in names if name not in library})
    if unknown:
        raise ValueError(
            f"layer {l}: the library has no function {', '.join(map(repr, unknown))}; pass "
            "`library=edgewise.nn.DEFAULT_LIBRARY | edgewise.SymbolicFn(name, torch_function, sympy_function)`"
        )
    sources, targets = torch.tensor(edges).T
    affine = old.tensors[f"symbolic_fun.{l}.affine"][targets, sources].clone()
    affine[:, 2:] *= (weight[sources, targets] * total[targets])[:, None]
    return SymbolicEdges([library[name] for name in names], sources, targets, affine)


def _shifted(shift: Float[Tensor, " nodes"], library: Library) -> KANLinear:
    """A layer that adds a constant to every node: products have no bias of their own."""
    nodes = len(shift)
    basis, place = BSpline(1, 1), torch.arange(nodes)
    return KANLinear.assemble(
        basis,
        None,
        coef=shift.new_zeros(nodes, basis.size, nodes),
        grid=basis.init_grid(nodes, dtype=shift.dtype),
        mask=torch.zeros(nodes, nodes, dtype=torch.bool),
        bias=shift,
        symbolic=SymbolicEdges(
            [library["x"]] * nodes, place, place, shift.new_tensor([1.0, 0.0, 1.0, 0.0]).expand(nodes, 4)
        ),
    )


def _spread(layer: KANLinear, kept: list[int], inputs: int) -> KANLinear:
    """The layer with `inputs` inputs, its own at the indices `kept`; the others have no edges."""
    if kept == list(range(inputs)):
        return layer
    if max(kept) >= inputs:
        raise ValueError(f"the model reads column {max(kept)}; inputs={inputs} are too few")
    at = torch.tensor(kept)
    grid = layer.grid[:1].repeat(inputs, 1)
    coef = layer.coef.new_zeros(inputs, *layer.coef.shape[1:])
    mask = layer.mask.new_zeros(inputs, layer.out_features)
    grid[at], coef[at], mask[at] = layer.grid, layer.coef.detach(), layer.mask
    symbols = layer.symbolic
    if symbols.affine is not None:
        symbols = SymbolicEdges(symbols.functions, at[symbols.sources], symbols.targets, symbols.affine)
    return KANLinear.assemble(
        layer.basis, layer.residual, coef=coef, grid=grid, mask=mask, bias=layer.bias, symbolic=symbols
    )
