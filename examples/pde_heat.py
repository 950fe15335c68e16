"""A rod that cools: edgewise solve examples/pde_heat.py

The rod is held at 0 at both ends; its initial temperature is sin(pi x). The exact temperature is known, so that the
error is measured.
"""

import math

import torch

from edgewise.pde import Box, BySize, Problem, dirichlet, initial

problem = Problem(
    Box(x=(0, 1), t=(0, 1)),
    lambda u: u.dt - 0.4 * u.dxx,
    [initial(lambda x: torch.sin(math.pi * x)), dirichlet(0.0)],
)
model = [8]  # the hidden widths of the network
settings = {"method": BySize(starts=3)}  # arguments of `solve`


def reference(x: torch.Tensor) -> torch.Tensor:
    """The exact temperature at points (n, 2)."""
    return torch.sin(math.pi * x[:, 0]) * torch.exp(-0.4 * math.pi**2 * x[:, 1])
