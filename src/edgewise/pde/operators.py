"""Read equations as they are written: `u.dt + u * u.dx - nu * u.dxx`.

A `Field` is a function known at a set of points together with its derivatives. Arithmetic uses its value; derivatives
are attributes: `d` and the coordinates, `u.dxxy`; `u.laplacian` over the coordinates of space; `u.dn` along the outward
normal. An equation is a function whose arguments are named after what it uses: fields, coordinates and unknowns.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from edgewise.jets import Algebra, Index, laplace, taylor

LAPLACIAN: Index = ()
TIME = "t"


class ProblemError(ValueError):
    """A problem, a problem file or a setting of the solver that cannot be used; the message says what to change."""


class DerivativeError(ProblemError, AttributeError):
    """An attribute of a field that is no derivative."""


class Field:
    """One field at n points; every derivative is a tensor of shape (n,).

    Args:
        name: for messages.
        coordinates: the names of the coordinates.
        derivative: the derivative of a multi-index, () for the Laplacian over space.
        normals: the outward unit normal at every point, (n, d); None where there is none.
    """

    def __init__(
        self,
        name: str,
        coordinates: Sequence[str],
        derivative: Callable[[Index], Tensor],
        normals: Tensor | None = None,
    ) -> None:
        self._name, self._coordinates, self._derivative, self._normals = name, tuple(coordinates), derivative, normals

    @property
    def value(self) -> Tensor:
        return self._derivative((0,) * len(self._coordinates))

    @property
    def laplacian(self) -> Tensor:
        """The sum of the second derivatives along the coordinates of space, all but `t`."""
        return self._derivative(LAPLACIAN)

    @property
    def dn(self) -> Tensor:
        """The derivative along the outward normal, on a boundary."""
        if self._normals is None:
            raise ProblemError(f"{self._name}.dn: there is a normal on a boundary only; use it in a condition")
        units = torch.eye(len(self._coordinates), dtype=torch.int64).tolist()
        return torch.stack([self._derivative(tuple(e)) for e in units], dim=-1).mul(self._normals).sum(-1)

    def at(self, index: Index) -> Tensor:
        """The derivative of a multi-index over the coordinates."""
        return self._derivative(index)

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._derivative(self._index(name))

    def _index(self, name: str) -> Index:
        """The multi-index of an attribute such as dxxy."""
        longest_first = sorted(self._coordinates, key=len, reverse=True)
        choices = "|".join(re.escape(c) for c in longest_first)
        if not re.fullmatch(f"d({choices})+", name):
            raise DerivativeError(
                f"{self._name}.{name} is not a derivative: write d and coordinates out of "
                f"{', '.join(self._coordinates)}, such as {self._name}.d{self._coordinates[0] * 2}"
            )
        found = re.findall(choices, name[1:])
        return tuple(found.count(c) for c in self._coordinates)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        plain = [a.value if isinstance(a, Field) else a for a in args]
        return func(*plain, **(kwargs or {}))

    def __add__(self, other: Any) -> Tensor:
        return self.value + _plain(other)

    def __sub__(self, other: Any) -> Tensor:
        return self.value - _plain(other)

    def __rsub__(self, other: Any) -> Tensor:
        return other - self.value

    def __mul__(self, other: Any) -> Tensor:
        return self.value * _plain(other)

    def __truediv__(self, other: Any) -> Tensor:
        return self.value / _plain(other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return other / self.value

    def __pow__(self, exponent: Any) -> Tensor:
        return self.value ** _plain(exponent)

    def __rpow__(self, base: Any) -> Tensor:
        return base**self.value

    def __neg__(self) -> Tensor:
        return -self.value

    def __abs__(self) -> Tensor:
        return self.value.abs()

    def __lt__(self, other: Any) -> Tensor:
        return self.value < _plain(other)

    def __gt__(self, other: Any) -> Tensor:
        return self.value > _plain(other)

    def __le__(self, other: Any) -> Tensor:
        return self.value <= _plain(other)

    def __ge__(self, other: Any) -> Tensor:
        return self.value >= _plain(other)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return float(self.value)

    __radd__ = __add__
    __rmul__ = __mul__


class Scope(Mapping[str, Any]):
    """The names that an equation may use at a set of points, and what they mean there."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = dict(names)

    def __getitem__(self, name: str) -> Any:
        return self._names[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def call(self, function: Callable[..., Any]) -> Any:
        """Call a function with the values of the names of its arguments."""
        wanted = argument_names(function)
        unknown = [name for name in wanted if name not in self._names]
        if unknown:
            known = ", ".join(name for name in self._names if not name.startswith("_"))
            raise ProblemError(f"{_title(function)} has an argument {unknown[0]!r}; the problem knows {known}")
        try:
            return function(*(self._names[name] for name in wanted))
        except (TypeError, RuntimeError, ValueError, AttributeError) as error:
            if isinstance(error, ProblemError):
                raise
            raise ProblemError(f"{_title(function)} cannot be computed: {error}. {_way_out(str(error))}") from error


def argument_names(function: Callable[..., Any]) -> list[str]:
    """The names of the arguments without a default."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind in (p.VAR_POSITIONAL, p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters):
        raise ProblemError(f"{_title(function)} must name its arguments after what it uses, such as def f(u, x, t)")
    return [p.name for p in parameters if p.default is p.empty]


def algebra_of(indices: set[Index], coordinates: Sequence[str]) -> Algebra:
    """The smallest algebra that carries these derivatives."""
    d = len(coordinates)
    space = tuple(j for j, c in enumerate(coordinates) if c != TIME)
    if LAPLACIAN in indices:
        if all(sum(a) <= 1 for a in indices):
            return laplace(d, space)
        indices = indices - {LAPLACIAN} | set(second_derivatives(coordinates))
    return taylor(indices | {(0,) * d})


def second_derivatives(coordinates: Sequence[str]) -> list[Index]:
    """The multi-indices whose sum is the Laplacian over space."""
    d = len(coordinates)
    return [tuple(2 if k == j else 0 for k in range(d)) for j, c in enumerate(coordinates) if c != TIME]


def _way_out(error: str) -> str:
    """What to write instead of what failed in an equation."""
    if "oolean value" in error or "not supported between" in error:
        return "A choice between points is torch.where(condition, value, other), not `if`, `and`, `min` or `max`"
    return (
        "Names stand for the values at all points: use arithmetic and functions of torch, such as torch.sin, not math"
    )


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Field) else value


def _title(function: Callable[..., Any]) -> str:
    return f"the function {getattr(function, '__name__', function)!r}"
