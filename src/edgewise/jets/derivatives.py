r"""Differentiate networks in their inputs, every operator by one forward sweep of jets (see `edgewise.jets.jet`)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.jets.algebra import Algebra, Index, laplace, plus, taylor, unit
from edgewise.jets.jet import Jet, seed
from edgewise.jets.rules import push
from edgewise.kernels import CurveLayer, EdgeSpec, find
from edgewise.nn import KAN, KANLinear


def gradient(model: nn.Module, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b out d"]:
    r"""The Jacobian $\partial u_i / \partial x_j$ of the outputs in the inputs.

    Args:
        model: a network of modules that have a Taylor rule: KAN layers, linear layers, smooth activations.
        x: points.

    Raises:
        TypeError: the model has a module without a Taylor rule.
    """
    d = x.shape[-1]
    u = along_axes(model, x, taylor([unit(d, j) for j in range(d)]))
    return torch.stack([u.derivative(unit(d, j)) for j in range(d)], dim=-1)


def directional(
    model: nn.Module, x: Float[Tensor, "*b d"], v: Float[Tensor, "*b d"], order: int = 1
) -> Float[Tensor, "*b out"]:
    r"""The directional derivative $\frac{d^n}{ds^n} u(x + s v)$ at $s = 0$, n = `order`."""
    return push(model, seed(x, taylor([(order,)]), v[None])).derivative((order,))


def hessian_vector(model: nn.Module, x: Float[Tensor, "*b d"], v: Float[Tensor, "*b d"]) -> Float[Tensor, "*b out d"]:
    r"""The product $\sum_k v_k\, \partial_k \partial_j u_i$ of the Hessian with a vector, without the Hessian."""
    d = x.shape[-1]
    axes = torch.eye(d, dtype=x.dtype, device=x.device).reshape(d, *(1,) * (x.ndim - 1), d).expand(d, *x.shape)
    mixed = [(1, *unit(d, j)) for j in range(d)]
    u = push(model, seed(x, taylor(mixed), torch.cat([v[None], axes])))
    return torch.stack([u.derivative(a) for a in mixed], dim=-1)


def laplacian(model: nn.Module, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b out"]:
    r"""The Laplacian $\Delta u_i = \sum_j \partial_j^2 u_i$ over all inputs."""
    return along_axes(model, x, laplace(x.shape[-1])).laplacian()


def bilaplacian(model: nn.Module, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b out"]:
    r"""The biharmonic operator $\Delta^2 u_i = \sum_{jk} \partial_j^2 \partial_k^2 u_i$ over all inputs."""
    terms = [plus(unit(x.shape[-1], j, 2), unit(x.shape[-1], k, 2)) for j in range(x.shape[-1]) for k in range(j + 1)]
    u = along_axes(model, x, taylor(terms))
    return sum((u.derivative(a) * (1 if 4 in a else 2) for a in terms[1:]), u.derivative(terms[0]))


def partial(model: nn.Module, x: Float[Tensor, "*b d"], *indices: Index) -> tuple[Tensor, ...]:
    r"""The mixed derivatives $D^\alpha u = \partial_1^{\alpha_1} \cdots \partial_d^{\alpha_d} u$, all in one sweep.

    `partial(model, x, (0, 0), (2, 1))` is $u$ and $\partial_1^2 \partial_2 u$.

    Args:
        model: a network of modules that have a Taylor rule.
        x: points.
        indices: multi-indices $\alpha$ with one entry for every input.

    Returns:
        One tensor of shape (*b, out) for every multi-index.

    Raises:
        TypeError: the model has a module without a Taylor rule.
        ValueError: the multi-indices differ in length or have negative entries.
    """
    u = along_axes(model, x, taylor(indices))
    return tuple(u.derivative(a) for a in indices)


def along_axes(model: nn.Module, x: Float[Tensor, "*b d"], algebra: Algebra) -> Jet:
    r"""The jet of $u(x + \varepsilon)$, one direction along every axis: by one native call if possible, else `push`."""
    native = _native_jet(model, x, algebra)
    return push(model, seed(x, algebra)) if native is None else native


def _native_jet(model: nn.Module, x: Tensor, algebra: Algebra) -> Jet | None:
    """Value, gradient and sums of unmixed second derivatives of a small KAN in one native call; None if it cannot."""
    squares = [(a, c) for a, b, c in algebra.products if a == b]
    if not isinstance(model, KAN) or algebra.order > 2 or len(squares) < len(algebra.products) or x.ndim != 2:
        return None
    layers = [layer for layer in model.layers if isinstance(layer, KANLinear)]
    if len(layers) < len(model.layers) or any(len(m.symbolic) > 0 for m in layers):
        return None
    network = [CurveLayer(m.curves(), m.bias, m.grid, EdgeSpec(m.basis, m.residual)) for m in layers]
    first = algebra.first(2)
    kernel = find("jets", network, x, max(1, algebra.size - first))
    if kernel is None:
        return None
    weights = x.new_zeros(algebra.size - first, x.shape[1])
    for a, c in squares:
        weights[c - first, algebra.seeds.index(a)] = 0.5
    directions = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    if model.input_affine is not None:
        x, directions = model.input_affine(x), directions * model.input_affine.scale
    value, slopes, sums = kernel.jet(network, x, directions, weights if len(weights) else x.new_zeros(1, x.shape[1]))
    u = Jet(torch.cat([value[None], slopes, sums[: len(weights)]]), algebra)
    return u if model.output_affine is None else u * model.output_affine.scale + model.output_affine.shift
