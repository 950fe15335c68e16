"""A small network with data that a test can work on, and messages."""

from collections.abc import Callable

import pytest
import torch

import edgewise as ew
from edgewise.workbench import Workspace

NAMES = ("<b>angle</b>", "load & `wind`")


def small(
    names: tuple[str, ...] = NAMES, widths: tuple[int, ...] = (2, 1)
) -> tuple[ew.KAN, torch.Tensor, torch.Tensor]:
    """A network near sin(2 a) + b² / 2, its inputs and targets."""
    generator = torch.Generator().manual_seed(5)
    x = torch.rand(120, 2, generator=generator, dtype=torch.float64) * 2 - 1
    y = torch.sin(2 * x[:, :1]) + x[:, 1:] ** 2 / 2
    model = ew.KAN(widths, ew.BSpline(6, 3), residual=None, generator=generator, dtype=torch.float64, input_names=names)
    return model, x, y


@pytest.fixture
def work() -> Workspace:
    """A workspace that no step has changed yet."""
    model, x, y = small()
    return Workspace(model, x, y, held=(x[:30] * 0.9, torch.sin(1.8 * x[:30, :1]) + 0.405 * x[:30, 1:] ** 2))


@pytest.fixture
def do(work: Workspace) -> Callable[..., dict]:
    """Sends a message that must succeed and returns its answer."""

    def done(name: str, /, **fields: object) -> dict:
        answer = work.act({"do": name, **fields})
        assert "error" not in answer, answer
        return answer

    return done
