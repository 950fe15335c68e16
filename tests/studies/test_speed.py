"""The measurements of speed compare what they say they compare."""

import time

import pytest
import torch

from edgewise.compare import timing
from studies import runner
from studies.peers import layers_of_others as peers
from studies.registry import load
from studies.speed import layers, report, steps


@pytest.mark.parametrize("setup", layers.STEPS, ids=lambda setup: setup.name)
def test_the_mlp_has_as_many_parameters(setup):
    count = lambda model: sum(p.numel() for p in model.parameters())
    assert count(setup.mlp()) == pytest.approx(count(setup.kan()), rel=0.03)


def test_a_run_has_all_parts_and_a_page(tmp_path, monkeypatch):
    small = steps.Setup((2, 3, 1), 5, 20, whole_step=True)
    jet = steps.Setup((2, 3, 1), 5, 20, torch.float64, laplacian=True)
    monkeypatch.setattr(layers, "SETUPS", {small.name: small, jet.name: jet})
    monkeypatch.setattr(layers, "PARTS", {"step": [small.name, jet.name], "exactness": ["a curve"]})
    settings = layers.SpeedSettings(("step", "exactness"), rounds=2, peers=False)
    study = load("layers")
    result = runner.run(study, settings, (0,), folder=tmp_path)
    first, second, exact = result.rows
    assert (first["network"], second["network"]) == (small.name, jet.name)
    assert first["times"][steps.BASELINE]["speed"] == 1
    assert "edgewise, inside fit" in first["times"]
    assert max(exact["errors"]["edgewise reference"].values()) < 1e-5
    assert result.environment["versions"]["torch"] == torch.__version__
    assert (tmp_path / "layers.md").read_text() == report.markdown(result)
    assert (tmp_path / "layers.png").stat().st_size > 0


def test_the_page_has_a_line_for_every_step():
    row = {"training_step": "64-64", "MLP of equal size, ms": 2.0, "edgewise": 2.346}
    assert report._speeds([row]).splitlines()[-1] == "| 64-64 | 2 | 2.35 |"


def test_the_rewritten_peer_is_a_partition_of_unity():
    x = torch.rand(50, 2) * 2 - 1
    torch.testing.assert_close(peers.EfficientKANLinear(2, 3, 7).basis(x).sum(-1), torch.ones(50, 2))


def test_speed_is_relative_to_the_baseline():
    timings = timing.interleaved({"a": lambda: sum(range(50_000)), "b": lambda: sum(range(500))}, "a", rounds=5)
    assert timings["a"].speed == 1
    assert timings["b"].best_speed > 5


@pytest.mark.slow
def test_processor_time_leaves_waiting_out():
    wait, work = lambda: time.sleep(0.001), lambda: sum(range(50_000))
    timings = timing.interleaved({"work": work, "wait": wait}, "work", rounds=3, clock=time.process_time)
    assert timings["wait"].speed > 2
