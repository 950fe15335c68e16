r"""Finds the structure of any function: separability and symmetry, and a tree of sums, products and inner functions.

The tests use first and second derivatives. Additive: $\partial_i \partial_j f = 0$ for i, j in different groups.
Multiplicative: $f\,\partial_i \partial_j f = \partial_i f\,\partial_j f$ (the mixed derivative of $\log f$). Two
variables act only through their difference, sum, product, ratio or sum of squares where the gradient satisfies an
equation, see `edgewise.discovery.structure`. A group A acts through one number, $f = F(g(x_A), x_{\bar A})$, where
$\partial_i f / \partial_j f$ inside the group does not depend on the other variables:
$\partial_k\partial_i f\,\partial_j f = \partial_k\partial_j f\,\partial_i f$. A part is the function with all other
variables held at a sample in the middle.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.structure import PAIRINGS

MAX_GROUPED = 10
"""With more variables than this no groups are searched for: there are too many."""

Function = Callable[[Tensor], Tensor]


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


@dataclass(frozen=True)
class Tree:
    """How a function is composed.

    Attributes:
        kind: "variable", "sum", "product", "function" (of its parts), or one of "difference", "ratio", "squares", ...
            of two variables that act only through it.
        names: the variables below.
        children: the parts.
        weight: the influence of a variable, or of the parts together, in standard deviations of the whole function.
    """

    kind: str
    names: tuple[str, ...]
    children: tuple[Tree, ...] = ()
    weight: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The tree as a JSON object."""
        return {
            "kind": self.kind,
            "names": list(self.names),
            "weight": self.weight,
            "children": [child.to_json() for child in self.children],
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        if self.kind == "variable":
            return [f"{self.names[0]}  {self.weight:.2g}"]
        lines = [f"{self.kind} of {', '.join(self.names)}  {self.weight:.2g}"]
        for n, child in enumerate(self.children):
            last = n == len(self.children) - 1
            first, *rest = child._lines()
            lines.append(("└─ " if last else "├─ ") + first)
            lines += [("   " if last else "│  ") + line for line in rest]
        return lines


def tree(
    f: Function,
    x: Float[Tensor, "samples variables"],
    *,
    names: Sequence[str] | None = None,
    tolerance: float = 1e-3,
) -> Tree:
    """How a function of one output is composed, see `anatomy` for the arguments.

    >>> x = torch.rand(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 1
    >>> found = tree(lambda x: x[:, 0] * x[:, 1] + x[:, 2] ** 2, x, names=["a", "b", "c"])
    >>> found.kind, [(child.kind, child.names) for child in found.children]
    ('sum', [('product', ('a', 'b')), ('variable', ('c',))])
    """
    x = x.detach().double()
    found = anatomy(f, x, names=names, tolerance=tolerance)
    weights = dict(zip(found.names, found.influence, strict=True))
    return _tree(f, x, found, weights, tolerance)


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
        x: samples at which the tests are made.
        names: of the variables; x1, x2, ... by default.
        tolerance: what counts as zero, relative to the terms that would cancel; for a trained model the accuracy of its
            second derivatives.
    """
    d = x.shape[1]
    names = tuple(names) if names is not None else tuple(f"x{j + 1}" for j in range(d))
    if len(names) != d:
        raise ValueError(f"names must be {d}, one per variable, got {len(names)}")
    y, gradient, hessian = derivatives(f, x)
    spread = y.std(correction=0)
    if not spread > 0:
        raise ValueError("f is constant on x; it has no structure to find")
    scale = x.std(0, correction=0)
    influence = gradient.square().mean(0).sqrt() * scale / spread
    mixed = hessian.square().mean(0).sqrt() * scale[:, None] * scale / spread
    alive = [j for j in range(d) if influence[j] > tolerance]
    size = (gradient[:, :, None] * gradient[:, None]).abs()
    product = y[:, None, None] * hessian - gradient[:, :, None] * gradient[:, None]
    bound = (size + (y[:, None, None] * hessian).abs()).square().mean(0).sqrt()
    multiplied = product.square().mean(0).sqrt() / bound.clamp_min(1e-300)
    return Anatomy(
        names,
        tuple(influence.tolist()),
        tuple(tuple(row) for row in mixed.tolist()),
        _groups(alive, mixed > tolerance),
        _groups(alive, multiplied > tolerance),
        tuple(_together(x, gradient, alive, tolerance)),
    )


def acting_together(
    f: Function, x: Float[Tensor, "samples variables"], variables: Sequence[int], tolerance: float = 1e-3
) -> list[tuple[int, ...]]:
    """The groups of two or more of the variables, but not of all, that act through one number; largest first."""
    _, G, H = derivatives(f, x)
    groups = []
    for size in range(len(variables) - 1, 1, -1):
        for group in itertools.combinations(variables, size):
            rest = [k for k in variables if k not in group]
            if all(_one_number(G, H, i, j, k, tolerance) for i, j in itertools.combinations(group, 2) for k in rest):
                groups.append(group)
    return groups


def _one_number(G: Tensor, H: Tensor, i: int, j: int, k: int, tolerance: float) -> bool:
    left, right = H[:, k, i] * G[:, j], H[:, k, j] * G[:, i]
    size = (left.abs() + right.abs()).square().mean().sqrt()
    floor = (H[:, k].norm(dim=-1) * G.norm(dim=-1)).square().mean().sqrt()
    return bool((left - right).square().mean().sqrt() <= tolerance * torch.maximum(size, tolerance * floor))


def _tree(f: Function, x: Tensor, found: Anatomy, weights: dict[str, float], tolerance: float) -> Tree:
    alive = sorted(j for group in found.additive for j in group)
    names = tuple(found.names[j] for j in alive)
    weight = sum(weights[name] ** 2 for name in names) ** 0.5
    if len(alive) == 1:
        return Tree("variable", names, (), weight)

    def part(group: Sequence[int]) -> Tree:
        g, inside = _part(f, x, group)
        return _tree(
            g,
            inside,
            anatomy(g, inside, names=[found.names[j] for j in group], tolerance=tolerance),
            weights,
            tolerance,
        )

    for kind, groups in (("sum", found.additive), ("product", found.multiplicative)):
        if len(groups) > 1:
            return Tree(kind, names, tuple(map(part, groups)), weight)
    if len(alive) == 2 and found.together:
        leaves = tuple(Tree("variable", (name,), (), weights[name]) for name in names)
        return Tree(found.together[0][2], names, leaves, weight)
    chosen: list[tuple[int, ...]] = []
    for group in acting_together(f, x, alive, tolerance) if len(alive) <= MAX_GROUPED else []:
        if not any(set(group) & set(other) for other in chosen):
            chosen.append(group)
    single = [(j,) for j in alive if not any(j in group for group in chosen)]
    return Tree("function", names, tuple(part(group) for group in sorted([*chosen, *single])), weight)


def _part(f: Function, x: Tensor, group: Sequence[int]) -> tuple[Function, Tensor]:
    """f of these variables alone, the others held at the sample nearest to the medians."""
    scale = x.std(0, correction=0).clamp_min(1e-300)
    middle = x[((x - x.median(0).values) / scale).square().sum(-1).argmin()]
    at = torch.tensor(group)

    def g(inside: Tensor) -> Tensor:
        return f(middle.expand(len(inside), -1).index_copy(1, at, inside))

    return g, x[:, at]


def _together(x: Tensor, gradient: Tensor, alive: list[int], tolerance: float) -> Iterator[tuple[int, int, str]]:
    """The pairs whose gradient satisfies the equation of a pairing, relative to the terms that cancel in it."""
    for i, j in itertools.combinations(alive, 2):
        p, q, dp, dq = x[:, i], x[:, j], gradient[:, i], gradient[:, j]
        for pairing in PAIRINGS:
            defect = pairing.defect(p, q, dp, dq).square().mean()
            full = pairing.defect(p.abs(), q.abs(), dp.abs(), dq.abs()).square().mean()
            full = torch.maximum(full, pairing.defect(p.abs(), -q.abs(), dp.abs(), -dq.abs()).square().mean())
            full = torch.maximum(full, pairing.defect(p.abs(), q.abs(), dp.abs(), -dq.abs()).square().mean())
            if defect.sqrt() < tolerance * full.sqrt():
                yield i, j, pairing.name


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
