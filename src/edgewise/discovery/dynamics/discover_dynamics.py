r"""Finds the law of trajectories: $x' = f(x, u, t)$ of a flow or $x_{n+1} = f(x_n, u_n)$ of a map.

Smoothing with evidence gives rough velocities; a sparse regression on libraries of terms, from polynomials to terms
with a constant inside, proposes systems (Brunton, Proctor and Kutz, PNAS 2016). Then the constants are fitted to the
trajectories themselves by multiple shooting, and the posterior of that fit, not a threshold, says which terms stay. A
law is announced only if it leaves no more than the noise and predicts observations that it was not fitted to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np

from edgewise.discovery.dynamics.answer import answer
from edgewise.discovery.dynamics.dynamics_value import Dynamics
from edgewise.discovery.dynamics.refinement import Bench
from edgewise.discovery.dynamics.regression import StateRows
from edgewise.discovery.dynamics.shooting import NOISE_FLOOR, Segments
from edgewise.discovery.dynamics.smooth_path import smooth
from edgewise.discovery.dynamics.system_search import ADEQUATE, SystemSearch, allowed_noise
from edgewise.discovery.dynamics.trajectories import Trajectories, read_trajectories
from edgewise.discovery.fields import FieldLaw, discover_field
from edgewise.display import shows_progress
from edgewise.progress import Budget, Listener, Pulse, TimeIsOver

STEPS = 8
"""Observations in a segment of a flow; every state of a map is a segment."""

ROUGH = 0.5
"""A path whose steps are larger than this share of its spread is no sample of a flow."""


@overload
def discover_dynamics(
    t: Any,
    x: Any,
    *,
    controls: Any = None,
    space: None = None,
    trajectory: Any = None,
    names: Sequence[str] | None = None,
    control_names: Sequence[str] | None = None,
    kind: Literal["auto", "flow", "map"] = "auto",
    degree: int = 3,
    seconds: float = 60.0,
    clock: Callable[[], float] = time.thread_time,
    progress: bool | Listener | None = None,
) -> Dynamics: ...
@overload
def discover_dynamics(
    t: Any,
    x: Any,
    *,
    controls: Any = None,
    space: object,
    trajectory: Any = None,
    names: Sequence[str] | None = None,
    control_names: Sequence[str] | None = None,
    kind: Literal["auto", "flow", "map"] = "auto",
    degree: int = 3,
    seconds: float = 60.0,
    clock: Callable[[], float] = time.thread_time,
    progress: bool | Listener | None = None,
) -> FieldLaw: ...
@shows_progress
def discover_dynamics(
    t: Any,
    x: Any,
    *,
    controls: Any = None,
    space: Any = None,
    trajectory: Any = None,
    names: Sequence[str] | None = None,
    control_names: Sequence[str] | None = None,
    kind: Literal["auto", "flow", "map"] = "auto",
    degree: int = 3,
    seconds: float = 60.0,
    clock: Callable[[], float] = time.thread_time,
    progress: bool | Listener | None = None,
) -> Dynamics | FieldLaw:
    """Search for the law that trajectories or fields follow, and say so when there is none.

    With `space` x is a field u(x, t) on a grid, and the law a partial differential equation: see `discover_field`,
    which has further options.

    Args:
        t: times (n,), increasing within a trajectory, at any distances; a list of these for a list of trajectories.
        x: states (n, d), or (n,) for one component: array, tensor or frame; or a list with one of these for every
            trajectory. With `space` one field (n, n_x[, n_y]), or a mapping of names to fields.
        controls: inputs of the system (n, k), linear between the times; a list where x is a list. With `space` a
            mapping of names to known fields.
        space: coordinates (n_x,) of a field, a tuple of them for several axes, or a mapping of names to them.
        trajectory: labels (n,) that tell several trajectories in one array apart.
        names: names of the components; those of the columns of a frame, or x1, x2, ... by default.
        control_names: names of the controls, likewise.
        kind: "flow" for a differential equation, "map" for a recurrence over the rows; "auto" takes a map where t are
            whole numbers one apart and x jumps from row to row.
        degree: the highest degree of polynomials; up to 5 is tried for one or two components.
        seconds: time limit in seconds: nothing is begun after it, and what has begun ends soon.
        clock: measures the seconds: the processor time of this thread by default, so that the answer does not depend
            on other processes; these may stretch the search to four times as much wall time.
        progress: True to show it; or called with an `Event` every second or so; what it raises stops the search.

    Raises:
        ValueError: where the observations cannot be used; the message names the first of them.
        TypeError: columns of a frame that are no numbers.

    >>> t = np.linspace(0, 10, 200)
    >>> print(discover_dynamics(t, 3 * np.exp(-t / 2), names=["a"]).law)
    `a'` = -a/2
    """
    assert not isinstance(progress, bool)  # made a listener by `shows_progress`
    if space is not None:
        given = {"trajectory": trajectory, "names": names, "control_names": control_names}
        _no_trajectories(given | {"kind": None if kind == "auto" else kind})
        options: dict[str, Any] = {"seconds": seconds, "clock": clock, "progress": progress}
        return discover_field(t, x, space, inputs=controls, degree=degree, **options)
    if kind not in ("auto", "flow", "map"):
        raise ValueError(f"kind is {kind!r}; it is 'auto', 'flow' or 'map'")
    budget = Budget.of_search(seconds, clock)
    data = read_trajectories(t, x, controls, trajectory, names, control_names)
    is_map = kind == "map" or (kind == "auto" and _jumps(data))
    fitted_part, held = data.split()
    tick = _Tick(Pulse(budget, progress), budget)
    with np.errstate(all="ignore"):  # a trial that overflows is a trial that fails
        search = _search(fitted_part, is_map, degree, tick)
        search.run()
        return answer(search, data, held, budget)


def _no_trajectories(given: Mapping[str, Any]) -> None:
    wrong = [f"`{name}`" for name, value in given.items() if value is not None]
    if wrong:
        raise ValueError(
            f"with `space` x is a field, to which {', '.join(wrong)} does not apply; give several fields, and known "
            "ones as controls, as mappings of names to arrays, and several recordings as a list"
        )


class _Tick:
    """Called before every step of a fit: ends the search once its time is over."""

    def __init__(self, pulse: Pulse, budget: Budget) -> None:
        self.pulse, self.budget, self.strict = pulse, budget, True

    def __call__(self) -> None:
        if self.strict and self.budget.over:
            raise TimeIsOver
        if self.strict:
            self.pulse("fits to trajectories")


def _jumps(data: Trajectories) -> bool:
    """Whether times are whole numbers one apart, and the path is rough."""
    steps = np.concatenate([np.diff(path.t) for path in data.paths])
    if not np.allclose(steps, 1.0, atol=1e-9):
        return False
    moves = np.concatenate([np.diff(path.x, axis=0) for path in data.paths])
    return bool((np.sqrt(np.mean(moves**2, 0)) > ROUGH * data.spread).any())


def _search(data: Trajectories, is_map: bool, degree: int, tick: Callable[[], None]) -> SystemSearch:
    floor = NOISE_FLOOR * data.spread
    if is_map:
        starts = np.concatenate([path.x for path in data.paths])
        bench = Bench(data, Segments.of(data.paths, 1), starts, 0.02 * data.spread, floor, True, 1, tick)
        return SystemSearch(bench, StateRows.of_map(data, tick), degree, False, ADEQUATE * floor, [])
    smoothed = [smooth(path) for path in data.paths]
    noise = np.sqrt(np.mean([s.noise**2 for s in smoothed], 0))
    starts = np.concatenate([s.x[::STEPS] for s in smoothed])
    bench = Bench(data, Segments.of(data.paths, STEPS), starts, noise, floor, False, 1, tick)
    degrees = data.size - np.sum([s.freedom for s in smoothed], 0)
    rows = StateRows.of_flow(data, smoothed, tick)
    return SystemSearch(bench, rows, degree, True, allowed_noise(noise, degrees), [])
