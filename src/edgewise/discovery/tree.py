r"""The structure of a function as a tree: sums, products, and groups of variables that act through one number.

A group A acts through one number, $f = F(g(x_A), x_{\bar A})$, where the ratio $\partial_i f / \partial_j f$ inside the
group does not depend on what is outside: $\partial_k\partial_i f\,\partial_j f = \partial_k\partial_j f\,\partial_i f$.
Parts are the function with all other variables held at a sample in the middle.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.anatomy import Anatomy, anatomy, derivatives

MOST = 10
"""With more variables than this no groups are looked for: there are too many."""

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Tree:
    """How a function is put together.

    Attributes:
        kind: "variable", "sum", "product", "function" (of its parts), or one of "difference", "ratio", "squares", ...
            of two variables that act only so.
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
    """How a function of one output is put together, see `anatomy` for the arguments.

    >>> x = torch.rand(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 1
    >>> found = tree(lambda x: x[:, 0] * x[:, 1] + x[:, 2] ** 2, x, names=["a", "b", "c"])
    >>> found.kind, [(child.kind, child.names) for child in found.children]
    ('sum', [('product', ('a', 'b')), ('variable', ('c',))])
    """
    x = x.detach().double()
    found = anatomy(f, x, names=names, tolerance=tolerance)
    weights = dict(zip(found.names, found.influence, strict=True))
    return _tree(f, x, found, weights, tolerance)


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
    for group in acting_together(f, x, alive, tolerance) if len(alive) <= MOST else []:
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
