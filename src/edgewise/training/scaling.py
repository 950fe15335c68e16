"""Inputs in [-1, 1] and targets of unit variance while training; the user's units stay at the ends of the model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.nn import KAN, Affine


@dataclass(frozen=True)
class Units:
    """The network sees `x * scale + shift`; its output times `out_scale` plus `out_shift` is y."""

    scale: Float[Tensor, " in"]
    shift: Float[Tensor, " in"]
    out_scale: Float[Tensor, " out"]
    out_shift: Float[Tensor, " out"]

    @classmethod
    def of_data(cls, x: Float[Tensor, "samples in"], y: Tensor, outputs: int, *, scale_outputs: bool) -> Units:
        """The units in which the samples fill [-1, 1] and the targets have mean 0 and variance 1."""
        low, high = x.amin(0), x.amax(0)
        half = torch.where(high > low, (high - low) / 2, torch.ones_like(high))
        out_scale, out_shift = torch.ones(outputs, dtype=x.dtype), torch.zeros(outputs, dtype=x.dtype)
        if scale_outputs:
            std, out_shift = y.std(0, correction=0), y.mean(0)
            out_scale = torch.where(std > 0, std, torch.ones_like(std))
        return cls(1 / half, -(high + low) / 2 / half, out_scale, out_shift)

    @classmethod
    def of_model(cls, model: KAN) -> Units:
        """The units that a model has already."""
        inputs, outputs = model.input_affine, model.output_affine
        one, zero = torch.ones(model.in_features).double(), torch.zeros(model.in_features).double()
        out_one, out_zero = torch.ones(model.out_features).double(), torch.zeros(model.out_features).double()
        return cls(
            one if inputs is None else inputs.scale.double(),
            zero if inputs is None else inputs.shift.double(),
            out_one if outputs is None else outputs.scale.double(),
            out_zero if outputs is None else outputs.shift.double(),
        )

    def inputs(self, x: Tensor) -> Tensor:
        """What the network sees."""
        return x * self.scale + self.shift

    def targets(self, y: Tensor) -> Tensor:
        """What the network should give."""
        return (y - self.out_shift) / self.out_scale

    def input_affine(self) -> Affine | None:
        """The change of units in front of the network; None where there is nothing to do."""
        if bool((self.scale == 1).all()) and bool((self.shift == 0).all()):
            return None
        return Affine(self.scale, self.shift)

    def output_affine(self) -> Affine | None:
        """The change of units behind the network; None where there is nothing to do."""
        if bool((self.out_scale == 1).all()) and bool((self.out_shift == 0).all()):
            return None
        return Affine(self.out_scale, self.out_shift)
