"""Least-squares problems whose Jacobian `torch.func` finds: of any residual function, and of any module.

A `KAN` has closed forms for the rows of its Jacobian (`edgewise.optim.jacobian`). A residual of few parameters, such as
a search for outer parameters, is differentiated backward twice, a column at a time; where every residual belongs to one
sample, as in a formula, backward; a module of few trained parameters (adapters, slim layers, networks that mix layers)
backward, one pass per output, all samples of a block at once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from edgewise.optim.jacobian import BLOCK
from edgewise.optim.least_squares import NormalEquations
from edgewise.optim.losses import Loss


class ResidualLeastSquares:
    r"""The mean square of a residual, $L(\theta) = \frac1n \sum_b r_b(\theta)^2$, of few parameters.

    Differentiated backward twice: forward mode takes three times as long for a thousand samples, and its first use in
    a process imports the compiler of torch, which takes a second.

    Args:
        residual: parameters (P) -> residual (n), made of operations with two derivatives.
    """

    def __init__(self, residual: Callable[[Float[Tensor, " P"]], Float[Tensor, " n"]]) -> None:
        self.residual = residual

    def losses(self, theta: Float[Tensor, "S P"]) -> Float[Tensor, " S"]:
        """The mean square at every point."""
        with torch.no_grad():
            return torch.stack([self.residual(t).square().mean() for t in theta])

    def normal_equations(self, theta: Float[Tensor, "S P"]) -> NormalEquations:
        r"""$2 J^T J / n$, $2 J^T r / n$ and the mean square at every point."""
        return NormalEquations.stacked(self._equations(t) for t in theta)

    def _equations(self, theta: Float[Tensor, " P"]) -> tuple[Tensor, Tensor, Tensor]:
        r, rows = self._columns(theta)
        n = len(r)
        return rows @ rows.T * (2 / n), rows @ r * (2 / n), r.square().mean()

    def _columns(self, theta: Float[Tensor, " P"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "P n"]]:
        """The residual and $J^T$: column k of J is the derivative of $(J^T w)_k$ in any w."""
        with torch.enable_grad():
            at = theta.detach().clone().requires_grad_()
            r = self.residual(at)
            if not r.requires_grad:
                return r, r.new_zeros(len(theta), len(r))
            w = torch.zeros_like(r, requires_grad=True)
            (pulled,) = torch.autograd.grad(r, at, w, create_graph=True, materialize_grads=True)
            rows = [
                torch.autograd.grad(part, w, retain_graph=True, materialize_grads=True)[0] for part in pulled.unbind()
            ]
        return r.detach(), torch.stack(rows)


class RowwiseLeastSquares:
    r"""The mean square of residuals $r_b(\theta)$ that belong to one sample each, differentiated in reverse mode.

    Every sample gets parameters of its own, so that one backward pass per output gives the rows of all samples: the
    time does not grow with the number of parameters.

    Args:
        residual: parameters of every sample (n, P) -> residuals (n, out), row by row.
        samples: n.
    """

    def __init__(self, residual: Callable[[Float[Tensor, "n P"]], Float[Tensor, "n out"]], samples: int) -> None:
        self.residual, self.samples = residual, samples

    def losses(self, theta: Float[Tensor, "S P"]) -> Float[Tensor, " S"]:
        """The mean square at every point."""
        with torch.no_grad():
            return torch.stack([self.residual(t.expand(self.samples, -1)).square().mean() for t in theta])

    def normal_equations(self, theta: Float[Tensor, "S P"]) -> NormalEquations:
        r"""$2 J^T J / n$, $2 J^T r / n$ and the mean square at every point."""
        return NormalEquations.stacked(self._equations(t) for t in theta)

    def _equations(self, theta: Float[Tensor, " P"]) -> tuple[Tensor, Tensor, Tensor]:
        r, rows = self.jacobian(theta)
        flat, n = rows.flatten(0, 1), r.numel()
        return flat.T @ flat * (2 / n), flat.T @ r.flatten() * (2 / n), r.square().mean()

    def jacobian(self, theta: Float[Tensor, " P"]) -> tuple[Float[Tensor, "n out"], Float[Tensor, "n out P"]]:
        """The residuals and their derivatives."""
        with torch.enable_grad():
            own = theta.detach().expand(self.samples, -1).clone().requires_grad_()
            r = self.residual(own)
            outputs = range(r.shape[1]) if r.requires_grad else ()
            rows = [
                torch.autograd.grad(r[:, o].sum(), own, retain_graph=o < r.shape[1] - 1, materialize_grads=True)[0]
                for o in outputs
            ]
        return r.detach(), torch.stack(rows, 1) if rows else theta.new_zeros(*r.shape, len(theta))


class ModuleLeastSquares:
    """A module, samples, weights and a loss, as a function of the parameters that require gradients.

    Args:
        model: copied in float64; a sample's output must not depend on the other samples of its batch.
        x: inputs.
        y: what the loss compares with.
        weights: one per sample; None for equal ones.
        loss: with slope and factor.
    """

    def __init__(
        self, model: nn.Module, x: Float[Tensor, "samples *in"], y: Tensor, weights: Tensor | None, loss: Loss
    ) -> None:
        self.model = copy.deepcopy(model).double().eval()
        self._trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        if not self._trained:
            raise ValueError(f"{type(model).__name__} has no parameter that learns; nothing to train")
        if loss.slope is None or loss.factor is None:
            raise ValueError(f"the curvature of the loss {loss.name!r} is not known")
        self.x, self.y, self.loss = x.double(), y, loss
        total = len(x) if weights is None else float(weights.sum())
        self.weights = self.x.new_full((len(x),), 1 / total) if weights is None else weights.double() / total

    @property
    def start(self) -> Float[Tensor, "1 P"]:
        """The parameters of the model as it is: one start."""
        return torch.cat([p.detach().flatten() for p in self._trained.values()])[None]

    def write_(self, model: nn.Module, theta: Float[Tensor, "1 P"]) -> None:
        """Put the parameters into a model of the same structure, in its own dtype."""
        values = self._split(theta[0])
        with torch.no_grad():
            for name, value in values.items():
                model.get_parameter(name).copy_(value)

    def losses(self, theta: Float[Tensor, "S P"]) -> Float[Tensor, " S"]:
        """The loss of every start."""
        with torch.no_grad():
            return torch.stack([self._loss(self._split(t)) for t in theta])

    def normal_equations(self, theta: Float[Tensor, "S P"]) -> NormalEquations:
        """Gram matrix, gradient and loss of every start, summed over blocks of samples."""
        return NormalEquations.stacked(self._equations(t) for t in theta)

    def _equations(self, theta: Float[Tensor, " P"]) -> tuple[Tensor, Tensor, Tensor]:
        assert self.loss.slope is not None
        assert self.loss.factor is not None
        values, p = self._split(theta), len(theta)
        gram, gradient, loss = theta.new_zeros(p, p), theta.new_zeros(p), theta.new_zeros(())
        for rows in self._blocks():
            jacobian, f = vmap(jacrev(self._one, has_aux=True), in_dims=(None, 0))(values, self.x[rows])
            jt = torch.cat([j.flatten(2) for j in jacobian.values()], dim=2)
            y, w = self.y[rows], self.weights[rows]
            factor, slope, values = (
                self.loss.each(part, f, y, w) for part in (self.loss.factor, self.loss.slope, self.loss.values)
            )
            scaled = (factor @ jt * w.sqrt()[:, None, None]).flatten(0, 1)
            gram += scaled.T @ scaled
            gradient += ((slope * w[:, None])[:, None] @ jt).sum((0, 1))
            loss += values @ w
        return gram, gradient, loss

    def _one(self, values: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        f = functional_call(self.model, values, (x[None],))[0]
        return f, f

    def _loss(self, values: dict[str, Tensor]) -> Tensor:
        total = self.x.new_zeros(())
        for rows in self._blocks():
            f = functional_call(self.model, values, (self.x[rows],))
            w = self.weights[rows]
            total += self.loss.each(self.loss.values, f, self.y[rows], w) @ w
        return total

    def _split(self, theta: Float[Tensor, " P"]) -> dict[str, Tensor]:
        sizes = [p.numel() for p in self._trained.values()]
        return {
            name: part.view(p.shape) for (name, p), part in zip(self._trained.items(), theta.split(sizes), strict=True)
        }

    def _blocks(self) -> list[slice]:
        """Blocks of samples whose gradients of the largest tensors inside, frozen ones included, fit into memory."""
        width = sum(p.numel() for p in self.model.parameters())
        step = len(self.x) if self.loss.joint else max(1, BLOCK // max(1, width))
        return [slice(b, b + step) for b in range(0, len(self.x), step)]
