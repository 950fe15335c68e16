"""The equations of two published tables, solved by surfaces and by two baselines: networks trained in JAX.

Errors are relative L2 distances to references of ours on a grid (`studies.problems.published`). A surface draws no
random numbers: its rows are the same for every seed. A baseline gets `--seconds` of processor time, without its
compilation, and its error is taken on the way: the table compares it where it has had at least the time of the
surface, and at the end. Settings: the tolerances were chosen once, by the time that a row takes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from edgewise.pde import Solution, Surfaces, follow, solve
from edgewise.pde.solution import relative_error
from edgewise.viz.signed_colours import signed_colours
from studies.figures import canvas, save
from studies.peers.pde_in_jax import EQUATIONS, solve_in_jax
from studies.peers.pde_piratenet import piratenet
from studies.peers.pde_rgakan import rgakan
from studies.problems.published import Published, tables
from studies.study import Case, Row, Run, Settings, Study, grid, option
from studies.table import grouped, median_and_worst

BASELINES = {"jaxKAN RGAKAN": rgakan, "PirateNet": piratenet}
NETWORKS = ("surface", *BASELINES)
ALL = "all"  # rows of a table


@dataclass(frozen=True)
class TableSettings(Settings):
    """Settings of the study of published tables."""

    set: str = option("rga", "which table", choices=("jaxpi", "rga", "own"), selects=True)
    networks: tuple[str, ...] = option(("surface",), f"some of {', '.join(NETWORKS)}", selects=True)
    equations: tuple[str, ...] = option((ALL,), f"some rows of the table, or {ALL}", selects=True)
    seconds: float = option(60.0, "processor seconds of a baseline", selects=True)


def cases(settings: TableSettings, seeds: Sequence[int]) -> list[Case]:
    """Every row of a table and network; a surface for one seed."""
    names = [row.name for row in tables()[settings.set]]
    if unknown := set(settings.equations) - {*names, ALL}:
        raise ValueError(f"the table {settings.set!r} has no row {min(unknown)!r}; its rows are {', '.join(names)}")
    names = [name for name in names if {name, ALL} & set(settings.equations)]
    every = grid(set=[settings.set], equation=names, network=settings.networks, seed=seeds)
    return [
        case if case["network"] == "surface" else case | {"seconds": settings.seconds}
        for case in every
        if (case["network"] == "surface" and case["seed"] == seeds[0])
        or (case["network"] != "surface" and case["equation"] in EQUATIONS)
    ]


def measure(case: Case, run: Run[TableSettings]) -> Row:
    """Solve a row once; a surface is drawn into the folder of the result."""
    row = {p.name: p for p in tables()[case["set"]]}[case["equation"]]
    x, expected = row.points, row.reference(row.points)
    shared: Row = {"published": row.published, "reference_error": row.trust, "remark": row.remark}
    if case["network"] != "surface":
        return shared | _baseline(case, row, x, expected)
    begun = time.process_time()
    solution = solve_row(row)
    seconds = time.process_time() - begun
    draw_surface(row, solution, run.folder / f"pde-tables-{case['set']}-{row.name}.png")
    return shared | {
        "error": relative_error(first_fields(solution, x, expected), expected),
        "estimate": solution.error_estimate,
        "converged": solution.converged,
        "tolerance": row.tolerance,
        "parameters": max(sum(p.numel() for p in model.parameters()) for model in solution.models),
        "windows": len(solution.models),
        "solved": solution.solved,
        "message": solution.message,
        "cpu_seconds": round(seconds, 2),
    }


def solve_row(row: Published) -> Solution:
    """The solution of a row by a surface; where it is reached along a path, that of the last value."""
    method = Surfaces(tolerance=row.tolerance)
    return follow(row.family, row.path, method=method)[-1] if row.family else solve(row.problem, method=method)


def first_fields(solution: Solution, x: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """The fields that the reference has, at points."""
    return solution(x)[:, : expected.shape[1] if expected.ndim == 2 else 1]


def _baseline(case: Case, row: Published, x: torch.Tensor, expected: torch.Tensor) -> Row:
    """The errors of a baseline on its way: after 1, 2, 4, .. seconds, and at the end."""
    marks = [2.0**n for n in range(20) if 2.0**n < case["seconds"]] + [case["seconds"]]
    bounds = row.problem.domain.bounds
    found = solve_in_jax(row.name, BASELINES[case["network"]], bounds, x.numpy(), marks, case["seed"])
    errors = [relative_error(torch.from_numpy(values), expected) for values in found["values"]]
    return {
        "parameters": found["parameters"],
        "compilation": round(found["compilation"], 1),
        "way": [[m, n, e] for m, n, e in zip(marks, found["steps"], errors, strict=True)],
        "steps": found["steps"][-1],
        "error": errors[-1],
        "cpu_seconds": case["seconds"],
    }


def summarise(rows: list[Row]) -> list[Row]:
    """Every equation and network: errors, seconds, and what was published."""
    ours = {(row["set"], row["equation"]): row["cpu_seconds"] for row in rows if row["network"] == "surface"}
    return [
        _summary(group, ours.get((group[0]["set"], group[0]["equation"])))
        for group in grouped(rows, ("set", "equation", "network"))
    ]


def draw_surface(row: Published, solution: Solution, path: Path) -> None:
    """The field, its error on the grid of the table, and its residual; at half of the time in three coordinates."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = canvas(13, 3.4)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(1, 3)
    x = row.points
    if x.shape[1] == 3:
        x = x[x[:, 2] == x[:, 2].unique()[25]]
    sides = [x[:, j].unique() for j in range(2)]
    field, expected = solution(x)[:, 0], row.reference(x).reshape(len(x), -1)[:, 0]
    shown = {"field": field, "error": field - expected, "residual": solution.residual(x)[:, 0]}
    ends = [float(e) for side in sides for e in (side[0], side[-1])]
    for ax, (what, values) in zip(axes, shown.items(), strict=True):
        image = values.reshape(len(sides[0]), len(sides[1])).T.numpy()
        colours, told = ({"cmap": "viridis"}, "") if what == "field" else signed_colours(image)
        drawn = ax.imshow(image, origin="lower", aspect="auto", extent=ends, **colours)
        figure.colorbar(drawn, ax=ax, label=told)
        ax.set_title(what)
        ax.set_xlabel(row.problem.domain.coordinates[0])
        ax.set_ylabel(row.problem.domain.coordinates[1])
    figure.suptitle(row.name)
    save(figure, path, dpi=110, tight=False)


def _summary(group: list[Row], seconds: float | None) -> Row:
    """The row of a table; `seconds` is the time that the surface took."""
    first = group[0]
    median, worst = median_and_worst([row["error"] for row in group])
    return {
        "set": first["set"],
        "equation": first["equation"],
        "network": first["network"],
        "seeds": len(group),
        "parameters": first["parameters"],
        "error_median": median,
        "error_worst": worst,
        "error_at_equal_time": _at_equal_time(group, seconds),
        "estimate": first.get("estimate"),
        "estimate_over_error": _ratio(first),
        "published": first["published"],
        "reference_error": first["reference_error"],
        "cpu_seconds": statistics.median(row["cpu_seconds"] for row in group),
    }


def _ratio(row: Row) -> float | None:
    """The estimate over the error: above 1 it is on the safe side."""
    return row["estimate"] / row["error"] if row.get("estimate") and row["error"] else None


def _at_equal_time(group: list[Row], seconds: float | None) -> float | None:
    """The median error of a baseline at the first look after the time of the surface, or at its end."""
    if seconds is None or "way" not in group[0]:
        return None
    return statistics.median(next((e for m, _, e in row["way"] if m >= seconds), row["error"]) for row in group)


STUDY = Study(
    name="pde-tables",
    title="Equations of two published tables solved by surfaces: relative L2 error",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=TableSettings(),
    seeds=(0, 1, 2),
)
