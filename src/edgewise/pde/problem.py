"""State a differential equation with its domain and conditions: what `solve` takes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field as _field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise._shown import shown
from edgewise.jets import Algebra, Index, Jet, Tape, along_axes, push, seed
from edgewise.pde.conditions import Condition
from edgewise.pde.domains import Domain
from edgewise.pde.operators import LAPLACIAN, Field, ProblemError, Scope, algebra_of, second_derivatives

EDGE_SHARE = 0.1  # of the points of the equation that lie on the boundary


@dataclass(frozen=True)
class ResidualTerm:
    """The residuals of the equation or of a condition, and the points where they are squared.

    Attributes:
        name: for messages and the history.
        residual: the residual, or several, from the names known at the points.
        algebra: the algebra of the derivatives that the residual uses.
        points: (copies, n, d); a periodic condition has two copies.
        normals: the outward normals at the points, or None.
        columns: further values known at the points.
        weight: of the mean square; None until it is balanced.
        scale: the factor of the residual at every point, (n,); None for 1.
        unit: the size that counts as 1, of every residual, (equations,); None for 1.
    """

    name: str
    residual: Callable[[Scope], Any]
    algebra: Algebra
    points: Float[Tensor, "copies n d"]
    normals: Float[Tensor, "copies n d"] | None = None
    columns: Mapping[str, Tensor] = _field(default_factory=dict)
    weight: float | None = None
    scale: Float[Tensor, " n"] | None = None
    unit: Float[Tensor, " equations"] | None = None


@shown
@dataclass(frozen=True, eq=False)
class Problem:
    r"""An equation on a domain with conditions.

    ```python
    burgers = Problem(
        Box(x=(-1, 1), t=(0, 1)),
        lambda u: u.dt + u * u.dx - 0.01 * u.dxx,
        [initial(lambda x: -torch.sin(math.pi * x)), dirichlet(0, "x-"), dirichlet(0, "x+")],
    )
    ```

    Args:
        domain: where the equation holds.
        equation: the residual, or a tuple of several; its arguments name fields, coordinates and unknowns.
        conditions: see `edgewise.pde.conditions`.
        fields: the names of the outputs of the model.
        unknowns: coefficients to be found, by name, with initial values.
        features: the inputs of the model from the coordinates, if they are not the coordinates themselves:
            `lambda x, t: (torch.cos(math.pi * x), torch.sin(math.pi * x), t)` makes every solution periodic.
        ansatz: the fields from the outputs of the model, so that conditions hold by construction:
            `lambda u, x, y: (1 - x**2) * (1 - y**2) * u`. Both are computed on jets: arithmetic and elementwise
            functions of torch.
        energy: the integrand whose integral is least for the solution, where the problem is symmetric:
            `lambda u, x, y: (u.dx**2 + u.dy**2) / 2 - f(x, y) * u` for $-\Delta u = f$. The search of `solve` then
            minimises the energy first. It needs a `Box` of space, and conditions by construction.

    Raises:
        ProblemError: an equation or a condition is not finite or uses no field, a field or an unknown is not used, or
            two conditions contradict each other.
    """

    domain: Domain
    equation: Callable[..., Any]
    conditions: Sequence[Condition] = ()
    fields: Sequence[str] = ("u",)
    unknowns: Mapping[str, float] = _field(default_factory=dict)
    features: Callable[..., Any] | None = None
    ansatz: Callable[..., Any] | None = None
    energy: Callable[..., Any] | None = None

    def __str__(self) -> str:
        fields, coordinates = ", ".join(self.fields), ", ".join(self.domain.coordinates)
        unknowns = f", unknown {', '.join(self.unknowns)}" if self.unknowns else ""
        first = f"a problem for {fields} of {coordinates}{unknowns} on {self.domain!r}"
        return "\n".join([first, *(f"  {condition!r}" for condition in self.conditions)])

    def __post_init__(self) -> None:
        names = [*self.fields, *self.domain.coordinates, *self.unknowns]
        if len(set(names)) != len(names):
            raise ProblemError(f"fields, coordinates and unknowns need different names, got {', '.join(names)}")
        for name, guess in self.unknowns.items():
            if not math.isfinite(guess):
                raise ProblemError(f"the first guess of the unknown {name!r} is {guess}; give a finite number")
        _check_use(self)
        _check_contradictions(self)

    @property
    def inputs(self) -> int:
        """The number of inputs of a model."""
        return self.input_bounds().shape[0]

    def input_bounds(self) -> Float[Tensor, "inputs 2"]:
        """(low, high) of every input of a model; from samples of the features if there are any."""
        if self.features is None:
            return torch.tensor(self.domain.bounds, dtype=torch.float64)
        low, high = torch.tensor(self.domain.bounds, dtype=torch.float64).T
        t = torch.rand(4096, len(low), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        x = self.inputs_of(low + (high - low) * t)
        return torch.stack([x.amin(0), x.amax(0)], -1)

    @torch.no_grad()
    def inputs_of(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n inputs"]:
        """The inputs of the model at points."""
        return self._encode(seed(x, algebra_of(set(), self.domain.coordinates))).value

    def evaluate(self, model: nn.Module, x: Float[Tensor, "n d"]) -> Float[Tensor, "n fields"]:
        """The fields at points."""
        jets = self.jets(model, x, algebra_of(set(), self.domain.coordinates))
        return torch.stack([jets[name].value for name in self.fields], -1)

    def jets(
        self, model: nn.Module, x: Float[Tensor, "n d"], algebra: Algebra, tape: Tape | None = None
    ) -> dict[str, Jet]:
        """The fields as jets over the coordinates."""
        coordinates = seed(x, algebra)
        if self.features is None and tape is None:
            outputs = along_axes(model, x, algebra)
        else:
            outputs = push(model, self._encode(coordinates), tape)
        fields = {name: outputs[..., i] for i, name in enumerate(self.fields)}
        if self.ansatz is None:
            return fields
        scope = Scope(fields | {c: coordinates[..., j] for j, c in enumerate(self.domain.coordinates)})
        made = scope.call(self.ansatz)
        made = made if isinstance(made, tuple | list) else (made,)
        if len(made) != len(self.fields):
            raise ProblemError(f"the ansatz returns {len(made)} fields, the problem has {len(self.fields)}")
        return dict(zip(self.fields, made, strict=True))

    def residuals(
        self,
        model: nn.Module,
        term: ResidualTerm,
        unknowns: Mapping[str, Tensor],
        rows: slice = slice(None),
        tape: Tape | None = None,
    ) -> Float[Tensor, "equations n"]:
        """The residuals of a term at its points `rows`; an unknown is a scalar, or has a value for every point."""
        x = term.points[:, rows].flatten(0, 1)
        normals = None if term.normals is None else term.normals[:, rows].flatten(0, 1)
        jets = self.jets(model, x, term.algebra, tape)
        columns = {name: column[rows] for name, column in term.columns.items()}
        scope = self.scope(x, normals, partial(derivative_of, jets, self.domain.coordinates), unknowns, columns)
        values = stacked(term.residual(scope))
        values = values if term.unit is None else values / term.unit[:, None]
        return values if term.scale is None else values * term.scale[rows]

    def terms(
        self,
        points: int,
        boundary_points: int,
        generator: torch.Generator,
        *,
        method: str = "sobol",
    ) -> list[ResidualTerm]:
        """The equation and every condition at fresh points: `boundary_points` for every condition."""
        inside = self.points(points, generator, method)
        terms = [ResidualTerm("equation", self.equation_of, self.algebra(self.equation_of), inside[None], weight=1.0)]
        for part in self.conditions:
            x, normals = _condition_points(self.domain, part, boundary_points, generator)
            algebra = self.algebra(part.residual, boundary=part.on is not None)
            terms.append(ResidualTerm(part.name, part.residual, algebra, x, normals, part.columns, part.weight))
        return terms

    def points(self, n: int, generator: torch.Generator, method: str = "sobol") -> Float[Tensor, "n d"]:
        """Points of the equation, a share of them on the boundary, near which its residual would be free otherwise."""
        parts = self.domain.parts
        each = math.ceil(EDGE_SHARE * n / len(parts))
        edges = [self.domain.boundary(part, each, generator).points for part in parts]
        inside = self.domain.sample(max(1, n - sum(map(len, edges))), generator, method)
        return torch.cat([inside, *edges])

    def algebra(self, residual: Callable[[Scope], Any], *, boundary: bool = False) -> Algebra:
        """The algebra of the derivatives that a residual uses."""
        used, _ = self.rehearse(residual, boundary=boundary)
        return algebra_of({index for _, index in used}, self.domain.coordinates)

    def equation_of(self, scope: Scope) -> Any:
        """The residuals of the equation from the names known at some points."""
        return scope.call(self.equation)

    def _encode(self, coordinates: Jet) -> Jet:
        if self.features is None:
            return coordinates
        columns = {c: coordinates[..., j] for j, c in enumerate(self.domain.coordinates)}
        made = Scope(columns).call(self.features)
        made = made if isinstance(made, tuple | list) else (made,)
        return coordinates.map(torch.stack([u.coef for u in made], -1))

    def scope(
        self,
        x: Tensor,
        normals: Tensor | None,
        derivative: Callable[[str, Index], Tensor],
        unknowns: Mapping[str, Any],
        columns: Mapping[str, Tensor],
    ) -> Scope:
        """The names that residuals may use at points x; `derivative` takes a field and a multi-index."""
        c = self.domain.coordinates
        fields = {name: Field(name, c, lambda a, name=name: derivative(name, a), normals) for name in self.fields}
        return Scope(fields | dict(zip(c, x.unbind(-1), strict=True)) | dict(unknowns) | dict(columns))

    def rehearse(
        self, residual: Callable[[Scope], Any], *, boundary: bool, shift: Mapping[str, Tensor] | None = None
    ) -> tuple[set[tuple[str, Index]], Tensor]:
        """The fields and derivatives that a residual uses, and its values for random ones between 1/2 and 1.

        `shift` are constants that are added to fields.
        """
        generator = torch.Generator().manual_seed(0)
        x = self.domain.sample(16, generator)
        used: set[tuple[str, Index]] = set()

        def derivative(name: str, index: Index) -> Tensor:
            used.add((name, index))
            drawn = 0.5 + 0.5 * torch.rand(len(x), dtype=x.dtype, generator=generator)
            if shift is None:
                return drawn.requires_grad_()
            return drawn + shift.get(name, 0.0) if sum(index) == 0 and index != LAPLACIAN else drawn

        normals = torch.nn.functional.normalize(x + 2, dim=-1) if boundary else None
        observed = {"_observed": x[:, 0]}
        with torch.enable_grad():
            values = stacked(residual(self.scope(x, normals, derivative, self.unknowns, observed)))
        if shift is not None:
            return used, values
        if used and not values.requires_grad:
            raise ProblemError(
                "a residual must change smoothly with the fields that it uses, and one is a comparison or detached: "
                "write u.dxx - 1 for u.dxx == 1, and torch.where(condition, value, other) for a choice"
            )
        return used, values.detach()


def _check_use(problem: Problem) -> None:
    """Every residual is finite and uses a field, and every field and unknown is used."""
    title = getattr(problem.equation, "__name__", "equation")
    used, values = problem.rehearse(problem.equation_of, boundary=False)
    if not used:
        raise ProblemError(f"the equation {title!r} does not use any of the fields {', '.join(problem.fields)}")
    _check_finite(f"the equation {title!r}", values)
    for part in problem.conditions:
        _check_part(problem, part)
        also, values = problem.rehearse(part.residual, boundary=part.on is not None)
        _check_finite(f"the condition {part.name!r}", values)
        used |= also
    unused = [name for name in problem.fields if name not in {field for field, _ in used}]
    if unused:
        raise ProblemError(f"the field {unused[0]!r} appears in no equation and no condition")
    for name in problem.unknowns:
        changed = {n: g + (1.0 + abs(g)) * (n == name) for n, g in problem.unknowns.items()}
        other = Problem.__new__(Problem)
        other.__dict__.update(problem.__dict__ | {"unknowns": changed})
        residuals = [(problem.equation_of, False), *((c.residual, c.on is not None) for c in problem.conditions)]
        if all(torch.equal(problem.rehearse(r, boundary=b)[1], other.rehearse(r, boundary=b)[1]) for r, b in residuals):
            raise ProblemError(f"the unknown {name!r} changes nothing; use it in the equation or a condition")


def _check_finite(what: str, values: Tensor) -> None:
    bad = ~torch.isfinite(values)
    if bad.any():
        n = int(bad.any(-1).nonzero()[0])
        raise ProblemError(f"{what} is not finite in residual {n}: check its coefficients for NaN and infinity")


def _check_part(problem: Problem, part: Condition) -> None:
    for on in (part.on, part.across):
        if on is not None:
            problem.domain.boundary(on, 1, torch.Generator().manual_seed(0))
    if part.points is not None and part.points.shape[-1] != len(problem.domain.coordinates):
        raise ProblemError(
            f"the points of {part.name!r} have {part.points.shape[-1]} coordinates, the domain has "
            f"{len(problem.domain.coordinates)}: {', '.join(problem.domain.coordinates)}"
        )
    if part.points is not None:
        widest = max(high - low for low, high in problem.domain.bounds)
        outside = (problem.domain.distance(part.points) > 1e-6 * widest).nonzero()[:, 0].tolist()
        if outside:
            raise ProblemError(
                f"{len(outside)} points of {part.name!r} are outside {problem.domain!r}, the first is point "
                f"{outside[0]} at {_place(problem, part.points[outside[0]])}; leave them out or enlarge the domain"
            )


def _check_contradictions(problem: Problem) -> None:
    """Two Dirichlet conditions of one field on one part must prescribe one value."""
    given = [part for part in problem.conditions if part.given is not None]
    for first, second in itertools.combinations(given, 2):
        shared = _shared_part(first.on, second.on)
        if shared is None or _field_of(first) != _field_of(second):
            continue
        x, normals = problem.domain.boundary(shared, 64, torch.Generator().manual_seed(0))
        zero = torch.zeros_like(x[:, 0])
        scope = problem.scope(x, normals, lambda name, index, zero=zero: zero, problem.unknowns, {})
        a, b = _first(first.residual(scope)), _first(second.residual(scope))
        gap = (a - b).abs()
        if gap.max() > 1e-8 * torch.maximum(a.abs(), b.abs()).max():
            raise ProblemError(
                f"two conditions contradict each other: {first.name!r} and {second.name!r} differ by {gap.max():.3g} "
                f"at {_place(problem, x[gap.argmax()])}; keep one of them"
            )


def _place(problem: Problem, x: Tensor) -> str:
    return ", ".join(f"{c}={v:.4g}" for c, v in zip(problem.domain.coordinates, x.tolist(), strict=True))


def _shared_part(a: str | None, b: str | None) -> str | None:
    if a == b:
        return a
    spatial = [p for p in (a, b) if p not in ("boundary", "t-", "t+", None)]
    return spatial[0] if "boundary" in (a, b) and spatial else None


def _field_of(part: Condition) -> str | None:
    return None if part.given is None else part.given[0]


def _first(residual: Any) -> Tensor:
    return residual[0] if isinstance(residual, tuple | list) else residual


def _condition_points(
    domain: Domain, part: Condition, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    if part.points is not None:
        return part.points[None], None
    assert part.on is not None
    x, normals = domain.boundary(part.on, n, generator)
    if part.across is None:
        return x[None], normals[None]
    axis = domain.coordinates.index(part.on[:-1])
    opposite, low_high = x.clone(), domain.bounds[axis]
    opposite[:, axis] = low_high[1] if part.on.endswith("-") else low_high[0]
    return torch.stack([x, opposite]), torch.stack([normals, -normals])


def derivative_of(jets: Mapping[str, Jet], coordinates: Sequence[str], name: str, index: Index) -> Tensor:
    """The derivative of a field by its multi-index, from its jet."""
    jet = jets[name]
    if index == LAPLACIAN and LAPLACIAN not in jet.algebra.readout:
        first, *others = (jet.derivative(a) for a in second_derivatives(coordinates))
        return sum(others, first)
    return jet.derivative(index)


def stacked(residual: Any) -> Float[Tensor, "equations n"]:
    """The residual, or several, that an equation returns, as rows."""
    parts = residual if isinstance(residual, tuple | list) else (residual,)
    parts = [p.value if isinstance(p, Field) else p for p in parts]
    if not all(isinstance(p, Tensor) and p.ndim == 1 for p in parts):
        shapes = [tuple(p.shape) if isinstance(p, Tensor) else repr(p) for p in parts]
        raise ProblemError(f"a residual must have one value for every point, got {shapes}; does it use a field?")
    return torch.stack(list(parts))
