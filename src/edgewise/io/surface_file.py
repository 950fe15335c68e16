"""A surface as the JSON and the tensors of a saved file: its settings, its break points and its coefficients."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from edgewise.io.reading import require
from edgewise.nn import Surface
from edgewise.stored import read_fields


@dataclass(frozen=True)
class SurfaceSettings:
    """What a surface is made with, beside its break points."""

    variables: int
    outputs: int
    degree: int
    periodic: tuple[int, ...]


def described_surface(surface: Surface) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The header and the tensors of a surface."""
    settings = SurfaceSettings(surface.variables, surface.outputs, surface.degree, surface.periodic)
    return {"kind": "Surface", "surface": asdict(settings)}, dict(surface.state_dict())


def built_surface(header: dict[str, Any], tensors: dict[str, Tensor]) -> Surface:
    """The surface of a header and its tensors; `ValueError` where they do not fit."""
    settings = read_fields(SurfaceSettings, header["surface"], "a surface")
    names = [f"grid_{j}" for j in range(settings.variables)] if 1 <= settings.variables <= len(tensors) else []
    require(tensors.keys() == {"coef", *names}, f"a surface needs the tensors coef and {names}, has {sorted(tensors)}")
    require(all(t.dtype == torch.float64 for t in tensors.values()), "the tensors of a surface are float64")
    inside = all(0 <= j < settings.variables for j in settings.periodic)
    require(inside, f"the periodic variables {settings.periodic} are not among the {settings.variables}")
    coef, grids = tensors["coef"], [tensors[name] for name in names]
    require(all(g.ndim == 1 and bool(g.isfinite().all()) for g in grids), "break points must be finite numbers")
    require(1 <= settings.degree <= 10, f"a surface has a degree from 1 to 10, not {settings.degree}")
    sizes = [len(g) - 1 + settings.degree * (j not in settings.periodic) for j, g in enumerate(grids)]
    expected = (*sizes, settings.outputs)
    require(tuple(coef.shape) == expected, f"coef has the shape {tuple(coef.shape)}, by its grids it is {expected}")
    surface = Surface(grids, settings.outputs, degree=settings.degree, periodic=settings.periodic)
    surface.coef.data.copy_(coef)
    return surface
