"""Steps of a session as data: a step is done, and written as Python, from the same fields.

Messages become steps only through `step_of`: a closed table of methods of `Session` with the fields that each takes.
Nothing else of a message is used, and code is written from checked values by `repr`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgewise.nn.layers import EdgeKey, find_layer, kan_layers, owned
from edgewise.symbolic import Session

STEPS_AT_ONCE = 5
"""Iterations of one call of `Session.fit`: between two calls a fit can be shown and stopped."""

MAX_STEPS = 1000
MAX_ITEMS = 1000
MAX_FORMULA = 4000
MAX_NUMBER = 1e300
LISTS = ("edges", "names", "inputs", "expressions")
"""Fields that are read as several arguments; they are the last of their step."""


class ActionError(ValueError):
    """A message that cannot be done as given; its text is for the user."""


@dataclass(frozen=True)
class SessionStep:
    """`times` calls of one method of `Session`.

    >>> print(SessionStep("fix", ((0, 1, 0), "sin")).code())
    session = session.fix((0, 1, 0), 'sin')
    """

    method: str
    arguments: tuple[Any, ...] = ()
    times: int = 1

    def once(self, session: Session) -> Session:
        """The session after one of the calls."""
        return METHODS[self.method].call(session, *self.arguments)

    def apply(self, session: Session) -> Session:
        """The session after all of them."""
        for _ in range(self.times):
            session = self.once(session)
        return session

    def code(self) -> str:
        """The Python statement that does the same to a variable `session`."""
        line = f"session = session.{self.method}({', '.join(map(repr, self.arguments))})"
        return line if self.times == 1 else f"for _ in range({self.times}):\n    {line}"

    def message(self) -> dict[str, Any]:
        """The message that `step_of` reads as this step."""
        if self.method == "fit":
            return {"do": "fit", "steps": self.times * self.arguments[0]}
        fields, left = {}, list(self.arguments)
        for field in METHODS[self.method].fields:
            fields[field] = left if field in LISTS else left.pop(0)
            if fields[field] is None:  # an optional text
                fields[field] = ""
        return {"do": self.method, **fields}


def step_of(session: Session, message: Mapping[str, Any]) -> SessionStep:
    """The step that a message {"do": method, field: value, ...} asks for; `ActionError` where it cannot be done."""
    method = METHODS.get(message["do"])
    if method is None:
        raise ActionError(f"{message['do']!r} is no step")
    extra = sorted(set(message) - {"do", "id", *method.fields})
    if extra:
        raise ActionError(f"{message['do']!r} takes {', '.join(method.fields) or 'no fields'}, not {extra[0]!r}")
    arguments: list[Any] = []
    for field, read in method.fields.items():
        if field not in message:
            raise ActionError(f"{message['do']!r} needs the field {field!r}")
        value = read(session, message[field])
        arguments += value if isinstance(value, list) else [value]
    if message["do"] == "fit":
        return SessionStep("fit", (STEPS_AT_ONCE,), math.ceil(arguments[0] / STEPS_AT_ONCE))
    return SessionStep(str(message["do"]), tuple(arguments))


def read_edge(session: Session, value: Any) -> tuple[int, int, int]:
    """An edge that the network has, from [layer, source, target]."""
    if not (isinstance(value, Sequence) and len(value) == 3 and all(type(n) is int and n >= 0 for n in value)):
        raise ActionError("an edge is given by three whole numbers [layer, source, target]")
    layer, j, i = value
    count = len(kan_layers(session.model))
    if layer >= count:
        raise ActionError(f"there is no layer {layer}; the network has layers 0 to {count - 1}")
    edges = owned(find_layer(session.model, layer)[1])
    if j >= edges.shape[0] or i >= edges.shape[1] or not edges[j, i]:
        raise ActionError(f"the network has no edge from {j} to {i} in layer {layer}")
    return EdgeKey(layer, j, i)[:]  # type: ignore[return-value]


def read_number(value: Any, low: float, high: float, what: str) -> float:
    """A finite number within bounds."""
    if type(value) not in (int, float) or not low <= value <= high:
        raise ActionError(f"{what} is a number from {low:g} to {high:g}")
    return float(value)


def read_whole(value: Any, low: int, high: int, what: str) -> int:
    """A whole number within bounds."""
    if type(value) is not int or not low <= value <= high:
        raise ActionError(f"{what} is a whole number from {low} to {high}")
    return value


def read_text(value: Any, what: str, most: int = 200) -> str:
    """A text that is not too long."""
    if not isinstance(value, str) or len(value) > most:
        raise ActionError(f"{what} is a text of at most {most} letters")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise ActionError(f"{what} is a list of at most {MAX_ITEMS} entries")
    return value


def _edges(session: Session, value: Any) -> list[tuple[int, int, int]]:
    return [read_edge(session, edge) for edge in _list(value, "edges")]


def _name(session: Session, value: Any) -> str:
    name = read_text(value, "the name of a function")
    if name not in session.library:
        raise ActionError(f"{name!r} is not allowed; the library has {', '.join(session.library)}")
    return name


def _names(session: Session, value: Any) -> list[str]:
    return [_name(session, name) for name in _list(value, "names")]


def _inputs(session: Session, value: Any) -> list[int]:
    return [read_whole(j, 0, session.model.in_features - 1, "an input") for j in _list(value, "inputs")]


def _pair(session: Session, value: Any) -> list[int]:
    pair = _inputs(session, value)
    if len(pair) != 2 or pair[0] == pair[1]:
        raise ActionError("give two different inputs that can be exchanged")
    return pair


def _points(session: Session, value: Any) -> tuple[tuple[float, float], ...]:
    pairs = _list(value, "points")
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise ActionError("points are pairs [x, y]")
    return tuple((_finite(session, x), _finite(session, y)) for x, y in pairs)


def _finite(session: Session, value: Any) -> float:
    return read_number(value, -MAX_NUMBER, MAX_NUMBER, "a coordinate")


def _layer(session: Session, value: Any) -> int:
    return read_whole(value, 0, len(kan_layers(session.model)) - 1, "a layer")


def _node(session: Session, value: Any) -> int:
    return read_whole(value, 0, max(layer.out_features for layer in kan_layers(session.model).values()), "a node")


def _formula(session: Session, value: Any) -> str:
    return read_text(value, "a formula", MAX_FORMULA)


def _new_name(session: Session, value: Any) -> str | None:
    return read_text(value, "the name of an input", 60).strip() or None


def _expressions(session: Session, value: Any) -> list[str]:
    return [_formula(session, text) for text in _list(value, "expressions")]


def _units(session: Session, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > MAX_ITEMS:
        raise ActionError("units are given by the names of columns and outputs")
    return {read_text(name, "a name", 1000): read_text(unit, "a unit", 60) for name, unit in value.items()}


def _shape(session: Session, value: Any) -> str:
    return read_text(value, "a shape")


def _least(session: Session, value: Any) -> float:
    return read_number(value, 0.0, 0.999, "the score up to which edges are pruned")


def _intervals(session: Session, value: Any) -> int:
    return read_whole(value, 1, 200, "the number of grid intervals")


def _steps(session: Session, value: Any) -> int:
    return read_whole(value, 1, MAX_STEPS, "the number of steps")


@dataclass(frozen=True)
class _Method:
    """A method of `Session` and the fields of its message; a field that is read as a list gives several arguments."""

    call: Callable[..., Session]
    fields: Mapping[str, Callable[[Session, Any], Any]]


METHODS: Mapping[str, _Method] = {
    "fix": _Method(Session.fix, {"edge": read_edge, "name": _name}),
    "release": _Method(Session.release, {"edge": read_edge}),
    "draw": _Method(Session.draw, {"edge": read_edge, "points": _points}),
    "pull": _Method(Session.pull, {"edge": read_edge, "x": _finite, "y": _finite}),
    "remove": _Method(Session.remove, {"edge": read_edge}),
    "remove_node": _Method(Session.remove_node, {"layer": _layer, "node": _node}),
    "split_node": _Method(Session.split_node, {"layer": _layer, "node": _node}),
    "multiply_node": _Method(Session.multiply_node, {"layer": _layer, "node": _node}),
    "exclude": _Method(Session.exclude, {"inputs": _inputs}),
    "combine": _Method(Session.combine, {"formula": _formula, "name": _new_name}),
    "adopt": _Method(Session.adopt, {"expressions": _expressions}),
    "measure": _Method(Session.measure, {"units": _units}),
    "lock": _Method(Session.lock, {"edges": _edges}),
    "unlock": _Method(Session.unlock, {"edges": _edges}),
    "share": _Method(Session.share, {"edges": _edges}),
    "forbid": _Method(Session.forbid, {"names": _names}),
    "shape": _Method(Session.shape, {"edge": read_edge, "shape": _shape}),
    "constrain": _Method(Session.constrain, {"shape": _shape, "inputs": _inputs}),
    "symmetric": _Method(Session.symmetric, {"inputs": _pair}),
    "prune": _Method(Session.prune, {"least": _least}),
    "refine": _Method(Session.refine, {"intervals": _intervals}),
    "fit": _Method(Session.fit, {"steps": _steps}),
}
"""Every step that a message can ask for."""
