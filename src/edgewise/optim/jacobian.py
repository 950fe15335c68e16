r"""The Jacobian of a network in its parameters, layer by layer, and the normal equations of Gauss-Newton.

The row of a coefficient is the upstream derivative of its node times its basis function,

$$ \frac{\partial f_o}{\partial c_{jki}} = u_{oi}\,B_k(x_j), \qquad u_{oi} = \frac{\partial f_o}{\partial y_i}, \qquad
   \frac{\partial f_o}{\partial x_j} = \sum_i u_{oi}\,\phi_{ij}'(x_j). $$

With a factor $A$ of the curvature of the loss, $A^T A = \partial^2\ell/\partial f^2$, the Gram matrix is
$\sum_b w_b (A J)_b^T (A J)_b$; it is summed over blocks of samples, so that memory stays bounded. Where a kernel serves
the network (`edgewise.optim.local_equations`) the sums are taken in native code; what is here is their specification.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise.nn import KAN, ProductNodes
from edgewise.optim.flat import Design, Network, Parameters, Step, design, symbols
from edgewise.optim.least_squares import NormalEquations
from edgewise.optim.local_equations import LocalEquations, LocalStep, pull_products, symbol_rows
from edgewise.optim.losses import Loss, get_loss

BLOCK = 4_000_000  # entries of a block of the Jacobian: 32 MB
REUSED = 4  # a forward pass that is kept takes this share of what a block may take at most: a quarter, 32 MB


def normal_equations(
    model: KAN, x: Tensor, y: Tensor, weights: Tensor | None = None, loss: str | Loss = "mse"
) -> NormalEquations:
    """The Gauss-Newton matrix, the gradient and the loss of a model in float64, in the order of `Network.of(model)`."""
    network, parameters = Network.of(model)
    x, loss = x.double(), get_loss(loss)
    if model.input_affine is not None:
        x = x * model.input_affine.scale + model.input_affine.shift
    if model.output_affine is not None:
        raise ValueError("normal_equations works in scaled units; take output_affine off and scale the targets")
    return NetworkLeastSquares(network, parameters.grids, x, y, weights, loss).normal_equations(parameters.theta)


def jacobian(network: Network, parameters: Parameters, x: Float[Tensor, "samples in"]) -> Float[Tensor, "S b out P"]:
    """The derivative of every output at every sample in every parameter."""
    steps = network.forward(parameters, x.T, None, slopes=True)
    out = steps[-1].output.shape[1]
    upstream = torch.eye(out, dtype=x.dtype)[None, :, :, None].expand(len(parameters), -1, -1, len(x))
    return _rows(network, steps, upstream).permute(0, 3, 2, 1)


class NetworkLeastSquares:
    r"""The loss of S networks of one structure as a function of their parameters.

    The design of the first layer does not depend on the parameters: it is computed once.

    Args:
        network: the structure.
        grids: of every layer of edges, (S or 1, in, points), as in `Parameters`.
        x: inputs in float64.
        y: targets, what the loss compares with.
        weights: one per sample; None for equal ones.
        loss: with slope and factor.
        free: all parameters (P) and the positions of those that move, in increasing order; the others stay as given.
    """

    def __init__(
        self,
        network: Network,
        grids: tuple[Tensor, ...],
        x: Float[Tensor, "samples in"],
        y: Tensor,
        weights: Tensor | None,
        loss: Loss,
        free: tuple[Float[Tensor, " P"], Int[Tensor, " moving"]] | None = None,
    ) -> None:
        self.network, self.grids, self.x, self.y, self.loss = network, grids, x, y, loss
        total = len(x) if weights is None else float(weights.sum())
        self.weights = x.new_full((len(x),), 1 / total) if weights is None else weights / total
        self._xt = x.T.contiguous()
        self._first: Design | None = None
        self._free = free
        self._kept: tuple[Tensor, list[LocalStep]] | None = None
        self._local = LocalEquations.of(network, grids, self._xt, None if free is None else free[1])

    def losses(self, theta: Float[Tensor, "S P"]) -> Float[Tensor, " S"]:
        """The loss of every network."""
        theta = self._whole(theta)
        total, at = self.x.new_zeros(len(theta)), Parameters(theta, self.grids)
        for rows in self._blocks(len(theta), self.network.edges[0].rows * self.x.shape[1] * 4):
            if self._local is None:
                f = self.network.values(at, self._xt[:, rows], self._first_design(rows))
            else:
                f = self._passed(self._local, theta, rows)[-1].output
            total += self._values(f.transpose(1, 2), rows) @ self.weights[rows]
        return total

    def normal_equations(self, theta: Float[Tensor, "S P"]) -> NormalEquations:
        """Gram matrix, gradient and loss of every network, summed over blocks of samples."""
        s, p = theta.shape
        theta = self._whole(theta)
        at, p = Parameters(theta, self.grids), p if self._local is not None else theta.shape[1]
        # Zeros of numpy are pages that the system clears when they are first touched; torch would write them once more.
        gram, gradient = torch.from_numpy(np.zeros((s, p, p))), self.x.new_zeros(s, p)
        total = self.x.new_zeros(s)
        out = self.network.edges[-1].mask.shape[1]
        for rows in self._blocks(s, p * out):
            if self._local is None:
                steps = self.network.forward(at, self._xt[:, rows], self._first_design(rows), slopes=True)
                loss, slope, factor = self._derivatives(steps[-1].output, rows)
                gradient += _gradient(self.network, steps, slope)
                _add_gram(gram, _rows(self.network, steps, factor).flatten(2))
            else:
                local = self._passed(self._local, theta, rows, slopes=True)
                loss, slope, factor = self._derivatives(local[-1].output, rows)
                self._local.add(local, torch.cat([factor, slope[:, None]], 1), gram, gradient)
            total += loss
        if self._free is not None and self._local is None:
            index = self._free[1]
            gram, gradient = gram[:, index][:, :, index], gradient[:, index]
        return NormalEquations(gram, gradient, total)

    def _passed(
        self, local: LocalEquations, theta: Float[Tensor, "S P"], rows: slice, *, slopes: bool = False
    ) -> list[LocalStep]:
        """A forward pass by the kernel: a step that is taken asks for its loss first, then for its equations.

        Where one block holds all samples the pass is kept with its slopes, so that both take one.
        """
        whole = rows.start == 0 and rows.stop >= len(self.x)
        if whole and self._kept is not None and torch.equal(self._kept[0], theta):
            return self._kept[1]
        self._kept = None  # before the next one is made: two of them would take twice the memory
        keeps = whole and len(self.x) <= local.samples_at_once(REUSED * len(theta))
        steps = local.forward(theta, rows, slopes=slopes or keeps)
        if keeps:
            self._kept = theta.clone(), steps  # the caller may change its own in place
        return steps

    def _whole(self, theta: Float[Tensor, "S moving"]) -> Float[Tensor, "S P"]:
        """All parameters."""
        if self._free is None:
            return theta
        fixed, index = self._free
        return fixed.expand(len(theta), -1).index_copy(1, index, theta)

    def _derivatives(
        self, output: Float[Tensor, "S out b"], rows: slice
    ) -> tuple[Float[Tensor, " S"], Float[Tensor, "S out b"], Float[Tensor, "S r out b"]]:
        """The loss at these samples, its slope and the factor of its curvature, with the weights of the samples."""
        assert self.loss.slope is not None
        assert self.loss.factor is not None
        f, w = output.transpose(1, 2), self.weights[rows]
        slope = (self._each(self.loss.slope, f, rows) * w[:, None]).transpose(1, 2)
        factor = self._each(self.loss.factor, f, rows) * w.sqrt()[:, None, None]
        return self._values(f, rows) @ w, slope, factor.permute(0, 2, 3, 1)

    def _values(self, f: Tensor, rows: slice) -> Tensor:
        return self._each(self.loss.values, f, rows)

    def _each(self, fn, f: Tensor, rows: slice) -> Tensor:
        y = self.y[rows]
        return self.loss.each(fn, f, y.expand(len(f), *y.shape), self.weights[rows])

    def _blocks(self, starts: int, width: int) -> list[slice]:
        if self.loss.joint:
            step = len(self.x)
        elif self._local is None:
            step = max(1, BLOCK // max(1, starts * width))
        else:
            step = self._local.samples_at_once(starts)
        return [slice(b, b + step) for b in range(0, len(self.x), step)]

    def _first_design(self, rows: slice) -> Design | None:
        """The design of the first layer at these samples, where it is one for all networks."""
        grid = self.grids[0]
        if len(grid) > 1:
            return None
        edges = self.network.edges[0]
        if len(self.x) * self.x.shape[1] * edges.rows > 4 * BLOCK:
            return design(edges, self._xt[None, :, rows], grid, slopes=False)
        if self._first is None:
            self._first = design(edges, self._xt[None], grid, slopes=False)
        return Design(self._first.values[..., rows], None)


def _rows(network: Network, steps: list[Step], upstream: Float[Tensor, "S r out b"]) -> Float[Tensor, "S P r b"]:
    """The rows of the transposed Jacobian of all parameters, for r combinations of the outputs."""
    s, r, _, b = upstream.shape
    rows = upstream.new_empty(s, network.parameters, r, b)
    end = network.parameters
    for step, u in _backward(steps, upstream):
        if isinstance(step.layer, ProductNodes):
            continue
        assert step.design is not None
        assert step.part is not None
        curves, biases, constants = step.layer.sizes
        begin = end - curves - biases - constants
        _curve_rows(step, u, rows[:, begin : begin + curves])
        if biases:
            rows[:, begin + curves : begin + curves + biases] = u.transpose(1, 2)
        if constants:
            rows[:, end - constants : end] = _symbol_rows(step, u)
        end = begin
    return rows


def _curve_rows(step: Step, u: Tensor, rows: Tensor) -> None:
    r"""$u_{oi} B_k(x_j)$, written in place: (S, in * rows * out, r, b)."""
    assert step.design is not None
    assert not isinstance(step.layer, ProductNodes)
    phi, ut = step.design.values, u.transpose(1, 2)[:, None, None]
    shape = (*phi.shape[1:3], ut.shape[3])
    if step.layer.curves is None:
        torch.mul(phi[:, :, :, None, None], ut, out=rows.unflatten(1, shape))
    else:
        rows.copy_((phi[:, :, :, None, None] * ut).flatten(1, 3)[:, step.layer.curves])


def _symbol_rows(step: Step, u: Tensor) -> Tensor:
    r"""The derivatives of $\gamma f(\alpha x + \beta) + \delta$ in these four, times the upstream: (S, 4 n, r, b)."""
    assert step.part is not None
    assert not isinstance(step.layer, ProductNodes)
    affine = step.part[2]
    found = symbols(step.layer, step.inputs.expand(len(affine), -1, -1), affine)
    four = symbol_rows(affine, *found)
    return (four[:, :, :, None] * u[:, :, step.layer.targets].transpose(1, 2)[:, :, None]).flatten(1, 2)


def _gradient(network: Network, steps: list[Step], slope: Float[Tensor, "starts out b"]) -> Float[Tensor, "S P"]:
    """The gradient of the loss, by one backward pass."""
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for step, u in _backward(steps, slope[:, None]):
        if isinstance(step.layer, ProductNodes):
            continue
        assert step.design is not None
        assert step.part is not None
        coef, bias, affine = step.part
        g = u[:, 0]
        phi = step.design.values.flatten(1, 2)
        curve = (phi @ g.transpose(1, 2)).reshape(coef.shape)
        constants = _symbol_rows(step, u).sum((-2, -1)).reshape(affine.shape) if step.layer.functions else affine
        parts.append((curve, g.sum(-1) if step.layer.has_bias else bias, constants))
    return network.join(parts[::-1])


def _backward(steps: list[Step], upstream: Tensor):
    """The layers from the last to the first, each with the derivative of the outputs in its own outputs."""
    u = upstream
    for n, step in reversed(list(enumerate(steps))):
        yield step, u
        if n > 0:
            if isinstance(step.layer, ProductNodes):
                u = pull_products(step.layer, step.inputs, u)
            else:
                u = _pull(step, u)


def _pull(step: Step, u: Float[Tensor, "S r out b"]) -> Float[Tensor, "S r in b"]:
    r"""$\partial f/\partial x_j = \sum_i u_i \phi_{ij}'(x_j)$."""
    assert step.design is not None
    assert step.design.slopes is not None
    assert step.part is not None
    assert not isinstance(step.layer, ProductNodes)
    coef, _, affine = step.part
    slopes = coef.transpose(2, 3) @ step.design.slopes
    v = (u[:, :, None] * slopes[:, None]).sum(3)
    if step.layer.functions:
        _, slope, _ = symbols(step.layer, step.inputs, affine)
        through = u[:, :, step.layer.targets] * (affine[..., 2:3] * slope * affine[..., 0:1])[:, None]
        v = v.index_add(2, step.layer.sources, through)
    return v


def _add_gram(gram: Float[Tensor, "S P P"], jt: Float[Tensor, "S P n"]) -> None:
    if len(jt) == 1:
        matrix = jt[0].numpy()
        gram[0] += torch.from_numpy(matrix @ matrix.T)  # numpy sees the transpose and computes one triangle only
    else:
        gram.baddbmm_(jt, jt.transpose(1, 2))
