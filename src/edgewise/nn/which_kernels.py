"""Reports which kernels compute a model, and why other backends do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.kernels import EdgeSpec, refusals
from edgewise.kernels.capabilities import Capability
from edgewise.nn._fast import plain_layers
from edgewise.nn.blocks.rational import GroupRational
from edgewise.nn.kan import KAN
from edgewise.nn.linear import KANLinear

WHOLE = "whole network"


def which_kernels(model: nn.Module, x: Tensor) -> str:
    """The backend that would compute each part of the model at inputs like x, with the reasons against the others.

    A KAN has a line for the whole network in one call and for its Taylor jets; every KAN layer and every rational unit
    has a line by module name, and "adam" is the optimiser step of all parameters. "reference" is plain torch.

    >>> import torch, edgewise as ew
    >>> print(which_kernels(ew.KANLinear(2, 3, ew.BSpline(5, 7)), torch.zeros(1, 2)))
    KANLinear: reference
      ...cpu: degree 7 is not between 1 and 5
      triton: inputs are not on a CUDA device
    adam: cpu
    """
    lines = [line for part in _parts(model, x) for line in part]
    if not lines:
        raise ValueError(f"{type(model).__name__} has no KAN layer and no rational unit, so no kernel is chosen for it")
    return "\n".join([*lines, *_adam(model)])


def _parts(model: nn.Module, x: Tensor) -> Iterator[list[str]]:
    if isinstance(model, KAN):
        network = plain_layers(model)
        if network is None:
            yield [f"{label}: layer by layer, because it has more than curves and biases" for label in (WHOLE, "jets")]
        else:
            yield _lines(WHOLE, "network", network, x, otherwise="layer by layer")
            yield _lines("jets", "jets", network, x, 1, otherwise="layer by layer")
    for name, module in model.named_modules():
        label = name or type(module).__name__
        if isinstance(module, KANLinear):
            spec = EdgeSpec(module.basis, module.residual)
            yield _lines(label, "layer", spec, x.new_empty(0, module.in_features))
        elif isinstance(module, GroupRational):
            a, b = module.numerator.T, module.denominator[:, None]
            a = a if module.groups == 1 else a.repeat_interleave(module.features // module.groups, 1)
            yield _lines(label, "rational", x.new_empty(1, module.features), a, b)


def _adam(model: nn.Module) -> list[str]:
    """The line of the optimiser step: a backend serves it where it serves every parameter."""
    reasons: dict[str, str | None] = {}
    for p in model.parameters():
        for name, reason in refusals("adam", p).items():
            reasons[name] = reasons.get(name) or reason
    return _report("adam", reasons, "reference") if reasons else []


def _lines(label: str, capability: Capability, *inputs: Any, otherwise: str = "reference") -> list[str]:
    with torch.no_grad():
        return _report(label, refusals(capability, *inputs), otherwise)


def _report(label: str, reasons: dict[str, str | None], otherwise: str) -> list[str]:
    chosen = next((name for name, reason in reasons.items() if reason is None), otherwise)
    return [f"{label}: {chosen}", *(f"  {name}: {reason}" for name, reason in reasons.items() if reason is not None)]
