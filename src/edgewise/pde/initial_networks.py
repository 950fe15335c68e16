"""Make the initial networks of a solve."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.nn import KAN, Affine, KANLinear
from edgewise.pde.operators import ProblemError
from edgewise.pde.problem import Problem

MARGIN = 0.05  # of a grid beyond the range of its inputs: the end intervals of a spline need room

# Noise on the curves of a start, relative to the slope of their lines. On a Helmholtz equation with four waves in one
# direction, 0 and 0.3 ended on a plateau (relative error 0.7 to 0.8), 1 and 3 reached 5e-5 in the same steps.
ROUGHNESS = (1.0, 0.3, 3.0)


def default_model(
    problem: Problem, hidden: Sequence[int] = (10,), degree: int = 5, intervals: int = 3, *, generator: torch.Generator
) -> KAN:
    """A KAN of splines with the inputs and outputs of the problem."""
    # The end polynomial keeps second derivatives beyond the grid, so that the search converges (losses 5 to 200 times
    # lower on a Poisson equation); through two hidden layers its powers explode (losses of 1e40).
    basis = BSpline(intervals, degree, extrapolation="polynomial" if len(hidden) == 1 else "linear")
    widths = [problem.inputs, *hidden, len(problem.fields)]
    return KAN(widths, basis, residual=None, generator=generator, dtype=torch.float64)


def checked_model(
    problem: Problem, model: nn.Module | Sequence[int] | None, generator: torch.Generator, fields: Affine | None = None
) -> nn.Module:
    """A copy of the model in float64 between the units of the coordinates and those of the fields.

    Widths make a `default_model`; a model that has units for the coordinates keeps its own.
    """
    if not isinstance(model, nn.Module):
        model = default_model(problem, (10,) if model is None else model, generator=generator)
    model = copy.deepcopy(model).double()
    low, high = problem.input_bounds().T
    units = Affine(2 / (high - low), -(high + low) / (high - low))
    changed = fields is not None and bool((fields.scale != 1).any() | (fields.shift != 0).any())
    after = fields if changed else None
    if isinstance(model, KAN):
        if model.in_features != problem.inputs or model.out_features != len(problem.fields):
            raise ProblemError(
                f"the model is {model.in_features} -> {model.out_features}, the problem needs {problem.inputs} inputs "
                f"and {len(problem.fields)} outputs ({', '.join(problem.fields)})"
            )
        if model.input_affine is None:
            model.input_affine, model.output_affine = units, model.output_affine or after
        return model
    if not isinstance(next(model.children(), None), Affine):
        model = nn.Sequential(units, model, *([] if after is None else [after]))
    probe = torch.zeros(1, problem.inputs, dtype=torch.float64)
    try:
        outputs = model(probe).shape[-1]
    except RuntimeError as error:
        raise ProblemError(f"the model does not take {problem.inputs} inputs: {error}") from error
    if outputs != len(problem.fields):
        raise ProblemError(f"the model has {outputs} outputs, the problem {len(problem.fields)} fields")
    return model


@torch.no_grad()
def redrawn(model: nn.Module, x: Tensor, roughness: float, generator: torch.Generator) -> nn.Module:
    """A copy with new initial parameters, layer by layer on the range of its inputs for x.

    `roughness` is the noise on the coefficients of a curve relative to the slope of its line, in addition to the 0.1 of
    `KANLinear.reset_parameters`: smooth solutions are found from lines, oscillating ones from noise.
    """
    model = copy.deepcopy(model)

    def redraw(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(layer, KANLinear):
            layer.grid.copy_(layer.basis.fit_grid(inputs[0], layer.grid, margin=MARGIN))
            layer.reset_parameters(generator)
            noise = torch.randn(layer.coef.shape, generator=generator, dtype=torch.float64)
            layer.coef.add_(noise, alpha=roughness * layer.in_features**-0.5)
        elif isinstance(layer, nn.Linear):
            bound = math.sqrt(6 / (layer.in_features + layer.out_features)) * (1 + 2 * roughness)
            layer.weight.uniform_(-bound, bound, generator=generator)
            if layer.bias is not None:
                layer.bias.uniform_(-bound, bound, generator=generator)

    handles = [m.register_forward_pre_hook(redraw) for m in model.modules() if isinstance(m, KANLinear | nn.Linear)]
    model(x)
    for handle in handles:
        handle.remove()
    return model
