r"""Finds a law in a table: $y = F\big(c + \sum_j h_j(u_j) + \sum_m \prod_j g_{mj}(u_j)\big)$ in functions of a library.

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

from edgewise.discovery.candidates import GENERATORS, QUICK_GENERATORS, Generator
from edgewise.discovery.goal import Goal, goal_of
from edgewise.discovery.law import Discovery, Verdict, answer_of, judged, leaves_rounding
from edgewise.discovery.rows import MIN_ROWS
from edgewise.discovery.separable import surface_error
from edgewise.display import shows_progress
from edgewise.nn import DEFAULT_LIBRARY, Library
from edgewise.progress import Budget, Event, Listener, Pulse, TimeIsOver
from edgewise.symbolic.edges import check_library

log = logging.getLogger(__name__)


@shows_progress
def discover(
    x: Any,
    y: Any,
    *,
    names: Sequence[str] | None = None,
    output: str = "y",
    units: Mapping[str, str] | None = None,
    auxiliary: Sequence[str] = (),
    start: Sequence[str] = (),
    library: Library = DEFAULT_LIBRARY,
    seconds: float = 60.0,
    seed: int = 0,
    clock: Callable[[], float] = time.thread_time,
    progress: bool | Listener | None = None,
) -> Discovery:
    """Search for a law y = f(x), and say so when there is none.

    Args:
        x: samples of shape (samples, variables): array, tensor or frame; of more than 20,000 a random choice is used.
        y: targets of shape (samples,) or (samples, 1).
        names: names of the variables; those of the columns of a frame or x1, x2, ... by default.
        output: name of the target.
        units: of every variable and of the target by name, such as {"m": "kg", "a": "m/s^2", "y": "N"}: only laws with
            fitting dimensions are returned. Constants are dimensionless; give a constant of nature as a variable.
        auxiliary: expressions of the variables that the law may be a short function of, such as "v**2 / c**2".
        start: formulas to begin with, such as "k*m*v**2/r": names that are no variables, and numbers with a point, are
            constants to be found; what a formula leaves is searched for as a sum of power laws beside it or times it.
        library: functions that a law may be made of.
        seconds: time limit in seconds: no structure or law is begun after it, and what has begun ends soon.
        seed: of the split and of the random starts of fits.
        clock: measures the seconds: the processor time of this thread by default, so that the answer does not depend
            on other processes; these may stretch the search to four times as much wall time.
        progress: True to show it; or called with an `Event` after every law that was judged and every second or so
            between; what it raises stops the search.

    Raises:
        ValueError: where the samples, names, units or functions cannot be used; the message names the first of them.
        TypeError: columns of a frame that are no numbers.
    """
    assert not isinstance(progress, bool)  # made a listener by `shows_progress`
    budget = Budget.of_search(seconds, clock)
    check_library(library)
    goal = goal_of(x, y, names, output, units, auxiliary, library, seed, Pulse(budget, progress), start)
    answer = search(goal)
    if budget.over or not goal.needless or not _may_need(goal, answer):
        return answer
    other = search(replace(goal, reduced=False))
    better = answer.law is None or (other.law is not None and other.law.error < answer.law.error)
    return other if better else replace(answer, seconds=other.seconds)


def _may_need(goal: Goal, answer: Discovery) -> bool:
    """Whether the inputs that were left out explain anything of what the law leaves; perhaps where there is no law."""
    if answer.law is None or leaves_rounding(answer.law):
        return answer.law is None
    table = goal.samples.head(1000)
    rest = table.y - table.values(answer.law.formula.expressions[0])[:, 0]
    everything = surface_error(table.x[:, sorted((*goal.varying, *goal.needless))], rest)
    return everything < 0.97 * surface_error(table.x[:, goal.varying], rest)


def search(goal: Goal, generators: Sequence[Generator] = GENERATORS) -> Discovery:
    """The answer for one goal: every rough law judged, until one is exact or settled or the time is over."""
    verdicts: list[Verdict] = []
    curves_error, settled = math.inf, False
    try:
        generators = generators if goal.rows >= MIN_ROWS else QUICK_GENERATORS
        for rough in chain.from_iterable(generate(goal) for generate in generators):
            curves_error = min(curves_error, rough.curves_error)
            verdict = judged(rough, goal)
            if verdict is not None:
                verdicts.append(verdict)
                log.info("%s: %s", rough.origin, verdict)
                if goal.pulse.listener is not None:
                    goal.pulse.listener(Event(rough.origin, goal.budget.fraction, str(verdict)))
            settled = settled or (verdict is not None and verdict.settled)
            if goal.budget.over or (settled and not rough.contested):
                break
    except TimeIsOver:
        log.info("the time is over")
    return answer_of(verdicts, curves_error, goal)
