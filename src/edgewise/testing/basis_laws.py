"""The laws of a basis: values, derivatives, grids, dtypes, transforms and settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from edgewise.bases import Basis, basis_from_json, nested_derivative, registered_bases

_ORDERS = (1, 2, 3)


def check_basis(basis: Basis, *, dtype: torch.dtype = torch.float64, generator: torch.Generator | None = None) -> None:
    """Raise `AssertionError` unless `basis` keeps every law of `edgewise.bases.Basis`.

    Args:
        basis: the settings to check.
        dtype: the precision of the comparisons; those with finite differences and gradcheck need float64 and are left
            out in any other.
        generator: where the inputs come from; by default always the same ones.
    """
    case = _Case.draw(basis, dtype, generator or torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    for check in _BASIS_CHECKS:
        check(case)
        untouched = torch.equal(torch.get_rng_state(), before)
        _require(basis, untouched, "it must not draw from the global random generator")


@dataclass(frozen=True)
class _Case:
    """A basis, an irregular grid per feature, and inputs of which some lie outside the grid."""

    basis: Basis
    generator: torch.Generator
    samples: Tensor
    grid: Tensor
    x: Tensor

    @staticmethod
    def draw(basis: Basis, dtype: torch.dtype, generator: torch.Generator, features: int = 3) -> _Case:
        scale = torch.tensor([1.0, 0.3, 2.5], dtype=dtype)[:features]
        shift = torch.tensor([0.0, 1.0, -2.0], dtype=dtype)[:features]
        samples = scale * torch.randn(200, features, dtype=dtype, generator=generator) + shift
        grid = basis.fit_grid(samples, basis.init_grid(features, dtype=dtype), adaptive=0.5)
        low, high = basis.span(grid)
        t = torch.rand(24, features, dtype=dtype, generator=generator)
        return _Case(basis, generator, samples, grid, low + (high - low) * (1.4 * t - 0.2))

    def random(self, *shape: int) -> Tensor:
        return torch.rand(*shape, dtype=self.x.dtype, generator=self.generator)


def _check_settings(case: _Case) -> None:
    basis = case.basis
    _require(basis, registered_bases().get(basis.name) is type(basis), f"its name {basis.name!r} is not registered")
    copy = basis_from_json(json.loads(json.dumps(basis.to_json())))
    _require(basis, copy == basis, f"it must equal its JSON round trip, got {copy}")
    _require(basis, hash(copy) == hash(basis), "equal bases must have equal hashes")


def _check_grid(case: _Case) -> None:
    basis, dtype = case.basis, case.x.dtype
    grid = basis.init_grid(4, -3.0, 5.0, dtype=dtype)
    _require(basis, grid.ndim == 2 and grid.shape[0] == 4, f"init_grid(4) must have 4 rows, got {tuple(grid.shape)}")
    _require(basis, grid.dtype == dtype, f"init_grid(dtype={dtype}) returned {grid.dtype}")
    _require(basis, bool((grid.diff(dim=-1) > 0).all()), "init_grid must increase strictly along each row")
    low, high = basis.span(grid)
    covers = torch.allclose(low, torch.full_like(low, -3.0)) and torch.allclose(high, torch.full_like(high, 5.0))
    _require(basis, covers, f"the span of init_grid(4, -3, 5) must be -3 and 5, got {low.tolist()}, {high.tolist()}")


def _check_fit_grid(case: _Case) -> None:
    ties = case.samples.clone()
    ties[: len(ties) // 2] = ties[0]
    constant = case.samples.clone()
    constant[:, 0] = 1.0
    inputs = {"random": case.samples, "tied": ties, "constant": constant, "single": case.samples[:1]}
    for name, x in inputs.items():
        for adaptive in (0.0, 0.5, 1.0):
            before = case.grid.clone()
            grid = case.basis.fit_grid(x, case.grid, adaptive=adaptive, margin=0.1)
            where = f"fit_grid to {name} samples at adaptive={adaptive}"
            _require(case.basis, torch.equal(case.grid, before), f"{where} must not change the grid that it was given")
            _require(case.basis, grid.shape == before.shape, f"{where} must keep the shape {tuple(before.shape)}")
            _require(case.basis, grid.dtype == before.dtype, f"{where} must keep the dtype {before.dtype}")
            _require(case.basis, bool((grid.diff(dim=-1) > 0).all()), f"{where} must increase strictly along each row")


def _check_arguments(case: _Case) -> None:
    x, grid = case.x.clone(), case.grid.clone()
    case.basis.evaluate(x, grid)
    same = torch.equal(x, case.x) and torch.equal(grid, case.grid)
    _require(case.basis, same, "evaluate must not change its arguments")


def _check_shapes(case: _Case) -> None:
    features = case.x.shape[1]
    for order in (0, *_ORDERS):
        flat = case.basis.derivative(case.x, case.grid, order)
        for batch in ((), (0,), (24,), (2, 3, 4), (2, 0)):
            n = torch.Size(batch).numel()
            got = case.basis.derivative(case.x[:n].reshape(*batch, features), case.grid, order)
            shape = (*batch, features, case.basis.size)
            where = f"derivative of order {order} for inputs {(*batch, features)}"
            _require(case.basis, got.shape == shape, f"{where} must have shape {shape}, got {tuple(got.shape)}")
            _close(case.basis, got.reshape(n, *shape[-2:]), flat[:n], f"{where} against a flat batch")
    same = torch.equal(case.basis.evaluate(case.x, case.grid), case.basis.derivative(case.x, case.grid, 0))
    _require(case.basis, same, "the derivative of order 0 must be the value")


def _check_derivatives(case: _Case) -> None:
    for order in _ORDERS:
        closed = case.basis.derivative(case.x, case.grid, order)
        # From the order below, which is known to be right by then: nested levels take many times as long.
        below = nested_derivative(lambda t, nu=order - 1: case.basis.derivative(t, case.grid, nu), case.x, 1)
        _close(case.basis, closed, below, f"derivative of order {order} against autodiff of order {order - 1}")


def _check_finite_differences(case: _Case) -> None:
    if case.x.dtype != torch.float64:
        return
    low, high = case.basis.span(case.grid)
    h = 1e-5 * (high - low)
    for order in _ORDERS:
        below, above = (case.basis.derivative(case.x + s * h, case.grid, order - 1) for s in (-1, 1))
        quotient = (above - below) / (2 * h[:, None])
        ends = [case.basis.derivative(case.x + s * h, case.grid, order) for s in (-1, 1)]
        exact = case.basis.derivative(case.x, case.grid, order)
        # A break point between x - h and x + h is no error: leave out inputs where the derivative itself jumps.
        smooth = (ends[1] - ends[0]).abs().amax(-1) <= 1e-2 * exact.abs().amax() + 1e-8
        kept = smooth.double().mean().item()
        _require(case.basis, kept > 0.9, f"its derivative of order {order} jumps at {1 - kept:.0%} of random inputs")
        where = f"derivative of order {order} against finite differences"
        _close(case.basis, exact[smooth], quotient[smooth], where, tolerance=1e-6)


def _check_gradients(case: _Case) -> None:
    if case.x.dtype != torch.float64:
        return
    x = case.x[:2].clone().requires_grad_()
    weight, upstream = case.random(x.shape[1], case.basis.size), case.random(*x.shape).requires_grad_()

    def curve(t: Tensor, order: int = 0) -> Tensor:
        return torch.einsum("...jk,jk->...j", case.basis.derivative(t, case.grid, order), weight)

    def slope(t: Tensor) -> Tensor:
        return curve(t, 1)

    for name, passed in (
        ("gradcheck of evaluate", gradcheck(curve, x, atol=1e-4, raise_exception=False)),
        ("gradcheck of derivative of order 1", gradcheck(slope, x, atol=1e-4, raise_exception=False)),
        ("gradgradcheck of evaluate", gradgradcheck(curve, x, upstream, atol=1e-4, raise_exception=False)),
    ):
        _require(case.basis, passed, f"torch.autograd.{name} fails")


def _check_nan(case: _Case) -> None:
    x = case.x.clone()
    x[0, 0] = torch.nan
    for order in (0, *_ORDERS):
        bad = case.basis.derivative(x, case.grid, order).isnan().any(-1)
        _require(case.basis, bool(bad[0, 0]), f"derivative of order {order} at NaN must be NaN, to show a bad input")
        bad[0, 0] = False
        _require(case.basis, not bad.any(), f"derivative of order {order} is NaN at an input that is not")


def _check_dtypes(case: _Case) -> None:
    for dtype, tolerance in ((torch.float32, 1e-3), (torch.float64, 1e-9), (torch.bfloat16, 2**-6)):
        grid = case.basis.init_grid(case.x.shape[1], dtype=dtype)
        x = case.x.clamp(-1, 1).to(dtype)
        for order in (0, *_ORDERS):
            got = case.basis.derivative(x, grid, order)
            where = f"derivative of order {order} in {dtype}"
            _require(case.basis, got.dtype == dtype, f"{where} came back as {got.dtype}")
            expected = case.basis.derivative(x.double(), grid.double(), order)
            _close(case.basis, got.double(), expected, f"{where} against float64", tolerance=tolerance)


def _check_vmap(case: _Case) -> None:
    for order in (0, 1):
        batch = case.basis.derivative(case.x, case.grid, order)
        try:
            rows = torch.vmap(lambda row, nu=order: case.basis.derivative(row, case.grid, nu))(case.x)
        except RuntimeError as error:
            raise AssertionError(f"{case.basis}: derivative of order {order} fails under vmap: {error}") from error
        _close(case.basis, rows, batch, f"vmap of derivative of order {order}")


def _check_features(case: _Case) -> None:
    whole = case.basis.evaluate(case.x, case.grid)
    for j in range(case.x.shape[1]):
        alone = case.basis.evaluate(case.x[:, j : j + 1], case.grid[j : j + 1])
        _close(case.basis, whole[:, j : j + 1], alone, f"feature {j} among others against alone")


def _check_sample_points(case: _Case) -> None:
    points = case.basis.sample_points(case.grid)
    low, high = case.basis.span(case.grid)
    slack = 1e-6 * (high - low)
    shape = points.ndim == 2 and points.shape[1] == case.grid.shape[0] and points.shape[0] >= case.basis.size
    _require(case.basis, shape, f"sample_points must have shape (size or more, features), got {tuple(points.shape)}")
    inside = bool(((points >= low - slack) & (points <= high + slack)).all())
    _require(case.basis, inside, "sample_points must lie in the span")
    columns = case.basis.evaluate(points.double(), case.grid.double()).transpose(0, 1)
    columns = columns / columns.norm(dim=1, keepdim=True).clamp(min=1e-300)
    ranks = torch.linalg.matrix_rank(columns).tolist()
    message = f"sample_points must determine all {case.basis.size} coefficients, but the ranks per feature are {ranks}"
    _require(case.basis, min(ranks) == case.basis.size, message)


_BASIS_CHECKS: tuple[Callable[[_Case], None], ...] = (
    _check_settings,
    _check_grid,
    _check_fit_grid,
    _check_arguments,
    _check_shapes,
    _check_derivatives,
    _check_finite_differences,
    _check_gradients,
    _check_nan,
    _check_dtypes,
    _check_vmap,
    _check_features,
    _check_sample_points,
)


def _require(basis: Basis, holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(f"{basis}: {message}")


def _close(basis: Basis, got: Tensor, expected: Tensor, where: str, tolerance: float | None = None) -> None:
    """Agreement relative to the largest value, for functions of one family are of one size."""
    tolerance = tolerance or 1e4 * torch.finfo(got.dtype).eps
    if got.numel() == 0:
        return
    error = (got - expected).abs() / expected.abs().amax().clamp(min=1.0)
    worst = torch.nan_to_num(error, nan=torch.inf).flatten().argmax()
    place = tuple(int(i) for i in torch.unravel_index(worst, error.shape))
    message = f"{where}: {got[place].item()!r} is not {expected[place].item()!r} at (sample, feature, function) {place}"
    _require(basis, error[place].item() <= tolerance, message)
