"""Files of ONNX and OpenVINO compute what the model computes, in their runtimes. Run alone: `pytest -m compile`."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from zoo import mixed, network, rng, samples

import edgewise as ew
from edgewise.bases import BSpline
from edgewise.exporting import ExportError

pytestmark = pytest.mark.compile
SEARCHES = {"Scatter", "ScatterElements", "ScatterND", "Gather", "GatherElements", "GatherND", "NonZero", "ArgMax"}

ROOT = str(Path(__file__).parent.parent.parent).encode()


def test_onnx(tmp_path):
    import onnx

    path = tmp_path / "model.onnx"
    report = ew.export(mixed(), path, format="onnx", units={"a": "m"}, output_names=["depth", "age"])
    assert report.error <= 1e-5
    assert (report.rows, report.size, report.inputs) == ("any", path.stat().st_size, 1000)
    assert report.runtime.startswith("onnxruntime 1.")
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    model = onnx.load(path)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(facts["input_names"]) == ["a", "b", "c"]
    assert json.loads(facts["output_names"]) == ["depth", "age"]
    assert json.loads(facts["units"]) == {"a": "m"}
    assert len(facts["model_sha256"]) == 64
    assert [entry.name for entry in model.graph.input] == ["x"]
    assert not {node.op_type for node in model.graph.node} & SEARCHES
    assert ROOT not in path.read_bytes()


def test_onnx_of_many_intervals(tmp_path):
    model = network([2, 1], basis=BSpline(24, 3))
    assert ew.export(model, tmp_path / "m.onnx", format="onnx").error <= 1e-5


def test_openvino_of_many_intervals(tmp_path):
    for knots in (0.0, 1.0):
        model = network([2, 1], basis=BSpline(24, 3))
        ew.adapt_grid_(model, samples(50, 2), adaptive=knots)
        assert ew.export(model, tmp_path / "m.xml", format="openvino").error <= 1e-5


def test_openvino(tmp_path):
    report = ew.export(mixed(), tmp_path / "model.xml", format="openvino")
    assert report.error <= 1e-5
    assert report.runtime.startswith("openvino 2")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.bin", "model.xml"]
    text = (tmp_path / "model.xml").read_bytes()
    assert b"model_sha256" in text
    assert ROOT not in text


def test_a_fixed_number_of_rows(tmp_path):
    report = ew.export(network([2, 1]), tmp_path / "m.onnx", format="onnx", any_batch=False, example=torch.zeros(1, 2))
    assert (report.rows, report.inputs) == ("1", 1000)


def test_a_model_that_torch_cannot_export_is_refused_with_the_reason(tmp_path):
    class Odd(torch.nn.Module):
        def forward(self, x):
            return x * 2 if x.sum() > 0 else x

    with pytest.raises(ValueError, match=r"torch.export cannot export this Odd: .*any_batch=False"):
        ew.export(Odd(), tmp_path / "odd.onnx", format="onnx", example=torch.ones(2, 2))
    with pytest.raises(TypeError, match="from_formula"):
        ew.export(ew.formula(symbolic()), tmp_path / "formula.onnx", format="onnx")
    assert not list(tmp_path.iterdir())


def test_a_tolerance_below_single_precision_is_missed(tmp_path):
    with pytest.raises(ExportError, match="nothing was written"):
        ew.export(network([1, 1]), tmp_path / "m.onnx", format="onnx", tolerance=1e-12)
    assert not list(tmp_path.iterdir())


def symbolic():
    return ew.surgery.fix(network([1, 1]), (0, 0, 0), "sin", (1.0, 0.0, 1.0, 0.0))


def test_the_command_line_exports_a_run(tmp_path, monkeypatch, capsys):
    import pandas as pd

    from edgewise.cli import main

    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"p": random.uniform(1, 3, 120), "kind": random.choice(["u", "v"], 120)})
    # Classes that overlap: where they do not, the steps are so steep that an input rounded to float32 moves the output.
    frame["z"] = np.where(frame["p"] + random.normal(0, 0.5, 120) > 2, "upper", "lower")
    frame.to_csv("table.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = ["fit", "table.csv", "--target", "z", "--out", "run", "--seconds", "0.2", "--hidden", "0"]
        assert main(fit) == 0
    assert main(["export", "run", "--format", "onnx"]) == 0
    assert "onnxruntime" in capsys.readouterr().out
    import onnxruntime

    session = onnxruntime.InferenceSession(Path("run.onnx"))
    facts = session.get_modelmeta().custom_metadata_map
    features = json.loads(facts["encoding"])["features"]
    encoded = [(frame["kind"] == f["level"]).astype(float) if f["level"] else frame[f["column"]] for f in features]
    found = session.run(None, {"x": np.column_stack(encoded).astype(np.float32)})[0]
    assert main(["predict", "run", "table.csv", "--out", "p.csv"]) == 0
    names = [f"probability_{label}" for label in json.loads(facts["classes"])]
    np.testing.assert_allclose(found, pd.read_csv("p.csv")[names].to_numpy(), atol=1e-5)
    assert main(["export", "run", "--format", "onx"]) == 2
    assert "there is no format 'onx'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "suffix"), [("onnx", ".onnx"), pytest.param("openvino", ".xml", marks=pytest.mark.slow)]
)
def test_sums_are_compensated_where_plain_ones_miss(name, suffix, tmp_path):
    model = ew.KAN([4, 8, 1], generator=rng(11))
    with torch.no_grad():
        for p in model.parameters():
            p += 0.5 * torch.randn(p.shape, generator=rng(12))
    path = tmp_path / f"model{suffix}"
    plain = ew.export(model, path, format=name, sums="plain")
    report = ew.export(model, path, format=name, tolerance=plain.forward_error / 2)
    assert report.forward_error < plain.forward_error / 2  # what was asked
    assert (plain.sums, report.sums) == ("plain", "compensated")
    assert len(list(tmp_path.iterdir())) == (1 if name == "onnx" else 2)
    with pytest.raises(ValueError, match="sums must be one of"):
        ew.export(model, path, format=name, sums="exact")
    with pytest.raises(ValueError, match="computes in double"):
        ew.export(model, tmp_path / "net.h", format="c", sums="compensated")
