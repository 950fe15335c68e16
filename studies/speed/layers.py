"""Training steps of KAN layers and networks against perceptrons and against other implementations.

A step is forward, the mean squared error, backward and Adam, for single layers with the gradient of the inputs, as
inside a network. The yardstick is a perceptron with as many parameters and SiLU under torch's fused Adam; "width" is
the one with the same layer widths. "edgewise" trains with `edgewise.optim.Adam`, and so does a second perceptron of
equal size, which tells what of the difference is the optimiser's; "torch's Adam" is edgewise under the yardstick's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from scipy.interpolate import BSpline as ScipySpline
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.compare import timing as measure
from edgewise.kernels import EdgeSpec, find, refusals, use_backend
from edgewise.kernels.cpu import layer, network as whole, taylor as jets
from edgewise.nn import KAN, KANLinear
from edgewise.nn._fast import plain_layers
from edgewise.optim import Adam
from edgewise.training import fit
from studies import timing
from studies.peers import layers_of_others as peers

YARDSTICK = "mlp of equal size"


@dataclass(frozen=True)
class Case:
    """A network or a layer, and the batch that it is trained on."""

    widths: tuple[int, ...]
    intervals: int
    batch: int
    dtype: torch.dtype = torch.float32
    whole_step: bool = False
    laplacian: bool = False
    jax: bool = False  # compiling takes seconds

    @property
    def name(self) -> str:
        kind = "Laplacian " if self.laplacian else ""
        precision = " float64" if self.dtype == torch.float64 else ""
        return f"{kind}{'-'.join(map(str, self.widths))} G={self.intervals} B={self.batch}{precision}"


CASES = (
    Case((64, 64), 5, 1024, jax=True),
    Case((256, 256), 5, 1024),
    Case((512, 512), 16, 256),
    Case((64, 64), 64, 1024),
    Case((784, 64, 10), 5, 256),
    Case((2, 5, 1), 5, 1000, whole_step=True),
    Case((4, 8, 8, 1), 20, 1000, whole_step=True),
    Case((64, 64), 5, 1024, torch.float64),
    Case((2, 16, 16, 1), 10, 2048, torch.float64, laplacian=True),
)
GROWTH = tuple(Case((64, 64), intervals, 1024) for intervals in (5, 10, 20, 50, 100, 200))
PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
FIT_STEPS = 1000  # the default of optimizer="adam"
INFERENCE = (Case((2, 5, 1), 5, 1), Case((64, 64), 5, 1))
MEMORY = Case((256, 256), 16, 4096)


def run(
    out: Path | None = None,
    *,
    cases: Sequence[Case] = CASES,
    with_peers: bool = True,
    rounds: int = 30,
    growth: bool = True,
    memory: bool = True,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measure all cases and return, print and write the results."""
    results: dict[str, Any] = {"environment": timing.environment(), "cases": {}, "exactness": exactness(with_peers)}
    results["peak_gflops"] = {name: timing.peak_flops(dtype) for name, dtype in PRECISIONS.items()}
    results["matrix_product_gflops"] = {name: timing.product_flops(dtype) for name, dtype in PRECISIONS.items()}
    report(f"peak GFLOP/s: {results['peak_gflops']}, matrix product: {results['matrix_product_gflops']}")
    for name, error in results["exactness"].items():
        report(f"exactness {name}: {error}")
    for case in cases:
        timings = measure.interleaved(candidates(case, with_peers), YARDSTICK, rounds=rounds)
        results["cases"][case.name] = timings
        report(f"{case.name}: " + ", ".join(f"{n} {t.median_ms:.3g} ms x{t.speed:.2f}" for n, t in timings.items()))
    results["roofline"] = {case.name: roofline(case, results["peak_gflops"]) for case in cases if len(case.widths) == 2}
    for name, found in results["roofline"].items():
        report(f"roofline {name}: {found}")
    if growth:
        steps = {case.name: candidates(case, False)["edgewise"] for case in GROWTH}
        results["growth"] = measure.interleaved(steps, GROWTH[0].name, rounds=rounds)
        report("growth: " + ", ".join(f"{n} x{1 / t.speed:.2f}" for n, t in results["growth"].items()))
    results["inference_us"] = {case.name: inference(case) for case in INFERENCE}
    report(f"inference: {results['inference_us']}")
    if memory:
        results["memory_mib"] = peak_memory(MEMORY)
        report(f"peak memory of {MEMORY.name}: {results['memory_mib']}")
    if out is not None:
        timing.write(results, out)
    return results


def candidates(case: Case, with_peers: bool) -> dict[str, measure.Step]:
    """The steps to compare, by name."""
    torch.manual_seed(0)
    x = torch.rand(case.batch, case.widths[0], dtype=case.dtype) * 2 - 1
    target = torch.randn(case.batch, case.widths[-1], dtype=case.dtype)
    if case.laplacian:
        return {
            YARDSTICK: _nested_laplacian(mlp_of_equal_size(case, nn.Tanh), x),
            "edgewise, native jets": _native_laplacian(kan(case), x),
            "edgewise, nested autograd": _nested_laplacian(kan(case), x),
        }
    layered = len(case.widths) == 2
    steps = {
        YARDSTICK: training_step(mlp_of_equal_size(case), x, target, layered),
        "mlp of equal width": training_step(perceptron(case.widths, nn.SiLU).to(case.dtype), x, target, layered),
        f"{YARDSTICK}, native Adam": training_step(mlp_of_equal_size(case), x, target, layered, native_adam=True),
        "edgewise": training_step(kan(case), x, target, layered, native_adam=True),
        "edgewise, torch's Adam": training_step(kan(case), x, target, layered),
    }
    if case.whole_step:
        model = kan(case)
        steps["edgewise, inside fit"] = measure.Many(
            lambda: fit(model, (x, target), optimizer="adam", steps=FIT_STEPS), FIT_STEPS
        )
    if with_peers and case.jax and peers.has_jaxkan():
        steps["jaxkan, jit"] = peers.jaxkan_step(case.widths, case.intervals, x, target, layered)
    if with_peers:
        for name, make in peers.installed().items():
            if name == "pykan" and case.widths[0] > 128:  # keeps (batch, in, out) tensors
                continue
            steps[name] = training_step(make(case.widths, case.intervals).to(case.dtype), x, target, layered)
    return steps


def kan(case: Case) -> KAN:
    """The network of a case."""
    return KAN(case.widths, BSpline(case.intervals, 3), dtype=case.dtype)


def perceptron(widths: Sequence[int], activation: type[nn.Module]) -> nn.Sequential:
    """Linear layers with the activation between them."""
    layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), activation())]
    return nn.Sequential(*layers[:-1])


def mlp_of_equal_size(case: Case, activation: type[nn.Module] = nn.SiLU) -> nn.Module:
    """The perceptron whose parameter count is nearest to the KAN's; a single layer becomes one hidden layer."""
    wanted = sum(p.numel() for p in kan(case).parameters())
    hidden = max(1, len(case.widths) - 2)

    def shape(h: int) -> tuple[int, ...]:
        return (case.widths[0], *[h] * hidden, case.widths[-1])

    def count(h: int) -> int:
        return sum(a * b + b for a, b in pairwise(shape(h)))

    h = 1
    while abs(count(h + 1) - wanted) <= abs(count(h) - wanted):
        h += 1
    return perceptron(shape(h), activation).to(case.dtype)


def training_step(
    model: nn.Module, x: Tensor, target: Tensor, input_gradient: bool, native_adam: bool = False
) -> measure.Step:
    """Forward, loss, backward, Adam."""
    if native_adam:
        optimizer: torch.optim.Optimizer = Adam(model.parameters(), lr=1e-3)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    x = x.clone().requires_grad_(input_gradient)

    def step() -> None:
        optimizer.zero_grad()
        x.grad = None
        nn.functional.mse_loss(model(x), target).backward()
        optimizer.step()

    return step


def _nested_laplacian(model: nn.Module, x: Tensor) -> measure.Step:
    """The gradient in the parameters of mean((Laplacian of u + u)^2) by autograd of autograd."""
    x = x.clone().requires_grad_()

    def step() -> None:
        u = model(x)
        (gradient,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        columns = (torch.autograd.grad(g.sum(), x, create_graph=True)[0] for g in gradient.unbind(1))
        laplacian = sum(c[:, j] for j, c in enumerate(columns))
        torch.autograd.grad(((laplacian + u[:, 0]) ** 2).mean(), list(model.parameters()), allow_unused=True)

    return step


def _native_laplacian(model: KAN, x: Tensor) -> measure.Step:
    def step() -> None:
        u, _, laplacian = jets.jet(plain_layers(model) or (), x)
        torch.autograd.grad(((laplacian[0, :, 0] + u[:, 0]) ** 2).mean(), list(model.parameters()))

    return step


def roofline(case: Case, peaks: dict[str, float]) -> dict[str, float]:
    """GFLOP/s of the three contractions of a layer, the share of the peak, and milliseconds of one after the other."""
    (a, b), spline = case.widths, BSpline(case.intervals, 3)
    layer = KANLinear(a, b, spline, dtype=case.dtype)
    x = torch.rand(case.batch, case.widths[0], dtype=case.dtype) * 2 - 1
    y = layer(x.requires_grad_())
    g, inputs = torch.randn_like(y), [x, *layer.parameters()]

    def gradients() -> None:
        torch.autograd.grad(y, inputs, g, retain_graph=True)

    with torch.no_grad():
        forward = timing.best_seconds(lambda: layer(x))
    backward = timing.best_seconds(gradients)
    operations = 3 * 2 * case.batch * a * b * (spline.degree + 2)  # the residual function is one more
    rate = operations / (forward + backward) / 1e9
    peak = peaks[next(name for name, dtype in PRECISIONS.items() if dtype == case.dtype)]
    return {
        "gflops": rate,
        "share": rate / peak if peak else 0.0,
        "forward_ms": 1e3 * forward,
        "backward_ms": 1e3 * backward,
    }


@torch.no_grad()
def inference(case: Case) -> dict[str, float]:
    """Microseconds of a call on one sample: the model, its kernel, and one operator and one module of torch."""
    model, x = kan(case), torch.rand(1, case.widths[0]) * 2 - 1
    network, linear = plain_layers(model) or [], nn.Linear(case.widths[0], case.widths[-1])
    if find("network", network, x) is None:  # too wide: the model calls its only layer
        (part,) = network
        native = functools.partial(layer.edge_sum, x, *part[:1], *part[2:], bias=part.bias)
    else:
        native = functools.partial(whole.forward, network, x)
    calls = {
        "model": lambda: model(x),
        "its kernel": native,
        "torch operator": lambda: nn.functional.linear(x, linear.weight, linear.bias),
        "torch module": lambda: linear(x),
    }
    return {name: 1e6 * timing.best_seconds(call) for name, call in calls.items()}


def exactness(with_peers: bool) -> dict[str, Any]:
    """The largest error of float32 curves with N(0, 1) coefficients against scipy in float64, by intervals."""
    generator = torch.Generator().manual_seed(0)
    result: dict[str, Any] = {}
    for intervals in (5, 20, 200):
        spline = BSpline(intervals, 3)
        layer = KANLinear(1, 8, spline, residual=None, bias=False)
        with torch.no_grad():
            layer.coef.normal_(generator=generator)
        x = torch.rand(4096, 1, generator=generator) * 2 - 1
        knots = spline.full_knots(layer.grid.double())[0]
        truth = torch.from_numpy(ScipySpline(knots.numpy(), layer.coef[0].detach().double().numpy(), 3)(x[:, 0]))
        used = [n for n, why in refusals("layer", EdgeSpec(spline, None), x).items() if why is None]
        for backend in (*used, "reference"):
            with use_backend(backend), torch.no_grad():
                error = (layer(x).double() - truth).abs().max().item()
            result.setdefault(f"edgewise {backend}", {})[intervals] = error
        if with_peers:
            basis = peers.EfficientKANLinear(1, 8, intervals)
            basis.spline_weight.data.normal_(generator=generator)
            weight = basis.spline_weight.detach()[:, 0].T
            knots = basis.knots[0].double().numpy()
            truth = torch.from_numpy(ScipySpline(knots, weight.double().numpy(), 3)(x[:, 0]))
            error = ((basis.basis(x).detach()[:, 0] @ weight).double() - truth).abs().max().item()
            result.setdefault("efficient-kan", {})[intervals] = error
    return result


def peak_memory(case: Case) -> dict[str, float | None]:
    """MiB of a training step of the KAN and of its yardstick, each in a process of its own."""
    setting = (
        "from studies import layers\n"
        f"case = layers.Case({case.widths}, {case.intervals}, {case.batch})\n"
        "x = torch.rand(case.batch, case.widths[0]) * 2 - 1\n"
        "target = torch.randn(case.batch, case.widths[-1])\n"
        "step = layers.training_step({}, x, target, True, {})"
    )
    threads = torch.get_num_threads()
    models = {"edgewise": "layers.kan(case)", YARDSTICK: "layers.mlp_of_equal_size(case)"}
    return {
        name: timing.peak_memory(setting.format(model, name == "edgewise"), threads) for name, model in models.items()
    }
