"""A layer of curves whose parameters are factors of its coefficients."""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise import functional
from edgewise.nn.factors import Factors
from edgewise.nn.linear import KANLinear


class SlimKANLinear(KANLinear):
    r"""A `KANLinear` whose coefficients are a product of factors, $c_{jki} = \sum_{pqr} G_{pqr} U_{jp} V_{kq} W_{ir}$.

    The Slim KAN of Gao, Ng, Tan, arXiv 2502.06153: the factors that LoTRA trains, without the frozen tensor. The weight
    of the residual function is one more row of the basis mode and is compressed with it. `coef` can be read, not
    assigned; structural operations return dense layers of the same function.

    Args:
        layer: whose settings, bias, grid, mask and symbols are copied.
        factors: of its coefficients.
    """

    def __init__(self, layer: KANLinear, factors: Factors) -> None:
        if factors.shape != layer.coef.shape:
            raise ValueError(f"the factors form {factors.shape}, the layer's coef is {tuple(layer.coef.shape)}")
        bare = KANLinear.assemble(
            layer.basis,
            layer.residual,
            coef=layer.coef[:, :0],
            grid=layer.grid,
            mask=layer.mask,
            bias=layer.bias,
            symbolic=layer.symbolic,
            inputs_per_grid=layer.inputs_per_grid,
        )
        self.__dict__.update(bare.__dict__)
        del self._parameters["coef"]
        self.factors = factors
        self.train(layer.training)

    @classmethod
    def assemble(cls, *args: Any, **parts: Any) -> KANLinear:
        """A dense layer from its parts: see `KANLinear.assemble`."""
        return KANLinear.assemble(*args, **parts)

    @property
    def coef(self) -> Float[Tensor, "in size out"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The coefficients that the factors form."""
        return self.factors()

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Random factors whose product has the norm of the present coefficients."""
        norm, factors = self.coef.norm(), self.factors
        fresh = Factors(
            factors.shape, factors.name, list(factors.ranks.values()), zero=None, generator=generator, dtype=norm.dtype
        )
        fresh.scale_to_(norm.item())
        for part in factors.form.factors:
            getattr(factors, part).copy_(fresh.factor(part) / factors.multipliers[part])

    def dense(self) -> KANLinear:
        """The same layer with its coefficients multiplied out."""
        layer = KANLinear.assemble(
            self.basis,
            self.residual,
            coef=self.coef,
            grid=self.grid,
            mask=self.mask,
            bias=self.bias,
            symbolic=self.symbolic,
            inputs_per_grid=self.inputs_per_grid,
        )
        layer.adapter = copy.deepcopy(self.adapter)
        learns = {name: p.requires_grad for name, p in self.named_parameters()}
        for name, parameter in layer.named_parameters():
            parameter.requires_grad_(learns.get(name, self.coef.requires_grad))
        return layer.train(self.training)

    @property
    def factored(self) -> bool:
        return self._dense and self.adapter is None

    def _sum(self, x: Tensor) -> Tensor:
        if not self.factored:
            return super()._sum(x)
        inner = functional.edge_sum(x, self.factors.inner(), self.grid, self.basis, self.residual)
        return self._biased(inner @ self.factors.factor("target").T)
