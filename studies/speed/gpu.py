"""The Triton kernels against the reference kernels and an MLP of equal size, on the CUDA device of this machine.

Before any time is measured, the kernels are compared with the reference kernels in value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from edgewise.bases import BSpline
from edgewise.compare import timing
from edgewise.kernels import EdgeSpec, reference, use_backend
from studies.speed.layers import STEPS
from studies.speed.steps import BASELINE, Setup, training_step
from studies.study import Case, Row, Run, Settings, Study, grid, option

SETUPS = {setup.name: setup for setup in STEPS[:5]}


@dataclass(frozen=True)
class GpuSettings(Settings):
    """Settings of the measurements on a GPU."""

    networks: tuple[str, ...] = option(tuple(SETUPS), "some", subset=True)
    rounds: int = option(30, "rounds of interleaved steps")


def cases(settings: GpuSettings, seeds: Sequence[int]) -> list[Case]:
    """Every network; the seed numbers the repetition."""
    return grid(network=settings.networks, seed=seeds)


def measure(case: Case, run: Run[GpuSettings]) -> Row:
    """Times of a training step, after the kernels are checked."""
    if not torch.cuda.is_available():
        raise OSError("there is no CUDA device on this machine")
    gpu = run.once("device, after the kernels agree with the reference", checked_device)
    steps = training_steps(SETUPS[case["network"]])
    return {"gpu": gpu, "times": timing.interleaved(steps, BASELINE, rounds=run.settings.rounds)}


def summarise(rows: list[Row]) -> list[Row]:
    """Every training step: milliseconds of the MLP, and how many times faster the kernels are."""
    return [
        {"training_step": row["network"], f"{BASELINE}, ms": row["times"][BASELINE]["median_ms"]}
        | {name: time["speed"] for name, time in row["times"].items() if name != BASELINE}
        for row in rows
    ]


def checked_device() -> str:
    """The name of the device; an `AssertionError` where a kernel differs from the reference."""
    from edgewise.kernels.triton import launch as triton

    device, spec = torch.device("cuda"), EdgeSpec(BSpline(16, 3), "silu")
    x, g = torch.rand(513, 33, device=device) * 2 - 1, torch.randn(513, 65, device=device)
    coef, grid = torch.randn(33, spec.size, 65, device=device), spec.basis.init_grid(33, dtype=torch.float32).to(device)
    for actual, expected in (
        (triton.edge_sum(x, coef, grid, spec), reference.edge_sum(x, coef, grid, spec)),
        (triton.edge_pull(g, x, coef, grid, spec), reference.edge_pull(g, x, coef, grid, spec)),
        (triton.edge_outer(g, x, grid, spec), reference.edge_outer(g, x, grid, spec)),
    ):
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)
    return torch.cuda.get_device_name()


def training_steps(setup: Setup) -> dict[str, timing.Step]:
    """Steps on the device, which wait for it."""
    x = torch.rand(setup.batch, setup.widths[0], device="cuda") * 2 - 1
    target = torch.randn(setup.batch, setup.widths[-1], device="cuda")
    models = {BASELINE: setup.mlp(), "triton": setup.kan(), "reference": setup.kan()}
    layered = len(setup.widths) == 2
    return {name: _waiting(training_step(m.cuda(), x, target, layered), name) for name, m in models.items()}


def _waiting(step: timing.Step, name: str) -> timing.Step:
    def run() -> None:
        with use_backend("reference" if name == "reference" else None):
            step()
        torch.cuda.synchronize()

    return run


STUDY = Study(
    name="gpu",
    title="Speed of training steps by the Triton kernels on a CUDA device, against an MLP of equal size",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=GpuSettings(),
    seeds=(0,),
)
