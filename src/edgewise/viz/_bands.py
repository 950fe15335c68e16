"""Confidence bands from the data onto the curves of a diagram."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from edgewise.nn import KAN
from edgewise.optim import edge_bands
from edgewise.viz._curves import Part
from edgewise.viz.diagram_data import Diagram

DEVIATIONS = 2.0
POINTS = 401


def add_bands(drawing: Diagram, model: Any, parts: list[Part], x: Any, y: Any) -> Diagram:
    """The diagram with a band of two standard deviations around every curve; symbols have none."""
    if not isinstance(model, KAN):
        raise TypeError(f"bands need a KAN and the targets of its outputs, not {type(model).__name__}")
    if x is None:
        raise ValueError("bands need the samples that the model was trained on: diagram(model, x, y=y)")
    x, y = (torch.as_tensor(np.asarray(t) if not isinstance(t, torch.Tensor) else t) for t in (x, y))
    bands = list(edge_bands(model, x, y, points=POINTS).values())
    edges = []
    for edge in drawing.edges:
        if edge.kind == "curve" and None not in edge.y:
            part, band = parts[edge.layer], bands[edge.layer]
            scale, shift = part.input_unit(edge.source)
            points, std = band.points[:, edge.source], band.std[:, edge.source, edge.target]
            at_x = np.interp(np.array(edge.x) * scale + shift, points.numpy(), std.numpy())
            width = DEVIATIONS * abs(part.edge_unit(edge.target)) * at_x
            values = np.array(edge.y, dtype=float)
            edge = dataclasses.replace(edge, band=(tuple((values - width).tolist()), tuple((values + width).tolist())))
        edges.append(edge)
    return dataclasses.replace(drawing, edges=tuple(edges))
