"""What is exported: a model or a formula, with example inputs, names and what travels in the metadata."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from edgewise._version import __version__
from edgewise.exporting.lowering import lowered
from edgewise.exporting.prediction import ClassProbabilities, core_of, prediction_of
from edgewise.expressions import Formula
from edgewise.nn import KAN, IntegerKAN, KANLinear

Names = tuple[str, ...]

ROWS = 4
"""Rows of the example that is made where none is given; exporters take a single row for a constant."""


@dataclass(frozen=True)
class Subject:
    """A model, or a formula alone, as the writers of all formats see it.

    Args:
        model: a copy of the user's, in evaluation mode and in its own precision; None for a formula.
        formula: the formula that was given, else None.
        example: inputs of the right shapes, the first dimension is the batch.
        input_names: of the features of the only input where they are known, else of the inputs.
        output_names: likewise.
        metadata: JSON values by key, which travel with the file where the format has a place.
        any_batch: whether the file should take any number of rows.
        dtype: of the floating-point numbers in the file.
        compensated: whether a graph of torch sums as if in twice its precision, see `edgewise.exporting.lowering`.
    """

    model: nn.Module | None
    formula: Formula | None
    example: tuple[Tensor, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    any_batch: bool = True
    dtype: torch.dtype = torch.float32
    compensated: bool = False

    def require_model(self, format: str) -> nn.Module:
        """The model. Raises `TypeError` where there is a formula alone."""
        if self.model is None:
            raise TypeError(f"the format {format!r} takes a network; `edgewise.from_formula(formula)` makes one")
        return self.model

    def reference(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What the model or the formula computes, in float64: in single precision a network differs from itself.

        A network of integers computes in its own precision, to which its program is equal in every bit.
        """
        if self.model is None:
            assert self.formula is not None
            return (self.formula.torch()(*inputs),)
        with torch.no_grad():
            return flat(self._exact(*(cast(x, precision_of(self._exact)) for x in inputs)))

    @cached_property
    def _exact(self) -> nn.Module:
        assert self.model is not None
        return self.model if isinstance(self.model, IntegerKAN) else copy.deepcopy(self.model).double()

    def lowered(self, format: str) -> nn.Module:
        """The model in plain operations, for formats that hold a graph of torch."""
        return lowered(self.require_model(format), self.dtype, compensated=self.compensated)

    def metadata_texts(self) -> dict[str, str]:
        """The metadata as texts, the values that are none as JSON."""
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in self.metadata.items()}


def subject_of(
    model: Any,
    example: Tensor | Sequence[Tensor] | None = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    any_batch: bool = True,
    dtype: torch.dtype = torch.float32,
) -> Subject:
    """The subject of a module, an estimator or a formula. The arguments are those of `export`.

    Raises `ValueError` where there are not as many names as inputs and outputs.
    """
    formula = model if isinstance(model, Formula) else None
    module = None if formula is not None else prediction_of(model)
    core = core_of(module)
    labels = module if isinstance(module, ClassProbabilities) else None
    found_in = formula.inputs if formula is not None else getattr(core, "input_names", None)
    found_out = formula.names if formula is not None else getattr(core, "output_names", None)
    if labels is not None:
        found_out = labels.names
    inputs = _example(core, formula, example)
    names = _names("input_names", input_names, found_in, "x", inputs)
    subject = Subject(module, formula, inputs, names, (), any_batch=any_batch, dtype=dtype)
    outs = _names("output_names", output_names, found_out, "y", subject.reference(*inputs))
    facts: dict[str, Any] = {"producer": f"edgewise {__version__}", "input_names": names, "output_names": outs}
    facts |= {} if module is None else {"model_sha256": digest_of_model(module)} | _scaling(core)
    facts |= {} if labels is None else {"classes": labels.classes}
    facts |= {} if units is None else {"units": dict(units)}
    encoding = getattr(model, "encoding_", None)
    facts |= {} if encoding is None else {"encoding": encoding.to_json()}
    return dataclasses.replace(subject, output_names=outs, metadata=facts | dict(metadata or {}))


def digest_of_model(model: nn.Module) -> str:
    """SHA-256 of the names and values of everything that the model stores."""
    sha = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if isinstance(tensor, Tensor):
            values = tensor.detach().cpu().contiguous()
            sha.update(f"{name} {values.dtype} {list(values.shape)}\n".encode())
            sha.update(values.flatten().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def precision_of(model: nn.Module) -> torch.dtype:
    """The floating-point type of the parameters and buffers, the widest where there are several."""
    found = {t.dtype for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()}
    return torch.float64 if torch.float64 in found else next(iter(found), torch.float32)


def cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """A tensor of numbers in this precision; one of integers as it is."""
    return x.to(dtype) if x.is_floating_point() else x


def flat(outputs: Any) -> tuple[Tensor, ...]:
    """The tensors of an output in order, from tuples, lists and mappings."""
    if isinstance(outputs, Tensor):
        return (outputs,)
    parts = outputs.values() if isinstance(outputs, Mapping) else outputs
    return tuple(tensor for part in parts if part is not None for tensor in flat(part))


def _example(core: nn.Module | None, formula: Formula | None, example: Any) -> tuple[Tensor, ...]:
    features = core.in_features if isinstance(core, KAN | KANLinear | IntegerKAN) else None
    features = len(formula.inputs) if formula is not None else features
    if example is not None:
        inputs: tuple[Tensor, ...] = (example,) if isinstance(example, Tensor) else tuple(example)
        if not inputs or any(not isinstance(x, Tensor) or x.ndim == 0 or x.shape[0] == 0 for x in inputs):
            raise ValueError("example must be one tensor, or a tuple of tensors, with at least one row each")
        shapes = [tuple(x.shape) for x in inputs]
        if features is not None and (len(shapes) > 1 or len(shapes[0]) < 2 or shapes[0][-1] != features):
            raise ValueError(f"example must be rows of {features} numbers, got the shape {', '.join(map(str, shapes))}")
        return inputs
    if features is None:
        raise ValueError(
            f"the shape of the inputs of a {type(core).__name__} is not known; give example=, a tensor with some rows"
        )
    return (torch.linspace(-0.9, 0.9, ROWS * features, dtype=torch.float64).reshape(ROWS, features),)


def _names(setting: str, given: Any, found: Any, letter: str, tensors: Sequence[Tensor]) -> Names:
    """The names that were given, else those of the model, else numbered ones; one per column of a table."""
    table = len(tensors) == 1 and tensors[0].ndim == 2
    count = tensors[0].shape[-1] if table else len(tensors)
    fixed = table or len(tensors) > 1
    if isinstance(given, str) or (given is not None and fixed and len(given) != count):
        raise ValueError(f"{setting} must be {count} names, got {given!r}")
    known = given if given is not None else found
    if known is None or (fixed and len(known) != count):
        return tuple(f"{letter}{n + 1}" for n in range(count))
    return tuple(map(str, known))


def _scaling(core: Any) -> dict[str, Any]:
    """The change of units at both ends of a network, which is part of the graph as well."""
    ends = {end: getattr(core, end, None) for end in ("input_affine", "output_affine")}
    return {
        end: {"scale": affine.scale.tolist(), "shift": affine.shift.tolist()}
        for end, affine in ends.items()
        if affine is not None
    }
