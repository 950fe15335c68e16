r"""What kind of function is this? Separability and symmetry of any callable, from its first and second derivatives.

Additive: $\partial_i \partial_j f = 0$ for i, j in different groups. Multiplicative: $f\,\partial_i \partial_j f =
\partial_i f\,\partial_j f$ (the mixed derivative of $\log f$). Two variables act only through their difference, sum,
product, ratio or sum of squares where the gradient satisfies an equation, see `edgewise.discovery.variables`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.structure import PAIRINGS


@dataclass(frozen=True)
class Anatomy:
    """How the variables of a function act together.

    Attributes:
        names: of the variables.
        influence: root mean square of each partial derivative times the spread of its variable, in spreads of f.
        interactions: the same for every mixed second derivative; zero where two variables do not interact.
        additive: groups of variables whose parts add up to f.
        multiplicative: groups of variables whose parts multiply to f.
        together: (i, j, name) of pairs that act only through their difference, sum, product, ratio or sum of squares.
    """

    names: tuple[str, ...]
    influence: tuple[float, ...]
    interactions: tuple[tuple[float, ...], ...]
    additive: tuple[tuple[int, ...], ...]
    multiplicative: tuple[tuple[int, ...], ...]
    together: tuple[tuple[int, int, str], ...]

    def to_json(self) -> dict[str, Any]:
        """The answers as a JSON object, variables by name."""

        def named(groups: tuple[tuple[int, ...], ...]) -> list[list[str]]:
            return [[self.names[j] for j in group] for group in groups]

        return {
            "names": list(self.names),
            "influence": list(self.influence),
            "interactions": [list(row) for row in self.interactions],
            "additive": named(self.additive),
            "multiplicative": named(self.multiplicative),
            "together": [[self.names[i], self.names[j], pairing] for i, j, pairing in self.together],
        }

    def __str__(self) -> str:
        lines = []
        for groups, sign, what in ((self.additive, " + ", "additive"), (self.multiplicative, " * ", "multiplicative")):
            if len(groups) > 1:
                parts = sign.join(f"({', '.join(self.names[j] for j in group)})" for group in groups)
                lines.append(f"{what}: {parts}")
        lines += [f"{self.names[i]}, {self.names[j]}: only their {pairing}" for i, j, pairing in self.together]
        return "\n".join(lines) or "no separability and no symmetry"


def anatomy(
    f: Callable[[Tensor], Tensor],
    x: Float[Tensor, "samples variables"],
    *,
    names: Sequence[str] | None = None,
    tolerance: float = 1e-3,
) -> Anatomy:
    """Test a function of one output for separability and symmetry at samples x.

    Args:
        f: twice differentiable, (samples, variables) -> (samples,) or (samples, 1): a model, a formula, any callable.
        x: where to look.
        names: of the variables; x1, x2, ... by default.
        tolerance: what counts as zero, relative to the terms that would cancel; for a trained model its accuracy.
    """
    d = x.shape[1]
    names = tuple(names) if names is not None else tuple(f"x{j + 1}" for j in range(d))
    if len(names) != d:
        raise ValueError(f"names must be {d}, one per variable, got {len(names)}")
    y, gradient, hessian = derivatives(f, x)
    spread = y.std(correction=0)
    if not spread > 0:
        raise ValueError("f is constant on x; there is no structure to look for")
    scale = x.std(0, correction=0)
    influence = gradient.square().mean(0).sqrt() * scale / spread
    mixed = hessian.square().mean(0).sqrt() * scale[:, None] * scale / spread
    alive = [j for j in range(d) if influence[j] > tolerance]
    size = (gradient[:, :, None] * gradient[:, None]).abs()
    product = y[:, None, None] * hessian - gradient[:, :, None] * gradient[:, None]
    bound = (size + (y[:, None, None] * hessian).abs()).square().mean(0).sqrt()
    multiplied = product.square().mean(0).sqrt() / bound.clamp_min(1e-300)
    together = []
    for i, j in itertools.combinations(alive, 2):
        p, q, dp, dq = x[:, i], x[:, j], gradient[:, i], gradient[:, j]
        for pairing in PAIRINGS:
            defect = pairing.defect(p, q, dp, dq).square().mean()
            full = pairing.defect(p.abs(), q.abs(), dp.abs(), dq.abs()).square().mean()
            full = torch.maximum(full, pairing.defect(p.abs(), -q.abs(), dp.abs(), -dq.abs()).square().mean())
            full = torch.maximum(full, pairing.defect(p.abs(), q.abs(), dp.abs(), -dq.abs()).square().mean())
            if defect.sqrt() < tolerance * full.sqrt():
                together.append((i, j, pairing.name))
    return Anatomy(
        names,
        tuple(influence.tolist()),
        tuple(tuple(row) for row in mixed.tolist()),
        _groups(alive, mixed > tolerance),
        _groups(alive, multiplied > tolerance),
        tuple(together),
    )


def derivatives(f: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """f, its gradient and its Hessian at every sample, each detached."""
    x = x.detach().double().requires_grad_()
    with torch.enable_grad():
        y = f(x)
        if y.numel() != len(x):
            raise ValueError(f"f must have one output, got shape {tuple(y.shape)} for {len(x)} samples; select one")
        y = y.reshape(-1)
        (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        rows = [
            torch.autograd.grad(column.sum(), x, retain_graph=True)[0] if column.requires_grad else torch.zeros_like(x)
            for column in gradient.unbind(-1)
        ]
    return y.detach(), gradient.detach(), torch.stack(rows, 1).detach()


def _groups(alive: list[int], linked: Tensor) -> tuple[tuple[int, ...], ...]:
    """The connected parts of the variables that matter."""
    groups: list[set[int]] = []
    for j in alive:
        touching = [g for g in groups if any(linked[j, k] or linked[k, j] for k in g)]
        groups = [g for g in groups if g not in touching] + [{j}.union(*touching)]
    return tuple(tuple(sorted(g)) for g in sorted(groups, key=min))
