r"""Says how sure every number of an expression is: its estimate, standard error, interval, and the name it was given.

With residuals $r(\theta)$ of n rows, each times the inverse of the standard deviation of its noise, the covariance of k
free numbers at the minimiser is $s^2 (J^\top J)^{-1}$, $s^2 = r^\top r / (n - k)$ (Gauss and Newton; Seber and Wild,
Nonlinear Regression, 1989, ch. 2). A number with a name, such as $2\pi$ or the exponent 1/2, is held in the joint
refit; its own estimate and error are those that it has when it is freed beside the free numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.expressions.constants import minimize
from edgewise.expressions.evaluate import Program
from edgewise.expressions.parse import parse_formula
from edgewise.functional import least_squares
from edgewise.optim import RowwiseLeastSquares
from edgewise.stored import read_as, read_fields, require_keys

LEVEL = 0.99
"""The level of intervals that are shown, and that names lie in."""


@dataclass(frozen=True)
class Constant:
    """A number of a law with its uncertainty.

    Attributes:
        value: the estimate.
        error: its standard error.
        degrees: rows less free numbers: the degrees of freedom of the error.
        name: the exact number that the law has in its place; None where it has the estimate.
        place: what it does in the law, such as "exponent of L".
    """

    value: float
    error: float
    degrees: int
    name: Any = None
    place: str = ""

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The ends of the interval that holds the true value with this probability (Student's t)."""
        from scipy.special import stdtrit

        if not 0 < level < 1:
            raise ValueError(f"level is {level}; a probability is between 0 and 1")
        half = float(stdtrit(self.degrees, (1 + level) / 2)) * self.error
        return self.value - half, self.value + half

    def holds(self, number: Any, level: float = LEVEL) -> bool:
        """Whether the interval holds a number."""
        low, high = self.interval(level)
        return low <= float(number) <= high

    def to_json(self) -> dict[str, Any]:
        """The constant as a JSON object."""
        name = None if self.name is None else str(self.name)
        fields = {"value": self.value, "error": self.error, "degrees": self.degrees, "name": name, "place": self.place}
        return {**fields, "interval": list(self.interval()), "level": LEVEL}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Constant:
        """The constant that `to_json` described; nothing in it is run."""
        keys = ("value", "error", "degrees", "name", "place", "interval", "level")
        known = dict(require_keys(fields, keys, "a constant of a law"))
        name = read_as(str | None, known["name"], "the name of a constant of a law")
        own = {key: known[key] for key in keys[:5]}
        return read_fields(cls, own, "a constant of a law", name=None if name is None else parse_formula(name, ()))

    def __str__(self) -> str:
        """Two digits of the error.

        >>> print(Constant(6.2807, 0.0123, 340, 2 * sympy.pi, "factor"))
        factor: 6.281 ± 0.012, so 2*pi
        """
        digits = 1 - math.floor(math.log10(self.error)) if 0 < self.error < math.inf else 16
        numbers = (self.value, self.error, *self.interval())
        value, error, low, high = (f"{v:.{digits}f}" if 0 <= digits <= 12 else f"{v:.4g}" for v in numbers)
        end = f", so {self.name}" if self.name is not None else f" ({LEVEL:.0%} from {low} to {high})"
        return f"{self.place}: {value} ± {error}{end}"


def refit_with_errors(
    expression: Any,
    inputs: tuple[sympy.Symbol, ...],
    x: Float[Tensor, "rows inputs"],
    y: Float[Tensor, " rows"],
    weight: Float[Tensor, " rows"] | None = None,
) -> tuple[Any, tuple[Constant, ...]]:
    """The expression with its floating point numbers refitted, and all its numbers with their uncertainties.

    A name outside the interval of its number is given up, where that interval is as wide as it takes for all named
    numbers together to be inside with the probability `LEVEL` (Bonferroni). No number is listed that is a one, or has
    no finite slope.

    Args:
        expression: of the inputs.
        inputs: the symbols of the columns of x.
        x: rows of the inputs.
        y: the target.
        weight: the inverse of the standard deviation of the noise of every row, up to a factor; even by default.
    """
    weight = torch.ones_like(y) if weight is None else weight
    while True:
        form = Numbers.of(expression)
        theta, found = form.fitted(inputs, x.double(), y.double(), weight)
        named = {n: c for n, c in enumerate(found) if c is not None and c.name is not None}
        level = 1 - (1 - LEVEL) / max(len(named), 1)
        outside = {n: c for n, c in named.items() if not c.holds(c.name, level)}
        if not outside:
            done = form.with_values(theta)
            places = Numbers.of(done).places  # they show the numbers as they are now
            if len(places) == len(found):
                found = [c if c is None else replace(c, place=p) for c, p in zip(found, places, strict=True)]
            return done, tuple(c for c in found if c is not None)
        worst = max(outside, key=lambda n: abs(outside[n].value - theta[n].item()) / outside[n].error)
        expression = form.with_values(theta, free=worst)


@dataclass(frozen=True)
class Numbers:
    """An expression with a symbol in place of every number, the values, and for each its name (None if free)."""

    expression: Any
    symbols: tuple[sympy.Symbol, ...]
    values: tuple[float, ...]
    names: tuple[Any, ...]
    places: tuple[str, ...]

    @classmethod
    def of(cls, expression: Any) -> Numbers:
        """Equal floating point numbers are one; every exact number but one and minus one is a number of its own."""
        found: list[tuple[sympy.Symbol, float, Any, str]] = []
        known: dict[float, Any] = {}

        def number(value: Any, place: str) -> Any:
            if value.atoms(sympy.Float):
                size = abs(float(value))
                if size not in known:
                    known[size] = sympy.Dummy(f"n{len(found)}", real=True)
                    found.append((known[size], size, None, place))
                return known[size] if float(value) > 0 else -known[size]
            if abs(value) == 1 or value == 0:
                return value
            symbol = sympy.Dummy(f"n{len(found)}", real=True)
            found.append((symbol, float(value), value, place))
            return symbol

        def walk(e: Any, inside: str) -> Any:
            if e.is_number:
                return number(e, f"level{inside}")
            if not e.args:
                return e
            if e.is_Pow and e.args[1].is_number:
                base, power = e.args
                part = _short(base, 20)
                shown = part if base.is_Symbol else f"({part})" if part else "a part"
                return walk(base, inside) ** number(power, f"exponent of {shown}")
            if e.is_Mul:
                constant, rest = e.as_independent(*e.free_symbols, as_Add=False)
                parts = [walk(factor, inside) for factor in sympy.Mul.make_args(rest)]
                shown = _short(rest, 24) or "a term"
                return sympy.Mul(number(constant, f"factor of {shown}"), *parts, evaluate=False)
            name = "" if e.is_Add else f" in {e.func.__name__}"
            return e.func(*(walk(a, name or inside) for a in e.args))

        done = walk(expression, "")
        symbols, values, names, places = zip(*found, strict=True) if found else ((), (), (), ())
        return cls(done, tuple(symbols), tuple(values), tuple(names), tuple(places))

    def with_values(self, theta: Float[Tensor, " numbers"], free: int | None = None) -> Any:
        """The expression with values for the free numbers and their names for the others; one may be freed."""
        table = {
            s: sympy.Float(v, 17) if name is None or n == free else name
            for n, (s, v, name) in enumerate(zip(self.symbols, theta.tolist(), self.names, strict=True))
        }
        return self.expression.xreplace(table).doit()

    def fitted(
        self, inputs: tuple[sympy.Symbol, ...], x: Tensor, y: Tensor, weight: Tensor
    ) -> tuple[Float[Tensor, " numbers"], list[Constant | None]]:
        """The numbers with the free ones refitted, and what the rows say about each; None where that is nothing."""
        theta, free = self.start, self.free
        residual = self._residual(inputs, x, y, weight)
        place = torch.tensor(free, dtype=torch.long)

        def of_free(rows: Tensor) -> Tensor:
            return residual(theta.expand(len(x), -1).index_copy(1, place, rows))

        if free:
            best, _ = minimize(RowwiseLeastSquares(of_free, len(x)), theta[free], steps=40)
            theta = theta.index_copy(0, place, best)
        if not self.symbols:
            return theta, []
        r, J = self.slopes(inputs, x, y, weight, theta)
        return theta, list(self._constants(theta, r, J, free))

    @property
    def free(self) -> list[int]:
        """The places of the numbers without a name."""
        return [n for n, name in enumerate(self.names) if name is None]

    @property
    def start(self) -> Float[Tensor, " numbers"]:
        """The values as a tensor."""
        return torch.tensor(self.values, dtype=torch.float64)

    def slopes(
        self, inputs: tuple[sympy.Symbol, ...], x: Tensor, y: Tensor, weight: Tensor, theta: Float[Tensor, " numbers"]
    ) -> tuple[Float[Tensor, " rows"], Float[Tensor, "rows numbers"]]:
        """The weighted residuals and their derivatives by all numbers."""
        problem = RowwiseLeastSquares(self._residual(inputs, x, y, weight), len(x))
        r, J = (part.flatten(0, 1) for part in problem.jacobian(theta))
        return r.flatten(), J

    def _residual(
        self, inputs: tuple[sympy.Symbol, ...], x: Tensor, y: Tensor, weight: Tensor
    ) -> Callable[[Tensor], Tensor]:
        program = Program.of((self.expression,), (*inputs, *self.symbols))
        return lambda rows: (program(torch.cat([x, rows], -1))[:, 0] - y)[:, None] * weight[:, None]

    def _constants(self, theta: Tensor, r: Tensor, J: Tensor, free: list[int]) -> Iterator[Constant | None]:
        for n, (value, name, place) in enumerate(zip(theta.tolist(), self.names, self.places, strict=True)):
            columns = free if n in free else [n, *free]
            here, degrees = J[:, columns], len(r) - len(columns)
            size = here.square().sum(0).sqrt()
            if not torch.isfinite(here).all() or not (size > 0).all() or degrees < 1:
                yield None
                continue
            step = least_squares(here / size, -r[:, None])[:, 0]
            rest = r + here / size @ step
            inverse = torch.linalg.pinv((here / size).T @ (here / size), hermitian=True)
            errors = (rest.square().sum() / degrees * inverse.diagonal().clamp_min(0)).sqrt() / size
            k = columns.index(n)
            shift = 0.0 if name is None else (step[k] / size[k]).item()
            yield replace(Constant(value + shift, errors[k].item(), degrees), name=name, place=place)


def _short(e: Any, length: int) -> str:
    """An expression with numbers of three digits; empty where that is long."""
    shown = str(e.xreplace({number: sympy.Float(float(number), 3) for number in e.atoms(sympy.Float)}))
    return shown if len(shown) < length else ""
