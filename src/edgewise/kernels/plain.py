"""Which tensors and calls native code may serve: a tensor is nothing but dense memory of its own, and nobody traces.

Native code takes an address. A tensor that is more than its memory (a subclass, fake, functional, sparse, nested,
negated lazily) or has none (meta, symbolic zeros) would be read wrongly. A tracer, or a mode that replaces operations,
would not see the call, and would record a result that nothing has computed.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

TRACED = "the call is traced, or a mode replaces operations (jit.trace, make_fx, fake tensors, FLOP counts)"

_DEVICES = ("CPU", "CUDA", "XPU", "MPS")
_TYPES = (Tensor, Parameter)

# A call of these takes 30 ns to 80 ns; looked up in their modules, twice as long.
_modes, _function_modes = torch._C._len_torch_dispatch_stack, torch._C._len_torch_function_stack
_tracing, _transforms = torch._C._is_tracing, torch._C._are_functorch_transforms_active
_keys = torch._C._dispatch_keys


def foreign(*tensors: Tensor | None, layers: Sequence[Any] = ()) -> str | None:
    """Why native code must not touch these tensors now; None where it may.

    Of each of the `layers` the first three are coef, bias and grid, which live long: they are looked at once.
    Not for calls while torch compiles, whose tensors are fake by design.
    """
    if _modes() or _tracing() or (_function_modes() and _pre_dispatch()):
        return TRACED
    for t in tensors:
        if t is not None and (type(t) not in _TYPES or _keys(t).raw_repr() not in _PLAIN) and not _peels(t):
            return _kind(t)
    if not layers:
        return None
    for layer in layers:
        kept = _seen.get(id(layer[0]))
        if kept is None or kept[0]() is not layer[0] or kept[1]() is not layer[1] or kept[2]() is not layer[2]:
            reason = _look(*layer[:3])
            if reason is not None:
                return reason
    return None


def _look(coef: Tensor, bias: Tensor | None, grid: Tensor) -> str | None:
    """`foreign` of the tensors of a layer; remembered where they are plain and the coefficients are a parameter."""
    reason = foreign(coef, bias, grid)
    if reason is None and type(coef) is Parameter and not _transforms():
        key = id(coef)
        forget = weakref.ref(coef, lambda _: _seen.pop(key, None))
        _seen[key] = forget, _nothing if bias is None else weakref.ref(bias), weakref.ref(grid)
    return reason


def _nothing() -> None:
    return None


_seen: dict[int, tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]] = {}


def _peels(t: Tensor) -> bool:
    """Whether plain memory is below the wrappers of `torch.func.grad`, `jvp` and `vmap`, which `autograd` peels off."""
    if not _transforms():
        return False
    functorch: Any = torch._C._functorch  # pyright: ignore[reportAttributeAccessIssue]
    while functorch.is_functorch_wrapped_tensor(t):
        if _keys(t).has(torch._C.DispatchKey.Functionalize):
            return False
        t = functorch.get_unwrapped(t)
    return type(t) in _TYPES and _keys(t).raw_repr() in _PLAIN


def _pre_dispatch() -> bool:
    """Whether modes are active above autograd, as under `make_fx(pre_dispatch=True)`: torch keeps these apart."""
    return torch._ops._len_torch_dispatch_stack_pre_dispatch() > 0


def _kind(t: Tensor) -> str:
    what = f"a {type(t).__name__}" if type(t) not in _TYPES else f"{t.layout} with the keys {_keys(t)}"
    return f"a tensor is not dense memory of its own: it is {what}"


def _bits(*names: str) -> int:
    """The dispatch keys of a tensor as an integer."""
    total: Any = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, names[0]))
    for name in names[1:]:
        total |= torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, name))
    return total.raw_repr()


# The keys of a dense tensor, and of one made in inference mode, which has none of autograd.
_PLAIN = frozenset(
    keys
    for d in _DEVICES
    for keys in (_bits(d, f"Autograd{d}", f"Autocast{d}", "ADInplaceOrView"), _bits(d, f"Autocast{d}"))
)
