r"""Adam with decoupled weight decay as one native call for all tensors.

Kingma and Ba, arXiv 1412.6980, algorithm 1; Loshchilov and Hutter, arXiv 1711.05101, algorithm 2:

$$ m \gets \beta_1 m + (1 - \beta_1) g, \quad v \gets \beta_2 v + (1 - \beta_2) g^2, \quad
   p \gets (1 - \eta\lambda)\, p - \eta\, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon} $$
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from edgewise.kernels import find, foreign


class Adam(Optimizer):
    """`torch.optim.AdamW`, of which it has the state, for models whose step is short.

    A step of torch's fused Adam on a network such as [2, 5, 1] takes longer than forward and backward together. Here
    dense float32 and float64 tensors on the CPU are done in one native call; any others in torch.

    Args:
        params: tensors or groups of them, as every torch optimiser takes them.
        lr: learning rate.
        betas: decay of the running means of the gradient and of its square.
        eps: added to the root in the denominator.
        weight_decay: decoupled from the gradient: a step shrinks a parameter by `lr * weight_decay` of itself.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not (lr >= 0 and eps >= 0 and weight_decay >= 0 and all(0 <= b < 1 for b in betas)):
            raise ValueError(
                f"Adam takes lr, eps and weight_decay of at least 0 and betas in [0, 1), got lr={lr}, eps={eps}, "
                f"weight_decay={weight_decay}, betas={betas}"
            )
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self._seen: dict[int, _Seen] = {}

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step; with a closure, on the loss that it computes and returns."""
        if _has_hooks(self):
            return _hooked_step(self, closure)
        return self._step(closure)

    step.hooked = True  # pyright: ignore[reportFunctionMemberAccess]  torch's own wrapper takes as long as the step

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""
        if not set_to_none:
            return super().zero_grad(set_to_none=False)
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None
        return None

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._seen = {}

    def _step(self, closure: Callable[[], Any] | None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._advance(group)
        return loss

    def _advance(self, group: dict[str, Any]) -> None:
        """One step of the tensors of a group: those of each dtype in one native call, the others one by one."""
        seen, states, native = self._seen, self.state, foreign() is None
        calls: dict[tuple[Any, torch.dtype, int], tuple[list[int], list[int]]] = {}
        changed = []
        for p in group["params"]:
            g = p.grad
            if g is None:
                continue
            state = states[p]
            kept = seen.get(id(p))
            if kept is None or not kept.holds(p, state):
                kept = seen[id(p)] = _Seen.of(p, state)
            if kept.kind is None or not native or not _is_plain(g, p) or g.numel() != kept.numel:
                _step_in_torch_(p, g, state, group)
                continue
            tensors, counts = calls.setdefault(kept.kind, ([], []))
            tensors += (kept.p, g.data_ptr(), kept.m, kept.v, kept.numel)
            counts.append(kept.count_address)
            changed.append(p)
        for (kernel, dtype, count_bytes), (tensors, counts) in calls.items():
            settings = group["lr"], *group["betas"], group["eps"], group["weight_decay"]
            kernel.step(dtype, count_bytes, settings, tensors, counts)
        torch._C._increment_version(changed)


class _Seen(NamedTuple):
    """A parameter and its state as they were at the last step: what need not be looked up again, while it `holds`."""

    kind: tuple[Any, torch.dtype, int] | None  # the kernel that serves it, in one call for each of these
    state: dict[str, Tensor]
    first: Tensor
    second: Tensor
    steps: Tensor
    p: int
    m: int
    v: int
    count_address: int
    numel: int

    def holds(self, p: Tensor, state: dict[str, Tensor]) -> bool:
        return (
            state is self.state
            and state.get("exp_avg") is self.first
            and state.get("exp_avg_sq") is self.second
            and state.get("step") is self.steps
            and (self.kind is None or (p.data_ptr() == self.p and p.numel() == self.numel and self._stays()))
        )

    def _stays(self) -> bool:
        """Whether the state is where it was: `share_memory_`, `resize_` and `set_` move a tensor in place."""
        m, v = self.first, self.second
        moved = m.data_ptr() != self.m or v.data_ptr() != self.v or self.steps.data_ptr() != self.count_address
        return not moved and m.numel() == v.numel() == self.numel

    @classmethod
    def of(cls, p: Tensor, state: dict[str, Tensor]) -> _Seen:
        m, v, count = state_of(p, state)
        kernel = find("adam", p, (m, v, count))
        if kernel is None:  # some of these have no address
            return cls(None, state, m, v, count, 0, 0, 0, 0, 0)
        kind = kernel, p.dtype, count.element_size()
        return cls(kind, state, m, v, count, p.data_ptr(), m.data_ptr(), v.data_ptr(), count.data_ptr(), p.numel())


def state_of(p: Tensor, state: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """The two moments and the step count of a parameter, as torch begins them where there are none.

    Raises `ValueError` for the state of another parameter, which `load_state_dict` takes without a word.
    """
    if not state:
        state["step"] = torch.zeros((), dtype=torch.promote_types(torch.float32, torch.get_default_dtype()))
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
    m, v, count = (state.get(name) for name in ("exp_avg", "exp_avg_sq", "step"))
    for name, t, shape in (("exp_avg", m, p.shape), ("exp_avg_sq", v, p.shape), ("step", count, ())):
        if not isinstance(t, Tensor) or t.shape != shape:
            shown = tuple(t.shape) if isinstance(t, Tensor) else t
            raise ValueError(
                f"the optimiser's state of a parameter of the shape {tuple(p.shape)} has {name} {shown}, not a tensor "
                f"of the shape {tuple(shape)}; load the state of an optimiser of the same model, or start without one"
            )
    return m, v, count  # pyright: ignore[reportReturnType]


def _is_plain(g: Tensor, p: Tensor) -> bool:
    """Whether a gradient is dense memory in order; `foreign`, which takes three times as long, is for new tensors."""
    strided = type(g) is Tensor and g.layout is torch.strided and g.is_contiguous()
    return strided and g.dtype is p.dtype and g.device == p.device and not g.is_neg()


@torch.no_grad()
def _step_in_torch_(p: Tensor, g: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
    """The same step in torch, for any dtype, device and layout."""
    if g.is_sparse:
        raise ValueError("Adam takes dense gradients; use torch.optim.SparseAdam for sparse ones")
    (beta1, beta2), lr = group["betas"], group["lr"]
    state["step"] += 1
    m, v, t = state["exp_avg"], state["exp_avg_sq"], float(state["step"])
    m.lerp_(g, 1 - beta1)
    v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    p.mul_(1 - lr * group["weight_decay"])
    p.addcdiv_(m, (v / (1 - beta2**t)).sqrt_().add_(group["eps"]), value=-lr / (1 - beta1**t))


def _has_hooks(optimizer: Optimizer) -> bool:
    """True where hooks are registered or the profiler runs: every step is reported to them."""
    return bool(
        optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
        or _global_optimizer_pre_hooks
        or _global_optimizer_post_hooks
        or torch.autograd.profiler._is_profiler_enabled
    )


_hooked_step = Optimizer.profile_hook_step(Adam._step)
