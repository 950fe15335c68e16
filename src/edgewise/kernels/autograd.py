r"""The derivative rules of the three contractions, written once for every basis and every backend.

All three are partial derivatives of $L_\nu(x; h, c, g)$ (see `reference`), so each derivative of each is one of the
three again; a derivative in x raises $\nu$ by one and multiplies by h. The rules hold for reverse and forward mode and
`vmap`, to any order. `grid` is not differentiated.
"""

# torch declares the rules of a Function with *args and Any.
# pyright: reportIncompatibleMethodOverride=false, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

import functools
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad
from torch.autograd.forward_ad import _set_fwd_grad_enabled, unpack_dual

from edgewise.kernels import reference
from edgewise.kernels.plain import foreign
from edgewise.kernels.reference import EdgeSpec

_transforms = torch._C._are_functorch_transforms_active


@runtime_checkable
class Kernel(Protocol):
    """The three contractions of one backend, with the signatures of `reference`."""

    def edge_sum(
        self,
        x: Tensor,
        coef: Tensor,
        grid: Tensor,
        spec: EdgeSpec,
        h: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor: ...
    def edge_pull(self, g: Tensor, x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec) -> Tensor: ...
    def edge_outer(self, g: Tensor, x: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None = None) -> Tensor: ...


def edge_sum(
    kernel: Kernel,
    x: Tensor,
    coef: Tensor,
    grid: Tensor,
    spec: EdgeSpec,
    h: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """`reference.edge_sum` computed by `kernel`, differentiable to any order."""
    if not _recorded():
        return kernel.edge_sum(x, coef, grid, spec, h, bias)
    return _apply(EdgeSum, x, coef, h, bias, grid, spec, kernel)


def edge_pull(kernel: Kernel, g: Tensor, x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec) -> Tensor:
    """`reference.edge_pull` computed by `kernel`, differentiable to any order."""
    if not _recorded():
        return kernel.edge_pull(g, x, coef, grid, spec)
    return _apply(EdgePull, g, x, coef, grid, spec, kernel)


def edge_outer(kernel: Kernel, g: Tensor, x: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None = None) -> Tensor:
    """`reference.edge_outer` computed by `kernel`, differentiable to any order."""
    if not _recorded():
        return kernel.edge_outer(g, x, grid, spec, h)
    return _apply(EdgeOuter, g, x, h, grid, spec, kernel)


def _forward_mode_inside(rule):
    """Let a jvp rule be differentiated in forward mode again.

    torch runs the rule with forward mode switched off, for all levels, so that a nested `torch.func.jvp` would silently
    return zeros. Switched on again, the rule must not see its own level: that tangent is what it computes.
    """

    @functools.wraps(rule)
    def nested(ctx: Any, *tangents: Tensor | None) -> Tensor | None:
        with _set_fwd_grad_enabled(True):
            primals = [t if t is None else unpack_dual(t).primal for t in ctx.saved_tensors]
            return rule(primals, ctx.spec, _served(ctx.kernel, *tangents), *tangents)

    return nested


class _Contraction(Function):
    """The common part: saved tensors for both modes, and `vmap` by folding the mapped axis into the batch."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.spec, ctx.kernel = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)


class EdgeSum(_Contraction):
    """`edge_sum` and its rules."""

    @staticmethod
    def forward(
        x: Tensor,
        coef: Tensor,
        h: Tensor | None,
        bias: Tensor | None,
        grid: Tensor,
        spec: EdgeSpec,
        kernel: Kernel,
    ) -> Tensor:
        return kernel.edge_sum(x, coef, grid, spec, h, bias)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, coef, h, bias, grid = ctx.saved_tensors
        spec, kernel = ctx.spec, _served(ctx.kernel, g)
        needs_x, needs_coef, needs_h, needs_bias = ctx.needs_input_grad[:4]
        fused = getattr(kernel, "edge_gradients", None)
        if fused is not None and not torch.is_grad_enabled():  # nothing differentiates these: one walk computes them
            dx, dc, db = fused(g, x, coef, grid, spec, h, ctx.needs_input_grad[:2], bias if needs_bias else None)
        else:
            dx = _times(edge_pull(kernel, g, x, coef, grid, spec.differentiated()), h) if needs_x else None
            dc = edge_outer(kernel, g, x, grid, spec, h) if needs_coef else None
            db = g.sum_to_size(bias.shape).to(bias.dtype) if needs_bias else None
        dh = edge_pull(kernel, g, x, coef, grid, spec) if needs_h else None
        return dx, dc, dh, db, None, None, None

    @staticmethod
    @_forward_mode_inside
    def jvp(primals: list, spec: EdgeSpec, kernel: Kernel, tx, tc, th, tb, *_: Any) -> Tensor | None:
        x, coef, h, _bias, grid = primals
        return _total(
            tx is not None and edge_sum(kernel, x, coef, grid, spec.differentiated(), _times(tx, h)),
            tc is not None and edge_sum(kernel, x, tc, grid, spec, h),
            th is not None and edge_sum(kernel, x, coef, grid, spec, th),
            tb is not None and tb.expand(*x.shape[:-1], -1),
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], x, coef, h, bias, grid, spec, kernel):
        if in_dims[1] is None and in_dims[3] is None and in_dims[4] is None:
            x, h = _leading(info.batch_size, (x, h), (in_dims[0], in_dims[2]))
            return edge_sum(kernel, x, coef, grid, spec, h, bias), 0
        mapped = torch.vmap(lambda *t: reference.edge_sum(t[0], t[1], t[4], spec, t[2], t[3]), in_dims[:5])
        return mapped(x, coef, h, bias, grid), 0


class EdgePull(_Contraction):
    """`edge_pull` and its rules."""

    @staticmethod
    def forward(g: Tensor, x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec, kernel: Kernel) -> Tensor:
        return kernel.edge_pull(g, x, coef, grid, spec)

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple[Tensor | None, ...]:
        g, x, coef, grid = ctx.saved_tensors
        spec, kernel = ctx.spec, _served(ctx.kernel, h)
        needs_g, needs_x, needs_coef = ctx.needs_input_grad[:3]
        dg = edge_sum(kernel, x, coef, grid, spec, h) if needs_g else None
        dx = h * edge_pull(kernel, g, x, coef, grid, spec.differentiated()) if needs_x else None
        dc = edge_outer(kernel, g, x, grid, spec, h) if needs_coef else None
        return dg, dx, dc, None, None, None

    @staticmethod
    @_forward_mode_inside
    def jvp(primals: list, spec: EdgeSpec, kernel: Kernel, tg, tx, tc, *_: Any) -> Tensor | None:
        g, x, coef, grid = primals
        return _total(
            tg is not None and edge_pull(kernel, tg, x, coef, grid, spec),
            tx is not None and tx * edge_pull(kernel, g, x, coef, grid, spec.differentiated()),
            tc is not None and edge_pull(kernel, g, x, tc, grid, spec),
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], g, x, coef, grid, spec, kernel):
        if in_dims[2] is None and in_dims[3] is None:
            g, x = _leading(info.batch_size, (g, x), in_dims[:2])
            return edge_pull(kernel, g, x, coef, grid, spec), 0
        mapped = torch.vmap(lambda *t: reference.edge_pull(*t, spec), in_dims[:4])
        return mapped(g, x, coef, grid), 0


class EdgeOuter(_Contraction):
    """`edge_outer` and its rules."""

    @staticmethod
    def forward(g: Tensor, x: Tensor, h: Tensor | None, grid: Tensor, spec: EdgeSpec, kernel: Kernel) -> Tensor:
        return kernel.edge_outer(g, x, grid, spec, h)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, ...]:
        g, x, h, grid = ctx.saved_tensors
        spec, kernel = ctx.spec, _served(ctx.kernel, c)
        needs_g, needs_x, needs_h = ctx.needs_input_grad[:3]
        dg = edge_sum(kernel, x, c, grid, spec, h) if needs_g else None
        dx = _times(edge_pull(kernel, g, x, c, grid, spec.differentiated()), h) if needs_x else None
        dh = edge_pull(kernel, g, x, c, grid, spec) if needs_h else None
        return dg, dx, dh, None, None, None

    @staticmethod
    @_forward_mode_inside
    def jvp(primals: list, spec: EdgeSpec, kernel: Kernel, tg, tx, th, *_: Any) -> Tensor | None:
        g, x, h, grid = primals
        return _total(
            tg is not None and edge_outer(kernel, tg, x, grid, spec, h),
            tx is not None and edge_outer(kernel, g, x, grid, spec.differentiated(), _times(tx, h)),
            th is not None and edge_outer(kernel, g, x, grid, spec, th),
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], g, x, h, grid, spec, kernel):
        # The result keeps the mapped axis while the batch axis is summed, so the samples cannot be folded together.
        mapped = torch.vmap(lambda *t: reference.edge_outer(t[0], t[1], t[3], spec, t[2]), in_dims[:4])
        return mapped(g, x, h, grid), 0


def _served(kernel: Kernel, *tensors: Tensor | None) -> Kernel:
    """The kernel of the forward pass, or the reference where it must not touch these gradients or tangents."""
    return kernel if torch.compiler.is_compiling() or foreign(*tensors) is None else cast(Kernel, reference)


def transformed() -> bool:
    """Inside a `torch.func` transform or forward-mode differentiation."""
    return _transforms() or forward_ad._current_level >= 0


def _recorded() -> bool:
    """Whether what is computed now may be differentiated."""
    return torch.is_grad_enabled() or transformed()


def _apply(function: type[_Contraction], *args: Any) -> Tensor:
    """`function.apply`; outside of `torch.func` that of a faster twin class.

    A Function with `setup_context` inspects its own signature at every call (torch 2.13), which takes ten times as long
    as a small contraction; one that sets up in `forward` does not, and is used where no transform is active.
    """
    return (function if transformed() else _twin(function)).apply(*args)


@functools.cache
def _twin(function: type[_Contraction]) -> type[Function]:
    compute = function.forward

    def forward(ctx: Any, *args: Any) -> Tensor:
        *tensors, ctx.spec, ctx.kernel = args
        ctx.save_for_backward(*tensors)
        return compute(*args)

    return type(
        function.__name__, (function,), {"forward": staticmethod(forward), "setup_context": Function.setup_context}
    )


def _times(t: Tensor, h: Tensor | None) -> Tensor:
    return t if h is None else t * h


def _total(*terms: Tensor | bool) -> Tensor | None:
    present = [t for t in terms if isinstance(t, Tensor)]
    return sum(present[1:], present[0]) if present else None


def _leading(size: int, tensors: tuple[Tensor | None, ...], dims: tuple[int | None, ...]) -> list[Tensor | None]:
    """Every tensor with the mapped axis in front, expanded where it was not mapped."""
    return [
        t if t is None else (t.expand(size, *t.shape) if d is None else t.movedim(d, 0))
        for t, d in zip(tensors, dims, strict=True)
    ]
