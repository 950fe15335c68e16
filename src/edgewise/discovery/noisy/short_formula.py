"""Searches short formulas for the outcome of a noisy table: several ways to find candidates, one rule to choose."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.candidates import SHORT_GENERATORS
from edgewise.discovery.discover import search
from edgewise.discovery.goal import goal_of
from edgewise.discovery.law import Law
from edgewise.discovery.noisy.beside_constant import beside_constant
from edgewise.discovery.noisy.linear_sums import linear_sums
from edgewise.discovery.noisy.small_networks import SHAPES, formulas_of_networks
from edgewise.discovery.noisy.thinned_ratio import fit_ratio, forward_selection, thin
from edgewise.discovery.sense import nonsense
from edgewise.expressions import Constant, Formula
from edgewise.expressions.constants import refit_constants
from edgewise.expressions.simplify import canonical, length, pareto
from edgewise.nn import DEFAULT_LIBRARY
from edgewise.progress import Budget, Event, Listener, Pulse
from edgewise.stored import read_as, read_fields, require_keys

log = logging.getLogger(__name__)
Array = np.ndarray

MAX_SELECTED = 16  # inputs, among which forward selection chooses
MAX_INPUTS = 5  # of small networks
MAX_TERMS = 16  # of ratios, beyond which they are too long to read
TOLERANCE = 0.1  # more mean square error than the best formula has, for the chosen one: 5 % of its root
FLOOR = 1e-20  # of relative mean square errors: below is rounding, and the shorter formula wins


def search_formula(
    train: tuple[Float[Array, "rows features"], Float[Array, " rows"]],
    held: tuple[Float[Array, "held features"], Float[Array, " held"]],
    names: Sequence[str],
    output: str,
    *,
    importance: Sequence[float] | None = None,
    seconds: float = 60.0,
    seed: int = 0,
    progress: Listener | None = None,
) -> Front:
    """Search a short formula for a numeric outcome.

    Args:
        train: inputs and outcome to fit to.
        held: inputs and outcome to choose by.
        names: names of the inputs.
        output: name of the outcome.
        importance: how much every input matters to some model; beyond 16 inputs only the greatest are considered, and
            small networks start from the greatest five.
        seconds: time limit in seconds: a quarter, in processor time, for the laws that `discover` tries first, a third
            of the rest for the selection of inputs, a third for ratios, the rest for networks; nothing begins after it.
        seed: source of all randomness.
        progress: called with an `Event` at every stage.
    """
    weight = np.ones(len(names)) if importance is None else np.asarray(importance)
    ranked = [int(j) for j in np.argsort(-weight, kind="stable")]
    table = NoisyTable(train, held, tuple(names), output)
    budget = Budget(seconds)
    findings = [table.constant(), *_linear(table, ranked[:MAX_SELECTED])]
    tell(progress, "laws that need no curves", 0.0)
    short = Budget(budget.left / 4, time.thread_time, budget.left / 2)  # what else runs shall not hide a law
    law, others = _laws(table, sorted(ranked[:MAX_INPUTS]), short, seed)
    findings += others
    if law is not None:
        tell(progress, f"a law: {law.formula}", 1.0)
        return Front.of([*findings, law], names, law)
    tell(progress, f"which of {len(ranked[:MAX_SELECTED])} inputs a formula needs", budget.fraction)
    sets = forward_selection(*table.scaled, ranked[:MAX_SELECTED], seed=seed, budget=budget.share(1 / 3))
    part = budget.share(1 / 2)
    for n, inputs in enumerate(sets):
        if part.over:
            tell(progress, f"no time for the other {len(sets) - n} sets of inputs", budget.fraction)
            break
        tell(progress, f"ratios of {', '.join(names[j] for j in inputs)}", budget.fraction)
        findings += _while(part, _ratios(table, list(inputs), seed))
    largest = [inputs for inputs in sets if len(inputs) == len(sets[-1])]
    inputs = list(largest[0]) if largest else important(weight, ranked)
    tell(progress, f"small networks on {', '.join(names[j] for j in inputs)}", budget.fraction)
    findings += _networks(table, inputs, 0.8 * budget.left, seed)
    tell(progress, "constants near integers", budget.fraction)
    findings += _while(budget, _rounded(tuple(findings), table))
    findings += _while(budget, _with_fewer_inputs(Front.of(findings, names).chosen, table))
    front = beside_constant(_sensible(findings, table, names), findings[0], table.squares)
    tell(progress, f"{len(findings)} formulas, {len(front.front)} on the front", 1.0)
    return front


def search_ratio(
    train: tuple[Array, Array], held: tuple[Array, Array], names: Sequence[str], output: str, seed: int = 0
) -> Front:
    """Ratios of sums alone, of all of a few inputs; arguments as of `search_formula`."""
    table = NoisyTable(train, held, tuple(names), output)
    ratios = (table.constant(), *_ratios(table, list(range(len(names))), seed))
    return Front.of([f for f in (*ratios, *_rounded(ratios, table)) if table.objection(f.formula) is None], names)


@dataclass(frozen=True)
class Finding:
    """A formula with its origin and its error.

    Attributes:
        formula: the formula.
        origin: how it was found.
        error: its loss on held-out rows, in units of the variance of the outcome for a regression.
        constants: its numbers with their standard errors, where the search has them.
        uncertainty: the standard error of the error: other held-out rows would give another.
    """

    formula: Formula
    origin: str
    error: float
    constants: tuple[Constant, ...] = ()
    uncertainty: float = 0.0

    @property
    def complexity(self) -> int:
        """Operations, and two for every constant that must be written down."""
        return sum(map(length, self.formula.expressions))

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON object with exact constants."""
        own = {"origin": self.origin, "error": self.error, "uncertainty": self.uncertainty}
        return {**own, "formula": self.formula.to_json(), "constants": [c.to_json() for c in self.constants]}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Finding:
        """The finding that `to_json` described."""
        return read_fields(cls, fields, "a finding")


@dataclass(frozen=True)
class Front:
    """The front of error against length, the shortest formula first, and the chosen formula."""

    front: tuple[Finding, ...]
    chosen: Finding
    inputs: tuple[str, ...]

    @classmethod
    def of(cls, findings: Sequence[Finding], inputs: Sequence[str], law: Finding | None = None) -> Front:
        """The front of these findings; chosen is the law, or else the shortest about as good as the best.

        That is within `TOLERANCE` of the least error and two of its standard errors: few held-out rows tell little.
        """
        front = pareto(findings, lambda f: f.complexity, lambda f: f.error)
        if law is not None:
            front = sorted({id(f): f for f in (*front, law)}.values(), key=lambda f: f.complexity)
            return cls(tuple(front), law, tuple(inputs))
        bound = (1 + TOLERANCE) * front[-1].error + 2 * front[-1].uncertainty + FLOOR
        chosen = next(finding for finding in front if finding.error <= bound)
        return cls(tuple(front), chosen, tuple(inputs))

    def to_json(self) -> dict[str, Any]:
        """The front as a JSON object."""
        front = [finding.to_json() for finding in self.front]
        return {"front": front, "chosen": self.front.index(self.chosen), "inputs": list(self.inputs)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Front:
        """The front that `to_json` described."""
        require_keys(fields, ("front", "chosen", "inputs"), "a front")
        front, chosen = read_as(tuple[Finding, ...], fields["front"], "a front"), read_as(int, fields["chosen"], "one")
        if not 0 <= chosen < len(front):
            raise ValueError(f"a front of {len(front)} formulas has none of the number {chosen}")
        return cls(front, front[chosen], read_as(tuple[str, ...], fields["inputs"], "the inputs of a front"))


@dataclass(frozen=True)
class NoisyTable:
    """Rows to fit formulas to and held-out rows to judge them by, of named inputs and one outcome."""

    train: tuple[Float[Array, "rows features"], Float[Array, " rows"]]
    held: tuple[Float[Array, "held features"], Float[Array, " held"]]
    names: tuple[str, ...]
    output: str

    @cached_property
    def symbols(self) -> tuple[sympy.Symbol, ...]:
        """The symbols of the inputs."""
        return symbols_of(self.names)

    @cached_property
    def size(self) -> Float[Array, " features"]:
        """The greatest magnitude of every input, one for those that are zero."""
        size = np.abs(self.train[0]).max(0)
        return np.where(size > 0, size, 1.0)

    @cached_property
    def spread(self) -> float:
        """The standard deviation of the outcome, one where it is zero."""
        return float(self.train[1].std()) or 1.0

    @property
    def scaled(self) -> tuple[Float[Array, "rows features"], Float[Array, " rows"]]:
        """The training inputs by their size and the outcome by its spread, zero kept at zero."""
        return self.train[0] / self.size, self.train[1] / self.spread

    def judged(self, formula: Formula, origin: str) -> Finding:
        """A formula with its mean square error on the held-out rows, in units of the variance there."""
        squares = self.squares(formula)
        error, uncertainty = float(squares.mean()), float(squares.std(correction=0)) / len(squares) ** 0.5
        return (
            Finding(formula, origin, error, (), uncertainty) if np.isfinite(error) else Finding(formula, origin, np.inf)
        )

    def squares(self, formula: Formula) -> Float[Tensor, " held"]:
        """The square error of every held-out row, in units of the variance there."""
        x, y = (torch.as_tensor(part) for part in self.held)
        return (formula(x)[:, 0] - y).square() / (float(y.var(correction=0)) or 1.0)

    def objection(self, formula: Formula) -> str | None:
        """Why a formula makes no sense in and near the box of the rows, or None."""
        x, y = (torch.as_tensor(part, dtype=torch.float64) for part in self.train)
        return next((o for e in formula.expressions if (o := nonsense(e, self.symbols, x, y))), None)

    def constant(self) -> Finding:
        """The mean of the outcome as a formula."""
        return self.judged(self.formula(sympy.Float(float(self.train[1].mean()), 17)), "constant")

    def formula(self, expression: Any) -> Formula:
        """A formula of the outcome."""
        return Formula((expression,), self.symbols, (self.output,))


def _laws(table: NoisyTable, inputs: list[int], budget: Budget, seed: int) -> tuple[Finding | None, list[Finding]]:
    """The law that the short search of `discover` announces of some inputs, if it does, and the other formulas."""
    x, y = table.train
    names = [table.names[j] for j in inputs]
    try:
        goal = goal_of(x[:, inputs], y, names, table.output, None, (), DEFAULT_LIBRARY, seed, Pulse(budget))
    except ValueError as error:  # too few rows, or an outcome that hardly varies
        log.info("no law is searched for: %s", error)
        return None, []
    found = search(goal, SHORT_GENERATORS)

    def finding(law: Law) -> Finding:
        whole = replace(law.formula, inputs=table.symbols)
        return replace(table.judged(whole, law.structure), constants=law.constants)

    others = [finding(law) for law in found.alternatives if law is not found.law]
    if found.law is None:
        return None, others
    law = finding(found.law)
    return (law, others) if found.exact or found.law.complete else (None, [*others, law])


def _sensible(findings: list[Finding], table: NoisyTable, names: Sequence[str]) -> Front:
    """The front of the findings that make sense near the rows; the constant always does."""
    sound: set[int] = set()
    while True:
        front = Front.of(findings, names)
        wrong = {id(f) for f in front.front if id(f) not in sound and table.objection(f.formula) is not None}
        if not wrong:
            return front
        sound |= {id(f) for f in front.front} - wrong
        findings = [f for f in findings if id(f) not in wrong]


def _linear(table: NoisyTable, inputs: list[int]) -> Iterator[Finding]:
    x, y = table.scaled
    scaled = [symbol / sympy.Float(size, 17) for symbol, size in zip(table.symbols, table.size, strict=True)]
    for chosen, (*slopes, offset) in linear_sums(x, y.astype(float), inputs):
        terms = [sympy.Float(a, 17) * scaled[j] for a, j in zip(slopes, chosen, strict=True)]
        whole = sympy.Float(table.spread, 17) * sympy.Add(*terms, sympy.Float(offset, 17))
        yield table.judged(table.formula(sympy.expand(whole)), f"linear in {len(chosen)} inputs")


def _ratios(table: NoisyTable, inputs: list[int], seed: int) -> Iterator[Finding]:
    x, y = table.scaled
    x = x[:, inputs]
    scaled = [table.symbols[j] / sympy.Float(table.size[j], 17) for j in inputs]
    for start, _ in fit_ratio(x, y, seed)[:2]:
        for ratio in thin(start, x, y):
            if len(ratio) <= MAX_TERMS:
                expression = _gathered(sympy.Float(table.spread, 17) * ratio.expression(scaled))
                yield table.judged(table.formula(expression), f"ratio of {len(ratio)} terms")


def _networks(table: NoisyTable, inputs: list[int], seconds: float, seed: int) -> Iterator[Finding]:
    data, kept = (
        (torch.as_tensor(x[:, inputs]), torch.as_tensor(y, dtype=torch.float64)[:, None])
        for x, y in (table.train, table.held)
    )
    some = [table.names[j] for j in inputs]
    for network, formula in formulas_of_networks(data, kept, some, seconds=seconds, seed=seed, shapes=SHAPES):
        whole = replace(formula, inputs=table.symbols, names=(table.output,))
        yield table.judged(whole, f"network {network.widths}")


def _rounded(findings: Sequence[Finding], table: NoisyTable, most: int = 8) -> Iterator[Finding]:
    """The shortest good formulas again, constants near an integer replaced by it and the others refitted."""
    front = Front.of(findings, ()).front
    good = [finding for finding in front if finding.error <= 1.5 * front[-1].error]
    x, y = (torch.as_tensor(part[:4096], dtype=torch.float64) for part in table.train)
    for finding in good[:most]:
        formula, error, refused = finding.formula, finding.error, set[float]()
        while numbers := [n for n in formula.expressions[0].atoms(sympy.Float) if float(n) not in refused]:
            number = min(numbers, key=_off_integer)
            whole = sympy.Integer(round(float(number)))
            refused.add(float(number))
            if whole == 0 or _off_integer(number) > 0.2 * abs(whole):
                continue
            expression = formula.expressions[0].xreplace({number: whole})
            (expression,), _ = refit_constants((expression,), formula.inputs, x, y[:, None])
            trial = table.judged(replace(formula, expressions=(expression,)), f"{finding.origin}, rounded")
            if trial.error <= 1.02 * error:
                formula, error = trial.formula, trial.error
                yield trial


def _off_integer(number: Any) -> float:
    return abs(float(number) - round(float(number)))


def _with_fewer_inputs(chosen: Finding, table: NoisyTable) -> Iterator[Finding]:
    """The chosen formula with each of its inputs held at its mean and the constants refitted: who needs it?"""
    x, y = (torch.as_tensor(part[:4096], dtype=torch.float64) for part in table.train)
    old: Any = chosen.formula.expressions[0]
    inputs = chosen.formula.inputs
    for j, symbol in enumerate(inputs):
        if symbol in old.free_symbols and len(old.free_symbols) > 1:
            held: Any = old.xreplace({symbol: sympy.Float(x[:, j].mean().item(), 17)})
            (expression,), _ = refit_constants((canonical(held),), inputs, x, y[:, None])
            yield table.judged(replace(chosen.formula, expressions=(expression,)), f"{chosen.origin}, without {symbol}")


def _while(budget: Budget, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings that are made within the time."""
    for finding in findings:
        yield finding
        if budget.over:
            return


def _gathered(expression: sympy.Expr) -> sympy.Expr:
    """Numerator and denominator with their constants multiplied out, the leading one of the denominator made 1."""
    offset, ratio = expression.as_independent(*expression.free_symbols, as_Add=True)
    if not ratio.free_symbols:
        return expression
    top, bottom = ratio.as_numer_denom()
    (top_number, top), (bottom_number, bottom) = (sympy.factor_terms(part).as_coeff_Mul() for part in (top, bottom))
    terms = [term.as_coeff_Mul() for term in sympy.Add.make_args(sympy.expand(bottom))]
    lead = max((number for number, _ in terms), key=abs)
    bottom = sympy.Add(*((1 if number == lead else number / lead) * rest for number, rest in terms))
    return offset + top_number / (bottom_number * lead) * top / bottom


def important(weight: Array, ranked: Sequence[int]) -> list[int]:
    """The inputs that matter more than a hundredth of the first one, at most five, at least one."""
    least = 0.01 * float(weight.max())
    return sorted(j for j in ranked[:MAX_INPUTS] if weight[j] > least) or [ranked[0]]


def symbols_of(names: Sequence[str]) -> tuple[sympy.Symbol, ...]:
    """The symbols of inputs of these names."""
    return tuple(sympy.Symbol(str(name), real=True) for name in names)


def tell(progress: Listener | None, text: str, fraction: float) -> None:
    """Log what is done, and tell the listener."""
    log.info("%s", text)
    if progress is not None:
        progress(Event("search the formula", fraction, text))
