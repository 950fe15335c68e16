r"""Chooses a learning rate for every factor of an adapter.

An input passes through the factors as a linear chain, $\phi \to V \to U \to G \to W \to y$. The rule `mup` gives every
factor the rate $\eta / n$, where n is the number of products that it sums (the argument of mu-P, Yang and Hu, arXiv
2011.14522, and of LoRA+, arXiv 2402.12354, for Adam). A step then moves the output equally at every width and rank:

$$ \eta_V = \eta / \overline{\textstyle\sum_k |B_k|}, \quad \eta_U = \eta / n_{in}, \quad \eta_G = \eta / (p q), \quad
   \eta_W = \eta / r $$

These rules are ours; we did not have the rule of the LoTRA paper.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from edgewise.adapters._slot import adapter_names, require_adapter
from edgewise.kernels import EdgeSpec, design
from edgewise.nn import KANLinear
from edgewise.nn.factors import FULL_SPREAD, Factors

M = TypeVar("M", bound=nn.Module)
ModelLoss = Callable[[nn.Module], Tensor]
RULES = ("mup", "relative", "calibrated", "identical")
POWERS = {"adam": 1, "sgd": 2}


def lotra_groups(
    model: nn.Module,
    lr: float = 0.1,
    *,
    rule: str = "mup",
    optimizer: str = "adam",
    rest: float | None = None,
    loss: ModelLoss | None = None,
) -> list[dict[str, Any]]:
    """Parameter groups for a torch optimiser: one per factor, each with its learning rate and no weight decay.

    Args:
        model: an adapted or slim model.
        lr: the base rate; 0.1 to 0.3 suits `mup` with Adam.
        rule: "mup"; "relative", the size of the factor's entries at the start; "calibrated", equal first-order decrease
            of `loss` for every factor of a layer; "identical".
        optimizer: "adam" or "sgd"; a step of SGD is proportional to the gradient, so its rates use the squared ratios.
        rest: the rate of all other trainable parameters (biases, other layers); 0.01 `lr` by default.
        loss: a function of the model, required by "calibrated".
    """
    if optimizer not in POWERS:
        raise ValueError(f"optimizer must be one of {', '.join(POWERS)}, got {optimizer!r}")
    ratios = lotra_ratios(model, rule, loss=loss)
    power = POWERS[optimizer]
    groups: list[dict[str, Any]] = []
    for name, (_, factors) in trained_factors(model).items():
        for part in factors.form.factors:
            rate = lr * (ratios[name][part] / factors.multipliers[part]) ** power
            groups.append(
                {"params": [getattr(factors, part)], "lr": rate, "weight_decay": 0.0, "name": f"{name}.{part}"}
            )
    grouped = {id(p) for group in groups for p in group["params"]}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in grouped]
    if others:
        groups.append({"params": others, "lr": 0.01 * lr if rest is None else rest, "name": "rest"})
    return groups


def reparametrised(model: M, rule: str = "mup", *, loss: ModelLoss | None = None) -> M:
    """A copy of the model whose factors are stored divided by their rates and multiplied by them in every forward pass.

    A single learning rate, as in LBFGS, Levenberg-Marquardt and other training loops, then acts like `lotra_groups`,
    exactly so with Adam. The function, merged models and files do not change.
    """
    ratios = lotra_ratios(model, rule, loss=loss)
    new = copy.deepcopy(model)
    for name, (_, factors) in trained_factors(new).items():
        factors.reparametrise_(ratios[name])
    return new


def lotra_ratios(model: nn.Module, rule: str = "mup", *, loss: ModelLoss | None = None) -> dict[str, dict[str, float]]:
    """The rate of every factor relative to the base rate, by the name of its module and its own name."""
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r}; choose one of {', '.join(RULES)}")
    found = trained_factors(model)
    if not found:
        require_adapter(model)
        raise ValueError(
            f"the adapters {', '.join(map(repr, adapter_names(model)))} are all frozen; unfreeze one to give it a rate"
        )
    if rule == "calibrated":
        if loss is None:
            raise ValueError("rule 'calibrated' measures gradients; give loss=, a function of the model")
        return _calibrated(model, loss)
    return {
        name: {part: _ratio(factors, part, rule, layer) for part in factors.form.factors}
        for name, (layer, factors) in found.items()
    }


def trained_factors(model: nn.Module) -> dict[str, tuple[KANLinear, Factors]]:
    """The trainable factors and their layers, by the name of the module that holds the factors."""
    return {
        f"{name}.{inside}".lstrip("."): (layer, module)
        for name, layer in model.named_modules()
        if isinstance(layer, KANLinear)
        for inside, module in layer.named_modules()
        if isinstance(module, Factors) and all(p.requires_grad for p in module.parameters())
    }


def _ratio(factors: Factors, part: str, rule: str, layer: KANLinear) -> float:
    if rule == "identical":
        return 1.0
    if rule == "mup":
        return (1.0 if factors.splits else FULL_SPREAD) / factors.fan_in(part, _activity(layer))
    return factors.spread(part)


@torch.no_grad()
def _activity(layer: KANLinear) -> float:
    r"""The mean of $\sum_k |B_k(x)|$ over the span of the grid, including the residual function."""
    grid = layer.grid.double()
    phi = design(layer.basis.sample_points(grid), grid, EdgeSpec(layer.basis, layer.residual))
    return phi.abs().sum(-1).mean().item()


def _calibrated(model: nn.Module, loss: ModelLoss) -> dict[str, dict[str, float]]:
    r"""Ratios $\propto 1/\|\partial L/\partial F\|_1$: a sign step of every factor lowers the loss equally.

    The core keeps its `mup` ratio. While it is zero so are the other gradients; they are measured after a small step of
    the core and scaled to a core of its usual size.
    """
    probe = copy.deepcopy(model)
    found = trained_factors(probe)
    first = _gradients(probe, loss)
    growth: dict[str, float] = {}
    for name, (_, factors) in found.items():
        core = getattr(factors, factors.form.core)
        if not core.any():
            growth[name] = 10.0
            with torch.no_grad():
                core.sub_(factors.spread(factors.form.core) / growth[name] * first[name][factors.form.core].sign())
    second = _gradients(probe, loss)
    ratios: dict[str, dict[str, float]] = {}
    for name, (layer, factors) in found.items():
        core = factors.form.core
        anchor = _ratio(factors, core, "mup", layer)
        norms = {part: growth.get(name, 1.0) * second[name][part].abs().sum().item() for part in factors.form.factors}
        norms[core] = first[name][core].abs().sum().item()
        if not all(math.isfinite(norm) and norm > 0 for norm in norms.values()):
            raise ValueError(f"{name}: the loss has no finite gradient in all factors ({norms}); use another rule")
        ratios[name] = {part: anchor * norms[core] / norm for part, norm in norms.items()}
    return ratios


def _gradients(model: nn.Module, loss: ModelLoss) -> dict[str, dict[str, Tensor]]:
    found = trained_factors(model)
    parameters = [getattr(factors, part) for _, factors in found.values() for part in factors.form.factors]
    flat = iter(torch.autograd.grad(loss(model), parameters))
    return {name: {part: next(flat) for part in factors.form.factors} for name, (_, factors) in found.items()}
