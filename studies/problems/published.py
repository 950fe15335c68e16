"""The differential equations of two published tables: JAX-PI's and that of the residual-gated KAN (RGA).

JAX-PI: Wang, Sankaran, Wang & Perdikaris (arXiv 2308.08468) and the README of its code. RGA: Rigas et al.
(arXiv 2510.23501) and the notebooks of its code. Equations, domains, coefficients and initial values are theirs; the
references are ours: formulas, or spectral solutions with a distance that says how far to trust them. Errors are taken
on a grid. Rows that need two dimensions of space and time, or other domains than a box, are not here: Stokes, the
cavity at their Reynolds numbers, both Navier-Stokes problems, Gray-Scott and Ginzburg-Landau.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from edgewise.pde import Box, Problem, dirichlet, initial, periodic
from studies.problems.cavity import Cavity, cavity
from studies.problems.equations import burgers_exact, helmholtz_exact, wave, wave_exact
from studies.problems.spectral import Spectral, advected

PI = math.pi
CAVITIES = {100.0: 40, 400.0: 48, 1000.0: 56}  # numbers of Reynolds, and points of the references


@dataclass(frozen=True)
class Published:
    """A row of a table.

    Args:
        name: of the equation.
        problem: what is solved.
        reference: the first field at points (n, d), or the first ones, (n, fields).
        tolerance: of `Surfaces`.
        published: the relative L2 error that was published; None where the number could not be read.
        spectral: the reference, if it is one of these: of a `Spectral` the error is taken at its stored times.
        remark: what differs from the publication.
        family: makes the problem from a parameter, where it is reached along a path; `path` are its values.
    """

    name: str
    problem: Problem
    reference: Callable[[Tensor], Tensor]
    tolerance: float = 1e-5
    published: float | None = None
    spectral: Spectral | Cavity | None = field(default=None, compare=False)
    remark: str = ""
    family: Callable[[float], Problem] | None = None
    path: tuple[float, ...] = ()

    @cached_property
    def points(self) -> Tensor:
        """The grid on which the error is taken."""
        if isinstance(self.spectral, Spectral):
            return self.spectral.grid(256)
        count = 201 if len(self.problem.domain.bounds) == 2 else 51
        axes = [torch.linspace(a, b, count, dtype=torch.float64) for a, b in self.problem.domain.bounds]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)

    @property
    def trust(self) -> float:
        """The relative error of the reference, about; 0 for a formula."""
        return 0.0 if self.spectral is None else self.spectral.trust


def _allen_cahn() -> tuple[Problem, Spectral]:
    problem = Problem(
        Box(x=(-1, 1), t=(0, 1)),
        lambda u: u.dt - 1e-4 * u.dxx - 5 * (u - u**3),
        [initial(lambda x: x**2 * torch.cos(PI * x)), periodic("x")],
    )
    reference = Spectral(
        (-1, 1),
        1.0,
        lambda k: 5 - 1e-4 * k**2,
        lambda u, k: np.fft.fft(-5 * u**3),
        lambda x: x**2 * np.cos(PI * x),
        4096,
        1000,
    )
    return problem, reference


def _korteweg_de_vries() -> tuple[Problem, Spectral]:
    problem = Problem(
        Box(x=(-1, 1), t=(0, 1)),
        lambda u: u.dt + u * u.dx + 0.022**2 * u.dxxx,
        [initial(lambda x: torch.cos(PI * x)), periodic("x", order=2)],
    )
    linear = lambda k: 1j * 0.022**2 * k**3  # noqa: E731
    return problem, Spectral((-1, 1), 1.0, linear, advected(1.0), lambda x: np.cos(PI * x), 1024, 8000)


def _kuramoto_sivashinsky() -> tuple[Problem, Spectral]:
    a, b, c = 100 / 16, 100 / 16**2, 100 / 16**4
    problem = Problem(
        Box(x=(0, 2 * PI), t=(0, 1)),
        lambda u: u.dt + a * u * u.dx + b * u.dxx + c * u.dxxxx,
        [initial(lambda x: torch.cos(x) * (1 + torch.sin(x))), periodic("x", order=3)],
    )
    start = lambda x: np.cos(x) * (1 + np.sin(x))  # noqa: E731
    return problem, Spectral((0, 2 * PI), 1.0, lambda k: b * k**2 - c * k**4, advected(a), start, 512, 16000)


def _cavity(name: str, reynolds: float, reference: Cavity) -> Published:
    path = tuple(value for value in CAVITIES if value <= reynolds)
    remark = "the velocity, both components"
    made = Published(name, cavity(reynolds), reference, 1e-3, spectral=reference, remark=remark)
    return dataclasses.replace(made, family=cavity, path=path)


def _advection(speed: float) -> Problem:
    start = initial(lambda x: _travelling(speed)(torch.stack([x, 0 * x], -1)))
    return Problem(Box(x=(0, 2 * PI), t=(0, 1)), lambda u: u.dt + speed * u.dx, [start, periodic("x")])


def _burgers() -> Problem:
    return Problem(
        Box(x=(-1, 1), t=(0, 1)),
        lambda u: u.dt + u * u.dx - 0.01 / PI * u.dxx,
        [initial(lambda x: -torch.sin(PI * x)), dirichlet(0.0)],
    )


def _sine_gordon() -> tuple[Problem, Callable[[Tensor], Tensor]]:
    problem = Problem(
        Box(x=(0, 1), t=(0, 1)),
        lambda u: u.dtt - u.dxx + torch.sin(u.value),
        [initial(lambda x: torch.sin(PI * x), rate=0.0), dirichlet(0.0)],
    )
    return problem, SineGordon()


class SineGordon:
    r"""$u_{tt} = u_{xx} - \sin u$ from $\sin \pi x$ at rest: sine modes, the fourth-order scheme of Runge and Kutta."""

    @cached_property
    def table(self) -> np.ndarray:
        """The amplitudes of the sines at 201 times."""
        modes, steps = 48, 4000
        k = PI * np.arange(1, modes)
        x = np.arange(1, modes) / modes
        S = np.sin(np.outer(x, k))
        back = 2 / modes * S.T

        def rate(y: np.ndarray) -> np.ndarray:
            a, b = y
            return np.stack([b, -(k**2) * a - back @ np.sin(S @ a)])

        y, h = np.stack([back @ np.sin(PI * x), np.zeros(modes - 1)]), 1 / steps
        table = [y[0]]
        for step in range(1, steps + 1):
            r1 = rate(y)
            r2 = rate(y + h / 2 * r1)
            r3 = rate(y + h / 2 * r2)
            y = y + h / 6 * (r1 + 2 * r2 + 2 * r3 + rate(y + h * r3))
            if step % (steps // 200) == 0:
                table.append(y[0])
        return np.stack(table)

    def __call__(self, x: Tensor) -> Tensor:
        row = (x[:, 1] * 200).round().long()
        amplitudes = torch.from_numpy(self.table)[row]
        k = PI * torch.arange(1, amplitudes.shape[1] + 1, dtype=torch.float64)
        return (amplitudes * torch.sin(k * x[:, :1])).sum(-1)


def _poisson(waves: int) -> Problem:
    def source(x: Tensor, y: Tensor) -> Tensor:
        return 2 * (waves * PI) ** 2 * torch.sin(waves * PI * x) * torch.sin(waves * PI * y)

    return Problem(Box(x=(-1, 1), y=(-1, 1)), lambda u, x, y: u.laplacian + source(x, y), [dirichlet(0.0)])


def _helmholtz() -> Problem:
    def equation(u, x, y):
        return u.laplacian + u - (1 - 17 * PI**2) * torch.sin(PI * x) * torch.sin(4 * PI * y)

    return Problem(Box(x=(-1, 1), y=(-1, 1)), equation, [dirichlet(0.0)])


def _heat() -> Problem:
    return Problem(
        Box(x=(0, 1), y=(0, 1), t=(0, 1)),
        lambda u: u.dt - u.dxx / (500 * PI) ** 2 - u.dyy / PI**2,
        [initial(lambda x, y: torch.sin(20 * PI * x) * torch.sin(PI * y)), dirichlet(0.0)],
    )


def heat_exact(x: Tensor) -> Tensor:
    """Of the multiscale heat equation."""
    return torch.sin(20 * PI * x[:, 0]) * torch.sin(PI * x[:, 1]) * torch.exp(-626 / 625 * x[:, 2])


def _travelling(speed: float) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.sin(x[:, 0] - speed * x[:, 1])


def _waves(n: int) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.sin(n * PI * x[:, 0]) * torch.sin(n * PI * x[:, 1])


def tables() -> dict[str, tuple[Published, ...]]:
    """The rows of every table that are solved here; "own" are further targets of ours."""
    allen_cahn, ac = _allen_cahn()
    kdv, kdv_reference = _korteweg_de_vries()
    ks, ks_reference = _kuramoto_sivashinsky()
    sine_gordon, sg = _sine_gordon()
    rest = "the reference of the publication is a solution of the wave equation"
    jaxpi = (
        Published("allen-cahn", allen_cahn, ac, 1e-5, 5.37e-5, ac),
        Published("advection-50", _advection(50), _travelling(50), 1e-8, 6.88e-4),
        Published("burgers", _burgers(), burgers_exact, 1e-5, None),
        Published("kuramoto-sivashinsky", ks, ks_reference, 5e-7, 0.161, ks_reference),
    )
    rga = (
        Published("sine-gordon", sine_gordon, sg, 1e-6, None, remark=rest),
        Published("advection-20", _advection(20), _travelling(20), 1e-8, None),
        Published("helmholtz", _helmholtz(), helmholtz_exact, 1e-6, None),
        Published("poisson-2", _poisson(2), _waves(2), 1e-6, None),
        Published("poisson-4", _poisson(4), _waves(4), 1e-6, None),
        Published("allen-cahn", allen_cahn, ac, 1e-5, None, ac),
        Published("burgers", _burgers(), burgers_exact, 1e-5, None),
        Published("kdv", kdv, kdv_reference, 1e-4, None, kdv_reference),
        Published("heat-multiscale", _heat(), heat_exact, 1e-3, None),
    )
    driven = {f"cavity-{re:.0f}": (re, Cavity(re, points)) for re, points in CAVITIES.items()}
    own = (
        Published("wave", wave(0), wave_exact, 1e-6),
        *(_cavity(name, *given) for name, given in driven.items()),
    )
    return {"jaxpi": jaxpi, "rga": rga, "own": own}
