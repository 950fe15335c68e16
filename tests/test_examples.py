"""Every example runs in little time and returns finite results."""

import importlib.util
import math
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("module_as_a_user")

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = ["boosting", "classification", "continual", "pde", "regression", "survival"]


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs_and_returns_what_it_prints(name, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    found = load(name).main(quick=True)
    assert len(found) >= 2
    assert all(isinstance(value, float) and math.isfinite(value) for value in found.values())
    assert "KAN" in capsys.readouterr().out or name == "regression"
    assert not list(tmp_path.iterdir()), "an example left a file behind"


def test_the_cox_loss_is_the_sum_over_events() -> None:
    import torch

    example = load("survival")
    risk = torch.tensor([[0.3], [-0.2], [1.0], [0.1]], dtype=torch.float64)
    time = torch.tensor([3.0, 1.0, 1.0, 2.0], dtype=torch.float64)
    event = torch.tensor([1.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    terms = [
        float(risk[i, 0] - torch.stack([risk[j, 0] for j in range(4) if time[j] >= time[i]]).exp().sum().log())
        for i in range(4)
        if event[i]
    ]
    assert float(example.cox_loss(risk, time, event)) == pytest.approx(-sum(terms) / 3)


def test_concordance_counts_pairs() -> None:
    import torch

    example = load("survival")
    time, event = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 1.0, 0.0])
    assert example.concordance(torch.tensor([[3.0], [2.0], [1.0]]), time, event) == 1.0
    assert example.concordance(torch.tensor([[2.0], [3.0], [1.0]]), time, event) == pytest.approx(2 / 3)
