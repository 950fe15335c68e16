"""Adapted networks that tests share."""

import torch
from torch import nn

import edgewise as ew
from edgewise.adapters import add_lotra
from edgewise.nn.factors import FORMS

FORM_NAMES = list(FORMS)
SOME = 0.6
"""Ranks that give factors to the thinnest layers too, which get full updates by default."""


def network(widths=(3, 6, 2), seed=0, **options) -> ew.KAN:
    generator = torch.Generator().manual_seed(seed)
    return ew.KAN(list(widths), generator=generator, dtype=torch.float64, **options)


def inputs(n=7, features=3, seed=1) -> torch.Tensor:
    return torch.rand(n, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2.4 - 1.2


def shaken(model: nn.Module, seed=2) -> nn.Module:
    """The model with random values in every trainable parameter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) * 0.5)
    return model


def adapted(form="tucker", ranks=SOME, **options) -> ew.KAN:
    return shaken(add_lotra(network(), ranks, form=form, generator=torch.Generator().manual_seed(3), **options))


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
