r"""Activation functions with learnt poles: the grouped rational units of the Kolmogorov-Arnold transformer.

Yang, Wang, arXiv 2409.10594, section 4: every feature x of group g passes through

$$ R_g(x) = \frac{P_g(x)}{1 + |Q(x)|}, \qquad P_g(x) = \sum_{m=0}^5 a_{gm} x^m, \quad Q(x) = \sum_{m=1}^4 b_m x^m. $$

The features of a group share a numerator, all groups share the denominator, which has no zeros.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Start = Literal["identity", "silu", "gelu"]

# Minimax fits of the even part on [-5, 5]; the odd part, x / 2, is exact. Greatest errors there: 2.6e-5 and 2.5e-3.
_STARTS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "identity": ((0.0, 1.0, 0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)),
    "silu": (
        (2.55875891e-05, 0.5, 0.24990396, 0.0525755636, 0.00551013949, 0.0002403535595),
        (0.0, 0.105151127, 0.0, 0.000480707119),
    ),
    "gelu": (
        (-0.00240502862, 0.5, 0.414080046, 0.1163672445, 0.01204665, 0.000261015649),
        (0.0, 0.232734489, 0.0, 0.000522031298),
    ),
}


class GroupRational(nn.Module):
    r"""$y_j = R_{g(j)}(x_j)$, shapes (*batch, features) -> (*batch, features), see the equation of this file.

    Args:
        features: number of features, a multiple of `groups`.
        groups: numbers of numerators; neighbouring features share one.
        start: what every unit computes at first: "identity" exactly, "silu" to 2.6e-5 and "gelu" to 2.5e-3 on [-5, 5].

    Attributes:
        numerator: (groups, 6), the $a_{gm}$.
        denominator: (4,), the $b_m$.
    """

    def __init__(
        self,
        features: int,
        groups: int = 8,
        *,
        start: Start = "identity",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if features < 1 or groups < 1 or features % groups:
            raise ValueError(
                f"{features} features cannot be shared among {groups} groups; give a divisor of {features}"
            )
        if start not in _STARTS:
            raise ValueError(f"unknown start {start!r}; there are {', '.join(_STARTS)}")
        self.features, self.groups, self.start = features, groups, start
        a, b = _STARTS[start]
        self.numerator = nn.Parameter(torch.tensor(a, device=device, dtype=dtype).repeat(groups, 1))
        self.denominator = nn.Parameter(torch.tensor(b, device=device, dtype=dtype))

    def forward(self, x: Float[Tensor, "*b features"]) -> Float[Tensor, "*b features"]:
        if x.ndim == 0 or x.shape[-1] != self.features:
            raise ValueError(f"GroupRational takes inputs of shape (*batch, {self.features}), got {tuple(x.shape)}")
        grouped = x.unflatten(-1, (self.groups, -1))
        return rational(grouped, self.numerator[:, :, None].unbind(1), self.denominator.unbind()).flatten(-2)

    def extra_repr(self) -> str:
        return f"{self.features}, groups={self.groups}, start={self.start!r}"


def rational(x: Tensor, a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Tensor:
    r"""$\sum_m a_m x^m / (1 + |\sum_m b_{m} x^{m}|)$ by Horner's rule; a from order 0, b from order 1."""
    p = torch.addcmul(a[-2], a[-1], x)
    for coefficient in a[-3::-1]:
        p = torch.addcmul(coefficient, p, x)
    q = torch.addcmul(b[-2], b[-1], x)
    for coefficient in b[-3::-1]:
        q = torch.addcmul(coefficient, q, x)
    q = q * x
    # |q| with derivative 1 at 0, where torch's is 0 and a denominator of 1 would never learn
    return p / (1 + torch.where(q < 0, -q, q))
