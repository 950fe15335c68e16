"""Families of univariate functions. A basis is a value: settings only, no tensors inside."""

from edgewise.bases._basis import (
    Basis as Basis,
    basis_from_json as basis_from_json,
    registered_bases as registered_bases,
)
from edgewise.bases.bspline import BSpline as BSpline
from edgewise.bases.residual import (
    RESIDUALS as RESIDUALS,
    check_residual as check_residual,
    residual_derivative as residual_derivative,
)

__all__ = [
    "RESIDUALS",
    "BSpline",
    "Basis",
    "basis_from_json",
    "check_residual",
    "registered_bases",
    "residual_derivative",
]
