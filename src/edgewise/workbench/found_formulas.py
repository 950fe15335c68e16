"""Formulas that a search found, each with its length and the errors of the network that computes it.

They come from the folder of a run, or from a search on the data of a session; clicking one adopts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgewise.discovery.noisy import Front, search_formula
from edgewise.expressions import Formula, length, parse_formula
from edgewise.expressions.names import heading
from edgewise.progress import Listener
from edgewise.symbolic import Session
from edgewise.symbolic.session_structure import input_names, output_names
from edgewise.workbench.branches import rms

HELD_PART = 5
"""Of a session without other rows, every so many-th one is for choosing."""


@dataclass(frozen=True)
class FoundFormula:
    """A formula beside the network.

    Attributes:
        expressions: one per output, as `Session.adopt` takes them.
        length: operations, and two for every constant.
        origin: how it was found.
        error: root mean square error on the data; None where it cannot be adopted.
        held_error: the same on other rows; None where there are none.
        reason: why it cannot be adopted.
    """

    expressions: tuple[str, ...]
    length: int
    origin: str
    error: float | None
    held_error: float | None = None
    reason: str = ""


def found_formula(
    session: Session, held: tuple[Tensor, Tensor] | None, text: str, size: int, origin: str
) -> FoundFormula:
    """The formula that `str(Formula)` wrote, with the errors of the network that it gives.

    Args:
        session: on whose data the error is.
        held: other rows.
        text: one line "name = expression" per output.
        size: its length.
        origin: how it was found.
    """
    lines = zip(output_names(session.model), text.splitlines(), strict=False)
    expressions = tuple(line.removeprefix(f"{heading(name)} = ") for name, line in lines)
    try:
        adopted = session.adopt(*expressions)
    except ValueError as error:
        return FoundFormula(expressions, size, origin, None, None, str(error))
    held_error = None if held is None else rms(adopted.model, *held)
    return FoundFormula(expressions, size, origin, rms(adopted.model, adopted.x, adopted.y), held_error)


def search_formulas(
    session: Session, held: tuple[Tensor, Tensor] | None, seconds: float, progress: Listener
) -> list[FoundFormula]:
    """Search short formulas of the data's columns; the front of error against length.

    Args:
        session: of one output.
        held: rows to choose by; by default every fifth row of the data, on which the formulas are then not fitted.
        seconds: time limit.
        progress: called with an `Event` at every stage.
    """
    names, outputs = input_names(session.model), output_names(session.model)
    names = names[: len(names) - len(session.combined)]
    if len(outputs) > 1:
        raise ValueError(f"formulas are searched for one output; this network has {', '.join(outputs)}")
    rows = session.x[:, : len(names)], session.y
    if held is None:
        chosen = torch.arange(len(rows[0])) % HELD_PART == 0
        rows, other = (rows[0][~chosen], rows[1][~chosen]), (rows[0][chosen], rows[1][chosen])
    else:
        other = held
    train, choosing = ((_array(x), _array(y)[:, 0]) for x, y in (rows, other))
    front = search_formula(train, choosing, names, outputs[0], seconds=seconds, progress=progress)
    return of_front(session, held, front)


def of_front(session: Session, held: tuple[Tensor, Tensor] | None, front: Front) -> list[FoundFormula]:
    """The formulas of a front."""
    return [found_formula(session, held, str(f.formula), f.complexity, f.origin) for f in front.front]


def front_document(
    found: Iterable[FoundFormula], session: Session, equations: Callable[[Formula], list[str]]
) -> list[dict[str, Any]]:
    """What a page shows of formulas: their MathML, length and errors, the shortest first."""
    columns = session.x.shape[1] - len(session.combined)
    inputs = _symbols(input_names(session.model)[:columns])
    names = tuple(output_names(session.model))
    return [
        {
            "expressions": list(formula.expressions),
            "mathml": equations(Formula(tuple(parse_formula(e, inputs) for e in formula.expressions), inputs, names)),
            "length": formula.length,
            "origin": formula.origin,
            "error": formula.error,
            "heldError": formula.held_error,
            "reason": formula.reason,
        }
        for formula in sorted(found, key=lambda f: f.length)
    ]


def formula_length(session: Session) -> int:
    """Operations and constants of the formula of a network without curves."""
    return sum(map(length, session.formula().expressions))


def _symbols(names: list[str]) -> tuple[Any, ...]:
    import sympy

    return tuple(sympy.Symbol(name, real=True) for name in names)


def _array(values: Tensor) -> np.ndarray:
    return values.detach().double().cpu().numpy()
