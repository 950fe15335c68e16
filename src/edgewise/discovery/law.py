"""Refines rough laws, judges them on held-out rows, and decides which of the laws is announced."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import sympy
import torch
from torch import Tensor

from edgewise._shown import shown
from edgewise.discovery.candidates import RoughLaw
from edgewise.discovery.competing_laws import CORRECTION, competing, dispute
from edgewise.discovery.evidence import ROUNDING, doubt
from edgewise.discovery.evidence_bits import count_numbers, weighed_numbers
from edgewise.discovery.final import weight_of, with_constants
from edgewise.discovery.goal import Goal
from edgewise.discovery.noise import UNLIKELY, chance_of_rest, log_likelihood, noise_kind, scale_of
from edgewise.discovery.rows import MIN_ROWS, Table
from edgewise.expressions.constants import refit_constants, snap
from edgewise.expressions.evaluate import evaluate
from edgewise.expressions.formula import Formula
from edgewise.expressions.simplify import canonical, pareto, simplify
from edgewise.expressions.uncertainty import Constant
from edgewise.nn import DEFAULT_LIBRARY, KAN, Library
from edgewise.symbolic.write import from_formula

MAX_CONSTANTS = 40
"""A rough law with more constants is not refined: it is a table, not a law."""

MAX_UNNAMED = 8
"""A law with more constants that have no name is not announced."""

ROWS_PER_NUMBER = 4
"""A law with more constants than one for so many different rows repeats them."""
MANY_TIMES = 3.0
"""A law that leaves so many times what curves leave of held-out rows is none, though its rest looks like noise."""
CERTAINLY_MORE = 1e-5
"""A law is no law of the rows where so small a probability of chance is left that what it leaves is noise."""
FEW = 600
"""Rows that constants are refitted to first."""


@shown
@dataclass(frozen=True)
class Law:
    """A formula with its evidence: errors relative to the standard deviation of y.

    Attributes:
        formula: the formula.
        error: on held-out rows of the region that it was fitted in.
        extrapolation_error: on rows outside that region; NaN where there are none.
        complexity: operations and constants without a name.
        structure: how it was found.
        doubt: why the samples do not prove it although it leaves rounding only; empty where they do or more is left.
        bits: description length of the target by it, up to a number that all laws of a table share.
        plain_bits: the same where all numbers cost alike, with a name or without, and operations nothing.
        noise: the power of its value that the standard deviation of what it leaves is proportional to.
        chance: the probability that what it leaves is noise, by tests against polynomials and neighbours.
        sure: False where the rows do not tell one of its free numbers from zero.
        constants: its numbers with their standard errors; empty where rounding alone is left.
        complete: True where no polynomial of the inputs explains more of what it leaves than chance does.
    """

    formula: Formula
    error: float
    extrapolation_error: float
    complexity: int
    structure: str
    doubt: str = ""
    bits: float = math.inf
    plain_bits: float = math.inf
    noise: float = 0.0
    complete: bool = False
    chance: float = 1.0
    sure: bool = True
    constants: tuple[Constant, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.formula}", f"held-out error {self.error:.3g}, complexity {self.complexity}: {self.structure}"]
        return "\n".join([*lines, *(f"  {constant}" for constant in self.constants), *filter(None, [self.doubt])])

    def to_json(self) -> dict[str, Any]:
        """The law as a JSON object."""
        return {
            "formula": self.formula.to_json(),
            "error": self.error,
            "extrapolation_error": None if math.isnan(self.extrapolation_error) else self.extrapolation_error,
            "complexity": self.complexity,
            "structure": self.structure,
            "doubt": self.doubt,
            "noise": self.noise,
            "complete": self.complete,
            "constants": [constant.to_json() for constant in self.constants],
        }


@shown
@dataclass(frozen=True)
class Discovery:
    """The answer of `discover`.

    Attributes:
        law: the recommended law, or None where none is announced.
        exact: True where the law leaves rounding only, inside and outside the region of the fitted rows, and the rows
            tell it from other laws; `wrong_rows` are left out of that.
        reason: a sentence that says why this law is announced, or why none is.
        alternatives: the front of error against complexity, simplest first.
        curves_error: relative held-out error of the best structure of curves, a lower bound for laws of that form;
            infinite where a law was found before curves were fitted.
        seconds: time of the search.
        wrong_rows: rows of the table that do not follow the law, at most one in twenty.
        competitor: a law of another form that explains the rows as well: one that differs from the announced law in a
            small correction, or the reason why none is announced; None where the rows tell the law from all others.
    """

    law: Law | None
    exact: bool
    reason: str
    alternatives: tuple[Law, ...]
    curves_error: float
    seconds: float
    wrong_rows: tuple[int, ...] = ()
    competitor: Law | None = None

    @property
    def formula(self) -> Formula:
        """The formula of the law; raises `ValueError` with the reason where there is none."""
        if self.law is None:
            raise ValueError(f"no law was found: {self.reason}")
        return self.law.formula

    def model(self, library: Library = DEFAULT_LIBRARY) -> KAN:
        """The law as a KAN that computes it exactly, to be drawn, widened or trained further."""
        return from_formula(
            self.formula.expressions, self.formula.inputs, library=library, output_names=self.formula.names
        )

    def to_json(self) -> dict[str, Any]:
        """The answer as a JSON object."""
        return {
            "law": None if self.law is None else self.law.to_json(),
            "exact": self.exact,
            "reason": self.reason,
            "alternatives": [a.to_json() for a in self.alternatives],
            "curves_error": self.curves_error if math.isfinite(self.curves_error) else None,
            "seconds": self.seconds,
            "wrong_rows": list(self.wrong_rows),
            "competitor": None if self.competitor is None else self.competitor.to_json(),
        }

    def __str__(self) -> str:
        constants = "".join(f"  {constant}\n" for constant in (self.law.constants if self.law else ()))
        return f"{self.law.formula if self.law else 'no law'}\n{constants}{self.reason}"


@dataclass(frozen=True)
class Verdict:
    """A judged law: why its dimensions are impossible, if they are, and whether the search may end with it."""

    law: Law
    objection: str | None
    settled: bool

    def __str__(self) -> str:
        law = self.law
        wrong = "" if self.objection is None else f", impossible: {self.objection}"
        return f"{law.formula}, error {law.error:.3g}, outside {law.extrapolation_error:.3g}{wrong}"


def judged(rough: RoughLaw, goal: Goal) -> Verdict | None:
    """The law with its constants refitted and named, simplified, and measured on rows that it was not fitted to.

    None where it has too many constants, fits badly, or imitates another function.
    """
    spread = goal.fitted.y.std(correction=0).item()
    expression = _refined(rough, goal, spread)
    if expression is None:
        return None
    expression = simplify(goal.fitted.without_abs(expression), goal.inputs, {})
    if goal.samples.head(FEW).cancels(expression):
        return None
    law = Law(
        Formula((expression,), goal.inputs, (goal.output,)),
        goal.held_out.error(expression) / spread,
        goal.outside.error(expression) / spread,
        int(sympy.count_ops(expression)) + len(expression.atoms(sympy.Float)),
        rough.origin,
    )
    law = weighed(law, goal, spread)
    objection = goal.objection(expression)
    doubted = doubt(expression, goal) if leaves_rounding(law) else None
    done = doubted.settled if doubted else leaves_rounding(law) or is_settled(law, rough.curves_error)
    return Verdict(replace(law, doubt=doubted.reason if doubted else ""), objection, objection is None and done)


def weighed(law: Law, goal: Goal, spread: float) -> Law:
    """The law with the kind of its noise, its description length, and whether anything is left to explain."""
    (expression,), table = law.formula.expressions, goal.everything
    value = table.values(expression)[:, 0]
    if not torch.isfinite(value).all():
        return law
    kind, floor = noise_kind(value, table.y), ROUNDING * spread / 1000
    nats = log_likelihood(value, table.y, kind, floor)
    bits, sure = weighed_numbers(expression, table, floor, weight_of(value, kind))
    rest = (table.y - value) / scale_of(value, kind)
    noise = chance_of_rest(goal.straightened(table.x), rest)
    target = -nats / math.log(2)
    plain = target + 0.5 * math.log2(len(table.y)) * count_numbers(expression)
    return replace(
        law, bits=target + bits, plain_bits=plain, noise=kind, complete=noise >= UNLIKELY, sure=sure, chance=noise
    )


def answer_of(verdicts: Sequence[Verdict], curves_error: float, goal: Goal) -> Discovery:
    """The law to announce, if there is one, and why."""
    laws = [v.law for v in verdicts if v.objection is None and math.isfinite(v.law.error)]
    sure = [law for law in laws if law.sure]
    best = min(sure or laws, key=_rank, default=None)
    front = _front(laws, best)
    refusal, other = _refusal(best, curves_error, goal), None
    if best is not None and not refusal and not leaves_rounding(best):
        other, final = competing(best, sure), with_constants(best, goal)
        refusal = _unsure(final, best) or _undecided(final, other, goal.everything)
        front[front.index(best)] = best = final
    objections = [v.objection for v in verdicts if v.objection is not None]
    spent = goal.budget.spent
    if best is None or refusal:
        if objections:
            refusal += f"; {len(objections)} formulas with wrong dimensions were left out ({objections[0]})"
        return Discovery(None, False, refusal, tuple(front), curves_error, spent, competitor=other)
    reason = _reason(best, curves_error) + (f"; {_alike(best, other)}" if other else "")
    answer = Discovery(best, is_exact(best), reason, tuple(front), curves_error, spent, competitor=other)
    return answer if goal.wrong is None else _with_wrong_rows(answer, best, goal)


def _front(laws: Sequence[Law], best: Law | None) -> list[Law]:
    """The front of held-out error against complexity, and the best law: a few rows held out may favour another."""
    front = pareto(laws, lambda law: law.complexity, lambda law: law.error, gain=1e-6)
    return front if best is None or best in front else sorted([*front, best], key=lambda law: law.complexity)


def _rank(law: Law) -> float:
    """Bits of the target and of the law; where rounding is left, one that the samples prove is before one in doubt."""
    return law.bits + 1000 * bool(law.doubt)


def _refusal(best: Law | None, curves_error: float, goal: Goal) -> str:
    """Why the best law is not announced; empty where it is."""
    if best is None:
        few = f"there are {goal.rows} different rows, too few for curves, and no short polynomial, ratio or power fits"
        none = "no structure of curves and products fits the samples, so that there were no functions to search for"
        return few if goal.rows < MIN_ROWS else none
    if is_exact(best):
        return ""
    spread = goal.fitted.y.std(correction=0).item()
    error = min(best.error, goal.judging_curves.error(best.formula.expressions[0]) / spread)
    numbers = len(best.formula.expressions[0].atoms(sympy.Float))
    known = math.isfinite(curves_error)
    more = MANY_TIMES if best.complete else 1.15  # few rows may hide what a complete law leaves, but not so much
    worse = known and error > max(more * curves_error, 1e-6)
    if not leaves_rounding(best) and (best.chance < CERTAINLY_MORE or worse or best.error > 0.5):
        beside = f"where curves leave {curves_error:.2g}" if worse else "and what it leaves is no noise"
        return (
            f"the best formula leaves {best.error:.2g} of the spread of y {beside}; "
            "the functions are not in the library or the structure is another"
        )
    if numbers > min(MAX_UNNAMED, goal.rows // ROWS_PER_NUMBER):
        return (
            f"the best formula needs {numbers} constants without a name for {goal.rows} different rows: a table of the "
            "data rather than a law"
        )
    if not leaves_rounding(best) and _fails_outside(best, goal):
        return (
            f"the best formula leaves {best.error:.2g} of the spread of y inside the region of the fitted rows, but "
            f"{best.extrapolation_error:.2g} outside"
        )
    return ""


def _unsure(final: Law, best: Law) -> str:
    """Which number of a law the rows do not tell from zero; empty where they tell all."""
    zero = next((c for c in final.constants if c.name is None and c.holds(0)), None)
    if zero is None and best.sure:
        return ""
    what = "has a number that the rows do" if zero is None else f"has {zero}, a number that the rows do"
    return f"the best formula, {final.formula}, {what} not tell from zero"


def _undecided(best: Law, other: Law | None, table: Table) -> str:
    """That another law explains noisy rows as well and is more than a correction of the best; empty where none is."""
    if other is None or max(dispute(best, other, table), dispute(other, best, table)) <= CORRECTION:
        return ""
    return f"{_alike(best, other)}; give more rows, a wider range or less noise"


def _alike(best: Law, other: Law) -> str:
    return f"{best.formula} and {other.formula} explain the rows alike: these hardly tell one from the other"


def _fails_outside(law: Law, goal: Goal) -> bool:
    """Whether a law leaves more than twice as much outside the region of the fitted rows, in units of its noise."""
    if not law.noise:
        larger = max(1.0, goal.outside.size / goal.fitted.size)  # a weak growth of the noise is not seen inside
        return law.extrapolation_error > 2 * law.error * larger + 1e-6
    inside, outside = (_in_units_of_noise(law, table) for table in (goal.held_out, goal.outside))
    return len(goal.outside.y) > 0 and not outside <= 2 * inside


def _in_units_of_noise(law: Law, table: Table) -> float:
    """The root mean square of what a law leaves over the power of its value that its noise is proportional to."""
    value = table.values(law.formula.expressions[0])[:, 0]
    return ((table.y - value) / scale_of(value, law.noise)).square().mean().sqrt().item()


def _reason(law: Law, curves_error: float) -> str:
    outside = "" if math.isnan(law.extrapolation_error) else f" and outside ({law.extrapolation_error:.1g})"
    if is_exact(law):
        return f"exact: rounding alone is left, inside ({law.error:.1g}){outside}"
    if law.doubt:
        return f"rounding alone is left ({law.error:.1g}), but {law.doubt}: not proven exact"
    outside = "" if math.isnan(law.extrapolation_error) else f" inside and {law.extrapolation_error:.2g} outside"
    curves = f"as well as curves do ({curves_error:.2g})" if math.isfinite(curves_error) else "which is noise"
    return (
        f"explains all but {law.error:.2g} of the spread of y{outside}, {curves}: a law up to that noise, not proven "
        "exact"
    )


def _with_wrong_rows(answer: Discovery, law: Law, goal: Goal) -> Discovery:
    """The answer with the rows that were left out of the search and do not follow its law."""
    assert goal.wrong is not None
    off = (goal.wrong.values(law.formula.expressions[0])[:, 0] - goal.wrong.y).abs()
    least = max(10 * law.error, 1e-8) * goal.fitted.y.std(correction=0).item()
    rows = tuple(sorted(row for row, far in zip(goal.wrong_rows, off.tolist(), strict=True) if not far <= least))
    if not rows:
        return answer
    total = len(goal.fitted.y) + len(goal.held_out.y) + len(goal.outside.y) + len(goal.wrong.y)
    shown = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
    note = f"{len(rows)} of {total} rows {'does' if len(rows) == 1 else 'do'} not follow it (row {shown})"
    return replace(answer, reason=f"{answer.reason}; {note}", wrong_rows=rows)


def leaves_rounding(law: Law) -> bool:
    """True where rounding alone is left, by a law with too few constants to imitate any curve."""
    few = len(law.formula.expressions[0].atoms(sympy.Float)) <= MAX_UNNAMED
    return few and law.error < ROUNDING and not law.extrapolation_error >= ROUNDING


def is_exact(law: Law) -> bool:
    """True where rounding alone is left and the samples tell the law from others."""
    return leaves_rounding(law) and not law.doubt


def is_settled(law: Law, curves_error: float) -> bool:
    """True for a law of few constants that leaves noise alone: more than 10^-4, no more than curves leave."""
    noise = max(law.error, 1e-4)
    numbers = len(law.formula.expressions[0].atoms(sympy.Float))
    if law.complete and law.error > 1e-4 and numbers <= 3:
        return True
    if not math.isfinite(curves_error):
        return False
    slack = 1.1 if numbers == 0 else 1.03
    return law.error < slack * curves_error and not law.extrapolation_error >= 1.2 * noise and numbers <= 2


def _refined(rough: RoughLaw, goal: Goal, spread: float) -> Any:
    """The law in the inputs with constants refitted in the scale of y and named; None where it is no law."""
    symbols, u, y = rough.variables.symbols, rough.variables.x, goal.samples.y[:, None]
    expression = canonical(rough.expression)
    if len(expression.atoms(sympy.Float)) > MAX_CONSTANTS:
        return None
    (expression,), cost = refit_constants((expression,), symbols, u[:FEW], y[:FEW], steps=25)
    if not math.sqrt(cost) < 0.5 * spread:
        return None
    tick = partial(goal.pulse, f"constants of {rough.origin}")
    weight = _weight(evaluate((expression,), symbols, u)[:, 0], y[:, 0], spread)
    few = None if weight is None else weight[:FEW]
    (expression,) = snap((expression,), symbols, u[:FEW], y[:FEW], tick=tick, weight=few)
    if expression.atoms(sympy.Float):
        expanded = sympy.expand(expression)
        if len(expanded.atoms(sympy.Float)) <= len(expression.atoms(sympy.Float)):
            expression = expanded
        (expression,) = snap((expression,), symbols, u, y, tick=tick, weight=weight)
    return expression.xreplace(dict(zip(symbols, rough.variables.expressions, strict=True)))


def _weight(value: Tensor, y: Tensor, spread: float) -> Tensor | None:
    """The inverse of the standard deviation of the noise that a rough law shows; None where that is constant."""
    if not (value != 0).all() or not torch.isfinite(value).all() or (y - value).square().mean() < (1e-4 * spread) ** 2:
        return None
    kind = noise_kind(value, y)
    if kind == 0.0:
        return None
    weight = 1 / scale_of(value, kind)
    return weight / weight.square().mean().sqrt()
