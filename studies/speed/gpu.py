"""The Triton kernels against the reference and an equal-size perceptron, on the CUDA device of this machine.

    python benchmarks/gpu.py

First the law (kernel == reference), then times of a training step. Nobody has run this yet: the kernels were checked in
Triton's interpreter only.
"""

from pathlib import Path

import torch

import edgewise as ew
from edgewise.compare import timing as measure
from edgewise.kernels import EdgeSpec, reference
from edgewise.kernels.triton import launch as triton
from studies import timing
from studies.speed import layers


def main() -> None:
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device here")
    device = torch.device("cuda")
    results = {"environment": timing.environment() | {"gpu": torch.cuda.get_device_name()}, "cases": {}}
    spec = EdgeSpec(ew.BSpline(16, 3), "silu")
    x, g = torch.rand(513, 33, device=device) * 2 - 1, torch.randn(513, 65, device=device)
    coef, grid = torch.randn(33, spec.size, 65, device=device), spec.basis.init_grid(33, dtype=torch.float32).to(device)
    for actual, expected in (
        (triton.edge_sum(x, coef, grid, spec), reference.edge_sum(x, coef, grid, spec)),
        (triton.edge_pull(g, x, coef, grid, spec), reference.edge_pull(g, x, coef, grid, spec)),
        (triton.edge_outer(g, x, grid, spec), reference.edge_outer(g, x, grid, spec)),
    ):
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)
    for case in layers.CASES[:5]:
        x = torch.rand(case.batch, case.widths[0], device=device) * 2 - 1
        target = torch.randn(case.batch, case.widths[-1], device=device)
        steps = {}
        models = {
            layers.YARDSTICK: layers.mlp_of_equal_size(case),
            "triton": layers.kan(case),
            "reference": layers.kan(case),
        }
        for name, model in models.items():
            steps[name] = _synchronised(layers.training_step(model.to(device), x, target, len(case.widths) == 2), name)
        results["cases"][case.name] = measure.interleaved(steps, layers.YARDSTICK)
        print(
            case.name,
            {name: f"{t.median_ms:.3g} ms, x{t.speed:.2f}" for name, t in results["cases"][case.name].items()},
        )
    timing.write(results, Path("benchmarks/results/gpu.json"))


def _synchronised(step, name):
    def run():
        with ew.use_backend("reference" if name == "reference" else None):
            step()
        torch.cuda.synchronize()

    return run


if __name__ == "__main__":
    main()
