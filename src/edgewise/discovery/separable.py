r"""Fits sums of curves and of products of curves to data: the structure of a law before its functions are known.

$$ z \approx c + \sum_j h_j(x_j) + \sum_{m=1}^{M} \prod_j g_{mj}(x_j) $$

with every curve a combination of Chebyshev polynomials: a network of one layer of curves and one of multiplication
nodes. For M = 0 it is linear least squares; else Levenberg-Marquardt from a few random starts on the products alone.
`surface` fits one polynomial of total degree, for the error that it leaves and for its gradient.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise.functional import least_squares


@dataclass(frozen=True)
class SeparableFit:
    """A fitted sum of curves and products: coefficients of Chebyshev polynomials on [low, high] of each variable.

    Attributes:
        constant: the constant c.
        sums: (variables, size) coefficients of h_j, zero for M = 0 without sums; the constant polynomial left out.
        products: (products, variables, size) coefficients of g_mj.
        error: root mean square of the residual on the held-out samples, in units of the standard deviation of z.
    """

    low: Tensor
    high: Tensor
    constant: float
    sums: Float[Tensor, "variables size"]
    products: Float[Tensor, "products variables size"]
    error: float

    def __call__(self, x: Float[Tensor, "samples variables"]) -> Float[Tensor, " samples"]:
        return _predict(chebyshev(x, self.low, self.high, self.sums.shape[1]), self.constant, self.sums, self.products)

    def curves(self, j: int, t: Float[Tensor, " points"]) -> Float[Tensor, "points curves"]:
        """The curves h_j and g_1j ... g_Mj of variable j at t, each scaled by what its term contributes."""
        t = t[:, None].expand(-1, len(self.low))
        basis = chebyshev(t, self.low, self.high, self.sums.shape[1])[:, j]
        scale = self.products.norm(dim=-1).prod(-1) / self.products.norm(dim=-1)[:, j].clamp_min(1e-300)
        return basis @ torch.cat([self.sums[j : j + 1], self.products[:, j] * scale[:, None]]).T


def chebyshev(
    x: Float[Tensor, "samples variables"], low: Tensor, high: Tensor, size: int
) -> Float[Tensor, "samples variables size"]:
    """The polynomials T_0 ... T_{size-1} of every variable, scaled from [low, high] to [-1, 1]."""
    t = 2 * (x - low) / (high - low).clamp_min(1e-300) - 1
    values = [torch.ones_like(t), t]
    while len(values) < size:
        values.append(2 * t * values[-1] - values[-2])
    return torch.stack(values[:size], -1)


def chebyshev_slopes(
    x: Float[Tensor, "samples variables"], low: Tensor, high: Tensor, size: int
) -> Float[Tensor, "samples variables size"]:
    """The derivatives of `chebyshev` in x, n U_{n-1}: `torch.func.jvp` would import the compiler at its first call."""
    width = (high - low).clamp_min(1e-300)
    t = 2 * (x - low) / width - 1
    second = [torch.ones_like(t), 2 * t]
    while len(second) < size:
        second.append(2 * t * second[-1] - second[-2])
    slopes = [torch.zeros_like(t), *(n * u for n, u in enumerate(second, 1))]
    return torch.stack(slopes[:size], -1) * (2 / width)[:, None]


def fit_separable(
    x: Float[Tensor, "samples variables"],
    z: Float[Tensor, " samples"],
    products: int,
    *,
    sums: bool = True,
    size: int = 8,
    starts: int = 3,
    steps: int = 30,
    seed: int = 0,
    weight: Float[Tensor, " samples"] | None = None,
) -> SeparableFit:
    """Fit the structure with M products; the last fifth of the samples is held out to judge it.

    Args:
        x: samples; shuffled ones, since the last fifth is held out.
        z: the target.
        products: the number M.
        sums: include the constant and the curves h_j; without them a single product is a pure one.
        size: polynomials per curve.
        starts: random starts where M > 0; the best one is returned.
        steps: Levenberg-Marquardt steps per start.
        seed: of the starts.
        weight: of the residual of every sample; even by default.
    """
    low, high = x.amin(0), x.amax(0)
    basis = chebyshev(x, low, high, size)
    cut = len(x) - max(len(x) // 5, 1)
    weight = torch.ones_like(z) if weight is None else weight / weight.square().mean().sqrt()
    spread = _spread(z, weight)
    w = z / spread * weight
    linear = _linear_design(basis, sums) * weight[:, None]
    best: tuple[float, Tensor, Tensor] | None = None
    generator = torch.Generator().manual_seed(seed)
    for _ in range(starts if products else 1):
        g = _start(products, x.shape[1], size, generator)
        g, l = _minimise(basis[:cut], linear[:cut], w[:cut], weight[:cut], g, steps)
        r = w[cut:] - linear[cut:] @ l - _products(basis[cut:], g).sum(-1) * weight[cut:]
        error = r.square().mean().sqrt().item()
        if best is None or error < best[0]:
            best = error, g, l
        if error < 1e-7:
            break
    assert best is not None
    error, g, l = best
    if products:
        g = g.clone()
        g[:, 0] *= spread
    constant = l[0].item() * spread.item() if sums else 0.0
    h = torch.zeros(x.shape[1], size, dtype=x.dtype)
    if sums:
        h[:, 1:] = (l[1:] * spread).view(x.shape[1], size - 1)
    return SeparableFit(low, high, constant, h, g, error)


def surface_error(x: Tensor, y: Tensor) -> float:
    """The relative error of a polynomial of total degree on the last fifth of the samples."""
    return surface_rest(x, y).square().mean().sqrt().item()


def surface_rest(x: Tensor, y: Tensor) -> Float[Tensor, " held"]:
    """What that polynomial leaves of every held-out sample, in standard deviations of y."""
    return _surface(x, y)[0]


def surface(x: Tensor, y: Tensor) -> tuple[float, Float[Tensor, "samples variables"]]:
    """The relative error of a polynomial of total degree on the last fifth of the samples, and its gradient at all."""
    rest, c, powers = _surface(x, y)
    low, high, size = x.amin(0), x.amax(0), int(powers.amax()) + 1
    basis, slopes = chebyshev(x, low, high, size), chebyshev_slopes(x, low, high, size)
    along = [torch.cat([basis[:, :j], slopes[:, j : j + 1], basis[:, j + 1 :]], 1) for j in range(x.shape[1])]
    return rest.square().mean().sqrt().item(), torch.stack([products_of(part, powers) @ c for part in along], -1)


def _surface(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What is left of the held-out samples, the coefficients and the powers of every term."""
    n, d = x.shape
    degree = {1: 14, 2: 12, 3: 9, 4: 7, 5: 6, 6: 5}.get(d, 3)
    while degree > 1 and math.comb(d + degree, degree) > n // 3:
        degree -= 1
    powers = total_degree(d, degree)
    cut = n - max(n // 5, 1)
    A = products_of(chebyshev(x, x.amin(0), x.amax(0), degree + 1), powers)
    w = (y - y.mean()) / y.std(correction=0).clamp_min(1e-300)
    c = least_squares(A[:cut], w[:cut, None])[:, 0]
    return A[cut:] @ c - w[cut:], c, powers


def _start(products: int, variables: int, size: int, generator: torch.Generator) -> Tensor:
    g = 0.3 * torch.randn(products, variables, size, generator=generator, dtype=torch.float64)
    g *= 0.5 ** torch.arange(size)
    g[..., 0] += 1.0 - 0.6 * torch.rand(products, variables, generator=generator, dtype=torch.float64)
    g[..., 1] += torch.randn(products, variables, generator=generator, dtype=torch.float64)
    return g


def _linear_design(basis: Tensor, sums: bool) -> Tensor:
    """The columns of the constant and of h_j, without the constant polynomial of each."""
    n = len(basis)
    return torch.cat([basis.new_ones(n, 1), basis[:, :, 1:].flatten(1)], 1) if sums else basis.new_zeros(n, 0)


def _products(basis: Tensor, g: Tensor) -> Float[Tensor, "samples products"]:
    return torch.einsum("njk,mjk->nmj", basis, g).prod(-1)


def _predict(basis: Tensor, constant: float, sums: Tensor, products: Tensor) -> Tensor:
    return constant + torch.einsum("njk,jk->n", basis, sums) + _products(basis, products).sum(-1)


def _spread(z: Tensor, weight: Tensor) -> Tensor:
    """The weighted standard deviation."""
    share = weight.square() / weight.square().sum()
    return ((z - (share @ z)).square() @ share).sqrt()


def _minimise(basis: Tensor, linear: Tensor, w: Tensor, weight: Tensor, g: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Variable projection: the linear part is eliminated by a QR factorisation, the products take damped steps."""
    q = torch.linalg.qr(linear).Q if linear.shape[1] else linear

    def across(v: Tensor) -> Tensor:
        return v - q @ (q.T @ v)

    target = across(w)
    if g.numel():
        cost, mu, grow = torch.inf, 1e-2, 2.0
        r, trial = target, g
        gram, slope = g.new_zeros(0, 0), g.new_zeros(0)
        for _ in range(steps):
            values = torch.einsum("njk,mjk->nmj", basis, trial)
            new_r = target - across(values.prod(-1).sum(-1) * weight)
            new_cost = new_r.square().mean().item()
            if new_cost < cost:
                done = new_cost > cost * (1 - 1e-4) or new_cost < 1e-26
                cost, r, g = new_cost, new_r, trial
                if done:
                    break
                mu, grow = max(mu / 4, 1e-13), 2.0
                J = across((_others(values)[..., None] * basis[:, None]).flatten(1) * weight[:, None])
                gram, slope = J.T @ J, J.T @ r
            else:
                mu, grow = mu * grow, grow * 2
                if mu > 1e6 or not cost < torch.inf:
                    break
            damped = gram + mu * torch.diag(gram.diagonal().clamp_min(1e-9 * gram.diagonal().amax()))
            factor, failed = torch.linalg.cholesky_ex(damped)
            if failed:
                mu *= 10
                continue
            trial = g + torch.cholesky_solve(slope[:, None], factor).view(g.shape)
    rest = w - _products(basis, g).sum(-1) * weight if g.numel() else w
    l = least_squares(linear, rest[:, None])[:, 0] if linear.shape[1] else linear.new_zeros(0)
    return g, l


def _others(values: Float[Tensor, "samples products variables"]) -> Tensor:
    """For every variable the product of all the others, safe where one of them is zero."""
    count = values.shape[-1]
    return torch.stack([values[..., [k for k in range(count) if k != j]].prod(-1) for j in range(count)], -1)


def total_degree(d: int, degree: int) -> Int[Tensor, "terms variables"]:
    """The powers of every product of d variables up to a total degree, the lowest degree first."""
    terms = (m for k in range(degree + 1) for m in itertools.combinations_with_replacement(range(d), k))
    return torch.tensor([[members.count(j) for j in range(d)] for members in terms])


def products_of(
    basis: Float[Tensor, "samples variables size"], powers: Int[Tensor, "terms variables"]
) -> Float[Tensor, "samples terms"]:
    """Every term: the product of one function of each variable."""
    return reduce(torch.mul, (basis[:, j, p] for j, p in enumerate(powers.T)))
