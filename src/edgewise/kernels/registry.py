"""The registered backends, and the choice of the kernel that serves given inputs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, overload

import torch
from torch import Tensor

from edgewise.kernels import polynomials
from edgewise.kernels.autograd import Kernel
from edgewise.kernels.capabilities import (
    AdamKernel,
    Capability,
    GaussNewtonKernel,
    JetKernel,
    LayerKernel,
    NetworkKernel,
    RationalKernel,
    Refusal,
)
from edgewise.kernels.plain import foreign
from edgewise.kernels.reference import CurveLayer, EdgeSpec

REFERENCE = "reference"
CAPABILITIES: tuple[Capability, ...] = get_args(Capability)


@dataclass(frozen=True)
class Backend:
    """A name and the kernels that it supplies, by capability; None where it has none.

    `compiled` is the layer kernel as custom ops, for `torch.compile` and `torch.export`; without it these use the
    reference.
    """

    name: str
    layer: LayerKernel | None = None
    network: NetworkKernel | None = None
    jets: JetKernel | None = None
    rational: RationalKernel | None = None
    adam: AdamKernel | None = None
    gauss_newton: GaussNewtonKernel | None = None
    compiled: Kernel | None = None


_newest: tuple[Backend, ...] = ()  # in the order in which they are asked
_layered: tuple[Backend, ...] = ()  # of these, those with a kernel for layers
_kernels: dict[str, tuple[Any, ...]] = dict.fromkeys(CAPABILITIES, ())  # of all of these, by capability
_forced: str | None = None


def register_backend(backend: Backend) -> None:
    """Add a backend; later ones are asked first. A duplicate name raises `ValueError`."""
    global _newest, _layered  # noqa: PLW0603
    if backend.name == REFERENCE or any(b.name == backend.name for b in _newest):
        raise ValueError(f"a backend named {backend.name!r} is registered already; choose another name")
    _newest = (backend, *_newest)
    _layered = tuple(b for b in _newest if b.layer is not None)
    for capability in CAPABILITIES:
        kernel = getattr(backend, capability)
        if kernel is not None:
            _kernels[capability] = (kernel, *_kernels[capability])


def registered_backends() -> dict[str, Backend]:
    """The backends by name, newest first."""
    return {backend.name: backend for backend in _newest}


@contextlib.contextmanager
def use_backend(name: str | None) -> Iterator[None]:
    """Within the block, compute with this backend alone ("reference" or a registered name); None lifts the choice.

    Raises `ValueError` for an unknown name, and where the named backend cannot compute a layer that is called.
    """
    global _forced  # noqa: PLW0603  (torch.compile cannot read a ContextVar)
    names = [REFERENCE, *registered_backends()]
    if name is not None and name not in names:
        raise ValueError(f"unknown backend {name!r}; there are {', '.join(names)}")
    previous, _forced = _forced, name
    try:
        yield
    finally:
        _forced = previous


@overload
def find(capability: Literal["layer"], spec: EdgeSpec, x: Tensor, /) -> LayerKernel | None: ...
@overload
def find(capability: Literal["network"], network: Sequence[CurveLayer], x: Tensor, /) -> NetworkKernel | None: ...
@overload
def find(capability: Literal["jets"], network: Sequence[CurveLayer], x: Tensor, sums: int, /) -> JetKernel | None: ...
@overload
def find(capability: Literal["rational"], x: Tensor, a: Tensor, b: Tensor, /) -> RationalKernel | None: ...
@overload
def find(capability: Literal["adam"], p: Tensor, state: Sequence[Tensor] = (), /) -> AdamKernel | None: ...
@overload
def find(capability: Literal["gauss_newton"], specs: Sequence[EdgeSpec], x: Tensor, /) -> GaussNewtonKernel | None: ...
def find(capability: Capability, *inputs: Any) -> Any:
    """The kernel with this capability that serves these inputs; None where plain torch must do the work.

    The inputs are those of the kernel's `refuses`. This is the kernels' only door: what `plain.foreign` names is served
    by plain torch, or refused in words where a backend was asked for. A layer of polynomials may be served by a kernel
    for splines, see `polynomials`; `edge_sum` then converts the coefficients.
    """
    if capability == "layer":
        backend = layer_backend(inputs[0], inputs[1], _foreign(capability, *inputs))
        return None if backend is None else backend.layer
    if _foreign(capability, *inputs) is not None:
        return None
    for kernel in _kernels[capability] if _forced is None else candidates(capability):
        if kernel.refuses(*inputs) is None:
            return kernel
    return None


def refusals(capability: Capability, *inputs: Any) -> dict[str, Refusal]:
    """For every backend with this capability, newest first, why `find` would not take it; None where it could."""
    reasons: dict[str, Refusal] = {}
    outside = _foreign(capability, *inputs)
    for backend in _newest:
        kernel = getattr(backend, capability)
        if kernel is None:
            continue
        if _forced not in (None, backend.name):
            reasons[backend.name] = f"backend {_forced!r} was asked for"
        else:
            reasons[backend.name] = outside or (
                _layer_refusal(backend, *inputs) if capability == "layer" else kernel.refuses(*inputs)
            )
    return reasons


def candidates(capability: Capability) -> tuple[Any, ...]:
    """The kernels that may be asked, in that order."""
    if _forced is None:
        return _kernels[capability]
    kernels = (getattr(backend, capability) for backend in _newest if backend.name == _forced)
    return tuple(kernel for kernel in kernels if kernel is not None)


def layer_backend(spec: EdgeSpec, x: Tensor, reason: Refusal = None) -> Backend | None:
    """The backend of a layer with these functions at inputs like x; None is the reference.

    `reason` is what `foreign` says of the tensors of the call.
    """
    if _forced is not None:
        return _forced_layer_backend(_forced, spec, x, reason)
    if reason is not None:
        return None
    twin = polynomials.as_splines(spec)
    for backend in _layered:  # `_layer_refusal` of each, without a call: half a microsecond of every layer's call
        kernel: Any = backend.layer
        if kernel.refuses(spec, x) is None or (twin is not None and kernel.refuses(twin, x) is None):
            return backend
    return None


def _forced_layer_backend(name: str, spec: EdgeSpec, x: Tensor, reason: Refusal) -> Backend | None:
    if name == REFERENCE:
        return None
    backend = registered_backends()[name]
    reason = reason or _layer_refusal(backend, spec, x)
    if reason is not None:
        raise ValueError(f"backend {name!r} was asked for and cannot be used: {reason}")
    return backend


def _layer_refusal(backend: Backend, spec: EdgeSpec, x: Tensor) -> Refusal:
    """Why the backend serves neither the functions nor splines that span the same curves."""
    kernel = backend.layer
    if kernel is None:
        return "it has no kernel for layers"
    reason = kernel.refuses(spec, x)
    twin = None if reason is None else polynomials.as_splines(spec)
    return reason if twin is None else kernel.refuses(twin, x)


def _foreign(capability: Capability, *inputs: Any) -> Refusal:
    """`foreign` of all tensors among the inputs of a capability."""
    if torch.compiler.is_compiling():
        return None
    match capability:
        case "layer":
            return foreign(*inputs[1:])
        case "network" | "jets":
            return foreign(inputs[1], layers=inputs[0])
        case "gauss_newton":
            return foreign(inputs[1])
        case "adam":
            return foreign(inputs[0], *(inputs[1] if len(inputs) > 1 else ()))
        case _:
            return foreign(*inputs)
