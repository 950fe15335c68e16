"""The conformance suite must find what is wrong, and say where."""

import dataclasses
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from edgewise.bases import Basis, Gaussian, nested_derivative
from edgewise.testing import check_basis


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgewise.bases import _basis

    monkeypatch.setattr(_basis, "_REGISTRY", dict(_basis._REGISTRY))


def broken(**methods: Any) -> Basis:
    """A Gaussian basis with some methods replaced."""
    return type("Broken", (Gaussian,), {"name": "broken", **methods})()


def correct(self: Gaussian, x: Tensor, grid: Tensor, order: int) -> Tensor:
    return Gaussian._derivative(self, x, grid, order)


def wrong_slope(self: Gaussian, x: Tensor, grid: Tensor, order: int) -> Tensor:
    return correct(self, x, grid, order) * (1.001 if order == 1 else 1)


def wrong_third(self: Gaussian, x: Tensor, grid: Tensor, order: int) -> Tensor:
    return correct(self, x, grid, order) * (1.001 if order == 3 else 1)


def hides_nan(self: Gaussian, x: Tensor, grid: Tensor, order: int) -> Tensor:
    return correct(self, x, grid, order).nan_to_num(0.0)


def spreads_nan(self: Gaussian, x: Tensor, grid: Tensor, order: int) -> Tensor:
    return correct(self, x, grid, order) + 0 * x.sum()


def mixes_features(self: Gaussian, x: Tensor, grid: Tensor, order: int) -> Tensor:
    return correct(self, x, grid.mean(0, keepdim=True).expand_as(grid), order)


def widens(self: Gaussian, x: Tensor, grid: Tensor, order: int) -> Tensor:
    return correct(self, x, grid, order).double()


def flattens(self: Gaussian, x: Tensor, grid: Tensor, order: int) -> Tensor:
    return correct(self, x, grid, order).reshape(-1, x.shape[-1], self.size)


def draws(self: Gaussian, x: Tensor, grid: Tensor, order: int) -> Tensor:
    torch.rand(1)
    return correct(self, x, grid, order)


def overwrites(self: Gaussian, x: Tensor, grid: Tensor, order: int) -> Tensor:
    return correct(self, x.mul_(0.5), grid, order)


def twins(self: Gaussian, x: Tensor, grid: Tensor, order: int) -> Tensor:
    value = correct(self, x, grid, order)
    return torch.cat([value[..., :1], value[..., :-1]], dim=-1)


def branches(self: Gaussian, x: Tensor, grid: Tensor, order: int) -> Tensor:
    return correct(self, x + 1 if x.isinf().any() else x, grid, order)


def short_fit(self: Gaussian, x: Tensor, grid: Tensor, **options: Any) -> Tensor:
    return Gaussian.fit_grid(self, x, grid, **options) if options.get("adaptive") == 0.5 else grid[:, :-1]


def tied_fit(self: Gaussian, x: Tensor, grid: Tensor, **options: Any) -> Tensor:
    return Gaussian.fit_grid(self, x, grid, **options) if options.get("adaptive") == 0.5 else torch.zeros_like(grid)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"_derivative": wrong_slope}, "derivative of order 1 against autodiff of order"),
        ({"_derivative": wrong_third}, "derivative of order 3 against autodiff of order"),
        ({"_derivative": hides_nan}, "at NaN must be NaN"),
        ({"_derivative": spreads_nan}, "is NaN at an input that is not"),
        ({"_derivative": mixes_features}, "among others against alone"),
        ({"_derivative": widens}, "came back as torch.float64"),
        ({"_derivative": flattens}, "must have shape"),
        ({"_derivative": overwrites}, "must not change its arguments"),
        ({"_derivative": branches}, "fails under vmap"),
        ({"_derivative": draws}, "global random generator"),
        ({"_derivative": twins}, "must determine all 8 coefficients"),
        ({"fit_grid": short_fit}, "must keep the shape"),
        ({"fit_grid": tied_fit}, "must increase strictly"),
        ({"to_json": lambda self: {"name": "broken", "centers": 3}}, "JSON round trip"),
    ],
)
def test_finds_what_is_wrong(methods: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_basis(broken(**methods))


def test_a_plug_in_without_closed_forms_passes() -> None:
    @dataclasses.dataclass(frozen=True)
    class Sines(Basis):
        name: ClassVar[str] = "sines"
        count: int = 4

        @property
        def size(self) -> int:
            return self.count

        def init_grid(
            self, features: int, low: float = -1.0, high: float = 1.0, *, dtype: torch.dtype | None = None
        ) -> Tensor:
            return torch.tensor([low, high], dtype=dtype).repeat(features, 1)

        def _derivative(self, x: Tensor, grid: Tensor, order: int) -> Tensor:
            n = torch.arange(1, self.count + 1, dtype=x.dtype)
            return nested_derivative(lambda t: torch.sin(n * (t - grid[:, 0])[..., None]), x, order)

    check_basis(Sines())
