r"""From a table to a law: $y = F\big(c + \sum_j h_j(u_j) + \sum_m \prod_j g_{mj}(u_j)\big)$ and its functions.

The structure is found first, with curves: which variables act only together, and which outer function F makes the
rest a sum of curves and of products of curves (a network with multiplication nodes). The functions are found second,
the numbers last, and a law is announced only after it held on samples outside the region that it was found in.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from edgewise.nn import DEFAULT_LIBRARY, KAN, Library
from edgewise.symbolic.canonical import canonical
from edgewise.symbolic.compile import compile
from edgewise.symbolic.constants import refit_constants, snap
from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.expressions import rough_expressions
from edgewise.symbolic.formula import Formula
from edgewise.symbolic.pareto import pareto
from edgewise.symbolic.planar import planar_laws
from edgewise.symbolic.rational import rational_laws
from edgewise.symbolic.search import check_library
from edgewise.symbolic.simplify import simplify
from edgewise.symbolic.structure import Structure, exchanged, find_structures, smoothest
from edgewise.symbolic.units import DimensionError, Unit, dimension, parse_units
from edgewise.symbolic.variables import PAIRINGS, Variables, join_variables

log = logging.getLogger(__name__)


MAX_NUMBERS = 40
"""An expression with more numbers than this is a table, not a law."""


MAX_UNNAMED = 8
"""A law with more numbers that have no name is not announced."""


@dataclass(frozen=True)
class Law:
    """A formula with its evidence: errors relative to the standard deviation of y."""

    formula: Formula
    error: float
    extrapolation_error: float
    complexity: int
    structure: str

    def to_json(self) -> dict[str, Any]:
        """The law as a JSON object."""
        return {
            "formula": self.formula.to_json(),
            "error": self.error,
            "extrapolation_error": self.extrapolation_error,
            "complexity": self.complexity,
            "structure": self.structure,
        }


@dataclass(frozen=True)
class Discovery:
    """The answer of `discover`.

    Attributes:
        law: the recommended law, or None where none is announced.
        exact: True where the law leaves rounding only, inside and outside the region that it was found in.
        reason: a sentence: why this law, or why none.
        alternatives: the front of error against complexity, simplest first.
        curves_error: relative held-out error of the best structure of curves, which no law of that form can beat.
    """

    law: Law | None
    exact: bool
    reason: str
    alternatives: tuple[Law, ...]
    curves_error: float
    seconds: float

    @property
    def formula(self) -> Formula:
        """The formula of the law; raises `ValueError` with the reason where there is none."""
        if self.law is None:
            raise ValueError(f"no law was found: {self.reason}")
        return self.law.formula

    def model(self, library: Library = DEFAULT_LIBRARY) -> KAN:
        """The law as a KAN, exact, to be drawn, widened or trained further."""
        return compile(self.formula.expressions, self.formula.inputs, library=library, output_names=self.formula.names)

    def to_json(self) -> dict[str, Any]:
        """The answer as a JSON object."""
        return {
            "law": None if self.law is None else self.law.to_json(),
            "exact": self.exact,
            "reason": self.reason,
            "alternatives": [a.to_json() for a in self.alternatives],
            "curves_error": self.curves_error,
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        return f"{self.law.formula if self.law else 'no law'}\n{self.reason}"


def discover(
    x: Any,
    y: Any,
    *,
    names: Sequence[str] | None = None,
    output: str = "y",
    units: Mapping[str, str] | None = None,
    auxiliary: Sequence[str] = (),
    library: Library = DEFAULT_LIBRARY,
    max_seconds: float = 60.0,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Discovery:
    """Look for a law y = f(x), and say so when there is none.

    Args:
        x: samples of shape (samples, variables): array or tensor.
        y: targets of shape (samples,) or (samples, 1).
        names: names of the variables; x1, x2, ... by default.
        output: name of the target.
        units: of every variable and of the target by name, such as {"m": "kg", "a": "m/s^2", "y": "N"}: only laws with
            fitting dimensions are returned. Numbers count as pure; give a constant that has a unit as a variable.
        auxiliary: expressions of the variables that the law may be a short function of, such as "v**2 / c**2".
        library: functions that a law may be made of.
        max_seconds: start nothing new after this time.
        seed: of the split and of the starts of the fits.
        clock: what the time is measured by; `time.process_time` makes the answer independent of other processes.
    """
    began = clock()
    x, y = _checked(x, y)
    names = list(names) if names is not None else [f"x{j + 1}" for j in range(x.shape[1])]
    if len(names) != x.shape[1] or len(set(names)) != len(names):
        raise ValueError(f"names must be {x.shape[1]} different names, got {names}")
    check_library(library)
    inputs = tuple(sympy.Symbol(str(name), real=True) for name in names)
    goal = _Goal(
        inputs,
        str(output),
        None if units is None else parse_units(units, (*map(str, names), str(output))),
        _parsed(auxiliary, inputs),
    )
    data = _split(x, y, seed)
    laws: list[Law] = []
    impossible: list[str] = []
    errors: list[float] = []

    def late() -> bool:
        return clock() - began > max_seconds

    for rough, error in _rough_laws(data, goal, library, seed, late):
        errors.append(error)
        law = _finish(rough, goal, data)
        wrong = None if law is None else goal.objection(law.formula.expressions[0])
        if wrong is not None:
            log.info("%s: %s: %s", rough.structure, law, wrong)
            impossible.append(wrong)
        elif law is not None:
            log.info(
                "%s: %s, error %.3g, outside %.3g", rough.structure, law.formula, law.error, law.extrapolation_error
            )
            laws.append(law)
            if _is_exact(law) or _is_settled(law, error):
                break
        if late():
            break
    answer = _answer(laws, min(errors, default=math.inf), clock() - began)
    if answer.law is None and impossible:
        note = f"{answer.reason}; {len(impossible)} formulas with wrong dimensions were left out ({impossible[0]})"
        return replace(answer, reason=note)
    return answer


@dataclass(frozen=True)
class _Goal:
    """What is looked for: a formula of these inputs, and of these dimensions where units were given."""

    inputs: tuple[sympy.Symbol, ...]
    output: str
    units: Mapping[str, Unit] | None
    auxiliary: tuple[Any, ...]

    def objection(self, expression: Any) -> str | None:
        """Why a law cannot be, or None."""
        if self.units is None:
            return None
        try:
            unit = dimension(expression, self.units)
        except DimensionError as error:
            return str(error)
        wanted = self.units[self.output]
        return None if unit == wanted else f"{expression} is in {unit} and {self.output} in {wanted}"

    def possible(self, expression: Any) -> bool:
        """Whether a part of a law has a dimension at all."""
        try:
            return self.units is None or dimension(expression, self.units) is not None
        except DimensionError:
            return False


@dataclass(frozen=True)
class _Data:
    """Samples to find a law with, held-out ones from the same region, and ones from outside of it."""

    x: Tensor
    y: Tensor
    x_held_out: Tensor
    y_held_out: Tensor
    x_outside: Tensor
    y_outside: Tensor


def _checked(x: Any, y: Any) -> tuple[Tensor, Tensor]:
    x = torch.tensor(np.asarray(x.detach() if isinstance(x, Tensor) else x, dtype=np.float64))
    y = torch.tensor(np.asarray(y.detach() if isinstance(y, Tensor) else y, dtype=np.float64))
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y):
        raise ValueError(f"x must be (samples, variables) and y (samples,); got {tuple(x.shape)} and {tuple(y.shape)}")
    bad = (~(torch.isfinite(x).all(-1) & torch.isfinite(y))).nonzero()[:, 0].tolist()
    if bad:
        raise ValueError(f"{len(bad)} rows are not finite, the first is row {bad[0]}; drop them")
    if len(x) < 30:
        raise ValueError(f"{len(x)} samples cannot single out a law; give at least 30")
    if y.amax() == y.amin():
        raise ValueError(f"y is constant ({y[0].item():.6g}); there is nothing to explain")
    return x, y


def _parsed(texts: Sequence[str], inputs: tuple[sympy.Symbol, ...]) -> tuple[Any, ...]:
    """Expressions of the inputs from texts."""
    parsed = tuple(sympy.parse_expr(str(text), local_dict={str(s): s for s in inputs}) for text in texts)
    for text, expression in zip(texts, parsed, strict=True):
        if not expression.free_symbols or expression.free_symbols - set(inputs):
            raise ValueError(f"the auxiliary {text!r} is not an expression of {', '.join(map(str, inputs))}")
    return parsed


def _split(x: Tensor, y: Tensor, seed: int) -> _Data:
    """The rows nearest to the ends of any variable are the outside, a tenth of all; a sixth of the rest is held out."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    x, y = x[order], y[order]
    rank = x.argsort(0).argsort(0).double() / (len(x) - 1)
    centrality = torch.minimum(rank, 1 - rank).amin(-1)
    outside = centrality <= torch.quantile(centrality, 0.1)
    x_in, y_in, x_out, y_out = x[~outside], y[~outside], x[outside], y[outside]
    cut = len(x_in) // 6
    return _Data(x_in[cut:], y_in[cut:], x_in[:cut], y_in[:cut], x_out, y_out)


@dataclass(frozen=True)
class _Rough:
    """A law with rough numbers in variables of its own, what these are in the inputs, and where it comes from."""

    expression: Any
    variables: tuple[sympy.Symbol, ...]
    meaning: tuple[Any, ...]
    structure: str


def _rough_laws(
    data: _Data, goal: _Goal, library: Library, seed: int, late: Callable[[], bool]
) -> Iterator[tuple[_Rough, float]]:
    """Laws with rough numbers, the most promising first, and the error of the best structure so far."""
    x, y = data.x[:2000], data.y[:2000]
    varying = [j for j in range(x.shape[1]) if x[:, j].amax() > x[:, j].amin()]
    if not varying:
        return
    start = Variables(x[:, varying], tuple(goal.inputs[j] for j in varying))
    chain = _chain(start, x, y, goal)
    ratios: list[tuple[float, _Rough]] = []
    for error, rough in _ratios(chain, y):
        ratios.append((error, rough))
        if error < 1e-7:
            yield rough, error
    if len(varying) == 1:
        yield from ((rough, 1e-7) for rough in _planar([start], y, library, tolerance=1e-14))
    structures = [s for v in chain if not late() for s in find_structures(v, y, seed, late)]
    structures.sort(key=lambda s: s.bits)
    best = min((s.error for s in structures), default=math.inf)
    short = [r for r in ratios if 1e-7 <= r[0] < 0.3 and len(r[1].expression.atoms(sympy.Float)) <= 12]
    good = [rough for error, rough in sorted(short, key=lambda r: r[0])[:2] if error < 1.1 * best]
    yield from ((rough, best) for rough in good)
    promising = best < 1e-3 or len(varying) == 1
    for structure in structures[: 6 if promising else 3]:
        yield from ((rough, best) for rough in _from_structure(structure, y, library, seed))
    others: list[Structure] = []
    for variables in exchanged(chain[-1] if not goal.auxiliary else start):
        if late():
            return
        if not all(map(goal.possible, variables.expressions)):
            continue
        others += find_structures(variables, y, seed, late, extra=6.0)
    best = min((s.error for s in others), default=best)
    for structure in sorted(others, key=lambda s: s.bits)[:6]:
        yield from ((rough, best) for rough in _from_structure(structure, y, library, seed))
    yield from ((rough, best) for rough in _planar(_single_variables(chain[-1], goal), y, library))


def _ratios(chain: list[Variables], y: Tensor) -> Iterator[tuple[float, _Rough]]:
    """Polynomials and their ratios with their relative errors, in the variables with the most joined first."""
    for variables in reversed(chain):
        symbols = _symbols(variables)
        for law in rational_laws(variables.x, y, symbols):
            value = evaluate((law,), symbols, variables.x)[:, 0]
            error = ((value - y).square().mean().sqrt() / y.std(correction=0)).item()
            yield error, _Rough(law, symbols, variables.expressions, "ratio of polynomials")


def _planar(single: list[Variables], y: Tensor, library: Library, tolerance: float = 1e-6) -> Iterator[_Rough]:
    """Conics and functions of a function, of one variable each."""
    for variables in single:
        symbols = _symbols(variables)
        for law in planar_laws(variables.x[:, 0], y, symbols[0], library, tolerance):
            yield _Rough(law, symbols, variables.expressions, "a conic or a function of a function")


def _single_variables(last: Variables, goal: _Goal) -> list[Variables]:
    """One variable that y may be a function of: the only one where some were joined, and any pairing of two."""
    if last.x.shape[1] == 2:
        pairs = [last.joined(0, 1, pairing) for pairing in PAIRINGS]
        return [v for v in pairs if torch.isfinite(v.x).all() and goal.possible(v.expressions[0])]
    return [last] if last.x.shape[1] == 1 < len(goal.inputs) else []


def _chain(start: Variables, x: Tensor, y: Tensor, goal: _Goal) -> list[Variables]:
    """The variables as given, with those joined that act only together, and with the auxiliary ones beside them."""
    chain = join_variables(start, smoothest(start.x, y), possible=goal.possible)
    if goal.auxiliary:
        extra = evaluate(goal.auxiliary, goal.inputs, x)
        chain.append(Variables(torch.cat([start.x, extra], 1), (*start.expressions, *goal.auxiliary)))
    return chain


def _from_structure(structure: Structure, y: Tensor, library: Library, seed: int) -> Iterator[_Rough]:
    symbols = _symbols(structure.variables)
    for law in rough_expressions(structure, symbols, y, library, seed):
        yield _Rough(law, symbols, structure.variables.expressions, str(structure))


def _symbols(variables: Variables) -> tuple[sympy.Symbol, ...]:
    """A symbol per variable, so that no refit takes a joined variable apart."""
    return tuple(sympy.Dummy(f"u{j}", real=True) for j in range(len(variables.expressions)))


def _finish(rough: _Rough, goal: _Goal, data: _Data) -> Law | None:
    """Refit in the scale of y, snap the numbers, simplify, and measure on what was held out."""
    inputs = goal.inputs
    spread = data.y.std(correction=0).item()
    u, y = evaluate(rough.meaning, inputs, data.x[:2000]), data.y[:2000, None]
    few = slice(0, 600)
    expression = canonical(rough.expression)
    if len(expression.atoms(sympy.Float)) > MAX_NUMBERS:
        return None
    (expression,), cost = refit_constants((expression,), rough.variables, u[few], y[few], steps=25)
    if not math.sqrt(cost) < 0.5 * spread:
        return None
    (expression,) = snap((expression,), rough.variables, u[few], y[few])
    if expression.atoms(sympy.Float):
        expanded = sympy.expand(expression)
        if len(expanded.atoms(sympy.Float)) <= len(expression.atoms(sympy.Float)):
            expression = expanded
        (expression,) = snap((expression,), rough.variables, u, y)
    expression = expression.xreplace(dict(zip(rough.variables, rough.meaning, strict=True)))
    expression = simplify(_without_abs(expression, inputs, data.x), inputs, {})
    if _cancels(expression, inputs, data.x[few]):
        return None

    def error(x: Tensor, y: Tensor) -> float:
        value = evaluate((expression,), inputs, x)[:, 0]
        e = ((value - y).square().mean().sqrt() / spread).item()
        return e if math.isfinite(e) else math.inf

    return Law(
        Formula((expression,), inputs, (goal.output,)),
        error(data.x_held_out, data.y_held_out),
        error(data.x_outside, data.y_outside),
        int(sympy.count_ops(expression)) + len(expression.atoms(sympy.Float)),
        rough.structure,
    )


def _without_abs(expression: Any, inputs: tuple[sympy.Symbol, ...], x: Tensor) -> Any:
    """|u| as u or -u where the samples show one sign only: the simpler law, which the samples outside will judge."""
    for part in expression.atoms(sympy.Abs):
        value = evaluate((part.args[0],), inputs, x)
        if (value > 0).all() or (value < 0).all():
            expression = expression.xreplace({part: part.args[0] * (1 if value[0] > 0 else -1)})
    return expression


def _cancels(expression: Any, inputs: tuple[sympy.Symbol, ...], x: Tensor) -> bool:
    """True for the far end of one function that imitates another: sums far smaller than their terms, wild powers."""
    if any(abs(float(power.args[1])) > 12 for power in expression.atoms(sympy.Pow) if power.args[1].is_Float):
        return True
    for total in expression.atoms(sympy.Add):
        if not total.atoms(sympy.Float):
            continue
        terms = evaluate(tuple(total.args), inputs, x)
        if terms.square().mean(0).sqrt().amax() > 1e4 * terms.sum(-1).std():
            return True
    return False


def _is_exact(law: Law) -> bool:
    """Rounding alone is left, and not because there are numbers enough to imitate any curve."""
    few = len(law.formula.expressions[0].atoms(sympy.Float)) <= MAX_UNNAMED
    return few and law.error < 1e-9 and law.extrapolation_error < 1e-9


def _is_settled(law: Law, curves_error: float) -> bool:
    """True for a law of few numbers that leaves the noise alone: more than 10^-4, no more than curves leave."""
    noise = max(law.error, 1e-4)
    numbers = len(law.formula.expressions[0].atoms(sympy.Float))
    slack = 1.1 if numbers == 0 else 1.03
    return law.error < slack * curves_error and law.extrapolation_error < 1.2 * noise and numbers <= 2


def _answer(laws: list[Law], curves_error: float, seconds: float) -> Discovery:
    finite = [law for law in laws if math.isfinite(law.error)]
    front = pareto(finite, lambda law: law.complexity, lambda law: law.error, gain=1e-6)
    alternatives = tuple(front)
    if not front:
        reason = "no structure of curves and products fits the samples, so that there were no functions to look for"
        return Discovery(None, False, reason, alternatives, curves_error, seconds)
    best = min(front, key=lambda law: 100 * math.log2(max(law.error, 1e-12)) + 4 * law.complexity)
    if _is_exact(best):
        reason = (
            f"exact: rounding alone is left, inside ({best.error:.1g}) and outside ({best.extrapolation_error:.1g})"
        )
        return Discovery(best, True, reason, alternatives, curves_error, seconds)
    if best.error > max(1.15 * curves_error, 1e-6) or best.error > 0.5:
        reason = (
            f"the best formula leaves {best.error:.2g} of the spread of y where curves leave {curves_error:.2g}; "
            "the functions are not in the library or the structure is another"
        )
        return Discovery(None, False, reason, alternatives, curves_error, seconds)
    numbers = len(best.formula.expressions[0].atoms(sympy.Float))
    if numbers > MAX_UNNAMED:
        reason = f"the best formula needs {numbers} numbers without a name: a table of the data rather than a law"
        return Discovery(None, False, reason, alternatives, curves_error, seconds)
    if best.extrapolation_error > 2 * best.error + 1e-6:
        reason = (
            f"the best formula leaves {best.error:.2g} of the spread of y inside the region it was found in, but "
            f"{best.extrapolation_error:.2g} outside"
        )
        return Discovery(None, False, reason, alternatives, curves_error, seconds)
    reason = (
        f"explains all but {best.error:.2g} of the spread of y, as well as curves do ({curves_error:.2g}), and "
        f"{best.extrapolation_error:.2g} outside: a law up to that noise, not proven exact"
    )
    return Discovery(best, False, reason, alternatives, curves_error, seconds)
