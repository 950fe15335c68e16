"""Steps of Adam on the mean squared error in one native call, where that is exactly what the optimiser would do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from edgewise.kernels import AdamSettings, CurveLayer, find, foreign, under_autocast
from edgewise.nn import KAN
from edgewise.optim import Adam, Loss, get_loss
from edgewise.optim.adam import state_of

_HOOKS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")


class NativeSteps:
    """Trains the tensors of a model and the state of its torch optimiser in place: each stays what it was to others."""

    def __init__(self, model: KAN, optimizer: Optimizer, kernel: Any, network: list[CurveLayer]) -> None:
        self.names = {id(p): name for name, p in model.named_parameters()}
        self.network = network
        self.parameters = _parameters(network)
        (self._group,) = optimizer.param_groups
        self._states = [optimizer.state[p] for p in self.parameters]
        moments = [state_of(p, state)[:2] for p, state in zip(self.parameters, self._states, strict=True)]
        self._steps = kernel.TrainingSteps(network, moments, int(self._states[0]["step"]))

    def serves(self, x: Tensor, y: Tensor, weights: Tensor | None) -> bool:
        """The samples are plain: of the model's dtype, without weights."""
        first = self.network[0].coef
        plain = x.dtype == y.dtype == first.dtype and x.device == y.device == first.device
        shape = (*x.shape[:-1], self.network[-1].coef.shape[-1])
        plain = plain and foreign(x, y) is None
        return weights is None and plain and x.numel() > 0 and y.shape == shape and x.shape[-1] == len(first)

    def run(self, x: Tensor, y: Tensor, steps: int) -> list[float]:
        """So many steps; the loss before each. Ends before a step whose loss is not finite, which comes last then."""
        group, before = self._group, self._steps.steps
        adam = AdamSettings(float(group["lr"]), group["betas"], group["eps"], group["weight_decay"])
        with torch.no_grad():
            losses = self._steps.run(x.detach(), y.detach(), adam, steps)
            for state in self._states:
                state["step"] += self._steps.steps - before
        return losses.tolist()

    def best(self) -> dict[str, Tensor]:
        """The parameters that had the least loss of all steps so far, by name."""
        parts = self._steps.best.split([p.numel() for p in self.parameters])
        return {self.names[id(p)]: t.view_as(p).clone() for p, t in zip(self.parameters, parts, strict=True)}


def native_steps(model: nn.Module, optimizer: Optimizer, loss: Loss) -> NativeSteps | None:
    """The native steps of this model, optimiser and loss; None where torch must do them."""
    if loss is not get_loss("mse") or not isinstance(model, KAN):
        return None
    network = model.plain_call()
    if network is None or not _is_adam(optimizer):
        return None
    parameters = _parameters(network)
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    if {id(p) for p in parameters} != {id(p) for p in trained} or len(parameters) != len(trained):
        return None
    states = [state_of(p, state) for p in parameters if (state := optimizer.state.get(p))]
    free = all(p.requires_grad and p.is_contiguous() and not _has_hooks(p) for p in parameters)
    if not free or len({int(count) for *_, count in states}) > 1:
        return None
    first, moments = parameters[0], [t for tensors in states for t in tensors[:2]]
    plain = all(t.is_contiguous() and t.dtype is first.dtype and t.device == first.device for t in moments)
    if not plain or under_autocast(first) or foreign(*(t for tensors in states for t in tensors)) is not None:
        return None
    kernel = find("network", network, first.new_empty(len(first)))
    return None if kernel is None else NativeSteps(model, optimizer, kernel, network)


def _is_adam(optimizer: Optimizer) -> bool:
    """Adam or AdamW as in the papers: no variant, no decay inside the gradient, one group, no hooks."""
    if type(optimizer) not in (Adam, torch.optim.Adam, torch.optim.AdamW) or len(optimizer.param_groups) != 1:
        return False
    group = optimizer.param_groups[0]
    variants = ("amsgrad", "maximize", "differentiable", "capturable")
    decoupled = group.get("decoupled_weight_decay", type(optimizer) is not torch.optim.Adam)
    return (
        not any(group.get(name) for name in variants)
        and (decoupled or group["weight_decay"] == 0)
        and not any(isinstance(beta, Tensor) for beta in group["betas"])
        and not any(getattr(optimizer, name) for name in _HOOKS)
    )


def _parameters(network: list[CurveLayer]) -> list[Tensor]:
    return [t for layer in network for t in (layer.coef, layer.bias) if t is not None]


def _has_hooks(p: Tensor) -> bool:
    return bool(p._backward_hooks or p._post_accumulate_grad_hooks)
