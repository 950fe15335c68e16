r"""Implements U-KAN, a U-Net whose deepest levels mix channels by curves (Li et al., arXiv 2406.02918), in 2-D and 3-D.

The fine levels are convolutional. A level below them is an image of tokens, and its block of curves is

$$ t \leftarrow \mathrm{LN}(x); \quad t \leftarrow \mathrm{act}(\mathrm{BN}(\mathrm{DW}_3(\mathrm{mix}(t))))
   \ \text{three times}; \quad x \leftarrow x + t $$

where mix is a `KANLinear` over the channels of every token. On the way up, levels are interpolated linearly and added.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgewise.bases import Basis, BSpline
from edgewise.nn import KANLinear

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
ENLARGE = {2: "bilinear", 3: "trilinear"}


class UKAN(nn.Module):
    """Images (batch, in_channels, *size) to one logit per class and pixel, (batch, out_channels, *size).

    The argument names are MONAI's. Every side must have at least 2 ** (levels - 1) pixels.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the images.
        out_channels: number of classes.
        channels: of every level; each level has half the size of the previous one.
        token_levels: how many of the deepest levels are images of tokens.
        kan: mix channels by curves; False uses linear layers instead.
        matched: with `kan=False`, use an MLP with as many parameters as the curves instead of a linear layer.
        basis: of the curves, `BSpline(5, 3)` by default.
        residual: the residual function of the curves.
        generator: random generator of the curves; the convolutions draw from torch's global generator.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        channels: Sequence[int] = (16, 32, 64, 80, 96),
        token_levels: int = 2,
        kan: bool = True,
        matched: bool = False,
        basis: Basis | None = None,
        residual: str | None = "silu",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if spatial_dims not in CONV:
            raise ValueError(f"spatial_dims must be 2 or 3, got {spatial_dims}")
        if not 1 <= token_levels < len(channels):
            raise ValueError(f"token_levels must be 1 to {len(channels) - 1} for {len(channels)} levels")
        conv, first_token = CONV[spatial_dims], len(channels) - token_levels
        self.mode = ENLARGE[spatial_dims]
        mixer = _Mixer(kan, matched, basis or BSpline(5, 3), residual, generator)
        down, up = [], []
        before = in_channels
        for level, width in enumerate(channels):
            if level < first_token:
                down.append(_convolutions(spatial_dims, before, width, 1 if level == 0 else 2))
            else:
                embed = conv(before, width, 3, 2, 1)
                down.append(nn.Sequential(embed, TokenBlock(spatial_dims, width, mixer)))
            before = width
        for level in reversed(range(len(channels) - 1)):
            narrow: nn.Module = _unit(spatial_dims, channels[level + 1], channels[level], 1)
            if level >= first_token:
                narrow = nn.Sequential(narrow, TokenBlock(spatial_dims, channels[level], mixer))
            up.append(narrow)
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.head = conv(channels[0], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = []
        for level in self.down:
            x = level(x)
            seen.append(x)
        for level, skip in zip(self.up, reversed(seen[:-1]), strict=True):
            x = F.interpolate(level(x), skip.shape[2:], mode=self.mode, align_corners=False) + skip
        return self.head(x)


class TokenBlock(nn.Module):
    """The block of the equation above, on an image of tokens.

    Args:
        spatial_dims: 2 or 3.
        width: number of channels.
        mixer: builds the layers that mix channels.
        repeats: the number of times that mixing, convolution and activation are applied.
    """

    def __init__(self, spatial_dims: int, width: int, mixer: _Mixer, repeats: int = 3) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.ModuleList(mixer(width) for _ in range(repeats))
        self.near = nn.ModuleList(
            nn.Sequential(
                CONV[spatial_dims](width, width, 3, padding=1, groups=width, bias=False),
                NORM[spatial_dims](width),
                nn.ReLU(),
            )
            for _ in range(repeats)
        )

    def forward(self, x: Tensor) -> Tensor:
        t = self.norm(x.movedim(1, -1))
        for mix, near in zip(self.mix, self.near, strict=True):
            t = near(mix(t).movedim(-1, 1)).movedim(1, -1)
        return x + t.movedim(-1, 1)


class _Mixer:
    """Builds the layers that mix channels: curves, linear, or an MLP of equal size."""

    def __init__(
        self, kan: bool, matched: bool, basis: Basis, residual: str | None, generator: torch.Generator | None
    ) -> None:
        self.kan, self.matched, self.basis, self.residual, self.generator = kan, matched, basis, residual, generator

    def __call__(self, width: int) -> nn.Module:
        if self.kan:
            return KANLinear(
                width,
                width,
                self.basis,
                residual=self.residual,
                bias=False,
                grid_range=(-2.0, 2.0),
                generator=self.generator,
            )
        if not self.matched:
            return nn.Linear(width, width)
        edge = self.basis.size + (self.residual is not None)
        hidden = max(1, round((width**2 * edge - width) / (2 * width + 1)))
        return nn.Sequential(nn.Linear(width, hidden), nn.SiLU(), nn.Linear(hidden, width))


def _unit(spatial_dims: int, before: int, width: int, stride: int) -> nn.Sequential:
    conv = CONV[spatial_dims](before, width, 3, stride, 1, bias=False)
    return nn.Sequential(conv, NORM[spatial_dims](width), nn.ReLU())


def _convolutions(spatial_dims: int, before: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_unit(spatial_dims, before, width, stride), _unit(spatial_dims, width, width, 1))
