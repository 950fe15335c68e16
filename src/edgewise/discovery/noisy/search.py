"""The search: which inputs, which form, which numbers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sympy
import torch
from jaxtyping import Float

from edgewise.discovery.noisy.curves import SHAPES, formulas_of_networks
from edgewise.discovery.noisy.front import Finding, Front
from edgewise.discovery.noisy.inputs import forward_selection
from edgewise.discovery.noisy.ratio import fit_ratio, thinned
from edgewise.expressions import Formula
from edgewise.expressions.constants import refit_constants

log = logging.getLogger(__name__)

Array = np.ndarray
CANDIDATES = 16
LEAST = 10.0
LONGEST = 16
"""Ratios with more terms are not formulas that one reads."""

Tell = Callable[[str], None]


def search_formula(
    train: tuple[Float[Array, "rows features"], Float[Array, " rows"]],
    held: tuple[Float[Array, "held features"], Float[Array, " held"]],
    names: Sequence[str],
    output: str,
    *,
    importance: Sequence[float] | None = None,
    seconds: float = 60.0,
    seed: int = 0,
    tell: Tell = log.info,
) -> Front:
    """Search a short formula for a number.

    Args:
        train: inputs and outcome to fit to.
        held: inputs and outcome to choose by.
        names: names of the inputs.
        output: name of the outcome.
        importance: how much every input matters to some model; beyond 16 inputs only the greatest are considered, and
            small networks start from the greatest five.
        seconds: processor time for the ratios, at least thirty, so that a busy machine finds what an idle one does;
            what runs then ends, and networks get what is left, at least ten.
        seed: source of all randomness.
        tell: called with a line on every stage.
    """
    weight = np.ones(len(names)) if importance is None else np.asarray(importance)
    ranked = list(np.argsort(-weight, kind="stable"))
    candidates = [int(j) for j in ranked[:CANDIDATES]]
    judge = _Judge(held, output)
    tell(f"which of {len(candidates)} inputs a formula needs")
    x, y, size, spread = _scaled(*train)
    sets = forward_selection(x, y, candidates, seed=seed)
    findings: list[Finding] = [judge.constant(float(train[1].mean()), names)]
    end = time.thread_time() + max(seconds, 3 * LEAST)
    for n, inputs in enumerate(sets):
        if time.thread_time() > end:
            tell(f"no time for the other {len(sets) - n} sets of inputs")
            break
        tell(f"ratios of {', '.join(names[j] for j in inputs)}")
        findings += _ratios(x, y, size, spread, inputs, names, judge, seed)
    largest = [inputs for inputs in sets if len(inputs) == len(sets[-1])]
    inputs = largest[0] if largest else _important(weight, ranked)
    tell(f"small networks on {', '.join(names[j] for j in inputs)}")
    findings += _networks(train, held, inputs, names, judge, max(end - time.thread_time(), LEAST), seed)
    tell("numbers near whole ones")
    findings += _rounded(findings, train, judge)
    front = Front.of(findings, names)
    tell(f"{len(findings)} formulas, {len(front.front)} on the front")
    return front


class _Judge:
    """Makes findings: formulas with their error on the rows held out."""

    def __init__(self, held: tuple[Array, Array], output: str) -> None:
        self.x, self.y = torch.as_tensor(held[0]), torch.as_tensor(held[1])
        self.spread = float(self.y.var(correction=0)) or 1.0
        self.output = output

    def constant(self, value: float, names: Sequence[str]) -> Finding:
        return self(Formula((sympy.Float(value, 17),), _symbols(names), (self.output,)), "constant")

    def __call__(self, formula: Formula, origin: str) -> Finding:
        error = float((formula(self.x)[:, 0] - self.y).square().mean()) / self.spread
        return Finding(formula, origin, error if np.isfinite(error) else np.inf)


def _ratios(
    x: Array,
    y: Array,
    size: Array,
    spread: float,
    inputs: Sequence[int],
    names: Sequence[str],
    judge: _Judge,
    seed: int,
) -> Iterator[Finding]:
    symbols = _symbols(names)
    chosen = list(inputs)
    scaled = [symbols[j] / sympy.Float(size[j], 17) for j in chosen]
    for start, _ in fit_ratio(x[:, chosen], y, seed)[:2]:
        for ratio in thinned(start, x[:, chosen], y):
            if len(ratio) <= LONGEST:
                expression = _gathered(sympy.Float(spread, 17) * ratio.expression(scaled))
                yield judge(Formula((expression,), symbols, (judge.output,)), f"ratio of {len(ratio)} terms")


def _networks(
    train: tuple[Array, Array],
    held: tuple[Array, Array],
    inputs: Sequence[int],
    names: Sequence[str],
    judge: _Judge,
    seconds: float,
    seed: int,
) -> Iterator[Finding]:
    chosen = list(inputs)
    data, kept = (
        (torch.as_tensor(x[:, chosen]), torch.as_tensor(y, dtype=torch.float64)[:, None]) for x, y in (train, held)
    )
    some = [names[j] for j in chosen]
    for network, formula in formulas_of_networks(data, kept, some, seconds=seconds, seed=seed, shapes=SHAPES):
        whole = replace(formula, inputs=_symbols(names), names=(judge.output,))
        yield judge(whole, f"network {network.widths}")


def _rounded(
    findings: Sequence[Finding], train: tuple[Array, Array], judge: _Judge, most: int = 8
) -> Iterator[Finding]:
    """The shortest good formulas once more, numbers near an integer made that integer and the others refitted."""
    front = Front.of(findings, ()).front
    good = [finding for finding in front if finding.error <= 1.5 * front[-1].error]
    x, y = (torch.as_tensor(part[:4096], dtype=torch.float64) for part in train)
    for finding in good[:most]:
        formula, error, refused = finding.formula, finding.error, set[float]()
        while numbers := [n for n in formula.expressions[0].atoms(sympy.Float) if float(n) not in refused]:
            number = min(numbers, key=_from_whole)
            whole = sympy.Integer(round(float(number)))
            refused.add(float(number))
            if whole == 0 or abs(number - whole) > 0.2 * abs(whole):
                continue
            expression = formula.expressions[0].xreplace({number: whole})
            (expression,), _ = refit_constants((expression,), formula.inputs, x, y[:, None])
            trial = judge(replace(formula, expressions=(expression,)), f"{finding.origin}, rounded")
            if trial.error <= 1.02 * error:
                formula, error = trial.formula, trial.error
                yield trial


def _from_whole(number: Any) -> float:
    return abs(float(number) - round(float(number)))


def _scaled(x: Array, y: Array) -> tuple[Array, Array, Array, float]:
    """Inputs by their greatest magnitude and outcome by its standard deviation, zero kept at zero."""
    size = np.abs(x).max(0)
    size = np.where(size > 0, size, 1.0)
    spread = float(y.std()) or 1.0
    return x / size, y / spread, size, spread


def _gathered(expression: sympy.Expr) -> sympy.Expr:
    """Numerator and denominator with their numbers multiplied out, the denominator's leading number made 1."""
    offset, ratio = expression.as_independent(*expression.free_symbols, as_Add=True)
    if not ratio.free_symbols:
        return expression
    top, bottom = ratio.as_numer_denom()
    (top_number, top), (bottom_number, bottom) = (sympy.factor_terms(part).as_coeff_Mul() for part in (top, bottom))
    terms = [term.as_coeff_Mul() for term in sympy.Add.make_args(sympy.expand(bottom))]
    lead = max((number for number, _ in terms), key=abs)
    bottom = sympy.Add(*((1 if number == lead else number / lead) * rest for number, rest in terms))
    return offset + top_number / (bottom_number * lead) * top / bottom


def _important(weight: Array, ranked: Sequence[int], most: int = 5) -> tuple[int, ...]:
    total = float(weight.max())
    return tuple(sorted(int(j) for j in ranked[:most] if weight[j] > 0.01 * total))


def _symbols(names: Sequence[str]) -> tuple[sympy.Symbol, ...]:
    return tuple(sympy.Symbol(str(name), real=True) for name in names)
