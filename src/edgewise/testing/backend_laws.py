"""The laws of a backend: wherever one of its kernels serves, it agrees with the reference in value and derivatives."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edgewise.bases import RESIDUALS, BSpline, registered_bases
from edgewise.kernels import CAPABILITIES, AdamSettings, Backend, CurveLayer, EdgeSpec, autograd, reference
from edgewise.kernels.registry import registered_backends

WIDTHS = ([2, 5, 1], [3, 4, 2], [1, 3, 3])
SETTINGS = (
    1e-2,
    0.8,
    0.95,
    1e-3,
    0.1,
)  # lr, beta1, beta2, eps, weight decay; a tiny eps would turn rounding into steps
TOLERANCE = {torch.float32: 3e-4, torch.float64: 1e-9}
Slopes = Sequence[Tensor]


def check_backend(
    backend: Backend | str, *, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None
) -> None:
    """Raise `AssertionError` unless every kernel of a backend agrees with plain torch where it does not refuse.

    Args:
        backend: the backend, or the name under which it is registered.
        dtype: the precision of the inputs, float64 or float32.
        device: where the inputs are created.
    """
    if isinstance(backend, str):
        registered = registered_backends()
        if backend not in registered:
            raise ValueError(f"no backend is named {backend!r}; there are {', '.join(registered)}")
        backend = registered[backend]
    case = _Case(backend, dtype, device, torch.Generator().manual_seed(0))
    supplied = [capability for capability in CAPABILITIES if getattr(backend, capability) is not None]
    _require(case, bool(supplied), f"it supplies none of {', '.join(CAPABILITIES)}")
    for capability in supplied:
        served = _CHECKS[capability](case, getattr(backend, capability))
        _require(case, served > 0, f"its kernel for {capability!r} refuses every case, so that nothing was checked")


@dataclass(frozen=True)
class _Case:
    """A backend and where its inputs come from."""

    backend: Backend
    dtype: torch.dtype
    device: torch.device | str | None
    generator: torch.Generator

    def draw(self, *shape: int, low: float = -1.0, high: float = 1.0) -> Tensor:
        t = torch.rand(*shape, dtype=torch.float64, generator=self.generator) * (high - low) + low
        return t.to(device=self.device, dtype=self.dtype)

    def layer(self, features: int, out: int, spec: EdgeSpec) -> CurveLayer:
        grid = spec.basis.init_grid(features, dtype=self.dtype).to(self.device)
        scale = 0.3  # larger curves would leave the grid of the next layer
        return CurveLayer(scale * self.draw(features, spec.size, out), scale * self.draw(out), grid, spec)

    def networks(self) -> Iterable[list[CurveLayer]]:
        for widths, degree, residual in itertools.product(WIDTHS, (2, 3), (None, *RESIDUALS)):
            spec = EdgeSpec(BSpline(5, degree), residual)
            yield [self.layer(j, i, spec) for j, i in itertools.pairwise(widths)]


def _check_layer(case: _Case, kernel: Any) -> int:
    """The three contractions and what autograd makes of them, for every basis, residual function and order."""
    served = 0
    splines = [BSpline(5, degree, knots) for degree in (1, 2, 4, 5) for knots in ("clamped", "uniform")]
    bases = [*(basis() for basis in registered_bases().values()), *splines]
    for basis, residual, order in itertools.product(bases, (None, *RESIDUALS), range(4)):
        spec = EdgeSpec(basis, residual, order)
        if kernel.refuses(spec, case.draw(1, 3)) is not None:
            continue
        served += 1
        for batch in (0, 1, 40):
            _check_contractions(case, kernel, spec, batch)
        if order == 0:
            _check_slopes_of_layer(case, kernel, spec)
    return served


def _check_contractions(case: _Case, kernel: Any, spec: EdgeSpec, batch: int) -> None:
    coef, bias, grid, _ = case.layer(3, 4, spec)
    x, g, h = case.draw(batch, 3, low=-1.4, high=1.4), case.draw(batch, 4), case.draw(batch, 3)
    kernels = [kernel] if case.backend.compiled is None or case.device is not None else [kernel, case.backend.compiled]
    for name, arguments in (
        *(("edge_sum", (x, coef, grid, spec, weight, bias)) for weight in (None, h)),
        ("edge_pull", (g, x, coef, grid, spec)),
        *(("edge_outer", (g, x, grid, spec, weight)) for weight in (None, h)),
    ):
        expected = getattr(reference, name)(*arguments)
        for ours in kernels:
            before = [t.clone() for t in arguments if isinstance(t, Tensor)]
            _close(case, [getattr(ours, name)(*arguments)], [expected], f"{name} of {spec} for {batch} samples")
            after = [t for t in arguments if isinstance(t, Tensor)]
            same = all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
            _require(case, same, f"{name} of {spec} must not change its arguments")


def _check_slopes_of_layer(case: _Case, kernel: Any, spec: EdgeSpec) -> None:
    """First gradients in x, coefficients and bias, and the gradients of the first again."""
    coef, bias, grid, _ = case.layer(3, 4, spec)
    x, g = case.draw(20, 3, low=-0.93, high=0.91), case.draw(20, 4)

    def slopes(edge_sum: Callable[..., Tensor]) -> list[Tensor]:
        assert bias is not None
        inputs = [t.clone().requires_grad_() for t in (x, coef, bias)]
        once = torch.autograd.grad(edge_sum(inputs[0], inputs[1], grid, spec, None, inputs[2]), inputs, g)
        first = torch.autograd.grad(edge_sum(*inputs[:2], grid, spec), inputs[0], g, create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), inputs[:2], allow_unused=True, materialize_grads=True)
        return [*once, *second]  # a straight line has no second derivative in x

    ours = slopes(lambda *arguments: autograd.edge_sum(kernel, *arguments))
    _close(case, ours, slopes(reference.edge_sum), f"gradients of edge_sum of {spec}")


def _check_network(case: _Case, kernel: Any) -> int:
    """Values, gradients and training steps of small networks."""
    served = 0
    for network in case.networks():
        x = case.draw(50, len(network[0].coef))
        if kernel.refuses(network, x) is not None:
            continue
        served += 1
        shape = f"a network with {len(network)} layers of {network[0].spec}"
        g = case.draw(50, network[-1].coef.shape[-1])
        ours = _slopes(lambda n, x: [kernel.apply(n, x)], network, x, [g])
        _close(
            case, ours, _slopes(lambda n, x: [_by_layers(n, x)], network, x, [g]), f"values and gradients of {shape}"
        )
        _check_training(case, kernel, network, x, g, shape)
    return served


def _check_training(case: _Case, kernel: Any, network: list[CurveLayer], x: Tensor, target: Tensor, shape: str) -> None:
    lr, *betas, eps, decay = SETTINGS
    ours = [part._replace(coef=part.coef.clone(), bias=_clone(part.bias)) for part in network]
    settings = AdamSettings(lr, (betas[0], betas[1]), eps, decay)
    losses = kernel.TrainingSteps(ours).run(x, target, settings, 5)
    theirs, parameters = _trainable(network)
    optimizer = torch.optim.AdamW(parameters, lr, (betas[0], betas[1]), eps, decay)
    expected = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(_by_layers(theirs, x), target)
        loss.backward()
        optimizer.step()
        expected.append(loss.detach())
    trained = [t for part in ours for t in (part.coef, part.bias) if t is not None]
    _close(case, [losses, *trained], [torch.stack(expected), *parameters], f"training steps of {shape}")


def _check_jets(case: _Case, kernel: Any) -> int:
    """Values, first derivatives along directions, weighted second derivatives, and their gradients."""
    served = 0
    for network in case.networks():
        features, out = len(network[0].coef), network[-1].coef.shape[-1]
        x = case.draw(12, features, low=-0.93, high=0.91)
        if kernel.refuses(network, x, 2) is not None:
            continue
        served += 1
        directions, weights = case.draw(3, features), case.draw(2, 3)
        upstream = [case.draw(12, out), case.draw(3, 12, out), case.draw(2, 12, out)]
        ours = _slopes(lambda n, x, v=directions, w=weights: kernel.jet(n, x, v, w), network, x, upstream, in_x=False)
        theirs = _slopes(lambda n, x, v=directions, w=weights: _jet(n, x, v, w), network, x, upstream, in_x=False)
        _close(case, ours, theirs, f"jets of a network with {len(network)} layers of {network[0].spec}")
    return served


def _jet(network: list[CurveLayer], x: Tensor, directions: Tensor, weights: Tensor) -> list[Tensor]:
    """By autograd through the reference along $x + s v$, twice: samples do not mix, so that one pass has them all."""
    s = x.new_zeros(len(directions), len(x), 1, requires_grad=True)
    y = _by_layers(network, x + s * directions[:, None])

    def slopes(t: Tensor) -> Tensor:
        each = [torch.autograd.grad(t[..., o].sum(), s, create_graph=True)[0] for o in range(t.shape[-1])]
        return torch.cat(each, dim=-1)

    first = slopes(y)
    return [y[0], first, torch.einsum("mr,rbo->mbo", weights, slopes(first))]


def _check_rational(case: _Case, kernel: Any) -> int:
    """Values and gradients, with one column of coefficients and with one for each feature."""
    served = 0
    for batch, features, columns in itertools.product((1, 30), (1, 24), (False, True)):
        count = features if columns else 1
        x, a, b = case.draw(batch, features, low=-2, high=2), case.draw(6, count), case.draw(4, count)
        if kernel.refuses(x, a, b) is not None:
            continue
        served += 1
        inputs, g = [t.clone().requires_grad_() for t in (x, a, b)], case.draw(batch, features)
        y = _rational(*inputs)
        expected = [y.detach(), *torch.autograd.grad(y, inputs, g)]
        ours = [kernel.values(x, a, b), *kernel.gradients(g, x, a, b)]
        _close(case, ours, expected, f"rational units of {features} features")
    return served


def _rational(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    p = sum(coefficient * x**n for n, coefficient in enumerate(a))
    q = sum(coefficient * x**m for m, coefficient in enumerate(b, 1))
    assert isinstance(p, Tensor)
    assert isinstance(q, Tensor)
    return p / (1 + q.abs())


def _check_adam(case: _Case, kernel: Any) -> int:
    """Five steps of two tensors against torch's AdamW."""
    ours = [case.draw(20, 13), case.draw(7)]
    theirs = [torch.nn.Parameter(p.clone()) for p in ours]
    states = [(torch.zeros_like(p), torch.zeros_like(p), torch.zeros(())) for p in ours]
    if any(kernel.refuses(p, state) is not None for p, state in zip(ours, states, strict=True)):
        return 0
    lr, *betas, eps, decay = SETTINGS
    optimizer = torch.optim.AdamW(theirs, lr, (betas[0], betas[1]), eps, decay)
    for _ in range(5):
        slopes = [case.draw(*p.shape) for p in ours]
        tensors = [
            value
            for p, g, (m, v, _) in zip(ours, slopes, states, strict=True)
            for value in (p.data_ptr(), g.data_ptr(), m.data_ptr(), v.data_ptr(), p.numel())
        ]
        counts = [count.data_ptr() for _, _, count in states]
        kernel.step(case.dtype, states[0][2].element_size(), SETTINGS, tensors, counts)
        for p, g in zip(theirs, slopes, strict=True):
            p.grad = g
        optimizer.step()
    _close(case, ours, theirs, "five steps of Adam")
    _require(case, all(float(count) == 5 for _, _, count in states), "a step of Adam must increment the step count")
    return 1


def _check_gauss_newton(case: _Case, kernel: Any) -> int:
    """One layer, in float64: outputs and slopes, and the Gram matrix and gradient against the dense Jacobian."""
    served = 0
    for degree, residual in itertools.product((1, 3, 7), RESIDUALS):
        spec = EdgeSpec(BSpline(4, degree), residual)
        x, coef = case.draw(2, 30, low=-1.3, high=1.3).double(), case.draw(1, 2, spec.size, 3).double()
        u = case.draw(1, 3, 3, 30).double()
        if kernel.refuses([spec], x) is not None:
            continue
        served += 1
        basis = BSpline(4, degree)
        grid = basis.init_grid(2, -1.0, 1.0, dtype=torch.float64)
        windows, y, slope = kernel.curves(spec, x[None], basis.full_knots(grid)[None], coef, None, slopes=True)
        rows = reference.design(x.T, grid, spec)
        slopes = reference.design(x.T, grid, spec.differentiated())
        v = torch.einsum("sjkt,bjk,srtb->srjb", coef, slopes, u)
        places = torch.arange(coef.numel(), dtype=torch.int32).view(2, spec.size, 3)
        features = []
        for j in range(2):
            own = windows.values[:, j], degree + 1, windows.interval[:, j]
            features.append(kernel.LocalFeature(0, places[j, : basis.size].contiguous(), *own))
            if windows.residual is not None:
                features.append(
                    kernel.LocalFeature(0, places[j, basis.size :].contiguous(), windows.residual[:, j, :, None], 1)
                )
        gram, gradient = x.new_zeros(1, coef.numel(), coef.numel()), x.new_zeros(1, coef.numel())
        kernel.add_gram(features, [u], gram, gradient)
        J = torch.einsum("bjk,rtb->rbjkt", rows, u[0]).flatten(2)
        ours = [y, slope, kernel.pull_back(u, slope), gram[0], gradient[0]]
        theirs = [
            torch.einsum("bjk,sjkt->stb", rows, coef),
            torch.einsum("bjk,sjkt->sjtb", slopes, coef),
            v,
            torch.einsum("rbp,rbq->pq", J[:-1], J[:-1]),
            J[-1].sum(0),
        ]
        _close(case, ours, theirs, f"the Gauss-Newton matrix of a layer of {spec}")
    return served


_CHECKS: dict[str, Callable[[_Case, Any], int]] = {
    "layer": _check_layer,
    "network": _check_network,
    "jets": _check_jets,
    "rational": _check_rational,
    "adam": _check_adam,
    "gauss_newton": _check_gauss_newton,
}


def _by_layers(network: Sequence[CurveLayer], x: Tensor) -> Tensor:
    for coef, bias, grid, spec in network:
        x = reference.edge_sum(x, coef, grid, spec, None, bias)
    return x


def _slopes(
    f: Callable[[list[CurveLayer], Tensor], Sequence[Tensor]],
    network: list[CurveLayer],
    x: Tensor,
    upstream: Slopes,
    in_x: bool = True,
) -> list[Tensor]:
    """What f computes, and its gradients in the parameters and, if asked for, in x."""
    trained, parameters = _trainable(network)
    x = x.clone().requires_grad_(in_x)
    results = list(f(trained, x))
    inputs = [x, *parameters] if in_x else parameters
    return [*(t.detach() for t in results), *torch.autograd.grad(results, inputs, upstream)]


def _trainable(network: Sequence[CurveLayer]) -> tuple[list[CurveLayer], list[Tensor]]:
    """A copy of the network and its parameters, which require gradients."""
    copies = [part._replace(coef=part.coef.clone(), bias=_clone(part.bias)) for part in network]
    parameters = [t.requires_grad_() for part in copies for t in (part.coef, part.bias) if t is not None]
    return copies, parameters


def _clone(t: Tensor | None) -> Tensor | None:
    return None if t is None else t.clone()


def _require(case: _Case, holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(f"backend {case.backend.name!r}: {message}")


def _close(case: _Case, got: Sequence[Tensor], expected: Sequence[Tensor], where: str) -> None:
    """Agreement relative to the largest value of each tensor, in dtype and shape too."""
    for n, (a, b) in enumerate(zip(got, expected, strict=True)):
        same = a.dtype == b.dtype and a.shape == b.shape
        kind = f"{a.dtype} {tuple(a.shape)}, not {b.dtype} {tuple(b.shape)}"
        _require(case, same, f"{where}: result {n} is {kind}")
        if a.numel() == 0:
            continue
        error = ((a - b).abs().amax() / b.abs().amax().clamp(min=1)).item()
        message = f"{where}: result {n} differs from the reference by {error:.1e} of its largest value"
        _require(case, error <= TOLERANCE[case.dtype], message)
