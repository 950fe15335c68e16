r"""Implements a small residual network of convolutions with curves: $x + C_2(N_2(C_1(N_1(x))))$.

The layout is that of He et al., arXiv 1603.05027 ("pre-activation"). A normalisation before every convolution keeps its
inputs on the grid of the curves. There is no other activation; without curves, ReLU precedes every convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.bases import Basis, Hinge
from edgewise.nn import KANConv2d


class KANResNet(nn.Module):
    """Images (batch, in_channels, height, width) to logits (batch, classes).

    Args:
        in_channels: channels of the images.
        classes: number of classes.
        channels: of every stage; every stage after the first halves the image size.
        blocks: residual blocks per stage.
        kan: use convolutions of curves; False replaces each by ReLU and an ordinary convolution.
        basis: of the curves; one hinge by default, which has the fewest parameters per tap and so allows the most
            channels at a given size.
        residual: the residual function of the curves.
        generator: random generator of the curves; other layers draw from torch's global generator.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        channels: Sequence[int] = (16, 32, 64),
        blocks: int = 1,
        kan: bool = True,
        basis: Basis | None = None,
        residual: str | None = "identity",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()

        def conv(before: int, width: int, stride: int) -> nn.Module:
            if not kan:
                return nn.Sequential(nn.ReLU(), nn.Conv2d(before, width, 3, stride, 1, bias=False))
            curves = basis or Hinge(1)
            return KANConv2d(
                before, width, 3, stride, 1, bias=False, basis=curves, residual=residual, generator=generator
            )

        self.stem = nn.Conv2d(in_channels, channels[0], 3, padding=1, bias=False)
        stages, before = [], channels[0]
        for n, width in enumerate(channels):
            for block in range(blocks):
                stride = 2 if n > 0 and block == 0 else 1
                stages.append(_Block(before, width, conv(before, width, stride), conv(width, width, 1), stride))
                before = width
        self.stages = nn.Sequential(*stages)
        self.norm = nn.BatchNorm2d(before)
        self.head = nn.Linear(before, classes)

    def forward(self, x: Float[Tensor, "*batch channels height width"]) -> Float[Tensor, "*batch classes"]:
        x = torch.relu(self.norm(self.stages(self.stem(x))))
        return self.head(x.mean((-2, -1)))


class _Block(nn.Module):
    def __init__(self, before: int, width: int, first: nn.Module, second: nn.Module, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(before), first)
        self.second = nn.Sequential(nn.BatchNorm2d(width), second)
        same = before == width and stride == 1
        self.short = nn.Identity() if same else nn.Conv2d(before, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.short(x) + self.second(self.first(x))
