"""Hold what `solve` returns: the fields as a function, the history, an error estimate, and plots."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field as _field
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise._shown import shown
from edgewise.discovery import Discovery, discover
from edgewise.pde import solution_files
from edgewise.pde.operators import ProblemError
from edgewise.pde.problem import Problem, ResidualTerm
from edgewise.stored import read_fields
from edgewise.viz.charts import COLUMN, new_axes, new_figure
from edgewise.viz.signed_colours import signed_colours

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from matplotlib.figure import Figure
    from xarray import Dataset


@dataclass(frozen=True)
class Stage:
    """One round of the solver.

    Attributes:
        name: what was done.
        parameters: trainable parameters of the model.
        steps: iterations of the method.
        loss: the weighted sum of mean squares at the points that were trained on.
        validation: the same at fresh points.
        residuals: the root mean square of every term at fresh points, without weights.
        seconds: since the start of the solve.
        window: of time, counted from 0.
    """

    name: str
    parameters: int
    steps: int
    loss: float
    validation: float
    residuals: dict[str, float]
    seconds: float
    window: int = 0


@shown
@dataclass(frozen=True)
class SolutionRecord:
    """How a solve ended, as it is written to `solution.json`.

    Attributes:
        converged, message, error_estimate, residuals, unknowns, history, relative_residuals, doubts, standard_errors,
            noise: see `Solution`.
        relative_error: the relative L2 distance to a reference; None without one.
        ends: the end of every window of time but the last.
    """

    converged: bool
    message: str
    error_estimate: float | None
    residuals: dict[str, float]
    unknowns: dict[str, float]
    history: tuple[Stage, ...]
    relative_error: float | None = None
    relative_residuals: dict[str, float] = _field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    standard_errors: dict[str, float] = _field(default_factory=dict)
    noise: float | None = None
    ends: tuple[float, ...] = ()

    def __str__(self) -> str:
        return "\n".join(["converged" if self.converged else "not converged", *_told(self)])

    def to_json(self) -> dict[str, Any]:
        """Plain values, with null for every number that is not finite; without `relative_error` if there is none."""
        values = _finite(dataclasses.asdict(self))
        return values if self.relative_error is not None else {k: v for k, v in values.items() if k != "relative_error"}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SolutionRecord:
        """The record of these values, with NaN for null."""
        if not isinstance(values, Mapping):
            raise ValueError(f"the record of a solution is a JSON object, not a {type(values).__name__}")
        default = {
            "relative_error": None,
            "relative_residuals": {},
            "doubts": (),
            "standard_errors": {},
            "noise": None,
            "ends": (),
        }
        kept = {name: values.get(name) for name in ("error_estimate", "noise") if name in values}
        return read_fields(cls, default | _known(dict(values)) | kept, "the record of a solution")


@shown
@dataclass(frozen=True, eq=False)
class Solution:
    r"""The solution of a problem.

    Attributes:
        problem: what was solved.
        models: the network of every window of time.
        ends: the end of every window but the last.
        unknowns: the coefficients that were found.
        history: the rounds of the solver.
        converged: False if the loss was not finite from any start; of a surface, if Gauss-Newton had not settled.
        message: how it ended.
        error_estimate: the relative L2 distance between the last two resolutions, or rounds if there was one
            resolution: an estimate of the error of the former; None after a single round. Of a surface, an estimate of
            its own relative L2 error (see `edgewise.pde.surface_checks`); None if the time was up before its end.
        relative_residuals: the root mean square of every term at fresh points over the size of what it is a sum of,
            $\|r\| / S$ of `edgewise.pde.own_scale`: 0 for an exact solution, 1 where nothing is solved, in any units.
        doubts: why this may be no solution, or not the only one, as sentences; see `solved`.
        standard_errors: of the unknowns, under independent errors of the measured values of one size; see
            `edgewise.pde.identified`. Empty without unknowns or measured values.
        noise: the root mean square error of the measured values that is left; None without unknowns.
    """

    problem: Problem
    models: tuple[nn.Module, ...]
    ends: tuple[float, ...]
    unknowns: dict[str, float]
    history: tuple[Stage, ...]
    converged: bool
    message: str
    error_estimate: float | None
    relative_residuals: dict[str, float] = _field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    standard_errors: dict[str, float] = _field(default_factory=dict)
    noise: float | None = None

    def __str__(self) -> str:
        return "\n".join(["solved" if self.solved else "not solved", *_told(self)])

    @property
    def solved(self) -> bool:
        """True if it converged and nothing is in doubt: small residuals, resolutions that agree, enough conditions."""
        return self.converged and not self.doubts

    @property
    def residuals(self) -> dict[str, float]:
        """The root mean square of every term at fresh points in the best round, of the worst window of time."""
        names = dict.fromkeys(name for stage in self.history for name in stage.residuals)
        best: dict[int, Stage] = {}
        for stage in self.history:
            least = best.setdefault(stage.window, stage)
            if stage.validation < least.validation or math.isnan(least.validation):
                best[stage.window] = stage
        return {name: max(stage.residuals.get(name, 0.0) for stage in best.values()) for name in names}

    @property
    def model(self) -> nn.Module:
        """The network of the last window of time."""
        return self.models[-1]

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n fields"]:
        """The fields at points."""
        return self._by_window(x, self.problem.evaluate)

    @torch.no_grad()
    def residual(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n equations"]:
        """The residual of every equation at points: zero for an exact solution."""
        problem, unknowns = self.problem, {k: torch.tensor(v) for k, v in self.unknowns.items()}
        algebra = problem.algebra(problem.equation_of)

        def at(model: nn.Module, part: Tensor) -> Tensor:
            term = ResidualTerm("equation", problem.equation_of, algebra, part[None])
            return problem.residuals(model, term, unknowns).T

        return self._by_window(x, at)

    def sample(self, n: int, seed: int = 10**6) -> Float[Tensor, "n d"]:
        """n points of the domain; the default seed gives points that no round of the solver drew."""
        return self.problem.domain.sample(n, torch.Generator().manual_seed(seed))

    def error(self, reference: Callable[[Tensor], Tensor], points: Float[Tensor, "n d"]) -> float:
        """The relative L2 distance to a reference, a function of points (n, d) with values (n, fields) or (n)."""
        return relative_error(self(points), reference(points))

    def discover(self, field: str | None = None, *, samples: int = 1000, **options: Any) -> Discovery:
        """Search for a law of a field, the first by default, from its values at samples: see `edgewise.discover`."""
        n = 0 if field is None else list(self.problem.fields).index(field)
        x = self.sample(samples)
        return discover(x, self(x)[:, n], names=self.problem.domain.coordinates, **options)

    def plot(
        self,
        what: str = "field",
        *,
        reference: Callable[[Tensor], Tensor] | None = None,
        field: int = 0,
        points: int = 201,
        ax: Any = None,
    ) -> Figure:
        """Draw the "field", its "residual" or its "error" against a reference, in one or two dimensions.

        The first two coordinates are drawn, the others are at the middle of the domain. Errors and residuals have
        logarithmic colours where a few points would hide all others; the colour bar says so.
        """
        x, inside, axes = self._grid(points)
        values = {"field": lambda: self(x), "residual": lambda: self.residual(x)}
        if reference is not None:
            values["error"] = lambda: self(x) - reference(x).reshape(len(x), -1)
        if what not in values:
            choices = "'field' or 'residual'" if what != "error" else "a reference"
            raise ProblemError(f"cannot draw {what!r}: give {choices}")
        shown = torch.where(inside, values[what]()[:, field], torch.nan).reshape([len(a) for a in axes]).numpy()
        names = self.problem.domain.coordinates
        if ax is None:
            ax = new_axes(5, 3.6)
        if len(axes) == 1:
            ax.plot(axes[0].numpy(), shown)
        else:
            ends = [axes[0][0], axes[0][-1], axes[1][0], axes[1][-1]]
            colours, told = ({"cmap": "viridis"}, "") if what == "field" else signed_colours(shown)
            image = ax.imshow(shown.T, origin="lower", aspect="auto", extent=[float(e) for e in ends], **colours)
            ax.figure.colorbar(image, ax=ax, label=told)
            ax.set_ylabel(names[1], parse_math=False)
        ax.set_xlabel(names[0], parse_math=False)
        title = f"{what} of {self.problem.fields[field]}" if what != "residual" else f"residual {field}"
        ax.set_title(title, parse_math=False)
        return ax.figure

    def to_xarray(self, points: int | dict[str, Any] = 101) -> Dataset:
        """The fields on a grid as a `Dataset` of xarray; see `edgewise.pde.solution_files.to_xarray`."""
        return solution_files.to_xarray(self, points)

    def write(self, path: str | PathLike[str], *, time: float | None = None, points: int = 65) -> Path:
        """Write the fields for ParaView and its kin; see `edgewise.pde.solution_files.write_fields`."""
        return solution_files.write_fields(self, path, time=time, points=points)

    def animate(self, field: int = 0, *, frames: int = 50, points: int = 101) -> Any:
        """A movie of a field over time; see `edgewise.pde.solution_files.animate`."""
        return solution_files.animate(self, field, frames=frames, points=points)

    def figures(self, reference: Callable[[Tensor], Tensor] | None = None) -> dict[str, Figure]:
        """Figures of field, residual and history, and of the error if there is a reference."""
        whats = ["field", "residual"] + ["error"] * (reference is not None)
        drawn = {}
        for what in whats:
            count = len(self.problem.fields) if what != "residual" else self._equations()
            columns = min(2, count)
            rows = -(-count // columns)
            figure = new_figure(COLUMN * (0.3 + 0.35 * columns), 3.1 * rows)
            figure.set_layout_engine("constrained")
            for field in range(count):
                ax = figure.add_subplot(rows, columns, field + 1)
                self.plot(what, reference=reference, field=field, ax=ax)
            drawn[what] = figure
        return drawn | {"history": self.plot_history()}

    def plot_history(self, ax: Any = None) -> Figure:
        """Draw the loss, the loss at fresh points and the residual of every term over the rounds."""
        if ax is None:
            ax = new_axes(6, 3.6)
        rounds = range(1, len(self.history) + 1)
        ax.semilogy(rounds, [stage.loss for stage in self.history], "k--", label="loss")
        ax.semilogy(rounds, [stage.validation for stage in self.history], "k-", label="loss at fresh points")
        for term in dict.fromkeys(name for stage in self.history for name in stage.residuals):
            sizes = [stage.residuals.get(term, math.nan) for stage in self.history]
            ax.semilogy(rounds, sizes, "o-", ms=3, label=f"rms of {term}")
        ax.set_xlabel("round of the solver")
        for text in ax.legend(fontsize="small").get_texts():
            text.set_parse_math(False)
        return ax.figure

    def record(self, reference: Callable[[Tensor], Tensor] | None = None, points: int = 5000) -> SolutionRecord:
        """How it ended and every round, with the error against a reference at fresh points if there is one."""
        error = None if reference is None else self.error(reference, self.sample(points))
        shared = ("converged", "message", "error_estimate", "residuals", "unknowns", "history")
        judged = ("relative_residuals", "doubts", "standard_errors", "noise", "ends")
        told = {name: getattr(self, name) for name in (*shared, *judged)}
        return SolutionRecord(**told, relative_error=error)

    def _by_window(self, x: Tensor, function: Callable[[nn.Module, Tensor], Tensor]) -> Tensor:
        x = x.double()
        if len(self.models) == 1:
            return function(self.models[0], x)
        window = torch.bucketize(x[:, self.problem.domain.coordinates.index("t")].contiguous(), torch.tensor(self.ends))
        parts = [(window == n).nonzero()[:, 0] for n in range(len(self.models))]
        values = torch.cat([function(model, x[part]) for model, part in zip(self.models, parts, strict=True)])
        return values[torch.cat(parts).argsort()]

    def _equations(self) -> int:
        return self.residual(self.sample(1)).shape[1]

    def _grid(self, points: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The points of a grid over the first two coordinates, whether they lie inside, and the axes."""
        bounds = self.problem.domain.bounds
        axes = [torch.linspace(low, high, points, dtype=torch.float64) for low, high in bounds[:2]]
        columns = torch.meshgrid(*axes, indexing="ij")
        rest = [torch.full_like(columns[0], (low + high) / 2) for low, high in bounds[2:]]
        x = torch.stack([*columns, *rest], -1).flatten(0, -2)
        return x, self.problem.domain.contains(x), axes


def relative_error(found: Tensor, expected: Tensor) -> float:
    """The relative L2 distance of values at points, (n, fields) or (n)."""
    expected = expected.reshape(len(expected), -1)
    return float((found.reshape(expected.shape) - expected).norm() / expected.norm())


def _finite(value: Any) -> Any:
    """The same with None for every number that JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _known(value: Any) -> Any:
    """The same with NaN for None."""
    if isinstance(value, dict):
        return {key: _known(part) for key, part in value.items()}
    return math.nan if value is None else value


def _told(found: SolutionRecord | Solution) -> list[str]:
    """How a solve ended, a line per fact."""
    lines = [found.message, *(f"in doubt: {doubt}" for doubt in found.doubts)]
    if found.error_estimate is not None:
        lines.append(f"estimated relative error {found.error_estimate:.2g}")
    for name, value in found.unknowns.items():
        error = found.standard_errors.get(name)
        lines.append(f"{name} = {value:.6g}" + ("" if error is None else f" +- {error:.2g}"))
    return [*lines, *(f"residual of {name}: {r:.2g} of its size" for name, r in found.relative_residuals.items())]
