r"""Activation functions with learned poles: the grouped rational units of the Kolmogorov-Arnold transformer.

Yang, Wang, arXiv 2409.10594, section 4: every feature x of group g passes through

$$ R_g(x) = \frac{P_g(x)}{1 + |Q(x)|}, \qquad P_g(x) = \sum_{m=0}^5 a_{gm} x^m, \quad Q(x) = \sum_{m=1}^4 b_m x^m. $$

The features of a group share a numerator, all groups share the denominator, which has no zeros.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function

from edgewise.kernels import find, foreign
from edgewise.kernels.autograd import transformed
from edgewise.kernels.capabilities import RationalKernel

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

    Behind a convolution (dim=1) the taps of a channel become one curve with different factors.

    Args:
        features: number of features, a multiple of `groups`.
        groups: number of numerators; neighbouring features share one.
        start: what every unit computes at first: "identity" exactly, "silu" to 2.6e-5 and "gelu" to 2.5e-3 on [-5, 5].
        dim: the dimension of the features; 1 for images. With several groups, memory in which they are next to one
            another (`torch.channels_last`) is not copied.

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
        dim: int = -1,
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
        self.features, self.groups, self.start, self.dim = features, groups, start, dim
        a, b = _STARTS[start]
        self.numerator = nn.Parameter(torch.tensor(a, device=device, dtype=dtype).repeat(groups, 1))
        self.denominator = nn.Parameter(torch.tensor(b, device=device, dtype=dtype))

    def forward(self, x: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        if not -x.ndim <= self.dim < x.ndim or x.shape[self.dim] != self.features:
            shape = f"(*batch, {self.features})" if self.dim == -1 else f"with {self.features} in dimension {self.dim}"
            raise ValueError(f"GroupRational takes inputs of shape {shape}, got {tuple(x.shape)}")
        a, b = self.numerator.T, self.denominator[:, None]
        if self.groups == 1:  # one column serves all features, wherever they are
            return rational(x, a, b)
        a = a.repeat_interleave(self.features // self.groups, 1)
        return rational(x.movedim(self.dim, -1), a, b).movedim(-1, self.dim)

    def extra_repr(self) -> str:
        return f"{self.features}, groups={self.groups}, start={self.start!r}"


def rational(
    x: Float[Tensor, "*b features"], a: Float[Tensor, "n _"], b: Float[Tensor, "m _"]
) -> Float[Tensor, "*b features"]:
    r"""$\sum_n a_n x^n / (1 + |\sum_m b_m x^m|)$ for every feature; a from order 0, b from order 1.

    A single column of coefficients serves all features.

    The derivative of $|Q|$ at $Q = 0$ is that of $Q$: by torch's, 0, a denominator of 1 would never learn.
    """
    if torch.compiler.is_compiling() or transformed() or not x.dtype == a.dtype == b.dtype:
        return _rational(x, a, b)
    kernel = find("rational", x, a, b)
    if kernel is None and foreign(x, a, b) is not None:
        return _rational(x, a, b)
    return _InPlace.apply(x, a, b, kernel)  # pyright: ignore[reportReturnType]


def _rational(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The specification: differentiable to any order by torch."""
    p, q = a[-1], b[-1]
    for coefficient in a[:-1].flip(0).unbind():
        p = torch.addcmul(coefficient, p, x)
    for coefficient in b[:-1].flip(0).unbind():
        q = torch.addcmul(coefficient, q, x)
    q = q * x
    return p / (1 + torch.where(q < 0, -q, q))


class _InPlace(Function):
    """The same in native code, or else with a third of the memory traffic; only x is kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, b: Tensor, kernel: RationalKernel | None) -> Tensor:
        ctx.save_for_backward(x, a, b)
        ctx.kernel = kernel
        if kernel is not None:
            return kernel.values(x, a, b)
        p, q = _horner(x, a), _horner(x, b).mul_(x)
        return p.div_(q.abs_().add_(1))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, a, b = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradients may be differentiated again
            wanted = ctx.needs_input_grad[:3]
            inputs = [t for t, needed in zip((x, a, b), wanted, strict=True) if needed]
            found = iter(torch.autograd.grad(_rational(x, a, b), inputs, g, create_graph=True))
            return *(next(found) if needed else None for needed in wanted), None
        if ctx.kernel is not None and foreign(g, x, a, b) is None:
            return *ctx.kernel.gradients(g, x, a, b), None
        # With u = g / (1 + |Q|) and v = -u R sign(Q):  dx = u P' + v Q',  da_n = sum u x^n,  db_m = sum v x^m
        n = torch.arange(1, len(a), dtype=x.dtype, device=x.device)[:, None]
        q = _horner(x, b).mul_(x).add_(0.0)  # -0 becomes +0, whose sign is that of the specification
        d = q.abs().add_(1)
        u = g / d
        v = _horner(x, a).mul_(u).div_(d.copysign_(q).neg_())  # torch.where takes forty times as long here
        dx = _horner(x, n * a[1:]).mul_(u).addcmul_(_horner(x, n[: len(b)] * b), v)
        da, db = _moments(u, x, len(a)), _moments(v.mul_(x), x, len(b))
        return dx, da.sum_to_size(a.shape), db.sum_to_size(b.shape), None


def _horner(x: Tensor, c: Tensor) -> Tensor:
    r"""$\sum_n c_n x^n$, in new memory."""
    p = torch.addcmul(c[-2], x, c[-1])
    for coefficient in c[:-2].flip(0):
        torch.addcmul(coefficient, p, x, out=p)
    return p


def _moments(u: Tensor, x: Tensor, count: int) -> Tensor:
    r"""$\sum_b u_b x_b^n$ for n below `count`: (count, features). Overwrites u."""
    u, x, sums = u.reshape(-1, u.shape[-1]), x.reshape(-1, x.shape[-1]), list[Tensor]()
    for n in range(count):
        if n:
            u.mul_(x)
        sums.append(u.sum(0))
    return torch.stack(sums)
