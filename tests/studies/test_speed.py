"""The harness compares what it says it compares."""

import json
import time

import pytest
import torch

from edgewise.compare import timing as measure
from studies.peers import layers_of_others as peers
from studies.speed import layers, page


@pytest.mark.parametrize("case", layers.CASES, ids=lambda case: case.name)
def test_the_perceptron_has_as_many_parameters(case):
    count = lambda model: sum(p.numel() for p in model.parameters())
    assert count(layers.mlp_of_equal_size(case)) == pytest.approx(count(layers.kan(case)), rel=0.03)


def test_a_run_is_a_json_file(tmp_path):
    case = layers.Case((2, 3, 1), 5, 20, whole_step=True)
    jet = layers.Case((2, 3, 1), 5, 20, torch.float64, laplacian=True)
    path = tmp_path / "results" / "layers.json"
    layers.run(path, cases=(case, jet), rounds=2, growth=False, memory=False, with_peers=False, report=lambda _: None)
    stored = json.loads(path.read_text())
    assert stored["cases"][case.name][layers.YARDSTICK]["speed"] == 1
    assert set(stored["cases"]) == {case.name, jet.name}
    assert stored["environment"]["torch"] == torch.__version__
    assert max(stored["exactness"]["edgewise reference"].values()) < 1e-5


def test_the_rewritten_peer_is_a_partition_of_unity():
    x = torch.rand(50, 2) * 2 - 1
    torch.testing.assert_close(peers.EfficientKANLinear(2, 3, 7).basis(x).sum(-1), torch.ones(50, 2))


def test_speed_is_relative_to_the_yardstick():
    timings = measure.interleaved({"a": lambda: sum(range(50_000)), "b": lambda: sum(range(500))}, "a", rounds=5)
    assert timings["a"].speed == 1
    assert timings["b"].best_speed > 5


def test_processor_time_leaves_waiting_out():
    wait, work = lambda: time.sleep(0.001), lambda: sum(range(50_000))
    assert (
        measure.interleaved({"work": work, "wait": wait}, "work", rounds=3, clock=time.process_time)["wait"].speed > 2
    )


def test_the_page_is_rewritten_between_its_marks_only(tmp_path):
    case = layers.CASES[0].name
    timing = {"median_ms": 2.0, "best_ms": 1.5, "speed": 1.0, "best_speed": 1.0}
    environment = {"cpu": "a cpu", "threads": 2, "torch": "2.0", "load_average": 0.5, "date": "2026-01-02T03:04"}
    cases = {case: {layers.YARDSTICK: timing, "edgewise": timing | {"speed": 2.345}}}
    (tmp_path / "layers.json").write_text(json.dumps({"environment": environment, "cases": cases}))
    text = tmp_path / "kernels.md"
    text.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    page.update(tmp_path / "layers.json", text)
    once = text.read_text()
    page.update(tmp_path / "layers.json", text)
    assert text.read_text() == once
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert f"| {case} | 2 | 2.35 |" in once or f"| {case} | 2 | 2.34 |" in once
    assert "old" not in once
    assert (tmp_path / "kernels-speed.png").stat().st_size > 0
    text.write_text("no marks")
    with pytest.raises(ValueError, match="no place for the table"):
        page.update(tmp_path / "layers.json", text)
