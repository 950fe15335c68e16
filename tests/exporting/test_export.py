"""Every export is checked, and one that fails leaves everything as it was."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from zoo import mixed, network, samples

import edgewise as ew
from edgewise.exporting import ExportError, ExportReport, Format, find_format, formats
from edgewise.exporting.check_inputs import check_inputs
from edgewise.exporting.file_check import error_of, sensitivity
from edgewise.exporting.subject import subject_of

HUNDREDTH = 0.01


def write_note(subject, path):
    path.write_text(json.dumps(subject.metadata_texts()))
    path.with_suffix(".weights").write_bytes(b"12345")


def load_model(path, subject):
    assert path.is_file()
    return subject.reference


def load_wrong(path, subject):
    return lambda *inputs: tuple(y + HUNDREDTH for y in subject.reference(*inputs))


RIGHT = Format("note", ".note", write_note, load_model, "memory")
WRONG = dataclasses.replace(RIGHT, load=load_wrong)


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_report_says_what_was_written_and_checked(tmp_path):
    report = ew.export(mixed(), tmp_path / "net.note", format=RIGHT, units={"a": "m"})
    assert sorted(contents(tmp_path)) == ["net.note", "net.weights"]
    assert report.size == sum(map(len, contents(tmp_path).values()))
    assert (report.error, report.inputs, report.runtime) == (0.0, 1000, "memory")
    assert ExportReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    facts = json.loads((tmp_path / "net.note").read_text())
    assert json.loads(facts["input_names"]) == ["a", "b", "c"]
    assert json.loads(facts["units"]) == {"a": "m"}
    assert len(json.loads(facts["input_affine"])["scale"]) == 3


def test_an_export_that_misses_its_tolerance_leaves_everything_as_it_was(tmp_path):
    path = tmp_path / "net.note"
    ew.export(mixed(), path, format=RIGHT)
    before = contents(tmp_path)
    with pytest.raises(ExportError, match=r"differs from the model by 0\.0.*tolerance is 1e-05"):
        ew.export(network([2, 1]), path, format=WRONG)
    assert contents(tmp_path) == before
    assert ew.export(network([2, 1]), path, format=WRONG, tolerance=0.1).error == pytest.approx(0.01, rel=0.5)


def test_an_interrupted_writer_leaves_nothing(tmp_path):
    def write(subject, path):
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ew.export(mixed(), tmp_path / "net.note", format=dataclasses.replace(RIGHT, write=write))
    assert contents(tmp_path) == {}


def test_what_a_converter_or_a_runtime_raises_is_told_with_advice(tmp_path):
    def fail(*given):
        raise RuntimeError("error 0x10\nand a long story")

    for changed in ({"write": fail}, {"load": fail}):
        broken = dataclasses.replace(RIGHT, **changed)
        with pytest.raises(
            ExportError, match=r"'note' refuses this model: RuntimeError: error 0x10; try any_batch=False"
        ):
            ew.export(mixed(), tmp_path / "net.note", format=broken)
    assert contents(tmp_path) == {}


def test_a_folder_is_replaced_whole(tmp_path):
    def write(subject, path):
        path.mkdir()
        (path / "part").write_text("new")

    (tmp_path / "net.note").mkdir()
    (tmp_path / "net.note" / "old").write_text("old")
    folder = Format("folder", ".note", write)
    first, second = (ew.export(mixed(), tmp_path / "net.note", format=folder) for _ in range(2))
    assert [file.name for file in (tmp_path / "net.note").iterdir()] == ["part"]
    assert first == second
    assert (first.error, first.runtime, first.size) == (None, "", 3)


def test_what_is_unknown_or_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match=f"no format 'onx'; there are {', '.join(formats())}"):
        ew.export(mixed(), tmp_path / "net", format="onx")
    needy = dataclasses.replace(RIGHT, packages=(("no-such-package", "no_such_module"),), extra="note")
    with pytest.raises(ImportError, match=r"needs no-such-package: pip install edgewise\[note\]"):
        ew.export(mixed(), tmp_path / "net", format=needy)
    with pytest.raises(FileNotFoundError, match="no folder"):
        ew.export(mixed(), tmp_path / "none" / "net", format=RIGHT)
    with pytest.raises(ValueError, match="give example="):
        ew.export(torch.nn.Linear(2, 1), tmp_path / "net", format=RIGHT)
    with pytest.raises(TypeError, match="not str"):
        ew.export("model", tmp_path / "net", format=RIGHT)
    assert contents(tmp_path) == {}
    assert find_format(RIGHT) is RIGHT


def test_the_inputs_of_the_check_lie_inside_on_knots_at_the_ends_outside_and_far_off():
    model = mixed()
    (x,) = check_inputs(subject_of(model))
    assert x.shape == (1000, 3)
    grid = model.layers[0].grid
    affine = model.input_affine
    inner = x * affine.scale + affine.shift
    low, high = grid[:, 0], grid[:, -1]
    for j in range(3):
        on = (inner[:, j, None] - grid[j]).abs() < 1e-12
        assert on.any(0).all()
        assert (inner[:, j] < low[j] - 5 * (high - low)[j]).any()
        assert (inner[:, j] > high[j] + 5 * (high - low)[j]).any()
        assert ((inner[:, j] > low[j]) & (inner[:, j] < high[j])).sum() > 400


def test_the_error_counts_what_is_not_finite():
    m = torch.tensor([[1.0, -3.0], [torch.nan, torch.inf]])
    assert error_of(m, m) == 0
    assert error_of(m + torch.tensor([[0.4, 0.0], [0.0, 0.0]]), m) == pytest.approx(0.1)
    for n in range(4):
        y = m.clone()
        y.view(-1)[n] = torch.nan if n != 2 else 0.0
        assert error_of(y, m) == torch.inf
    assert error_of(torch.zeros(0, 2), torch.zeros(0, 2)) == 0


def test_the_error_is_relative_to_what_a_rounding_of_the_inputs_does():
    """Of a line through zero, |slope · x|; and the error in view of it is never above the forward error."""
    model = ew.surgery.fix(network([1, 1], bias=False), (0, 0, 0), "x", (1.0, 0.0, 50.0, -1000.0))
    x = torch.tensor([[20.0], [0.0], [-2.0]], dtype=torch.float64)
    (s,) = sensitivity(subject_of(model), (x,))
    torch.testing.assert_close(s, 50 * x.abs(), rtol=1e-6, atol=1e-6)
    (m,) = subject_of(model).reference(x)
    assert error_of(m + 1e-3, m, s) == pytest.approx(1e-3 / 1001)
    assert error_of(m + 1e-3, m) == pytest.approx(1e-3)


def test_a_classifier_is_exported_with_its_probabilities(tmp_path):
    pytest.importorskip("sklearn")
    x = samples(60, 2).numpy()
    for y in ((x[:, 0] > 0).astype(int), np.array(["red", "green", "blue"])[(x[:, 0] > 0) + 1 * (x[:, 1] > 0)]):
        fitted = ew.KANClassifier(hidden=(), random_state=0, steps=3).fit(x, y)
        subject = subject_of(fitted)
        (p,) = subject.reference(torch.as_tensor(x))
        np.testing.assert_allclose(p.numpy(), fitted.predict_proba(x), rtol=0, atol=1e-12)
        assert list(subject.metadata["classes"]) == fitted.classes_.tolist()
