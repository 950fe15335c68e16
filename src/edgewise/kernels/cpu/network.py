r"""A whole small network in one native call: forward, backward, training steps and the Jacobian.

For a network such as [2, 5, 1] the time of a training step is Python and dispatch, not arithmetic. Here all layers of a
chunk of samples are computed in one call, one sample per vector lane (csrc/network.h). A network is a sequence of
`CurveLayer`: plain tensors, so that this module does not depend on `nn`.
"""

# torch declares the rules of a Function with *args and Any.
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._utils import _unflatten_dense_tensors
from torch.nn import Parameter

from edgewise.kernels import autograd, reference
from edgewise.kernels.capabilities import FEW_SAMPLES, AdamSettings
from edgewise.kernels.cpu import adamw, layer as single, load
from edgewise.kernels.cpu.packed import (
    HEAD,
    MAX_FEATURES,  # noqa: F401  (of the protocol)
    Network,
    Packed,
    packed,
    packed_networks,
    parameters,
    too_large,
    too_large_for_few,
)
from edgewise.kernels.plain import foreign
from edgewise.kernels.reference import CurveLayer, EdgeSpec

_ADAM, _ADAM_TENSOR = "@5dq", "4Pq"  # AdamArgs and, right behind it, AdamTensor of csrc/adam.h


def refuses(network: Network, x: Tensor) -> str | None:
    """Why a network cannot run in one native call at inputs like x; None where it can."""
    return None if _known(network, x) is not None else _reason(network, x)


def _reason(network: Network, x: Tensor, limit: Callable[[Tensor], str | None] = too_large) -> str | None:
    if x.device.type != "cpu":
        return f"inputs are on {x.device}"
    if (reason := foreign(layers=network)) is not None:
        return reason
    width = x.shape[-1] if x.ndim else 0
    for n, (coef, bias, grid, spec) in enumerate(network):
        if not x.dtype == coef.dtype == grid.dtype or (bias is not None and bias.dtype != x.dtype):
            return f"layer {n} is not {x.dtype} as the inputs are"
        reason = _layer_refuses(spec, coef.ndim, x.dtype) or limit(coef) or _mismatch(spec, width, coef, bias, grid)
        if reason is not None:
            return f"layer {n}: {reason}"
        width = coef.shape[-1]
    return None


def _mismatch(spec: EdgeSpec, width: int, coef: Tensor, bias: Tensor | None, grid: Tensor) -> str | None:
    """Why these are not the tensors of a layer that reads so many features."""
    basis: Any = spec.basis
    shapes = {"coef": (width, spec.size, coef.shape[-1]), "grid": (width, basis.intervals + 1), "bias": coef.shape[-1:]}
    for name, t in (("coef", coef), ("grid", grid), ("bias", bias)):
        if t is not None and (t.shape != shapes[name] or not t.is_cpu):
            return f"its {name} has the shape {tuple(t.shape)} on {t.device}, not {tuple(shapes[name])} on the CPU"
        if t is not None and name == "bias" and not t.is_contiguous():
            return "its bias is not contiguous"
    return "it has no features" if width == 0 else None


@functools.lru_cache(maxsize=256)
def _layer_refuses(spec: EdgeSpec, dimensions: int, dtype: torch.dtype) -> str | None:
    if dimensions != 3:
        return f"its coef has {dimensions} dimensions, not those of (in, size, out)"
    if spec.order != 0:
        return f"it is differentiated {spec.order} times"
    return single.refuses(spec, torch.empty(0, dtype=dtype, device="cpu"))


def few(network: Network, x: Tensor) -> Tensor | None:
    """The outputs of a few samples, without gradients; None where there are more, or layers too large for one thread.

    A layer is not limited to `MAX_FEATURES` then: for so few samples nothing is gained by sorting them.
    """
    kept = packed_networks.get(id(network[0].coef))
    if kept is None or not kept.serves(network, x):
        passing = any(type(part.coef) is not Parameter for part in network)  # made for this call
        if passing or _reason(network, x, too_large_for_few) is not None:
            return None
        kept = packed(network)
    samples = x.numel() // kept.features
    if samples > FEW_SAMPLES or not kept.few:
        return None
    x = x.contiguous()
    y = _outputs(kept, x)
    # `call` written out, which would take a fifth of the time of all of this.
    head = HEAD.pack(0, len(network), samples, x.data_ptr(), 0, 0, y.data_ptr(), 0, 0, 0)
    if load.function("network_few", x.dtype)(None, 1, head + kept.layers):
        raise RuntimeError("the native kernel refused a few samples")
    return y


def forward(network: Network, x: Tensor) -> Tensor:
    """The outputs of the network, (*batch, out); no gradients."""
    return _forward(_checked(network, x), x)


def jacobian(network: Network, x: Tensor) -> tuple[Tensor, Tensor]:
    """The outputs (batch, out) and their Jacobian (batch, out, parameters).

    Parameters come in the order of `parameters`: per layer the coefficients as stored, then the bias.
    """
    if x.ndim != 2:
        raise ValueError(f"the Jacobian is taken at points (batch, in), got the shape {tuple(x.shape)}")
    structs, x = _checked(network, x), x.contiguous()
    out = network[-1].coef.shape[-1]
    y, rows = x.new_empty((len(x), out)), x.new_empty((len(x), out, sum(t.numel() for t in parameters(network))))
    call("network_jacobian", structs, x, y=y, jacobian=rows)
    return y, rows


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
        self.network, self.steps = network, done
        self.moments = [(torch.zeros_like(t), torch.zeros_like(t)) for t in tensors] if moments is None else moments
        self._check(network[0].coef.new_empty(network[0].coef.shape[:1]))
        self._packed, self._seen = Packed(network), None
        self._adam = struct.Struct(_ADAM + len(tensors) * _ADAM_TENSOR)
        self.least = tensors[0].new_full((), torch.inf)
        self.best = tensors[0].new_empty(sum(t.numel() for t in tensors))

    def run(self, x: Tensor, target: Tensor, adam: AdamSettings = AdamSettings(), steps: int = 1) -> Tensor:  # noqa: B008
        """Do `steps` steps on these samples; returns the loss before each step.

        Ends before the first step whose loss is not finite, with that loss as the last of the losses. `least` becomes
        the least loss so far and `best` the parameters that had it.
        """
        tensors = self._addresses(x)
        shape = (*x.shape[:-1], self._packed.out)
        if target.shape != shape or target.dtype != x.dtype or not target.is_cpu or foreign(target) is not None:
            raise ValueError(
                f"the targets must be {x.dtype} of the shape {shape}, got {target.dtype}, {tuple(target.shape)}"
            )
        x, target = x.contiguous(), target.contiguous()
        losses = x.new_empty(steps)
        args = self._packed.args(x, target=target)
        settings = self._adam.pack(adam.lr, *adam.betas, adam.eps, adam.weight_decay, len(self.moments), *tensors)
        pointers = (ctypes.c_void_p(t.data_ptr()) for t in (losses, self.least, self.best))
        counts = ctypes.c_int64(self.steps), ctypes.c_int64(steps)
        load.function("network_steps", x.dtype).restype = ctypes.c_int64
        done = load.call("network_steps", x.dtype, args, settings, *counts, *pointers)
        self.steps += done
        return losses[: done + 1]

    def _addresses(self, x: Tensor) -> list[int]:
        """The numbers of AdamTensor (csrc/adam.h); what has not moved since the last call is not looked at again."""
        tensors = [
            value
            for p, (m, v) in zip(parameters(self.network), self.moments, strict=True)
            for value in (p.data_ptr(), 0, m.data_ptr(), v.data_ptr(), p.numel())
        ]
        seen = tensors, [t.numel() for pair in self.moments for t in pair]
        if seen != self._seen or not self._packed.serves(self.network, x) or foreign(x) is not None:
            self._check(x)
            self._packed, self._seen = Packed(self.network), seen
        return tensors

    def _check(self, x: Tensor) -> None:
        """Raise `ValueError` where native code must not touch the network, the moments or the inputs."""
        _checked(self.network, x)
        for p, state in zip(parameters(self.network), self.moments, strict=True):
            if (reason := adamw.refuses(p, state)) is not None:
                raise ValueError(f"this network cannot be trained in native code: {reason}")


class NetworkFunction(torch.autograd.Function):
    """The network as one node of the graph: `apply(x, packed, network, *parameters)`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, packed: Packed, network: Network, *tensors: Tensor) -> Tensor:
        ctx.packed, ctx.network = packed, network
        ctx.save_for_backward(x, *tensors)
        return _forward(packed, x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, *tensors = ctx.saved_tensors  # torch sees whether they have changed since
        again = torch.is_grad_enabled()  # the gradients may be differentiated
        if again or foreign(g) is not None:
            with torch.enable_grad():
                return _differentiable_gradients(ctx, x, g, again)
        packed = ctx.packed if ctx.packed.holds(ctx.network) else Packed(ctx.network)
        dx, slopes = _gradients(packed, tensors, x, g, ctx.needs_input_grad[0])
        return dx, None, None, *slopes


def apply(network: Network, x: Tensor) -> Tensor | None:
    """The outputs of the network, differentiable to any order in x and the `parameters`; None where it `refuses`."""
    known = _known(network, x)
    if known is None:
        if _reason(network, x) is not None:
            return None
        known = packed(network)
    if not torch.is_grad_enabled():
        return _forward(known, x)
    return NetworkFunction.apply(x, known, network, *parameters(network))


def _forward(packed: Packed, x: Tensor) -> Tensor:
    x = x.contiguous()
    y = _outputs(packed, x)
    call("network_forward", packed, x, y=y)
    return y


def _outputs(packed: Packed, x: Tensor) -> Tensor:
    *batch, _ = x.shape  # a slice of a torch.Size takes twice as long
    return x.new_empty(*batch, packed.out)


def _gradients(
    packed: Packed, tensors: list[Tensor], x: Tensor, g: Tensor, need_dx: bool
) -> tuple[Tensor | None, list[Tensor]]:
    x = x.contiguous()
    dx = torch.empty_like(x) if need_dx else None
    gradient = x.new_empty(packed.parameters)
    call("network_gradients", packed, x, g=g.contiguous(), dx=dx, gradient=gradient)
    return dx, views(gradient, tensors)


def _differentiable_gradients(ctx: Any, x: Tensor, g: Tensor, again: bool) -> tuple[Any, ...]:
    """The gradients by way of the layers one by one, whose rules are differentiable again, or of the reference."""
    kernel: Any = single if foreign(g) is None else reference
    y = x
    for part in ctx.network:
        y = autograd.edge_sum(kernel, y, part.coef, part.grid, part.spec)
        y = y if part.bias is None else y + part.bias
    inputs = [x, None, None, *parameters(ctx.network)]
    wanted = [t for t, needed in zip(inputs, ctx.needs_input_grad, strict=True) if needed]
    found = iter(torch.autograd.grad(y, wanted, g, create_graph=again))
    return tuple(next(found) if needed else None for needed in ctx.needs_input_grad)


def from_tensors(specs: Sequence[EdgeSpec], tensors: Sequence[Any]) -> list[CurveLayer]:
    """The layers from their specs and, for each, coef, bias and grid."""
    coefs, biases, grids = tensors[::3], tensors[1::3], tensors[2::3]
    return [CurveLayer(*parts) for parts in zip(coefs, biases, grids, specs, strict=True)]


def _checked(network: Network, x: Tensor) -> Packed:
    """The structs of a network; `ValueError` where it cannot run in native code at these inputs."""
    known = _known(network, x)
    reason = (_reason(network, x) if known is None else None) or foreign(x)
    if reason is not None:
        raise ValueError(f"this network cannot run in one native call: {reason}")
    return packed(network) if known is None else known


def _known(network: Network, x: Tensor) -> Packed | None:
    """The structs that serve this network at inputs like x, if there are any yet."""
    kept = packed_networks.get(id(network[0].coef))
    return kept if kept is not None and kept.small and kept.serves(network, x) else None


def views(flat: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The parts of a flat tensor in the shapes of these."""
    return list(_unflatten_dense_tensors(flat, tensors))


def call(name: str, packed: Packed, x: Tensor, *more: bytes, **tensors: Tensor | None) -> int:
    """Call a native function on a network; `more` are further packed structs."""
    return load.call(name, x.dtype, packed.args(x, **tensors), *more)
