"""The differential equations of the study `pde`, each with an exact or a spectral reference."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgewise.pde import (
    Box,
    BySize,
    Collocation,
    Condition,
    Problem,
    dirichlet,
    initial,
    neumann,
    observe,
    polygon,
)
from edgewise.pde.operators import Scope

PI = math.pi
VISCOSITY = 0.01 / PI


@dataclass(frozen=True)
class Case:
    """One equation of the study.

    Args:
        name: what the study calls it.
        problem: makes the problem; it takes the seed, for measured data.
        reference: the fields at points (n, d): (n, fields) or (n).
        hidden: hidden widths of the network.
        degree: of its splines.
        intervals: of its grids in the search; `settings["intervals"]` refines them.
        settings: of `solve`, as plain values (see `arguments`).
        target: the relative L2 error that must be reached.
        unknowns: the true values of the unknowns.
        least_uncertainty: of an unknown, relative, that the data of a seed leave to any unbiased estimate.
    """

    name: str
    problem: Callable[[int], Problem]
    reference: Callable[[Tensor], Tensor]
    hidden: tuple[int, ...]
    target: float
    degree: int = 5
    intervals: int = 3
    settings: Mapping[str, Any] = field(default_factory=dict)
    unknowns: Mapping[str, float] = field(default_factory=dict)
    least_uncertainty: Callable[[int], float] | None = None


def arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `solve` for plain values, as a file of results holds them."""
    rest = dict(settings)
    method = BySize(**{f.name: rest.pop(f.name) for f in dataclasses.fields(BySize) if f.name in rest})
    collocation = Collocation(**{f.name: rest.pop(f.name) for f in dataclasses.fields(Collocation) if f.name in rest})
    return {"method": method, "collocation": collocation} | rest


def poisson_of_the_paper(seed: int) -> Problem:
    """Liu et al., arXiv 2404.19756, section 3.4: 10,000 points inside and 800 on the boundary."""
    return Problem(Box(x=(-1, 1), y=(-1, 1)), lambda u, x, y: u.laplacian - _paper_source(x, y), [dirichlet(0.0)])


def poisson_sine(seed: int) -> Problem:
    """The problem of pykan's tutorial; zero on the boundary by construction."""

    def equation(u, x, y):
        return u.laplacian + 2 * PI**2 * torch.sin(PI * x) * torch.sin(PI * y)

    return Problem(Box(x=(-1, 1), y=(-1, 1)), equation, ansatz=_zero_on_the_square)


def l_shape(seed: int) -> Problem:
    r"""Laplace on an L, whose corner makes the solution $r^{2/3} \sin(2\theta/3)$ singular."""
    corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (0.0, -1.0)]
    value = dirichlet(lambda x, y: _corner(torch.stack([x, y], -1)))
    return Problem(polygon(corners), lambda u: u.laplacian, [value])


def helmholtz(seed: int) -> Problem:
    r"""$\Delta u + u = q$ with $u = \sin \pi x \sin 4 \pi y$ (Wang, Teng & Perdikaris, arXiv 2001.04536)."""

    def equation(u, x, y):
        return u.laplacian + u - (1 - 17 * PI**2) * torch.sin(PI * x) * torch.sin(4 * PI * y)

    return Problem(Box(x=(-1, 1), y=(-1, 1)), equation, ansatz=_zero_on_the_square)


def heat(seed: int) -> Problem:
    r"""$u_t = 0.4\,u_{xx}$ from $\sin \pi x$."""
    return Problem(
        Box(x=(0, 1), t=(0, 1)),
        lambda u: u.dt - 0.4 * u.dxx,
        [initial(lambda x: torch.sin(PI * x)), dirichlet(0.0)],
    )


def wave(seed: int) -> Problem:
    r"""$u_{tt} = 4 u_{xx}$ from $\sin \pi x + \frac12 \sin 4 \pi x$ (Wang, Yu & Perdikaris, arXiv 2007.14527)."""
    start = initial(lambda x: torch.sin(PI * x) + 0.5 * torch.sin(4 * PI * x), rate=0.0)
    return Problem(Box(x=(0, 1), t=(0, 1)), lambda u: u.dtt - 4 * u.dxx, [start, dirichlet(0.0)])


def wave_on_characteristics(seed: int) -> Problem:
    r"""The same wave where the network sees $x \pm 2t$: d'Alembert's two travelling waves are one layer of curves."""
    return dataclasses.replace(wave(seed), features=lambda x, t: (x + 2 * t, x - 2 * t))


def burgers(seed: int) -> Problem:
    r"""$u_t + u u_x = \nu u_{xx}$, $\nu = 0.01 / \pi$, from $-\sin \pi x$ on [-1, 1].

    The solution is odd and so is the equation: it is solved for x > 0, which pins the shock to the end x = 0.
    """
    return _burgers(lambda u: u.dt + u * u.dx - VISCOSITY * u.dxx)


def inverse_burgers(seed: int, noise: float = 0.01) -> Problem:
    r"""$\nu$ from 200 values with noise, start and boundary known; those at x < 0 are mirrored, as the field is odd."""
    x, values = measured(seed, noise)
    side = torch.where(x[:, 0] < 0, -1.0, 1.0).double()
    x = torch.stack([x[:, 0].abs(), x[:, 1]], -1)
    return _burgers(
        lambda u, nu: u.dt + u * u.dx - nu * u.dxx, [observe(x, side * values, weight=10.0)], unknowns={"nu": 0.02}
    )


def measured(seed: int, noise: float) -> tuple[Tensor, Tensor]:
    """200 places drawn evenly over [-1, 1] x [0, 1] and the noisy values of Burgers' field there."""
    generator = torch.Generator().manual_seed(1000 + seed)
    low, high = torch.tensor([-1.0, 0.0], dtype=torch.float64), torch.tensor([1.0, 1.0], dtype=torch.float64)
    x = low + (high - low) * torch.rand(200, 2, dtype=torch.float64, generator=generator)
    return x, burgers_exact(x) + noise * torch.randn(200, dtype=torch.float64, generator=generator)


def least_uncertainty(seed: int, noise: float = 0.01) -> float:
    r"""The bound of Cramer and Rao on the relative standard deviation of $\nu$ at the places of `measured`.

    $\sigma / \|\partial u / \partial \log \nu\|$ with start and boundary known: no unbiased estimate is better.
    """
    x, _ = measured(seed, noise)
    h = 1e-2
    sensitivity = (burgers_exact(x, VISCOSITY * (1 + h)) - burgers_exact(x, VISCOSITY * (1 - h))) / (2 * h)
    return noise / float(sensitivity.norm())


def _burgers(equation: Callable[..., Any], more: Sequence[Condition] = (), **options: Any) -> Problem:
    given = [initial(lambda x: -torch.sin(PI * x)), dirichlet(0.0), *more]
    return Problem(Box(x=(0, 1), t=(0, 1)), equation, given, **options)


def allen_cahn(seed: int) -> Problem:
    r"""$u_t = 10^{-4} u_{xx} + 5 (u - u^3)$, periodic on [-1, 1], from $x^2 \cos \pi x$.

    The solution is even: it is solved for x > 0 with $u_x = 0$ at x = 0. The start has a kink at x = 1, which diffusion
    heals within a layer of 0.003; no condition is set there, which leaves this layer out: 8e-5 of relative error.
    """
    return Problem(
        Box(x=(0, 1), t=(0, 1)),
        lambda u: u.dt - 1e-4 * u.dxx - 5 * (u - u**3),
        [initial(lambda x: x**2 * torch.cos(PI * x)), neumann(0.0, "x-")],
    )


def reaction_diffusion(seed: int) -> Problem:
    """Fisher's equation with its travelling wave."""
    given = lambda x, t: fisher_wave(torch.stack([x, t], -1))  # noqa: E731
    return Problem(
        Box(x=(-5, 15), t=(0, 4)),
        lambda u: u.dt - u.dxx - u * (1 - u),
        [initial(given), dirichlet(given)],
    )


def korteweg_de_vries(seed: int) -> Problem:
    r"""$u_t + 6 u u_x + u_{xxx} = 0$: two solitons, the faster overtaking the slower."""
    given = lambda x, t: two_solitons(torch.stack([x, t], -1))  # noqa: E731
    edges = [dirichlet(given, "x-"), dirichlet(given, "x+"), neumann(two_solitons_slope, "x+")]  # of third order in x
    return Problem(Box(x=(-8, 8), t=(-1, 1)), lambda u: u.dt + 6 * u * u.dx + u.dxxx, [initial(given), *edges])


def kovasznay(seed: int) -> Problem:
    """Steady Navier-Stokes behind a grid, Reynolds number 40 (Kovasznay 1948)."""

    def equation(u, v, p):
        return (
            u * u.dx + v * u.dy + p.dx - u.laplacian / 40,
            u * v.dx + v * v.dy + p.dy - v.laplacian / 40,
            u.dx + v.dy,
        )

    def side(n: int) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, y: kovasznay_exact(torch.stack([x, y], -1))[:, n]

    given = [dirichlet(side(n), field=name) for n, name in enumerate("uvp")]
    return Problem(Box(x=(-0.5, 1), y=(-0.5, 1.5)), equation, given, fields=("u", "v", "p"))


def taylor_green(seed: int) -> Problem:
    """The decaying vortices of Taylor and Green, viscosity 0.1, on one period over one unit of time."""

    def equation(u, v, p):
        return (
            u.dt + u * u.dx + v * u.dy + p.dx - 0.1 * u.laplacian,
            v.dt + u * v.dx + v * v.dy + p.dy - 0.1 * v.laplacian,
            u.dx + v.dy,
        )

    def side(n: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        return lambda x, y, t: taylor_green_exact(torch.stack([x, y, t], -1))[:, n]

    conditions = [make(side(n), field=name) for n, name in enumerate("uvp") for make in (initial, dirichlet)]
    box = Box(x=(0, PI), y=(0, PI), t=(0, 1))
    return Problem(box, equation, conditions, fields=("u", "v", "p"))


def ten_dimensions(seed: int) -> Problem:
    r"""Laplace in ten dimensions, $u = \sum_k x_{2k-1} x_{2k}$ (E & Yu, arXiv 1710.00211)."""
    names = [f"x{n}" for n in range(10)]

    def residual(scope: Scope) -> Tensor:
        return scope["u"] - pairs_exact(torch.stack([scope[name] for name in names], -1))

    box = Box(**dict.fromkeys(names, (0.0, 1.0)))
    return Problem(box, lambda u: u.laplacian, [Condition("u on boundary", residual, "boundary")])


def quartic_oscillator(seed: int) -> Problem:
    r"""$-u'' + x^4 u = \lambda u$ with $u(0) = 1$: the lowest eigenvalue and its function."""
    centre = observe(torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    return Problem(
        Box(x=(-4, 4)),
        lambda u, x, energy: -u.dxx + x**4 * u - energy * u,
        [dirichlet(0.0), centre],
        unknowns={"energy": 0.5},
    )


def paper_exact(x: Tensor) -> Tensor:
    """Of `poisson_of_the_paper`."""
    return torch.sin(PI * x[:, 0]) * torch.sin(PI * x[:, 1] ** 2)


def sine_exact(x: Tensor) -> Tensor:
    """Of `poisson_sine`."""
    return torch.sin(PI * x[:, 0]) * torch.sin(PI * x[:, 1])


def helmholtz_exact(x: Tensor) -> Tensor:
    """Of `helmholtz`."""
    return torch.sin(PI * x[:, 0]) * torch.sin(4 * PI * x[:, 1])


def heat_exact(x: Tensor) -> Tensor:
    """Of `heat`."""
    return torch.sin(PI * x[:, 0]) * torch.exp(-0.4 * PI**2 * x[:, 1])


def wave_exact(x: Tensor) -> Tensor:
    """Of `wave`."""
    slow = torch.sin(PI * x[:, 0]) * torch.cos(2 * PI * x[:, 1])
    return slow + 0.5 * torch.sin(4 * PI * x[:, 0]) * torch.cos(8 * PI * x[:, 1])


def burgers_exact(x: Tensor, viscosity: float = VISCOSITY) -> Tensor:
    r"""Cole and Hopf: $u = -\int \sin(\pi(x - s))\,F\,e^{-s^2/4\nu t} / \int F\,e^{-s^2/4\nu t}$, by quadrature.

    $F(y) = \exp(-\cos(\pi y) / 2 \pi \nu)$; Gauss and Hermite's rule with 200 points (Basdevant et al. 1986).
    """
    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.hermite.hermgauss(200))
    position, time = x[:, :1], x[:, 1:]
    y = position - torch.sqrt(4 * viscosity * time) * nodes
    exponent = -torch.cos(PI * y) / (2 * PI * viscosity)
    f = torch.exp(exponent - exponent.amax(-1, keepdim=True)) * weights
    return -(torch.sin(PI * y) * f).sum(-1) / f.sum(-1)


def fisher_wave(x: Tensor) -> Tensor:
    """Ablowitz and Zeppetella 1979."""
    return (1 + torch.exp((x[:, 0] - 5 / math.sqrt(6) * x[:, 1]) / math.sqrt(6))) ** -2


def two_solitons(x: Tensor, a: float = 1.0, b: float = 1.5) -> Tensor:
    r"""Hirota: $u = 2\,\partial_x^2 \log(1 + e_1 + e_2 + A e_1 e_2)$ with $e_i = \exp(k_i x - k_i^3 t)$."""
    e1, e2 = (torch.exp(k * x[:, 0] - k**3 * x[:, 1]) for k in (a, b))
    c = ((a - b) / (a + b)) ** 2
    f = 1 + e1 + e2 + c * e1 * e2
    fx = a * e1 + b * e2 + c * (a + b) * e1 * e2
    fxx = a**2 * e1 + b**2 * e2 + c * (a + b) ** 2 * e1 * e2
    return 2 * (fxx / f - (fx / f) ** 2)


def two_solitons_slope(x: Tensor, t: Tensor) -> Tensor:
    """$u_x$ of `two_solitons`."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(two_solitons(torch.stack([x, t], -1)).sum(), x)[0]


def kovasznay_exact(x: Tensor) -> Tensor:
    """Of `kovasznay`."""
    rate = 20 - math.sqrt(400 + 4 * PI**2)
    e, angle = torch.exp(rate * x[:, 0]), 2 * PI * x[:, 1]
    fields = (1 - e * torch.cos(angle), rate / (2 * PI) * e * torch.sin(angle), (1 - e**2) / 2)
    return torch.stack(fields, -1)


def taylor_green_exact(x: Tensor) -> Tensor:
    """Of `taylor_green`."""
    a, b, decay = x[:, 0], x[:, 1], torch.exp(-0.2 * x[:, 2])
    u, v = -torch.cos(a) * torch.sin(b) * decay, torch.sin(a) * torch.cos(b) * decay
    return torch.stack([u, v, -0.25 * (torch.cos(2 * a) + torch.cos(2 * b)) * decay**2], -1)


def pairs_exact(x: Tensor) -> Tensor:
    """Of `ten_dimensions`."""
    return (x[:, ::2] * x[:, 1::2]).sum(-1)


def allen_cahn_spectral(x: Tensor) -> Tensor:
    """Fourier modes in space, exponential Runge-Kutta steps in time; between stored times, cubic interpolation."""
    times, coefficients = _allen_cahn_table()
    modes = torch.arange(-len(coefficients[0]) // 2, len(coefficients[0]) // 2)
    wave_numbers = torch.fft.ifftshift(modes).double() * PI
    # Cubic Lagrange between four stored times: their distance is 1/1000.
    at = x[:, 1] * (len(times) - 1)
    first = (at.floor().long() - 1).clamp(0, len(times) - 4)
    s = at - first
    cubic = [functools.reduce(torch.mul, [(s - m) / (n - m) for m in range(4) if m != n]) for n in range(4)]
    result = []
    for part in torch.arange(len(x)).split(2000):
        mixed = sum(w[part, None] * coefficients[first[part] + n] for n, w in enumerate(cubic))
        phase = torch.exp(1j * wave_numbers * (x[part, :1] + 1))
        result.append((mixed * phase).sum(-1).real)
    return torch.cat(result)


@functools.cache
def _allen_cahn_table(modes: int = 1024, steps: int = 2000, stored: int = 1000) -> tuple[Tensor, Tensor]:
    """The Fourier coefficients at stored times: the fourth-order scheme of Cox & Matthews, after Kassam & Trefethen."""
    k = np.fft.fftfreq(modes, 1 / modes) * PI
    x = np.arange(modes) * 2 / modes - 1
    h = 1 / steps
    linear = -1e-4 * k**2 + 5
    roots = np.exp(1j * PI * (np.arange(1, 33) - 0.5) / 32)
    z = h * linear[:, None] + roots
    q = h * np.real(np.mean((np.exp(z / 2) - 1) / z, axis=1))
    f1 = h * np.real(np.mean((-4 - z + np.exp(z) * (4 - 3 * z + z**2)) / z**3, axis=1))
    f2 = h * np.real(np.mean((2 + z + np.exp(z) * (-2 + z)) / z**3, axis=1))
    f3 = h * np.real(np.mean((-4 - 3 * z - z**2 + np.exp(z) * (4 - z)) / z**3, axis=1))
    whole, half = np.exp(h * linear), np.exp(h * linear / 2)

    def cubic(v):
        return np.fft.fft(-5 * np.real(np.fft.ifft(v)) ** 3)

    v = np.fft.fft(x**2 * np.cos(PI * x))
    table = [v]
    for step in range(1, steps + 1):
        n0 = cubic(v)
        a = half * v + q * n0
        n1 = cubic(a)
        b = half * v + q * n1
        n2 = cubic(b)
        c = half * a + q * (2 * n2 - n0)
        v = whole * v + n0 * f1 + 2 * (n1 + n2) * f2 + cubic(c) * f3
        if step % (steps // stored) == 0:
            table.append(v)
    return torch.linspace(0, 1, stored + 1, dtype=torch.float64), torch.from_numpy(np.stack(table) / modes)


def _zero_on_the_square(u: Any, x: Any, y: Any) -> Any:
    return (1 - x**2) * (1 - y**2) * u


def _paper_source(x: Tensor, y: Tensor) -> Tensor:
    first = -(PI**2) * (1 + 4 * y**2) * torch.sin(PI * x) * torch.sin(PI * y**2)
    return first + 2 * PI * torch.sin(PI * x) * torch.cos(PI * y**2)


def _corner(x: Tensor) -> Tensor:
    r = x.norm(dim=-1)
    # From -pi/4 on, so that the jump lies in the quadrant left out and not on the side y = 0, where -0 is 0 as well
    angle = torch.remainder(torch.atan2(x[:, 1], x[:, 0]) + PI / 4, 2 * PI) - PI / 4
    return r ** (2 / 3) * torch.sin(2 * angle / 3)


def _energy_function(x: Tensor) -> Tensor:
    """The lowest state of the quartic oscillator with u(0) = 1, by Chebyshev collocation."""
    n = 80
    theta = PI * np.arange(n + 1) / n
    nodes = 4 * np.cos(theta)
    c = np.r_[2, np.ones(n - 1), 2] * (-1) ** np.arange(n + 1)
    D = np.outer(c, 1 / c) / (nodes[:, None] - nodes + np.eye(n + 1))
    D -= np.diag(D.sum(1))
    values, vectors = np.linalg.eig(-(D @ D)[1:-1, 1:-1] + np.diag(nodes[1:-1] ** 4))
    u = np.r_[0, np.real(vectors[:, np.argmin(np.real(values))]), 0]
    from scipy.interpolate import BarycentricInterpolator

    curve = BarycentricInterpolator(nodes, u / u[n // 2])
    return torch.from_numpy(curve(x[:, 0].numpy()))


SHORT = {"starts": 3, "intervals": (5, 10)}
FRONT = {"starts": 2, "steps": 25, "rounds": 2, "points": 1500, "boundary_points": 150, "grading": 0.8, "balance": 1e4}
SHOCK = {
    "windows": (0.2, 0.3, 0.37, 0.45, 0.6, 0.8),
    "intervals": (20,),
}  # short ones while it forms, at 1 / pi and after
CASES = (
    Case(
        "poisson",
        poisson_of_the_paper,
        paper_exact,
        (10,),
        5e-6,
        7,
        settings={"starts": 3, "intervals": (5, 8), "rounds": 2},
    ),
    Case("poisson-sine", poisson_sine, sine_exact, (5,), 1e-6, 9, 2, {"starts": 3, "intervals": (4, 8)}),
    Case("l-shape", l_shape, _corner, (8,), 1e-2, settings=SHORT),
    Case("helmholtz", helmholtz, helmholtz_exact, (10,), 1e-5, 7, 6, {"intervals": (8, 16), "rounds": 2}),
    Case("heat", heat, heat_exact, (8,), 1e-5, settings=SHORT),
    Case("wave", wave, wave_exact, (10,), 1e-5, 7, 6, {"starts": 4, "intervals": (8, 16), "balance": 1e5}),
    Case(
        "wave-characteristics",
        wave_on_characteristics,
        wave_exact,
        (),
        1e-5,
        7,
        20,
        {"starts": 1, "intervals": (40, 80), "balance": 1e5},
    ),
    Case("burgers", burgers, burgers_exact, (8,), 1e-3, intervals=8, settings=FRONT | SHOCK),
    Case(
        "allen-cahn",
        allen_cahn,
        allen_cahn_spectral,
        (8,),
        1e-3,
        intervals=8,
        settings=FRONT
        | {"windows": (0.2, 0.4, 0.6, 0.8), "intervals": (20,), "rounds": 4, "points": 2500, "starts": 4, "steps": 35},
    ),
    Case("reaction-diffusion", reaction_diffusion, fisher_wave, (8,), 1e-5, 7, settings=SHORT | {"rounds": 2}),
    Case("kdv", korteweg_de_vries, two_solitons, (6, 6), 1e-3, 6, 5, SHORT),
    Case("kovasznay", kovasznay, kovasznay_exact, (8,), 1e-5, 7, settings={"starts": 2, "intervals": (5, 10)}),
    Case("taylor-green", taylor_green, taylor_green_exact, (8,), 1e-3, settings={"starts": 2, "intervals": (5,)}),
    Case("poisson-10d", ten_dimensions, pairs_exact, (10,), 1e-4, 4, 2, {"starts": 2, "intervals": (), "steps": 30}),
    Case(
        "inverse-burgers",
        inverse_burgers,
        burgers_exact,
        (8,),
        1e-2,
        intervals=8,
        settings=FRONT | {"intervals": (20, 30), "rounds": 3, "points": 3000},
        unknowns={"nu": VISCOSITY},
        least_uncertainty=least_uncertainty,
    ),
    Case(
        "eigenvalue",
        quartic_oscillator,
        _energy_function,
        (5,),
        1e-6,
        7,
        settings=SHORT,
        unknowns={"energy": 1.0603620904841829},
    ),
)
