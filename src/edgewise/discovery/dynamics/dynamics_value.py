"""The answer of `discover_dynamics` as a value: equations, constants with intervals, simulation and evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import sympy

from edgewise._shown import shown
from edgewise.discovery.dynamics.right_side import RightSide
from edgewise.discovery.dynamics.trajectories import Trajectories
from edgewise.discovery.dynamics.verification import Verification, simulated
from edgewise.expressions import Constant, Formula, printers
from edgewise.expressions.names import heading
from edgewise.stored import read_as, read_fields, require_keys

MARKS = {"flow": "'", "map": "[n+1]"}
"""What follows the name of a component on the left side of its equation."""


@dataclass(frozen=True)
class SystemLaw:
    """A system on the front of error against length.

    Attributes:
        formula: one equation for every component.
        residual: what its trajectories leave, in standard deviations of a component, the largest of all.
        constants: the number of its constants.
    """

    formula: Formula
    residual: float
    constants: int

    def to_json(self) -> dict[str, Any]:
        """The system as a JSON object."""
        return {"formula": self.formula.to_json(), "residual": self.residual, "constants": self.constants}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> SystemLaw:
        """The system that `to_json` described."""
        return read_fields(cls, fields, "a stored system")


@shown
@dataclass(frozen=True)
class Dynamics:
    """The law of trajectories, or the reason why none is announced.

    Attributes:
        kind: "flow" for x' = f(x, u, t), or "map" for x[n + 1] = f(x[n], u[n]).
        law: the equations with exact constants where the data single them out; None where no law is announced.
        reason: a sentence that says why.
        constants: all constants of the law with their errors; `place` says what each does, "factor of y in x'".
        verification: how the law did on observations that it was not fitted to; None where nothing could be fitted.
        noise: standard deviation of what the law leaves of every component, by name.
        alternatives: the front of error against length, the shortest first; the best one is last.
        states, controls: names of the components of x and u.
        seconds: time of the search.
        data: the observations, and `held_out` those that the law was verified with.
        followed: the trajectories of the law that were fitted to those observed.
        begins: the state at the begin of every held-out part, from observations before it where there are some.
        sums: the law as a sum of terms, where these contain velocities as in M(x) x'' = F(x, x'); else None.
    """

    kind: str
    law: Formula | None
    reason: str
    constants: tuple[Constant, ...]
    verification: Verification | None
    noise: Mapping[str, float]
    alternatives: tuple[SystemLaw, ...]
    states: tuple[str, ...]
    controls: tuple[str, ...]
    seconds: float
    data: Trajectories | None = field(default=None, repr=False, compare=False)
    held_out: Trajectories | None = field(default=None, repr=False, compare=False)
    followed: tuple[Any, ...] = field(default=(), repr=False, compare=False)
    begins: tuple[Any, ...] = field(default=(), repr=False, compare=False)
    sums: Formula | None = None

    @property
    def formula(self) -> Formula:
        """The equations of the law; raises `ValueError` with the reason where there is none."""
        if self.law is None:
            raise ValueError(f"no law was found: {self.reason}")
        return self.law

    @property
    def equations(self) -> tuple[Any, ...]:
        """The equations as sympy equalities of functions x(t), or x(n) of a map; empty where there is no law."""
        if self.law is None:
            return ()
        time = self.law.inputs[len(self.states) + len(self.controls)]
        clock = time if self.kind == "flow" else sympy.Symbol("n", integer=True)
        paths = {s: sympy.Function(s.name)(clock) for s in self.law.inputs if s != time} | {time: clock}
        left = [
            paths[s].diff(time) if self.kind == "flow" else paths[s].subs(clock, clock + 1) for s in self.law.inputs
        ]
        right = [e.xreplace(paths) for e in self.law.expressions]
        return tuple(sympy.Eq(a, b, evaluate=False) for a, b in zip(left, right, strict=False))

    def simulate(self, x0: Any, t: Any, controls: Any = None) -> np.ndarray:
        """The trajectory of the law from the state x0 at t[0], at the times t: (times, d).

        Args:
            x0: the state at the begin (d,).
            t: increasing times (times,); of a map, the numbers of its steps.
            controls: (times, k), linear between the times; needed where the law has controls.

        Raises:
            ValueError: where there is no law, or a shape does not fit.
        """
        right = self._right()
        start, times = np.array(x0, dtype=float).reshape(-1), np.array(t, dtype=float)
        if len(start) != len(self.states):
            raise ValueError(
                f"x0 has {len(start)} values; the law has {len(self.states)} states: {', '.join(self.states)}"
            )
        if times.ndim != 1 or (np.diff(times) <= 0).any():
            raise ValueError("t must be a vector of increasing times")
        u = np.zeros((len(times), len(self.controls))) if controls is None else np.array(controls, dtype=float)
        u = u.reshape(len(times), -1)
        if u.shape[1] != len(self.controls) or (controls is None and self.controls):
            raise ValueError(f"give controls of shape ({len(times)}, {len(self.controls)}): {', '.join(self.controls)}")
        return simulated(right, np.zeros(0), start, times, u, self.kind == "map")

    def jacobian(self, x: Any, t: float = 0.0, controls: Any = ()) -> np.ndarray:
        """The derivatives of the right sides by the states at the state x (d,): (d, d)."""
        right = self._right()
        u = np.array(controls, dtype=float).reshape(1, -1)
        _, slopes = right.slopes(np.array(x, dtype=float).reshape(1, -1), u, np.array([float(t)]), np.zeros(0))
        return slopes[0]

    def _right(self) -> RightSide:
        law, d, k = self.formula, len(self.states), len(self.controls)
        return RightSide(law.expressions, law.inputs[:d], law.inputs[d : d + k], law.inputs[d + k], (), ())

    @property
    def lyapunov(self) -> float | None:
        """The largest Lyapunov exponent where the law is chaotic, else None."""
        return self.verification.lyapunov if self.verification is not None and self.verification.chaotic else None

    def latex(self, digits: int = 4) -> str:
        r"""The system in LaTeX, one equation a line: \dot x for a flow, x_{n+1} for a map."""
        lines = []
        for name, e in zip(self.states, (self.sums or self.formula).rounded(digits), strict=True):
            left = printers.latex_name(name)
            left = rf"\dot{{{left}}}" if self.kind == "flow" else rf"{{{left}}}_{{n+1}}"
            lines.append(f"{left} = {printers.latex(e)}")
        return " \\\\\n".join(lines)

    def plot(self, *, theme: str = "light") -> Any:
        """A figure of matplotlib: observations, simulation and held-out part of every component, and the portrait."""
        from edgewise.discovery.dynamics.dynamics_plot import plot_dynamics

        return plot_dynamics(self, theme=theme)

    def to_json(self) -> dict[str, Any]:
        """The answer as a JSON object, without the observations."""
        return {
            "kind": self.kind,
            "law": None if self.law is None else self.law.to_json(),
            "sums": None if self.sums is None else self.sums.to_json(),
            "reason": self.reason,
            "constants": [c.to_json() for c in self.constants],
            "verification": None if self.verification is None else self.verification.to_json(),
            "noise": dict(self.noise),
            "alternatives": [a.to_json() for a in self.alternatives],
            "states": list(self.states),
            "controls": list(self.controls),
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Dynamics:
        """The answer that `to_json` described, without the observations; anything else is a `ValueError`."""
        what = "stored dynamics"
        known = require_keys(fields, _STORED, what)
        read = {name: read_as(hint, known[name], f"the {name} of {what}") for name, hint in _STORED.items()}
        names, d = (*read["states"], *read["controls"]), len(read["states"])
        systems = [*(law for law in (read["law"], read["sums"]) if law is not None)]
        systems += [other.formula for other in read["alternatives"]]
        if any(len(law.expressions) != d or len(law.inputs) < len(names) + 1 for law in systems):
            raise ValueError(f"the law of {what} does not fit its {len(names)} components")
        return cls(**read)

    def __str__(self) -> str:
        if self.law is None:
            return f"no law\n{self.reason}"
        lines = equations_text(self.sums or self.law, self.states, self.kind)
        lines += [f"  {c}" for c in self.constants]
        return "\n".join([*lines, self.reason])


def equations_text(law: Formula, states: Sequence[str], kind: str) -> list[str]:
    """The equations of a system in plain notation, one line each."""
    mark = MARKS[kind]
    return [f"{heading(name)}{mark} = {printers.text(e)}" for name, e in zip(states, law.rounded(), strict=True)]


_STORED: dict[str, Any] = {
    "kind": Literal["flow", "map"],
    "law": Formula | None,
    "sums": Formula | None,
    "reason": str,
    "constants": tuple[Constant, ...],
    "verification": Verification | None,
    "noise": Mapping[str, float],
    "alternatives": tuple[SystemLaw, ...],
    "states": tuple[str, ...],
    "controls": tuple[str, ...],
    "seconds": float,
}
"""The fields in a file, with their types."""
