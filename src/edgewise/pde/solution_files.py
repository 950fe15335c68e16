"""A solution in the forms that other programs read: xarray, files of meshio, a movie."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from edgewise.pde.meshes import Mesh
from edgewise.pde.operators import TIME, ProblemError

if TYPE_CHECKING:
    from xarray import Dataset

    from edgewise.pde.solution import Solution

MOST_POINTS = 20_000_000
"""Points of a grid of values, above which it is refused."""


def grid_values(solution: Solution, axes: Sequence[Tensor]) -> dict[str, np.ndarray]:
    """Every field on the grid of these axes, NaN outside the domain."""
    shape = tuple(len(axis) for axis in axes)
    x = torch.stack([c.flatten() for c in torch.meshgrid(*axes, indexing="ij")], -1)
    parts = x.split(100_000)
    inside = torch.cat([solution.problem.domain.contains(part) for part in parts])
    values = torch.where(inside[:, None], torch.cat([solution(part) for part in parts]), torch.nan)
    return {name: values[:, n].reshape(shape).numpy() for n, name in enumerate(solution.problem.fields)}


def to_xarray(solution: Solution, points: int | dict[str, Any] = 101) -> Dataset:
    """The fields on a grid over the bounds of the domain, with the coordinates as dimensions; NaN outside.

    Args:
        solution: what `solve` returned.
        points: of every coordinate; or by the name of a coordinate, their number or the values themselves, such as
            {"x": 201, "t": [0.0, 0.5, 1.0]}; 101 of what is not named.

    Raises:
        ImportError: without xarray; `pip install edgewise[mesh]`.
        ProblemError: a name that is no coordinate, or more than 20 million points.
    """
    try:
        import xarray
    except ImportError as error:
        raise ImportError("a Dataset needs xarray: pip install edgewise[mesh]") from error
    names = solution.problem.domain.coordinates
    axes = _axes(solution, points)
    values = grid_values(solution, axes)
    return xarray.Dataset(
        {field: (names, value) for field, value in values.items()},
        coords={name: axis.numpy() for name, axis in zip(names, axes, strict=True)},
        attrs={"message": solution.message, "solved": int(solution.solved), **solution.unknowns},
    )


def write_fields(solution: Solution, path: str | PathLike[str], *, time: float | None = None, points: int = 65) -> Path:
    """Write the fields at points as a file of meshio, such as `flow.vtu` for ParaView; the suffix says the format.

    On a `Mesh` at its own points, elsewhere on a grid of the cells whose corners all lie in the domain.

    Args:
        solution: what `solve` returned.
        path: the file, which is replaced as a whole.
        time: the time of the values; the last one by default.
        points: of every coordinate of a grid.

    Raises:
        ImportError: without meshio; `pip install edgewise[mesh]`.
        ProblemError: one coordinate of space or more than three, a time outside the domain, a grid without a whole
            cell, or a suffix that meshio does not write.
    """
    try:
        import meshio
    except ImportError as error:
        raise ImportError("files of fields need meshio: pip install edgewise[mesh]") from error
    target = Path(path)
    if target.suffix not in meshio.extension_to_filetypes:
        raise ProblemError(f"meshio writes no {target.suffix or 'file without a suffix'}; give a name such as flow.vtu")
    places, kind, cells = _cells(solution, points)
    with_time = _at_time(solution, places, time)
    values = solution(with_time).numpy()
    flat = np.pad(places.numpy(), ((0, 0), (0, 3 - places.shape[1])))
    mesh = meshio.Mesh(flat, [(kind, cells)], {name: values[:, n] for n, name in enumerate(solution.problem.fields)})
    aside = target.with_name(f".{target.stem}.part{target.suffix}")
    mesh.write(fspath(aside))
    return aside.replace(target)


def animate(solution: Solution, field: int = 0, *, frames: int = 50, points: int = 101, interval_ms: int = 60) -> Any:
    """A movie of a field over time, as a `FuncAnimation` of matplotlib: `.save("movie.gif")`, `.to_jshtml()`.

    Args:
        solution: what `solve` returned; its domain has a time, and one or two coordinates of space.
        field: the number of the field.
        frames: evenly spaced in time.
        points: of every coordinate of space.
        interval_ms: the time of a frame in milliseconds.

    Raises:
        ImportError: without matplotlib; `pip install edgewise[viz]`.
        ProblemError: no time, or more than two coordinates of space.
    """
    from matplotlib.animation import FuncAnimation

    from edgewise.viz.charts import new_figure

    domain = solution.problem.domain
    space = [c for c in domain.coordinates if c != TIME]
    if TIME not in domain.coordinates or len(space) > 2:
        raise ProblemError(
            f"a movie needs a time and one or two coordinates of space, not {', '.join(domain.coordinates)}"
        )
    axes = _axes(solution, dict.fromkeys(space, points) | {TIME: frames})
    name = solution.problem.fields[field]
    shown = np.moveaxis(grid_values(solution, axes)[name], domain.coordinates.index(TIME), 0)
    grid = [axis.numpy() for axis, c in zip(axes, domain.coordinates, strict=True) if c != TIME]
    times = axes[domain.coordinates.index(TIME)].numpy()
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    figure = new_figure(5, 3.6)
    ax = figure.subplots()
    ax.set_xlabel(space[0], parse_math=False)
    if len(space) == 1:
        (drawn,) = ax.plot(grid[0], shown[0])
        ax.set_ylim(low - 0.05 * (high - low) - 1e-12, high + 0.05 * (high - low) + 1e-12)
        ax.set_ylabel(name, parse_math=False)
        change = lambda n: drawn.set_ydata(shown[n])  # noqa: E731
    else:
        drawn = ax.imshow(
            shown[0].T, origin="lower", extent=(*grid[0][[0, -1]], *grid[1][[0, -1]]), vmin=low, vmax=high
        )
        figure.colorbar(drawn, ax=ax, label=name)
        ax.set_ylabel(space[1], parse_math=False)
        change = lambda n: drawn.set_data(shown[n].T)  # noqa: E731

    def draw(n: int) -> tuple[Any, ...]:
        change(n)
        ax.set_title(f"{name} at {TIME} = {times[n]:.4g}", parse_math=False)
        return (drawn,)

    return FuncAnimation(figure, draw, frames=frames, interval=interval_ms)


def _axes(solution: Solution, points: int | dict[str, Any]) -> list[Tensor]:
    """The values of every coordinate, from their number or as given."""
    domain = solution.problem.domain
    given = dict.fromkeys(domain.coordinates, points) if isinstance(points, int) else points
    unknown = [name for name in given if name not in domain.coordinates]
    if unknown:
        raise ProblemError(f"{unknown[0]!r} is no coordinate; the domain has {', '.join(domain.coordinates)}")
    axes = []
    for name, (low, high) in zip(domain.coordinates, domain.bounds, strict=True):
        wanted = given.get(name, 101)
        if isinstance(wanted, int) and wanted < 1:
            raise ProblemError(f"points of {name!r} must be at least 1, got {wanted}")
        even = isinstance(wanted, int)
        axes.append(
            torch.linspace(low, high, wanted, dtype=torch.float64)
            if even
            else torch.as_tensor(np.asarray(wanted, np.float64)).reshape(-1)
        )
    total = int(np.prod([len(axis) for axis in axes], dtype=np.float64))
    if total > MOST_POINTS:
        raise ProblemError(f"a grid of {total:,} points is too large; give fewer `points`, or values of a coordinate")
    return axes


def _cells(solution: Solution, points: int) -> tuple[Tensor, str, np.ndarray]:
    """Points of space, the kind of their cells in the words of meshio, and the cells."""
    domain = solution.problem.domain
    mesh = domain if isinstance(domain, Mesh) else getattr(domain, "space", None)
    if isinstance(mesh, Mesh):
        return mesh.points, ("triangle", "tetra")[mesh.points.shape[1] - 2], mesh.cells.numpy()
    space = [n for n, c in enumerate(domain.coordinates) if c != TIME]
    if len(space) not in (2, 3):
        raise ProblemError(f"files of fields need two or three coordinates of space, the domain has {len(space)}")
    axes = [torch.linspace(*domain.bounds[n], points, dtype=torch.float64) for n in space]
    places = torch.stack([c.flatten() for c in torch.meshgrid(*axes, indexing="ij")], -1)
    numbers = np.arange(len(places)).reshape((points,) * len(space))
    corners = [(0, 0), (1, 0), (1, 1), (0, 1)]  # around a cell, as VTK counts them
    if len(space) == 3:
        corners = [(*c, level) for level in (0, 1) for c in corners]
    cells = np.stack([numbers[tuple(slice(c, points - 1 + c) for c in corner)].ravel() for corner in corners], -1)
    inside = domain.contains(_at_time(solution, places, None)).numpy()
    cells = cells[inside[cells].all(1)]
    if not len(cells):
        raise ProblemError(f"no cell of a grid of {points} points along every coordinate lies in {domain!r}; give more")
    used, cells = np.unique(cells, return_inverse=True)
    return places[used], ("quad", "hexahedron")[len(space) - 2], cells.reshape(-1, len(corners))


def _at_time(solution: Solution, places: Tensor, time: float | None) -> Tensor:
    """Points of space at a time, the last one by default; the points themselves where there is no time."""
    domain = solution.problem.domain
    if TIME not in domain.coordinates:
        if time is not None:
            raise ProblemError(f"the domain has no time, but time={time} is given")
        return places
    which = domain.coordinates.index(TIME)
    start, end = domain.bounds[which]
    at = end if time is None else time
    if not start <= at <= end:
        raise ProblemError(f"time={at} is outside the domain, which runs from {start:g} to {end:g}")
    column = torch.full((len(places), 1), at, dtype=torch.float64)
    return torch.cat([places[:, :which], column, places[:, which:]], -1)
