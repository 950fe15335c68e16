"""The protocols of the kernels that a backend can supply, one for each capability.

Every kernel says with `refuses` why it does not serve the given inputs; None means that it serves them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from edgewise.kernels.autograd import Kernel
from edgewise.kernels.reference import CurveLayer, EdgeSpec

Refusal = str | None
FEW_SAMPLES = 4  # so few that finding the kernel and its tensors takes longer than the sums
Capability = Literal["layer", "network", "jets", "rational", "adam", "gauss_newton"]


class LayerKernel(Kernel, Protocol):
    """The capability "layer": the three contractions of `reference` for one layer of curves."""

    def refuses(self, spec: EdgeSpec, x: Tensor) -> Refusal: ...


@runtime_checkable
class NetworkKernel(Protocol):
    """The capability "network": a whole network in one call, without dispatch between its layers.

    `apply` is differentiable to any order in x and every coef and bias; it returns None where the kernel refuses. `few`
    computes at most FEW_SAMPLES without gradients, of layers wider than MAX_FEATURES too, or returns None.
    `TrainingSteps` trains the network: see `edgewise.kernels.cpu.network`.
    """

    TrainingSteps: Callable[..., Any]

    @property
    def MAX_FEATURES(self) -> int: ...

    def refuses(self, network: Sequence[CurveLayer], x: Tensor) -> Refusal: ...
    def apply(self, network: Sequence[CurveLayer], x: Tensor) -> Tensor | None: ...
    def few(self, network: Sequence[CurveLayer], x: Tensor) -> Tensor | None: ...


@runtime_checkable
class JetKernel(Protocol):
    """The capability "jets": values, first derivatives along directions and weighted second derivatives.

    `jet` is differentiable once in every coef and bias: see `edgewise.kernels.cpu.taylor`.
    """

    def refuses(self, network: Sequence[CurveLayer], x: Tensor, sums: int = 1) -> Refusal: ...
    def jet(
        self,
        network: Sequence[CurveLayer],
        x: Tensor,
        directions: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]: ...


@runtime_checkable
class RationalKernel(Protocol):
    r"""The capability "rational": $\sum_n a_n x^n / (1 + |\sum_m b_m x^m|)$ and its gradients in x, a and b.

    Shapes: x (*batch, features); a and b have a row per power and one column, or one per feature.
    """

    def refuses(self, x: Tensor, a: Tensor, b: Tensor) -> Refusal: ...
    def values(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor: ...
    def gradients(self, g: Tensor, x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]: ...


@runtime_checkable
class AdamKernel(Protocol):
    """The capability "adam": a step of AdamW for many tensors at once.

    `refuses(p, state)` takes a parameter and, where they exist, its two moments and its step count. `step` takes
    addresses: for each tensor those of parameter, gradient, first and second moment, and its size; `counts` are the
    addresses of the step counts, floats of `count_bytes` bytes, which are incremented.
    """

    def refuses(self, p: Tensor, state: Sequence[Tensor] = ()) -> Refusal: ...
    def step(
        self,
        dtype: torch.dtype,
        count_bytes: int,
        settings: tuple[float, float, float, float, float],
        tensors: Sequence[int],
        counts: Sequence[int],
    ) -> None: ...


@runtime_checkable
class GaussNewtonKernel(Protocol):
    r"""The capability "gauss_newton": $J^T A^T A J$ and the gradient of S small networks of curves, in float64.

    See `edgewise.kernels.cpu.gauss_newton`; `refuses` takes the functions of every layer of edges and the inputs.
    """

    LocalFeature: Callable[..., Any]

    def refuses(self, specs: Sequence[EdgeSpec], x: Tensor) -> Refusal: ...
    def curves(
        self, spec: EdgeSpec, x: Tensor, knots: Tensor, coef: Tensor, bias: Tensor | None, *, slopes: bool = False,
        known: Any = None,
    ) -> tuple[Any, Tensor, Tensor | None]: ...  # fmt: skip
    def pull_back(self, u: Tensor, slope: Tensor) -> Tensor: ...
    def add_gram(self, features: Sequence[Any], layers: Sequence[Tensor], gram: Tensor, gradient: Tensor) -> None: ...


class AdamSettings(NamedTuple):
    """The settings of `TrainingSteps`; `weight_decay` is decoupled (AdamW), times lr."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
