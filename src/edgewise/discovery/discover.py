r"""From a table to a law: $y = F\big(c + \sum_j h_j(u_j) + \sum_m \prod_j g_{mj}(u_j)\big)$ and its functions.

The structure is found first, with curves: which variables act only together, and which outer function F makes the
rest a sum of curves and of products of curves (a network with multiplication nodes). The functions are found second,
the numbers last, and a law is announced only after it held on samples outside the region that it was found in.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from edgewise.discovery.law import Discovery, Law, answer_of, is_exact, is_settled
from edgewise.discovery.rough import Goal, Rough, rough_laws
from edgewise.expressions.simplify import canonical
from edgewise.expressions.constants import refit_constants, snap
from edgewise.expressions.evaluate import evaluate
from edgewise.expressions.formula import Formula
from edgewise.expressions.simplify import simplify
from edgewise.expressions.units import parse_units
from edgewise.nn import DEFAULT_LIBRARY, Library
from edgewise.symbolic.edges import check_library

log = logging.getLogger(__name__)

USED = 2000
"""Samples that structure and numbers are found with."""

MAX_NUMBERS = 40
"""An expression with more numbers than this is a table, not a law."""


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
    goal = Goal(
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

    for rough, error in rough_laws(data.x[:USED], data.y[:USED], goal, library, seed, late):
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
            if is_exact(law) or is_settled(law, error):
                break
        if late():
            break
    answer = answer_of(laws, min(errors, default=math.inf), clock() - began)
    if answer.law is None and impossible:
        note = f"{answer.reason}; {len(impossible)} formulas with wrong dimensions were left out ({impossible[0]})"
        return replace(answer, reason=note)
    return answer


@dataclass(frozen=True)
class Data:
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


def _split(x: Tensor, y: Tensor, seed: int) -> Data:
    """The rows nearest to the ends of any variable are the outside, a tenth of all; a sixth of the rest is held out."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    x, y = x[order], y[order]
    rank = x.argsort(0).argsort(0).double() / (len(x) - 1)
    centrality = torch.minimum(rank, 1 - rank).amin(-1)
    outside = centrality <= torch.quantile(centrality, 0.1)
    x_in, y_in, x_out, y_out = x[~outside], y[~outside], x[outside], y[outside]
    cut = len(x_in) // 6
    return Data(x_in[cut:], y_in[cut:], x_in[:cut], y_in[:cut], x_out, y_out)


def _finish(rough: Rough, goal: Goal, data: Data) -> Law | None:
    """Refit in the scale of y, snap the numbers, simplify, and measure on what was held out."""
    inputs = goal.inputs
    spread = data.y.std(correction=0).item()
    u, y = evaluate(rough.meaning, inputs, data.x[:USED]), data.y[:USED, None]
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
