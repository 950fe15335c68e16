r"""Finds a law in a table: $y = F\big(c + \sum_j h_j(u_j) + \sum_m \prod_j g_{mj}(u_j)\big)$ with functions of a library.

Samples are checked and split; curves show the structure: which variables act only together, and which outer function F
makes the rest a sum of curves and of products of curves (a network with multiplication nodes). Generators propose laws
with rough constants, which are refined and judged one by one. A law is announced only where it holds on samples outside
the region that it was fitted in.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from edgewise.discovery.candidates import GENERATORS
from edgewise.discovery.goal import goal_of
from edgewise.discovery.law import Discovery, Law, answer_of, is_exact, is_settled, judged
from edgewise.nn import DEFAULT_LIBRARY, Library
from edgewise.progress import Budget, Event, Listener
from edgewise.symbolic.edges import check_library

log = logging.getLogger(__name__)


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
    progress: Listener | None = None,
) -> Discovery:
    """Search for a law y = f(x), and say so when there is none.

    Args:
        x: samples of shape (samples, variables): array or tensor.
        y: targets of shape (samples,) or (samples, 1).
        names: names of the variables; x1, x2, ... by default.
        output: name of the target.
        units: of every variable and of the target by name, such as {"m": "kg", "a": "m/s^2", "y": "N"}: only laws with
            fitting dimensions are returned. Constants are dimensionless; give a constant of nature as a variable.
        auxiliary: expressions of the variables that the law may be a short function of, such as "v**2 / c**2".
        library: functions that a law may be made of.
        max_seconds: time limit in seconds: no new structure or law is begun after it.
        seed: of the split and of the random starts of fits.
        clock: measures the time; `time.process_time` makes the answer independent of other processes.
        progress: called with an `Event` after every law that was judged.

    Raises:
        ValueError: where the samples, names, units or functions cannot be used; the message names the first of them.
    """
    budget = Budget(max_seconds, clock)
    check_library(library)
    goal = goal_of(x, y, names, output, units, auxiliary, library, seed, budget)
    laws: list[Law] = []
    impossible: list[str] = []
    curves_error = math.inf
    for rough in chain.from_iterable(generate(goal) for generate in GENERATORS):
        curves_error = min(curves_error, rough.curves_error)
        law = judged(rough, goal)
        wrong = None if law is None else goal.objection(law.formula.expressions[0])
        if wrong is not None:
            log.info("%s: %s: %s", rough.origin, law, wrong)
            impossible.append(wrong)
        elif law is not None:
            text = f"{law.formula}, error {law.error:.3g}, outside {law.extrapolation_error:.3g}"
            log.info("%s: %s", rough.origin, text)
            laws.append(law)
            if progress is not None:
                progress(Event(rough.origin, budget.fraction, text))
            if is_exact(law) or is_settled(law, rough.curves_error):
                break
        if budget.over:
            break
    answer = answer_of(laws, curves_error, budget.spent)
    if answer.law is None and impossible:
        note = f"{answer.reason}; {len(impossible)} formulas with wrong dimensions were left out ({impossible[0]})"
        return replace(answer, reason=note)
    return answer
