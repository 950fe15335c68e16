"""The network of one layer that equals an additive model of curves."""

from __future__ import annotations

import numpy as np
import torch

from edgewise.bases import BSpline
from edgewise.nn import KAN, Affine, KANLinear
from edgewise.tables.additive.additive_model import AdditiveModel
from edgewise.tables.additive.axes import SplineAxis


def network_of(model: AdditiveModel) -> KAN | None:
    """The `KAN` from the columns to the link scale; None where a term is no plain curve of a column of numbers.

    Its grids are [-1, 1] for every column, to which an affine map of the inputs takes the range of the knots.
    """
    layer = layer_of(model)
    if layer is None:
        return None
    low, high = layer.grid[:, 0].clone(), layer.grid[:, -1].clone()
    scale = 2 / (high - low)
    layer = KANLinear.assemble(
        layer.basis,
        None,
        coef=layer.coef.detach(),
        grid=(layer.grid - low[:, None]) * scale[:, None] - 1,
        mask=layer.mask,
        bias=layer.bias,
    )
    names = [name for name, _ in model.columns]
    return KAN.assemble(
        [layer],
        input_affine=Affine(scale, -(low + high) / (high - low)),
        input_names=names,
        output_names=model.outputs,
    )


def layer_of(model: AdditiveModel) -> KANLinear | None:
    """The layer from the columns to the link scale, its knots in the units of the columns; None as of `network_of`.

    All curves get the intervals of the finest one: knots that are inserted do not change a spline.
    """
    terms = model.terms
    axes = [term.axes[0] for term in terms]
    plain = all(term.kind == "curve" and term.inputs[0].kind == "number" for term in terms)
    if not plain or len(terms) != len(model.columns) or any(axis.missing for axis in axes):
        return None
    splines = [axis for axis in axes if isinstance(axis, SplineAxis)]
    basis = BSpline(max(len(axis.knots) - 1 for axis in splines), max(axis.degree for axis in splines))
    fine = [SplineAxis(False, _split(axis.knots, basis.intervals), basis.degree) for axis in splines]
    coef = [_inserted(axis, to, term.coef) for axis, to, term in zip(splines, fine, terms, strict=True)]
    knots = torch.tensor([axis.knots for axis in fine], dtype=torch.float64)
    return KANLinear.assemble(
        basis,
        None,
        coef=torch.from_numpy(np.stack(coef)),
        grid=knots,
        mask=torch.ones(len(terms), len(model.outputs), dtype=torch.bool),
        bias=torch.from_numpy(model.intercept.copy()),
    )


def _split(knots: tuple[float, ...], intervals: int) -> tuple[float, ...]:
    """The widest interval is halved until there are enough."""
    found = list(knots)
    while len(found) <= intervals:
        k = int(np.diff(found).argmax())
        found.insert(k + 1, (found[k] + found[k + 1]) / 2)
    return tuple(found)


def _inserted(axis: SplineAxis, fine: SplineAxis, coef: np.ndarray) -> np.ndarray:
    """The coefficients of the same curves on finer knots or of a higher degree, (functions, outputs)."""
    points = fine.abscissae
    return np.linalg.solve(fine.matrix(points).toarray(), axis.matrix(points) @ coef.T)
