"""Make conditions: on the boundary, at the start of time, across a period, at measured points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field as _field
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from edgewise.pde.operators import TIME, Field, ProblemError, Scope

Value = float | Callable[..., Any]
"""A number, or a function of names that the problem knows, such as `lambda x, t: torch.sin(x)`."""


@dataclass(frozen=True, eq=False)
class Condition:
    """Residuals that vanish at some points; made by the functions of this module.

    Attributes:
        name: for messages and the history.
        residual: the residual, or several, from the names known at the points.
        on: the part of the boundary where it holds; None if `points` are given.
        across: for a periodic condition, the part opposite to `on`.
        points: the points where it holds, (n, d).
        columns: further values known at these points.
        weight: the weight of its mean square; None balances it automatically.
        given: the field and the value that a Dirichlet condition prescribes.
    """

    name: str
    residual: Callable[[Scope], Any]
    on: str | None = None
    across: str | None = None
    points: Tensor | None = None
    columns: Mapping[str, Tensor] = _field(default_factory=dict)
    weight: float | None = None
    given: tuple[str, Value] | None = None


def condition(equation: Callable[..., Any], on: str = "boundary", *, weight: float | None = None) -> Condition:
    """Any equation on a part of the boundary, written as inside: `lambda u, y: u.dx - y`."""
    return Condition(f"{getattr(equation, '__name__', 'condition')} on {on}", _calling(equation), on, weight=weight)


def dirichlet(value: Value = 0.0, on: str = "boundary", *, field: str = "u", weight: float | None = None) -> Condition:
    """$u = g$."""
    return Condition(f"{field} on {on}", _difference(field, value), on, weight=weight, given=(field, value))


def neumann(value: Value = 0.0, on: str = "boundary", *, field: str = "u", weight: float | None = None) -> Condition:
    r"""$\partial u / \partial n = g$, n the outward normal."""
    return robin(0.0, 1.0, value, on, field=field, weight=weight)


def robin(
    a: Value, b: Value, value: Value = 0.0, on: str = "boundary", *, field: str = "u", weight: float | None = None
) -> Condition:
    r"""$a\,u + b\,\partial u / \partial n = g$."""

    def residual(scope: Scope) -> Tensor:
        u = _named(field, scope)
        flux = _at(b, scope) * u.dn - _at(value, scope)
        return flux if isinstance(a, float | int) and a == 0 else flux + _at(a, scope) * u.value

    return Condition(f"{field}, {field}.dn on {on}", residual, on, weight=weight)


def initial(value: Value, rate: Value | None = None, *, field: str = "u", weight: float | None = None) -> Condition:
    r"""$u = g$ at the start of time, and $\partial u / \partial t = h$ if a `rate` h is given."""
    at_start = _difference(field, value)
    if rate is None:
        return Condition(f"{field} at the start", at_start, f"{TIME}-", weight=weight, given=(field, value))

    def residual(scope: Scope) -> tuple[Tensor, Tensor]:
        return at_start(scope), _named(field, scope).dt - _at(rate, scope)

    return Condition(f"{field} at the start", residual, f"{TIME}-", weight=weight, given=(field, value))


def periodic(axis: str, order: int = 1, *, field: str = "u", weight: float | None = None) -> Condition:
    r"""$\partial_x^n u(a) = \partial_x^n u(b)$ for n = 0..`order` at the ends a and b of the axis x.

    `Problem(features=...)` with sines and cosines satisfies this by construction.
    """

    def residual(scope: Scope) -> tuple[Tensor, ...]:
        u = _named(field, scope)
        pairs = [u.value, *(getattr(u, "d" + n * axis) for n in range(1, order + 1))]
        return tuple(v[: len(v) // 2] - v[len(v) // 2 :] for v in pairs)

    return Condition(f"{field} periodic in {axis}", residual, f"{axis}-", f"{axis}+", weight=weight)


def observe(
    points: ArrayLike | Tensor, values: ArrayLike | Tensor, *, field: str = "u", weight: float | None = None
) -> Condition:
    """Measured values of a field at points inside; with unknowns in the equation, an inverse problem.

    Args:
        points: (n, d), or (n) in one dimension: a tensor, an array, a table or lists.
        values: (n) or (n, 1), likewise.
        field: the field that was measured.
        weight: of the mean square; None balances it automatically.

    Raises:
        ProblemError: there are not as many values as points, or one is not a finite number. `Problem` refuses points
            outside its domain.
    """
    x, y = _numbers(points, "points"), _numbers(values, "values")
    x = x[:, None] if x.ndim == 1 else x
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y) or len(y) == 0:
        raise ProblemError(
            "observe needs points (n, coordinates) and as many values (n), "
            f"got the shapes {tuple(x.shape)} and {tuple(y.shape)}; call it once for every field"
        )
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        raise ProblemError("the observed points and values must be finite; leave out the missing ones")
    residual = _difference(field, lambda _observed: _observed)
    return Condition(f"{field} observed", residual, points=x, columns={"_observed": y}, weight=weight)


def _numbers(given: Any, what: str) -> Tensor:
    """The same in float64, without a graph."""
    try:
        given = given if isinstance(given, Tensor) else torch.tensor(np.asarray(given, dtype=np.float64))
        return given.detach().double()
    except (TypeError, ValueError) as error:
        raise ProblemError(f"the observed {what} must be numbers, as many in every row: {error}") from error


def _difference(field: str, value: Value) -> Callable[[Scope], Tensor]:
    return lambda scope: _named(field, scope).value - _at(value, scope)


def _calling(equation: Callable[..., Any]) -> Callable[[Scope], Any]:
    return lambda scope: scope.call(equation)


def _at(value: Value, scope: Scope) -> Any:
    found = scope.call(value) if callable(value) else value
    if isinstance(found, Field | Tensor | Real):
        return found
    raise ProblemError(f"the value of a condition must be a number, or a function of x, t, ... for it, got {found!r}")


def _named(field: str, scope: Scope) -> Field:
    found = scope.get(field)
    if not isinstance(found, Field):
        raise ProblemError(f"a condition names the field {field!r}; the problem knows {', '.join(scope)}")
    return found
