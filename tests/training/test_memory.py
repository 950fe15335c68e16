"""Second-order training in bounded memory: the Jacobian is never whole."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys, torch
import edgewise as ew
from edgewise.compare import timing as measure
from edgewise.optim import Network, NetworkLeastSquares, get_loss, levenberg_marquardt

torch.set_num_threads(1)
widths, intervals, rows = eval(sys.argv[1])
g = torch.Generator().manual_seed(0)
model = ew.KAN(widths, ew.BSpline(intervals, 3), residual=None, generator=g, dtype=torch.float64)
x = torch.rand(rows, widths[0], generator=g, dtype=torch.float64)
network, numbers = Network.of(model)
base = measure.reset_peak()
problem = NetworkLeastSquares(network, numbers.grids, x, x.sum(1, keepdim=True).sin(), None, get_loss("mse"))
before = problem.losses(numbers.theta).item()
after = levenberg_marquardt(problem, numbers.theta, 1).losses.item()
print(network.parameters, measure.memory("VmHWM") - base, before, after)
"""


def measured(widths: list[int], intervals: int, rows: int) -> tuple[int, float]:
    """Parameters, and MiB above what the data take."""
    arguments = [sys.executable, "-c", PROGRAM, repr((widths, intervals, rows))]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    parameters, peak, before, after = done.stdout.split()
    assert float(after) < float(before)
    return int(parameters), float(peak)


@pytest.mark.slow
def test_ten_thousand_parameters_take_less_than_four_gibibytes():
    parameters, peak = measured([10, 90, 1], 7, 4_000)
    assert parameters >= 9_900
    assert peak < 4096


@pytest.mark.slow
def test_a_million_samples_take_little_more_than_a_hundred_thousand():
    """What grows with the samples is the targets, the weights and the inputs laid out for the rows: no Jacobian."""
    (_, few), (parameters, many) = (measured([4, 10, 1], 5, rows) for rows in (100_000, 1_000_000))
    jacobian = 900_000 * parameters * 8 / 2**20
    assert many - few < 0.2 * jacobian
    assert many < 2048
