r"""Polynomials as B-splines of one interval: the same curves, so that the kernels for splines serve them too.

B-splines of degree d on one interval are the Bernstein polynomials there, $b_m(u) = \binom{d}{m} u^m (1-u)^{d-m}$ with
$u = (t + 1) / 2$, and both families continue as straight lines outside:

$$ T_k(t) = \sum_m S_{mk}\, b_m(u), \qquad
   S_{mk} = \sum_{i} (-1)^{k-i} \binom{2k}{2i} \binom{d-k}{m-i} \Big/ \binom{d}{m}. $$
"""

from __future__ import annotations

from math import comb

import torch
from torch import Tensor

from edgewise.bases import BSpline, Chebyshev
from edgewise.kernels.reference import EdgeSpec


def as_splines(spec: EdgeSpec) -> EdgeSpec | None:
    """The functions of splines that span the same curves on the same grid; None where there are none."""
    basis = spec.basis
    if type(basis) is not Chebyshev:  # isinstance of an abstract class takes three times as long, twice in every call
        return None
    return spec._replace(basis=BSpline(1, basis.degree))


def spline_coefficients(coef: Tensor, spec: EdgeSpec) -> Tensor:
    """The coefficients of the same curves in the functions of `as_splines(spec)`: (in, size, out) to the same shape."""
    assert isinstance(spec.basis, Chebyshev)
    size = spec.basis.size
    with torch.autocast(coef.device.type, enabled=False):  # coefficients keep their precision, as those of splines do
        curves = coef.new_tensor(_bernstein(spec.basis.degree)) @ coef[:, :size]
    return curves if spec.residual is None else torch.cat([curves, coef[:, size:]], dim=1)


def _bernstein(degree: int) -> list[list[float]]:
    """The matrix S, a row per Bernstein polynomial."""
    return [
        [
            sum((-1) ** (k - i) * comb(2 * k, 2 * i) * comb(degree - k, m - i) for i in range(min(k, m) + 1))
            / comb(degree, m)
            for k in range(degree + 1)
        ]
        for m in range(degree + 1)
    ]


# What `torch.compiler.assume_constant_result` sets; calling that imports the compiler, which takes as long as torch.
_bernstein._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]
