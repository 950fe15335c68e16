"""The answer of `discover_field`: a partial differential equation with its constants and its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy
from jaxtyping import Float

from edgewise._shown import shown
from edgewise.discovery.fields.bumps import Points
from edgewise.discovery.fields.field_terms import FieldTerm, Values, monomial_text
from edgewise.discovery.fields.jet_symbols import as_functions, expanded
from edgewise.discovery.fields.method_of_lines import Grid, LawOnGrid, boundary_values
from edgewise.expressions import Constant, Formula, printers
from edgewise.stored import read_as, require_keys


@dataclass(frozen=True)
class LawTerm:
    """One term of the right side of an equation, as textbooks write it.

    Attributes:
        equation: the field whose derivative in time it belongs to.
        term: such as u*u_x, u_xx or (u**2)_xx.
        constant: its factor with the error, and the exact number that the data single out.
        weak: the conservative term of the weak form.
        share: the factor of `weak` in units of `constant`: u*u_x is (u**2)_x / 2.
    """

    equation: str
    term: str
    constant: Constant
    weak: FieldTerm
    share: float

    @property
    def factor(self) -> Any:
        """The exact number where there is one, else the estimate."""
        return sympy.Float(self.constant.value, 17) if self.constant.name is None else self.constant.name

    def to_json(self) -> dict[str, Any]:
        """The term as a JSON object."""
        weak = {"powers": list(self.weak.powers), "operator": [[w, list(q)] for w, q in self.weak.operator]}
        own = {"equation": self.equation, "term": self.term, "weak": weak, "share": self.share}
        return {**own, **self.constant.to_json()}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> LawTerm:
        """The term that `to_json` described; nothing in it is run, and anything else is a `ValueError`."""
        what, own = "a stored term of a law of fields", ("equation", "term", "weak", "share")
        if not isinstance(fields, Mapping):
            raise ValueError(f"{what} is a JSON object")
        mine = require_keys({k: v for k, v in fields.items() if k in own}, own, what)
        constant = Constant.from_json({k: v for k, v in fields.items() if k not in own})
        weak = require_keys(mine["weak"], ("powers", "operator"), what)
        operator = read_as(tuple[tuple[float, tuple[int, ...]], ...], weak["operator"], f"the operator of {what}")
        powers = read_as(tuple[int, ...], weak["powers"], f"the powers of {what}")
        equation, term = (read_as(str, mine[key], f"the {key} of {what}") for key in ("equation", "term"))
        share = read_as(float, mine["share"], f"the share of {what}")
        return cls(equation, term, constant, FieldTerm(powers, operator), share)


@dataclass(frozen=True)
class HeldOutFields:
    """The held-out times: measured fields and those that the law predicts from the first of these times."""

    t: Points
    measured: Values
    predicted: Values


@shown
@dataclass(frozen=True)
class FieldLaw:
    """The answer of `discover_field`.

    Attributes:
        law: the right side of every equation in u, u_x, u_xx, ..., or None where no law is announced.
        terms: the terms of the law with their constants and intervals.
        reason: why this law is announced, or why none is.
        error: of the law solved forward over held-out times to its horizon, relative to the spread of the fields, with
            the noise subtracted; NaN where it was not solved.
        weak_error: residual of the weak form on held-out times beyond noise, relative to its left side.
        horizon: for how long from the begin of the held-out times the error stays below 0.3, in units of t.
        span: length of the held-out times.
        noise: standard deviation of the noise of every field, by name.
        names: of all fields and inputs.
        axes: names of the axes in space.
        grid: points and periodicity.
        held_out: what `plot` shows.
        seconds: time of the search.
    """

    law: Formula | None
    terms: tuple[LawTerm, ...]
    reason: str
    error: float
    weak_error: float
    horizon: float
    span: float
    noise: Mapping[str, float]
    names: tuple[str, ...]
    axes: tuple[str, ...]
    grid: Grid = field(repr=False)
    held_out: HeldOutFields | None = field(repr=False, compare=False)
    seconds: float

    @property
    def formula(self) -> Formula:
        """The law; raises `ValueError` with the reason where there is none."""
        if self.law is None:
            raise ValueError(f"no law was found: {self.reason}")
        return self.law

    @property
    def constants(self) -> tuple[Constant, ...]:
        """The constants of the law with their errors: those of its terms."""
        return tuple(term.constant for term in self.terms)

    @property
    def equations(self) -> tuple[Any, ...]:
        """The equations as sympy equalities of functions such as u(t, x); empty where there is no law."""
        if self.law is None:
            return ()
        t = sympy.Symbol("t", real=True)
        space = [sympy.Symbol(a, real=True) for a in self.axes]
        left = [sympy.Function(n.removesuffix("_t"))(t, *space).diff(t) for n in self.law.names]
        right = [as_functions(e, self.names, self.axes) for e in self.law.expressions]
        return tuple(sympy.Eq(a, b, evaluate=False) for a, b in zip(left, right, strict=True))

    def latex(self, digits: int = 4) -> str:
        """One LaTeX equation per field, constants rounded for reading."""
        rows = [e.xreplace({f: sympy.Float(f, digits) for f in e.atoms(sympy.Float)}) for e in self.equations]
        return " \\\\\n".join(map(printers.latex, rows))

    def simulate(
        self, u0: Any, t: Any, *, boundary: Any = None
    ) -> Float[np.ndarray, "*grid"] | dict[str, Float[np.ndarray, "*grid"]]:
        """Solve the law forward on the grid of the data.

        Args:
            u0: the field at the first time, (n_x[, n_y]); a mapping for several fields.
            t: increasing times (n_t,).
            boundary: fields and inputs at all times, (n_t, n_x[, n_y]) each, of which inputs and the four outermost
                points of axes that are not periodic are read.

        Raises:
            ValueError: where there is no law, a shape does not fit, or the solution grows without limit.
        """
        self.formula  # noqa: B018
        targets = [name.removesuffix("_t") for name in self.formula.names]
        times = np.asarray(t, dtype=float)
        first = _stacked(u0, targets, self.grid.shape, "u0")
        outside = None
        if boundary is not None:
            table = _stacked(boundary, list(self.names), (len(times), *self.grid.shape), "boundary")
            outside = boundary_values(times, table)
            first = np.concatenate([first, table[len(first) :, 0]])
        solution, reached = self.on_grid().solve(first, times, outside)
        if reached < len(times):
            raise ValueError(f"the solution grows without limit after t = {times[max(reached - 1, 0)]:.6g}")
        return solution[0] if not isinstance(u0, dict) else dict(zip(targets, solution, strict=True))

    def on_grid(self) -> LawOnGrid:
        """The law with its exact constants as a system of ordinary differential equations."""
        targets = [name.removesuffix("_t") for name in self.formula.names]
        rows = [[term for term in self.terms if term.equation == name] for name in targets]
        return LawOnGrid(
            self.grid,
            tuple(tuple(term.weak for term in row) for row in rows),
            tuple(tuple(float(term.factor) * term.share for term in row) for row in rows),
        )

    def plot(self, field: str | None = None, *, theme: str = "light") -> Any:
        """Draw the held-out times of a field: measured, predicted, and their difference."""
        from edgewise.discovery.fields.field_chart import plot_held_out

        return plot_held_out(self, field, theme=theme)

    def to_json(self) -> dict[str, Any]:
        """The answer as a JSON object, without the held-out fields."""
        numbers = {key: getattr(self, key) for key in ("error", "weak_error", "horizon", "span", "seconds")}
        return {
            "law": None if self.law is None else self.law.to_json(),
            "text": str(self).split("\n"),
            "terms": [term.to_json() for term in self.terms],
            "constants": [constant.to_json() for constant in self.constants],
            "reason": self.reason,
            **{key: value if np.isfinite(value) else None for key, value in numbers.items()},
            "noise": dict(self.noise),
            "names": list(self.names),
            "axes": list(self.axes),
            "space": [x.tolist() for x in self.grid.space],
            "periodic": list(self.grid.periodic),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> FieldLaw:
        """The answer that `to_json` described, without the held-out fields; anything else is a `ValueError`."""
        what = "a stored law of fields"
        known = require_keys(fields, _STORED, what)
        read = {name: read_as(hint, known[name], f"the {name} of {what}") for name, hint in _STORED.items()}
        space = tuple(np.array(x, dtype=np.float64) for x in read.pop("space"))
        grid, numbers = Grid(space, read.pop("periodic")), ("error", "weak_error", "horizon", "span", "seconds")
        read |= {name: float("nan") for name in numbers if read[name] is None}
        del read["text"], read["constants"]
        law, axes = read["law"], len(read["axes"])
        if len(grid.space) != axes or len(grid.periodic) != axes or any(len(x) < 2 for x in space):
            raise ValueError(f"the grid of {what} does not fit its {axes} axes")
        targets = () if law is None else tuple(name.removesuffix("_t") for name in law.names)
        if not {term.equation for term in read["terms"]} <= set(targets):
            raise ValueError(f"a term of {what} belongs to none of its equations")
        return cls(held_out=None, grid=grid, **read)

    def __str__(self) -> str:
        if self.law is None:
            return f"no law\n{self.reason}"
        return "\n".join([*self.lines, *(f"  {constant}" for constant in self.constants), self.reason])

    @property
    def lines(self) -> tuple[str, ...]:
        """The equations in plain notation, such as "u_t = 0.1*u_xx - u*u_x"; empty where there is no law."""
        targets = [] if self.law is None else [name.removesuffix("_t") for name in self.law.names]
        return tuple(f"{name}_t = {equation_text([t for t in self.terms if t.equation == name])}" for name in targets)


_STORED: dict[str, Any] = {
    "law": Formula | None,
    "text": tuple[str, ...],
    "terms": tuple[LawTerm, ...],
    "constants": tuple[Constant, ...],
    "reason": str,
    **dict.fromkeys(("error", "weak_error", "horizon", "span", "seconds"), float | None),
    "noise": Mapping[str, float],
    "names": tuple[str, ...],
    "axes": tuple[str, ...],
    "space": tuple[tuple[float, ...], ...],
    "periodic": tuple[bool, ...],
}
"""The fields in a file, with their types."""


def equation_text(terms: Sequence[LawTerm]) -> str:
    """A right side as one reads it: 0.1*u_xx - u*u_x."""
    text = ""
    for term in terms:
        value, c = float(term.factor), term.constant
        size = number_text(abs(value), c.error) if c.name is None else name_text(abs(c.name))
        body = term.term if size == "1" and term.term != "1" else size if term.term == "1" else f"{size}*{term.term}"
        text += (" - " if value < 0 else " + ") + body
    return "0" if not text else text[3:] if text.startswith(" + ") else f"-{text[3:]}"


def name_text(name: Any) -> str:
    """An exact constant: 0.1 for a tenth, but 1/2, 2/3 and pi/4."""
    tenths = name.is_Rational and name.q > 2 and 1000 % name.q == 0
    return f"{float(name):.6g}" if tenths else str(name)


def number_text(value: float, error: float) -> str:
    """A value with one digit more than its standard error determines."""
    if not 0 < error < value:
        return f"{value:.4g}"
    return f"{value:.{int(np.clip(np.ceil(np.log10(value / error)) + 1, 2, 8))}g}"


def law_formula(terms: Sequence[LawTerm], targets: Sequence[str], names: Sequence[str], axes: Sequence[str]) -> Formula:
    """The right sides in the symbols of fields and their derivatives."""
    rows = []
    for name in targets:
        own = [t for t in terms if t.equation == name]
        rows.append(sympy.Add(*(t.factor * sympy.nsimplify(t.share) * expanded(t.weak, names, axes) for t in own)))
    inputs = sorted(set[Any]().union(*(e.free_symbols for e in rows)), key=lambda s: (len(s.name), s.name))
    return Formula(tuple(rows), tuple(inputs), tuple(f"{name}_t" for name in targets))


def textbook(term: FieldTerm, names: Sequence[str], axes: Sequence[str]) -> tuple[str, float]:
    """How textbooks write a term, and its share: (u**2)_x is written u*u_x, of which it is twice."""
    powers = [p for p in term.powers if p]
    if term.order == 1 and len(powers) == 1 and powers[0] > 1:
        lower = monomial_text([max(p - 1, 0) for p in term.powers], names)
        name = next(n for n, p in zip(names, term.powers, strict=True) if p)
        return f"{lower}*{name}_{term.suffix(axes)}", 1 / powers[0]
    return term.text(names, axes), 1.0


def _stacked(values: Any, names: Sequence[str], shape: tuple[int, ...], what: str) -> Values:
    table = values if isinstance(values, dict) else {names[0]: values}
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(f"{what} has no {', '.join(missing)}; give a mapping of {', '.join(names)} to arrays")
    arrays = [np.asarray(table[name], dtype=float) for name in names]
    for name, array in zip(names, arrays, strict=True):
        if array.shape != shape:
            raise ValueError(f"{what}[{name!r}] has shape {array.shape}; the grid of the law asks for {shape}")
    return np.stack(arrays)
