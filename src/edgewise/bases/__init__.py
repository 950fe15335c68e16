"""Families of univariate functions. A basis is a value: settings only, no tensors inside."""

from edgewise.bases._basis import (
    Basis as Basis,
    basis_from_json as basis_from_json,
    nan_of as nan_of,
    nested_derivative as nested_derivative,
    registered_bases as registered_bases,
)
from edgewise.bases.bspline import BSpline as BSpline
from edgewise.bases.chebyshev import Chebyshev as Chebyshev
from edgewise.bases.fourier import Fourier as Fourier
from edgewise.bases.gaussian import Gaussian as Gaussian
from edgewise.bases.hinge import Hinge as Hinge
from edgewise.bases.rational_chebyshev import Rational as Rational
from edgewise.bases.relu_power import ReLUPower as ReLUPower
from edgewise.bases.residual import (
    RESIDUALS as RESIDUALS,
    check_residual as check_residual,
    residual_derivative as residual_derivative,
)
from edgewise.bases.wavelet import Wavelet as Wavelet

__all__ = [
    "RESIDUALS",
    "BSpline",
    "Basis",
    "Chebyshev",
    "Fourier",
    "Gaussian",
    "Hinge",
    "Rational",
    "ReLUPower",
    "Wavelet",
    "basis_from_json",
    "check_residual",
    "nan_of",
    "nested_derivative",
    "registered_bases",
    "residual_derivative",
]
