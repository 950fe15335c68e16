"""Speed of training steps of KANs relative to MLPs of equal size and to other implementations, on this machine.

The baseline is an MLP with as many parameters and SiLU under torch's fused Adam; "MLP of equal width" has the layer
widths of the KAN. "edgewise" trains with `edgewise.optim.Adam`, and so does a second MLP of equal size, which separates
the part of the optimiser; "edgewise, torch's Adam" has the optimiser of the baseline. The study also measures exactness
against scipy, the share of the machine's peak, the growth of a step with the grid, calls on one sample, and memory.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from scipy.interpolate import BSpline as ScipySpline
from torch import nn

from edgewise.bases import BSpline
from edgewise.compare import timing
from edgewise.kernels import EdgeSpec, find, refusals, use_backend
from edgewise.kernels.cpu import layer, network as whole
from edgewise.nn import KANLinear
from edgewise.nn._fast import plain_layers
from studies import machine
from studies.peers import layers_of_others as peers
from studies.speed.report import draw
from studies.speed.steps import BASELINE, Setup, candidates
from studies.study import Case, Row, Run, Settings, Study, option

STEPS = (
    Setup((64, 64), 5, 1024, jax=True),
    Setup((256, 256), 5, 1024),
    Setup((512, 512), 16, 256),
    Setup((64, 64), 64, 1024),
    Setup((784, 64, 10), 5, 256),
    Setup((2, 5, 1), 5, 1000, whole_step=True),
    Setup((4, 8, 8, 1), 20, 1000, whole_step=True),
    Setup((64, 64), 5, 1024, torch.float64),
    Setup((2, 16, 16, 1), 10, 2048, torch.float64, laplacian=True),
)
GROWTH = tuple(Setup((64, 64), intervals, 1024) for intervals in (5, 10, 20, 50, 100, 200))
INFERENCE = (Setup((2, 5, 1), 5, 1), Setup((64, 64), 5, 1))
MEMORY = Setup((256, 256), 16, 4096)
SETUPS = {setup.name: setup for setup in (*STEPS, *GROWTH, *INFERENCE, MEMORY)}
PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
PARTS = {
    "step": [setup.name for setup in STEPS],
    "roofline": [setup.name for setup in STEPS if len(setup.widths) == 2],
    "inference": [setup.name for setup in INFERENCE],
    "growth": ["64-64"],
    "exactness": ["a curve"],
    "memory": [MEMORY.name],
}
STEP_NAMES = tuple(PARTS["step"])


@dataclass(frozen=True)
class SpeedSettings(Settings):
    """Settings of the measurements of speed."""

    parts: tuple[str, ...] = option(tuple(PARTS), "what is measured, some", subset=True)
    networks: tuple[str, ...] = option(STEP_NAMES, "training steps that are measured, some", subset=True)
    rounds: int = option(30, "rounds of interleaved steps")
    threads: int = option(0, "threads of torch; 0 leaves torch's default")
    peers: bool = option(True, "other implementations that are installed")


def cases(settings: SpeedSettings, seeds: Sequence[int]) -> list[Case]:
    """Every part on its networks; the seed numbers the repetition."""
    return [
        {"part": part, "network": network, "seed": seed}
        for seed in seeds
        for part in settings.parts
        for network in PARTS[part]
        if network in settings.networks or network not in STEP_NAMES
    ]


def measure(case: Case, run: Run[SpeedSettings]) -> Row:
    """One part on one network."""
    settings, part, setup = run.settings, case["part"], SETUPS.get(case["network"])
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if part == "growth":
        steps = {s.name: candidates(s, False)["edgewise"] for s in GROWTH}
        return {"times": timing.interleaved(steps, GROWTH[0].name, rounds=settings.rounds)}
    if part == "exactness" or setup is None:
        return {"errors": exactness(settings.peers)}
    if part == "step":
        return {"times": timing.interleaved(candidates(setup, settings.peers), BASELINE, rounds=settings.rounds)}
    if part == "roofline":
        return roofline(setup, run.once("peak_gflops", _peaks)) | {"products": run.once("product_gflops", _products)}
    return {"microseconds": inference(setup)} if part == "inference" else {"mib": peak_memory(setup)}


def summarise(rows: list[Row]) -> list[Row]:
    """Every training step: milliseconds of the baseline, and how many times faster the others are."""
    return [
        {"training_step": row["network"], f"{BASELINE}, ms": row["times"][BASELINE]["median_ms"]}
        | {name: time["speed"] for name, time in row["times"].items() if name != BASELINE}
        for row in rows
        if row["part"] == "step"
    ]


def roofline(setup: Setup, peaks: dict[str, float]) -> Row:
    """GFLOP/s of the three contractions of a layer, the share of the peak, and milliseconds forward and backward."""
    (a, b), spline = setup.widths, BSpline(setup.intervals, 3)
    linear = KANLinear(a, b, spline, dtype=setup.dtype)
    x = torch.rand(setup.batch, setup.widths[0], dtype=setup.dtype) * 2 - 1
    y = linear(x.requires_grad_())
    g, inputs = torch.randn_like(y), [x, *linear.parameters()]

    def gradients() -> None:
        torch.autograd.grad(y, inputs, g, retain_graph=True)

    with torch.no_grad():
        forward = machine.best_seconds(lambda: linear(x))
    backward = machine.best_seconds(gradients)
    operations = 3 * 2 * setup.batch * a * b * (spline.degree + 2)  # the residual function is one more
    rate = operations / (forward + backward) / 1e9
    peak = peaks[next(name for name, dtype in PRECISIONS.items() if dtype == setup.dtype)]
    share = rate / peak if peak else 0.0
    return {"gflops": rate, "share": share, "forward_ms": 1e3 * forward, "backward_ms": 1e3 * backward}


@torch.no_grad()
def inference(setup: Setup) -> dict[str, float]:
    """Microseconds of a call on one sample: the model, its kernel, and one operator and one module of torch."""
    model, x = setup.kan(), torch.rand(1, setup.widths[0]) * 2 - 1
    network, linear = plain_layers(model) or [], nn.Linear(setup.widths[0], setup.widths[-1])
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
    return {name: 1e6 * machine.best_seconds(call) for name, call in calls.items()}


def exactness(with_peers: bool) -> dict[str, dict[int, float]]:
    """The largest error of float32 curves with N(0, 1) coefficients against scipy in float64, by intervals."""
    generator = torch.Generator().manual_seed(0)
    result: dict[str, dict[int, float]] = {}
    for intervals in (5, 20, 200):
        spline = BSpline(intervals, 3)
        linear = KANLinear(1, 8, spline, residual=None, bias=False)
        with torch.no_grad():
            linear.coef.normal_(generator=generator)
        x = torch.rand(4096, 1, generator=generator) * 2 - 1
        truth = _by_scipy(spline.full_knots(linear.grid.double())[0], linear.coef[0].detach(), x)
        used = [n for n, why in refusals("layer", EdgeSpec(spline, None), x).items() if why is None]
        for backend in (*used, "reference"):
            with use_backend(backend), torch.no_grad():
                error = (linear(x).double() - truth).abs().max().item()
            result.setdefault(f"edgewise {backend}", {})[intervals] = error
        if with_peers:
            basis = peers.EfficientKANLinear(1, 8, intervals)
            basis.spline_weight.data.normal_(generator=generator)
            weight = basis.spline_weight.detach()[:, 0].T
            truth = _by_scipy(basis.knots[0].double(), weight, x)
            error = ((basis.basis(x).detach()[:, 0] @ weight).double() - truth).abs().max().item()
            result.setdefault("efficient-kan", {})[intervals] = error
    return result


def peak_memory(setup: Setup) -> dict[str, float | None]:
    """MiB of a training step of the KAN and of the baseline, each in a process of its own."""
    code = (
        "from studies.speed import steps\n"
        f"setup = steps.Setup({setup.widths}, {setup.intervals}, {setup.batch})\n"
        "x = torch.rand(setup.batch, setup.widths[0]) * 2 - 1\n"
        "target = torch.randn(setup.batch, setup.widths[-1])\n"
        "step = steps.training_step({}, x, target, True, {})"
    )
    threads, models = torch.get_num_threads(), {"edgewise": "setup.kan()", BASELINE: "setup.mlp()"}
    return {name: machine.peak_memory(code.format(m, name == "edgewise"), threads) for name, m in models.items()}


def _by_scipy(knots: torch.Tensor, coefficients: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(ScipySpline(knots.numpy(), coefficients.double().numpy(), 3)(x[:, 0]))


def _peaks() -> dict[str, float]:
    return {name: machine.peak_flops(dtype) for name, dtype in PRECISIONS.items()}


def _products() -> dict[str, float]:
    return {name: machine.product_flops(dtype) for name, dtype in PRECISIONS.items()}


STUDY: Study[Any] = Study(
    name="layers",
    title="Speed of training steps of KANs against MLPs of equal size and other implementations",
    cases=cases,
    measure=measure,
    summarise=summarise,
    draw=draw,
    settings=SpeedSettings(),
    seeds=(0,),
    tiny=SpeedSettings(("step", "growth", "exactness"), ("2-5-1 G=5 B=1000",), 2, 1, False),
    threads=None,
)
