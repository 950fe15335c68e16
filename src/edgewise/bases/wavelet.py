r"""Wavelets on a row of centres, as in Wav-KAN (Bozorgasl and Chen 2024, arXiv:2405.12832), at one scale.

With $h_k$ the mean distance of centre $c_k$ to its neighbours and $u = (x - c_k) / h_k$, the functions are
$B_k(x) = \psi(u)$, where $\psi$ is one of

$$ (1 - u^2)\, e^{-u^2/2} = -\frac{d^2}{du^2} e^{-u^2/2} \quad\text{(Mexican hat)}, \qquad
   \cos(\omega u)\, e^{-u^2/2} = \mathrm{Re}\, e^{i\omega u - u^2/2}, \quad \omega = 5 \quad\text{(Morlet)}. $$

Both come from one packet: the first is minus its second derivative at $\omega = 0$. With the Hermite polynomials
$\mathit{He}_{n+1} = w\, \mathit{He}_n - n\, \mathit{He}_{n-1}$,

$$ \frac{d^n}{du^n}\, e^{i\omega u - u^2/2} = (-1)^n\, \mathit{He}_n(u - i\omega)\, e^{i\omega u - u^2/2}. $$
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import torch
from torch import Tensor

from edgewise.bases._basis import Basis, check_counts, point_spacing

_MORLET_FREQUENCY = 5.0


@dataclasses.dataclass(frozen=True)
class Wavelet(Basis):
    """Translated wavelets, one per centre: K = centers functions. The grid holds the centres; far off all vanish.

    A wavelet has mean zero (the Morlet up to 1e-5), so that constants and trends are left to the residual function and
    the bias.

    Args:
        kind: "mexican_hat" (local curvature) or "morlet" (local oscillation).
        centers: number of centres per input feature; their distance is the scale of the wavelet.
    """

    name: ClassVar[str] = "wavelet"
    kind: Literal["mexican_hat", "morlet"] = "mexican_hat"
    centers: int = 8

    def __post_init__(self) -> None:
        if self.kind not in ("mexican_hat", "morlet"):
            raise ValueError(f"Wavelet: kind must be 'mexican_hat' or 'morlet', got {self.kind!r}")
        check_counts(self, 2, "centers", why=", to have a distance")

    @property
    def size(self) -> int:
        return self.centers

    @property
    def points(self) -> int:
        return self.centers

    def resized(self, n: int) -> Wavelet:
        return dataclasses.replace(self, centers=n)

    def _derivative(self, x: Tensor, grid: Tensor, order: int) -> Tensor:
        scale = point_spacing(grid)
        # Beyond 40 the packet is zero in every dtype; unclamped, He(u) overflows there and zero times infinity is NaN.
        u = ((x[..., None] - grid) / scale).clamp(-40, 40)
        if self.kind == "morlet":
            return _packet(u, _MORLET_FREQUENCY, order) / scale**order
        return -_packet(u, 0.0, order + 2) / scale**order


def _packet(u: Tensor, omega: float, order: int) -> Tensor:
    """The derivative of cos(omega u) exp(-u^2/2), with He_n(u - i omega) in its real and imaginary part."""
    real, imag = torch.ones_like(u), torch.zeros_like(u)
    real_before, imag_before = torch.zeros_like(u), torch.zeros_like(u)
    for n in range(order):
        following_real = u * real + omega * imag - n * real_before
        following_imag = u * imag - omega * real - n * imag_before
        real_before, imag_before, real, imag = real, imag, following_real, following_imag
    wave = real * torch.cos(omega * u) - imag * torch.sin(omega * u)
    return (-1) ** order * wave * torch.exp(-(u**2) / 2)
