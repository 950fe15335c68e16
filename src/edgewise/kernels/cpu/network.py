r"""A whole small network in one native call: forward, backward, training steps and Gauss-Newton systems.

For a network such as [2, 5, 1] the time of a training step is Python and dispatch, not arithmetic. Here all layers of a
chunk of samples are computed in one call, one sample per vector lane (csrc/network.h). A network is a sequence of
`CurveLayer`: plain tensors, so that this module does not need to know modules.
"""

# torch declares the rules of a Function with *args and Any.
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from edgewise.kernels import autograd
from edgewise.kernels.cpu import layer as single, load
from edgewise.kernels.reference import CurveLayer, EdgeSpec

# Above these a layer is better served by itself: its outputs fill vectors, and sorting pays (csrc/walk.h).
MAX_FEATURES = 32
MAX_SIZE = 64


Network = Sequence[CurveLayer]


# The C structs of csrc/network.h: NetworkArgs and, right behind it, a NetworkLayer per layer. Packing takes a fifth
# of the time of ctypes.
_ARGS, _LAYER = "@P2q7P", "5P2q3i4x"
_ADAM, _ADAM_TENSOR = "@5dq", "4Pq"  # AdamArgs and, right behind it, AdamTensor of csrc/adam.h


def refuses(network: Network, x: Tensor) -> str | None:
    """Why a network cannot run in one native call at inputs like x; None where it can."""
    if x.device.type != "cpu":
        return f"inputs are on {x.device}"
    for n, (coef, bias, grid, spec) in enumerate(network):
        if not x.dtype == coef.dtype == grid.dtype or (bias is not None and bias.dtype != x.dtype):
            return f"layer {n} is not {x.dtype} as the inputs are"
        reason = _layer_refuses(spec, coef.shape, x.dtype)
        if reason is not None:
            return f"layer {n}: {reason}"
    return None


@functools.lru_cache(maxsize=256)
def _layer_refuses(spec: EdgeSpec, shape: torch.Size, dtype: torch.dtype) -> str | None:
    features, size, out = shape
    if max(features, out) > MAX_FEATURES or size > MAX_SIZE:
        return f"it has more than {MAX_FEATURES} features or {MAX_SIZE} coefficients per edge"
    if spec.order != 0:
        return f"it is differentiated {spec.order} times"
    return single.refuses(spec, torch.empty(0, dtype=dtype))


def forward(network: Network, x: Tensor) -> Tensor:
    """The outputs of the network, (*batch, out); no gradients."""
    x = _dense(x)
    y = x.new_empty((*x.shape[:-1], network[-1].coef.shape[-1]))
    call("network_forward", network, x, y=y)
    return y


def gradients(
    network: Network, x: Tensor, g: Tensor, *, need_dx: bool = True
) -> tuple[Tensor | None, list[tuple[Tensor, Tensor | None]]]:
    """The gradients of sum(g * y) in x and, per layer, in (coef, bias)."""
    x, g = _dense(x), _dense(g)
    dx = torch.empty_like(x) if need_dx else None
    results = empty_gradients(network)
    call("network_gradients", network, x, results, g=g, dx=dx)
    return dx, results


def mse_gradients(
    network: Network, x: Tensor, target: Tensor, results: list[tuple[Tensor, Tensor | None]] | None = None
) -> tuple[Tensor, list[tuple[Tensor, Tensor | None]]]:
    """The mean squared error and its gradients per layer in (coef, bias), into `results` where they are given."""
    x, target = _dense(x), _dense(target)
    loss = x.new_empty(())
    results = empty_gradients(network) if results is None else results
    call("network_gradients", network, x, results, target=target, loss=loss)
    return loss, results


def jacobian(network: Network, x: Tensor) -> tuple[Tensor, Tensor]:
    """The outputs (batch, out) and their Jacobian (batch, out, parameters).

    Parameters come in the order of `parameters`: per layer the coefficients as stored, then the bias.
    """
    x = _dense(x)
    out = network[-1].coef.shape[-1]
    y, rows = x.new_empty((len(x), out)), x.new_empty((len(x), out, sum(t.numel() for t in parameters(network))))
    call("network_jacobian", network, x, y=y, jacobian=rows)
    return y, rows


def gauss_newton(
    network: Network, x: Tensor, target: Tensor, weight: Tensor | None = None, *, rows: int = 4096
) -> tuple[Tensor, Tensor, Tensor]:
    r"""The normal equations of least squares: $J^\top W J$, $J^\top W r$ and $\sum w r^2$ with $r = y(x) - $ target.

    Rows of J are samples times outputs. At most `rows` of them exist at a time, so the memory is that of the result.

    Args:
        network: the layers.
        x: inputs, (batch, in).
        target: what the outputs should be, (batch, out).
        weight: of each squared residual, (batch, out) or broadcastable to it; ones by default.
        rows: the largest number of rows of J to hold.
    """
    count = sum(t.numel() for t in parameters(network))
    hessian, gradient, loss = x.new_zeros((count, count)), x.new_zeros(count), x.new_zeros(())
    step = max(1, rows // target.shape[-1])
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        y, j = jacobian(network, x[part])
        residual, j = (y - target[part]).flatten(), j.flatten(0, 1)
        if weight is None:
            weighted, scaled = j, residual
        else:
            w = weight.expand_as(target)[part].flatten()
            weighted, scaled = j * w[:, None], residual * w
        hessian.addmm_(j.T, weighted)
        gradient.addmv_(j.T, scaled)
        loss += residual @ scaled
    return hessian, gradient, loss


def parameters(network: Network) -> list[Tensor]:
    """The parameters in the order of the columns of the Jacobian."""
    return [t for part in network for t in (part.coef, part.bias) if t is not None]


class Adam(NamedTuple):
    """The settings of Adam; `weight_decay` is decoupled (AdamW), times lr."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0


class TrainingSteps:
    """Full training steps in native code: forward, backward and Adam, for the mean squared error.

    The tensors of the network, in the order of `parameters`, and the moments of Adam are changed in place.

    Args:
        network: the layers to train.
        moments: Adam's two running means per parameter tensor, dense; zeros by default.
        done: the steps that the moments have seen.
    """

    def __init__(self, network: Network, moments: Sequence[tuple[Tensor, Tensor]] | None = None, done: int = 0) -> None:
        tensors = parameters(network)
        reason = refuses(network, network[0].coef)
        if reason is None and not all(t.is_contiguous() for t in tensors):
            reason = "a parameter is not contiguous"
        if reason is not None:
            raise ValueError(f"this network cannot be trained in native code: {reason}")
        self.network, self.steps = network, done
        self.moments = [(torch.zeros_like(t), torch.zeros_like(t)) for t in tensors] if moments is None else moments
        self._results = empty_gradients(network)
        self._layers = _Layers(network, self._results)
        slopes = (g for pair in self._results for g in pair if g is not None)
        self._tensors = [
            number
            for p, g, (m, v) in zip(tensors, slopes, self.moments, strict=True)
            for number in (p.data_ptr(), g.data_ptr(), m.data_ptr(), v.data_ptr(), p.numel())
        ]
        self._adam = struct.Struct(_ADAM + len(tensors) * _ADAM_TENSOR)
        self._loss = tensors[0].new_empty(())
        self.least = torch.full_like(self._loss, torch.inf)
        self.best = tensors[0].new_empty(sum(t.numel() for t in tensors))

    def run(self, x: Tensor, target: Tensor, adam: Adam = Adam(), steps: int = 1) -> Tensor:  # noqa: B008
        """So many steps on these samples; returns the loss before each step.

        Ends before the first step whose loss is not finite, with that loss as the last of the losses. `least` becomes
        the least loss so far and `best` the parameters that had it.
        """
        x, target = x.contiguous(), target.contiguous()
        losses = x.new_empty(steps)
        count = x.numel() // x.shape[-1]
        args = self._layers.packed(count, x.data_ptr(), target=target.data_ptr(), loss=self._loss.data_ptr())
        settings = self._adam.pack(adam.lr, *adam.betas, adam.eps, adam.weight_decay, len(self.moments), *self._tensors)
        pointers = (ctypes.c_void_p(t.data_ptr()) for t in (losses, self.least, self.best))
        numbers = ctypes.c_int64(self.steps), ctypes.c_int64(steps)
        call_steps = _function("network_steps", x.dtype)
        call_steps.restype = ctypes.c_int64
        done = call_steps(_pool(), torch.get_num_threads(), args, settings, *numbers, *pointers)
        self.steps += done
        return losses[: done + 1]


class NetworkFunction(torch.autograd.Function):
    """The network as one node of the graph: `apply(x, network, *parameters)` with coef and bias of every layer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, network: Network, *tensors: Tensor | None) -> Tensor:
        ctx.fixed = [(p.grid, p.spec) for p in network]
        ctx.save_for_backward(x, *tensors)
        return forward(network, x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, *tensors = ctx.saved_tensors
        network = [CurveLayer(tensors[2 * n], tensors[2 * n + 1], *fixed) for n, fixed in enumerate(ctx.fixed)]
        if torch.is_grad_enabled():  # somebody will differentiate what this returns
            return _differentiable_gradients(ctx, network, x, g)
        dx, results = gradients(network, x, g, need_dx=ctx.needs_input_grad[0])
        return dx, None, *(t for pair in results for t in pair)


def apply(network: Network, x: Tensor) -> Tensor:
    """The outputs of the network, differentiable to any order in x and in every coef and bias."""
    if not torch.is_grad_enabled():
        return forward(network, x)
    return NetworkFunction.apply(x, network, *(t for p in network for t in p[:2]))


def _differentiable_gradients(ctx: Any, network: Network, x: Tensor, g: Tensor) -> tuple[Any, ...]:
    """The gradients by way of the layers one by one, whose rules are differentiable again."""
    y = x
    for part in network:
        y = autograd.edge_sum(single, y, part.coef, part.grid, part.spec)
        y = y if part.bias is None else y + part.bias
    inputs = [x, None, *(t for part in network for t in part[:2])]
    wanted = [t for t, needed in zip(inputs, ctx.needs_input_grad, strict=True) if needed]
    found = iter(torch.autograd.grad(y, wanted, g, create_graph=True))
    return tuple(next(found) if needed else None for needed in ctx.needs_input_grad)


def from_tensors(specs: Sequence[EdgeSpec], tensors: Sequence[Any]) -> list[CurveLayer]:
    """The layers from their specs and, for each, coef, bias and grid."""
    coefs, biases, grids = tensors[::3], tensors[1::3], tensors[2::3]
    return [CurveLayer(*parts) for parts in zip(coefs, biases, grids, specs, strict=True)]


def empty_gradients(network: Network) -> list[tuple[Tensor, Tensor | None]]:
    """Room for the gradients of every (coef, bias)."""
    return [
        (p.coef.new_empty(p.coef.shape), None if p.bias is None else p.bias.new_empty(p.bias.shape)) for p in network
    ]


class _Layers:
    """The layers as C structs; keeps alive what they point to."""

    def __init__(self, network: Network, results: Sequence[tuple[Tensor, Tensor | None]] | None) -> None:
        self._format = _struct(len(network))
        self._kept, self._values = [], []
        for n, (coef, bias, grid, spec) in enumerate(network):
            basis: Any = spec.basis
            coef, plan = coef.contiguous(), single.grid_plan(grid, basis)
            dcoef, dbias = (None, None) if results is None else results[n]
            self._kept += [coef, plan]
            features, _, out = coef.shape
            self._values += [
                plan.data_ptr(),
                coef.data_ptr(),
                0 if bias is None else bias.data_ptr(),
                0 if dcoef is None else dcoef.data_ptr(),
                0 if dbias is None else dbias.data_ptr(),
                features,
                out,
                basis.intervals,
                basis.degree,
                single.RESIDUAL[spec.residual],
            ]

    def packed(
        self, batch: int, x: int, *, g: int = 0, target: int = 0, y: int = 0, dx: int = 0, loss: int = 0,
        jacobian: int = 0,
    ) -> bytes:  # fmt: skip
        """The arguments of a native call: addresses of the tensors, then the layers."""
        count = len(self._kept) // 2
        return self._format.pack(0, count, batch, x, g, target, y, dx, loss, jacobian, *self._values)


@functools.cache
def _struct(layers: int) -> struct.Struct:
    return struct.Struct(_ARGS + layers * _LAYER)


def call(
    name: str,
    network: Network,
    x: Tensor,
    results: Sequence[tuple[Tensor, Tensor | None]] | None = None,
    *more: bytes,
    **tensors: Tensor | None,
) -> int:
    """Call a native function on a network; `more` are further packed structs."""
    layers = _Layers(network, results)
    pointers = {key: t.data_ptr() for key, t in tensors.items() if t is not None}
    args = layers.packed(x.numel() // x.shape[-1], x.data_ptr(), **pointers)
    return _function(name, x.dtype)(_pool(), torch.get_num_threads(), args, *more)


@functools.cache
def _function(name: str, dtype: torch.dtype) -> Any:
    return getattr(load.library(), f"ew_{name}_{single.SUFFIX[dtype]}")


@functools.cache
def _pool() -> ctypes.c_void_p:
    return ctypes.c_void_p(load.parallel_for())


def _dense(t: Tensor) -> Tensor:
    return t.contiguous()
