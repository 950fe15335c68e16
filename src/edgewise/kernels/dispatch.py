"""Which kernel computes a sum over edges: the only place that chooses.

Three doors: no kernel for this basis, device or dtype -> the reference; compiling or exporting -> the kernel's custom
op; otherwise -> the `autograd.Function`s of `autograd`, which work under `torch.func` as well.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from edgewise.kernels import autograd, polynomials as splines, reference
from edgewise.kernels.autograd import Kernel
from edgewise.kernels.reference import CurveLayer, EdgeSpec

Refusal = str | None


@runtime_checkable
class NetworkKernel(Protocol):
    """A whole network in one call; `apply` is differentiable to any order in x and every coef and bias, or None.

    `TrainingSteps` trains it: see `edgewise.kernels.cpu.network`.
    """

    TrainingSteps: Callable[..., Any]

    @property
    def MAX_FEATURES(self) -> int: ...

    def refuses(self, network: Sequence[CurveLayer], x: Tensor) -> Refusal: ...
    def apply(self, network: Sequence[CurveLayer], x: Tensor) -> Tensor | None: ...


@dataclass(frozen=True)
class Backend:
    """A named kernel, the same kernel as custom ops for `torch.compile` (or None), and what it can do.

    `refuses(spec, x)` returns None where the kernel serves the functions `spec` at inputs like x, else the reason.
    `network` computes small networks whole, where the backend can.
    """

    name: str
    kernel: Kernel
    refuses: Callable[[EdgeSpec, Tensor], Refusal]
    compiled: Kernel | None = None
    network: NetworkKernel | None = None


_backends: dict[str, Backend] = {}
_newest: tuple[Backend, ...] = ()  # the same, in the order in which they are asked
_networks: tuple[NetworkKernel, ...] = ()  # of these, in that order
_forced: str | None = None


def register_kernel(backend: Backend) -> None:
    """Add a backend; later ones are asked first. A duplicate name raises `ValueError`."""
    global _newest, _networks  # noqa: PLW0603
    if backend.name in _backends or backend.name == "reference":
        raise ValueError(f"a kernel named {backend.name!r} is registered already; choose another name")
    _backends[backend.name] = backend
    _newest = (backend, *_newest)
    _networks = tuple(b.network for b in _newest if b.network is not None)


@contextlib.contextmanager
def use_backend(name: str | None) -> Iterator[None]:
    """Within the block, compute with this backend alone ("reference" or a registered name); None lets dispatch choose.

    Raises `ValueError` for an unknown name, and where the named kernel cannot do what a layer asks of it.
    """
    global _forced  # noqa: PLW0603  (torch.compile cannot read a ContextVar)
    if name is not None and name != "reference" and name not in _backends:
        raise ValueError(f"unknown backend {name!r}; there are {', '.join(['reference', *_backends])}")
    previous, _forced = _forced, name
    try:
        yield
    finally:
        _forced = previous


def select(spec: EdgeSpec, x: Tensor) -> Backend | None:
    """The backend for these functions at inputs like x; None is the reference."""
    if _forced == "reference":
        return None
    if _forced is not None:
        reason = _refusal(_backends[_forced], spec, x)
        if reason is not None:
            raise ValueError(f"backend {_forced!r} was asked for and cannot be used: {reason}")
        return _backends[_forced]
    for backend in _newest:
        if _refusal(backend, spec, x) is None:
            return backend
    return None


def may_use(name: str) -> bool:
    """Whether nobody has forced another backend than the named one."""
    return _forced in (None, name)


def refusals(spec: EdgeSpec, x: Tensor) -> dict[str, Refusal]:
    """For every backend, newest first, why it would not be used; None where it would."""
    return {b.name: _refusal(b, spec, x) for b in _newest}


def _refusal(backend: Backend, spec: EdgeSpec, x: Tensor) -> Refusal:
    """Why the backend serves neither the functions nor splines that span the same curves."""
    reason = backend.refuses(spec, x)
    twin = None if reason is None else splines.as_splines(spec)
    return reason if twin is None else backend.refuses(twin, x)


def edge_sum(
    x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    r"""$y_{bi} = \sum_{jk} h_{bj}\, c_{jki}\, B_k^{(\nu)}(x_{bj}) + b_i$ by the best kernel there is."""
    backend = select(spec, x)
    if backend is None:
        return reference.edge_sum(x, coef, grid, spec, h, bias)
    twin = splines.as_splines(spec)
    if twin is not None and backend.refuses(spec, x) is not None:
        coef, spec = splines.spline_coefficients(coef, spec), twin
    if torch.compiler.is_compiling():
        return _as_autocast((backend.compiled or reference).edge_sum(x, coef, grid, spec, h, bias))
    return _as_autocast(autograd.edge_sum(backend.kernel, x, coef, grid, spec, h, bias))


def edge_sums(x: Tensor, coefs: Sequence[Tensor], grid: Tensor, spec: EdgeSpec) -> list[Tensor]:
    """`edge_sum` of several coefficients at the same inputs; the reference evaluates the functions once for all."""
    if select(spec, x) is not None:
        return [edge_sum(x, coef, grid, spec) for coef in coefs]
    phi = reference.design(x, grid, spec).flatten(-2)
    return [phi @ coef.flatten(0, 1) for coef in coefs]


def _as_autocast(y: Tensor) -> Tensor:
    """The result in the dtype that the matrix product of the reference would have under autocast."""
    if torch._C._is_any_autocast_enabled() and y.dtype is torch.float32 and torch.is_autocast_enabled(y.device.type):
        return y.to(torch.get_autocast_dtype(y.device.type))
    return y


def network_sum(network: Sequence[CurveLayer], x: Tensor) -> Tensor | None:
    """The outputs of a whole network in one call; None where no backend does that, and layers must be called in turn.

    A single node in the graph knows nothing of `torch.func`, forward mode or tracing: within those it is not used.
    """
    if torch.compiler.is_compiling() or autograd.transformed():
        return None
    for kernel in _network_kernels():
        y = kernel.apply(network, x)
        if y is not None:
            return y
    return None


def network_kernel(network: Sequence[CurveLayer], x: Tensor) -> NetworkKernel | None:
    """The kernel that computes a whole network at inputs like x, or None."""
    return next((kernel for kernel in _network_kernels() if kernel.refuses(network, x) is None), None)


def _network_kernels() -> tuple[NetworkKernel, ...]:
    """Those that may be asked."""
    if _forced is None:
        return _networks
    return tuple(b.network for b in _newest if b.network is not None and b.name == _forced)


def network_refusals(network: Sequence[CurveLayer], x: Tensor) -> dict[str, Refusal]:
    """For every backend that computes whole networks, newest first, why it would not be used; None where it would."""
    return {b.name: b.network.refuses(network, x) for b in _newest if b.network is not None}


def whole_networks_up_to() -> int:
    """The most features of a layer with which some backend computes a network whole."""
    return max([0, *[kernel.MAX_FEATURES for kernel in _network_kernels()]])
