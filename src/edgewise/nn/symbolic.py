"""Edges that are symbols: named univariate functions with four affine parameters each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class SymbolicFn:
    r"""A univariate function with its two forms.

    Args:
        name: unique within a library; saved models refer to it.
        torch: elementwise function of a tensor.
        sympy: the same function of a sympy expression.
        complexity: description length; simpler functions are preferred (0 = constant, 1 = x).
        domain: closed interval where the function is defined; it returns NaN outside.
        poles: None, or (first, period) of the points where it is infinite (period = inf for a single one).
    """

    name: str
    torch: Callable[[Tensor], Tensor]
    sympy: Callable[[Any], Any]
    complexity: float = 3.0
    domain: tuple[float, float] = (-math.inf, math.inf)
    poles: tuple[float, float] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        return self.torch(x)

    def __deepcopy__(self, memo: dict[int, Any]) -> SymbolicFn:
        return self  # a value: copies of a model share it, so that equal functions stay equal

    def defined_on(self, low: float, high: float) -> bool:
        """True where the function is finite on the whole interval [low, high]."""
        if low < self.domain[0] or high > self.domain[1]:
            return False
        if self.poles is None:
            return True
        first, period = self.poles
        if math.isinf(period):
            return not low <= first <= high
        return math.ceil((low - first) / period) * period + first > high


class Library(Mapping[str, SymbolicFn]):
    """An immutable collection of functions by name. `library | fn` and `library - name` make new ones."""

    def __init__(self, functions: Iterable[SymbolicFn] = ()) -> None:
        self._functions: dict[str, SymbolicFn] = {}
        for fn in functions:
            if fn.name in self._functions:
                raise ValueError(f"the library has two functions named {fn.name!r}; give each its own name")
            self._functions[fn.name] = fn

    def __getitem__(self, name: str) -> SymbolicFn:
        try:
            return self._functions[name]
        except KeyError:
            raise KeyError(f"no function {name!r} in the library; it has {', '.join(self._functions)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)

    def __or__(self, other: SymbolicFn | Iterable[SymbolicFn]) -> Library:
        added = [other] if isinstance(other, SymbolicFn) else list(other)
        return Library([*self._functions.values(), *added])

    def __sub__(self, names: str | Iterable[str]) -> Library:
        gone = {names} if isinstance(names, str) else set(names)
        return Library(fn for fn in self._functions.values() if fn.name not in gone)

    def only(self, *names: str) -> Library:
        """The library of these functions alone."""
        return Library(self[name] for name in names)

    def __repr__(self) -> str:
        return f"Library({', '.join(self._functions)})"


class SymbolicEdges(nn.Module):
    r"""Edges $\gamma f(\alpha x + \beta) + \delta$ from inputs `sources` to outputs `targets`.

    Evaluated one *function* at a time: gather the inputs, apply f, add into the outputs.

    Attributes:
        affine: (n, 4), the parameters $(\alpha, \beta, \gamma, \delta)$ of every edge; None where there are no symbols.
        functions: the function of every edge.
    """

    sources: Tensor
    targets: Tensor

    def __init__(
        self,
        functions: Iterable[SymbolicFn],
        sources: Int[Tensor, " n"],
        targets: Int[Tensor, " n"],
        affine: Float[Tensor, "n 4"] | None,
    ) -> None:
        super().__init__()
        self.functions = tuple(functions)
        n = len(self.functions)
        none = len(sources) == len(targets) == 0  # on the meta device as well, where nothing can be read
        edges = [] if none else list(zip(sources.tolist(), targets.tolist(), strict=True))
        if len(edges) != n or (affine is None) != (n == 0) or (affine is not None and affine.shape != (n, 4)):
            raise ValueError(f"{n} symbols need {n} sources, {n} targets and an affine of shape ({n}, 4)")
        if len(set(edges)) != n:
            raise ValueError("two symbols have the same edge; an edge has one owner")
        self.register_buffer("sources", sources.detach().clone().long())
        self.register_buffer("targets", targets.detach().clone().long())
        self.affine = None if affine is None else nn.Parameter(affine.detach().clone())

    @classmethod
    def empty(cls) -> SymbolicEdges:
        """No symbols: no parameters, nothing to compute."""
        none = torch.zeros(0, dtype=torch.long)
        return cls((), none, none, None)

    def clone(self) -> SymbolicEdges:
        """A copy with its own parameters."""
        return SymbolicEdges(self.functions, self.sources, self.targets, self.affine)

    def __len__(self) -> int:
        return len(self.functions)

    def mask(self, shape: tuple[int, ...]) -> Bool[Tensor, "in out"]:
        """True where an edge is a symbol."""
        mask = torch.zeros(shape, dtype=torch.bool, device=self.sources.device)
        mask[self.sources, self.targets] = True
        return mask

    def values(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b n"]:
        r"""$\gamma f(\alpha x + \beta) + \delta$ of every symbol at its input."""
        if self.affine is None:
            return x[..., :0]
        a, b, c, d = self.affine.unbind(-1)
        inner = a * x[..., self.sources] + b
        groups = self.groups()
        order = [n for members in groups.values() for n in members]
        back = sorted(range(len(order)), key=order.__getitem__)  # in Python: a sort of constants is no part of a graph
        values = torch.cat([fn(inner[..., members]) for fn, members in groups.items()], dim=-1)
        return c * values[..., back] + d

    def add_to(self, y: Float[Tensor, "*b out"], x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        """y plus the value of every symbol at its target."""
        # Not index_add: the optimiser of onnxscript 0.7.2 forgets to add where the targets are all of the outputs.
        values = self.values(x).to(y.dtype)
        return y.scatter_add(-1, self.targets.expand_as(values), values)

    def place_in(self, values: Float[Tensor, "*b in out"], x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b in out"]:
        """The edge values with those of the symbols inserted."""
        flat = self.sources * values.shape[-1] + self.targets
        symbols = self.values(x).to(values.dtype)
        return values.flatten(-2).index_copy(-1, flat, symbols).unflatten(-1, values.shape[-2:])

    def expression(self, edge: int, x: Any) -> Any:
        r"""$\gamma f(\alpha x + \beta) + \delta$ of one symbol as a sympy expression of the expression x."""
        import sympy  # here, because it takes as long to import as torch

        assert self.affine is not None
        a, b, c, d = (sympy.Float(v, 17) for v in self.affine[edge].tolist())
        return c * self.functions[edge].sympy(a * x + b) + d

    def extra_repr(self) -> str:
        return ", ".join(f"{s}->{t}: {f.name}" for f, (s, t) in zip(self.functions, self._edges(), strict=True))

    def _edges(self) -> list[tuple[int, int]]:
        return list(zip(self.sources.tolist(), self.targets.tolist(), strict=True))

    def groups(self) -> dict[SymbolicFn, list[int]]:
        """The indices of the edges of every function."""
        groups: dict[SymbolicFn, list[int]] = {}
        for n, fn in enumerate(self.functions):
            groups.setdefault(fn, []).append(n)
        return groups
