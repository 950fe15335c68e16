"""Training steps of KANs, of MLPs and of other implementations, ready to be timed.

A step is forward, the mean squared error, backward and Adam; for single layers with the gradient of the inputs, as
inside a network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.compare import matched_mlp, new_mlp, timing
from edgewise.kernels.cpu import taylor as jets
from edgewise.nn import KAN
from edgewise.nn._fast import plain_layers
from edgewise.optim import Adam
from edgewise.training import FirstOrder, fit
from studies.peers import layers_of_others as peers

BASELINE = "MLP of equal size"
FIT_STEPS = 1000  # the default of FirstOrder("adam")


@dataclass(frozen=True)
class Setup:
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
        """Its name in tables."""
        kind = "Laplacian " if self.laplacian else ""
        precision = " float64" if self.dtype == torch.float64 else ""
        return f"{kind}{'-'.join(map(str, self.widths))} G={self.intervals} B={self.batch}{precision}"

    def kan(self) -> KAN:
        """The KAN."""
        return KAN(self.widths, BSpline(self.intervals, 3), dtype=self.dtype)

    def mlp(self, activation: type[nn.Module] = nn.SiLU) -> nn.Module:
        """The MLP with as many parameters as the KAN; a single layer becomes one hidden layer."""
        return matched_mlp(self.kan(), hidden_layers=max(1, len(self.widths) - 2), activation=activation)


def candidates(setup: Setup, with_peers: bool) -> dict[str, timing.Step]:
    """The steps to compare, by name."""
    torch.manual_seed(0)
    x = torch.rand(setup.batch, setup.widths[0], dtype=setup.dtype) * 2 - 1
    target = torch.randn(setup.batch, setup.widths[-1], dtype=setup.dtype)
    if setup.laplacian:
        return {
            BASELINE: _nested_laplacian(setup.mlp(nn.Tanh), x),
            "edgewise, native jets": _native_laplacian(setup.kan(), x),
            "edgewise, nested autograd": _nested_laplacian(setup.kan(), x),
        }
    layered = len(setup.widths) == 2
    steps = {
        BASELINE: training_step(setup.mlp(), x, target, layered),
        "MLP of equal width": training_step(new_mlp(setup.widths).to(setup.dtype), x, target, layered),
        f"{BASELINE}, native Adam": training_step(setup.mlp(), x, target, layered, native_adam=True),
        "edgewise": training_step(setup.kan(), x, target, layered, native_adam=True),
        "edgewise, torch's Adam": training_step(setup.kan(), x, target, layered),
    }
    if setup.whole_step:
        steps["edgewise, inside fit"] = _fit_step(setup.kan(), x, target)
    return steps | _peer_steps(setup, x, target, layered) if with_peers else steps


def training_step(
    model: nn.Module, x: Tensor, target: Tensor, input_gradient: bool, native_adam: bool = False
) -> timing.Step:
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


def _fit_step(model: KAN, x: Tensor, target: Tensor) -> timing.Step:
    def steps() -> None:
        fit(model, (x, target), FirstOrder("adam", steps=FIT_STEPS))

    return timing.Many(steps, FIT_STEPS)


def _peer_steps(setup: Setup, x: Tensor, target: Tensor, layered: bool) -> dict[str, Callable[[], object]]:
    steps: dict[str, Callable[[], object]] = {}
    if setup.jax and peers.has_jaxkan():
        steps["jaxkan, jit"] = peers.jaxkan_step(setup.widths, setup.intervals, x, target, layered)
    for name, make in peers.installed().items():
        if name == "pykan" and setup.widths[0] > 128:  # keeps (batch, in, out) tensors
            continue
        steps[name] = training_step(make(setup.widths, setup.intervals).to(setup.dtype), x, target, layered)
    return steps


def _nested_laplacian(model: nn.Module, x: Tensor) -> timing.Step:
    """The gradient in the parameters of mean((Laplacian of u + u)^2) by autograd of autograd."""
    x = x.clone().requires_grad_()

    def step() -> None:
        u = model(x)
        (gradient,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        columns = (torch.autograd.grad(g.sum(), x, create_graph=True)[0] for g in gradient.unbind(1))
        laplacian = sum(c[:, j] for j, c in enumerate(columns))
        torch.autograd.grad(((laplacian + u[:, 0]) ** 2).mean(), list(model.parameters()), allow_unused=True)

    return step


def _native_laplacian(model: KAN, x: Tensor) -> timing.Step:
    def step() -> None:
        u, _, laplacian = jets.jet(plain_layers(model) or (), x)
        torch.autograd.grad(((laplacian[0, :, 0] + u[:, 0]) ** 2).mean(), list(model.parameters()))

    return step
