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
from edgewise.exporting.file_check import error_of, scale_of, sensitivity
from edgewise.exporting.subject import subject_of
from edgewise.nn import Affine

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


@pytest.mark.parametrize("name", ["results", "results.note"])
def test_a_folder_is_not_replaced_by_a_file(name, tmp_path):
    (tmp_path / name).mkdir()
    (tmp_path / name / "kept").write_text("of the user")
    with pytest.raises(IsADirectoryError, match="is a folder; give the path of a file"):
        ew.export(mixed(), tmp_path / name, format=RIGHT)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert contents(tmp_path / name) == {"kept": b"of the user"}


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
    with pytest.raises(ValueError, match="tolerance must be"):
        ew.export(mixed(), tmp_path / "net", format=RIGHT, tolerance=float("nan"))
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
    assert error_of(m + torch.tensor([[0.0, 0.4], [0.0, 0.0]]), m) == pytest.approx(0.1)
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
    assert error_of(m + 1e-3, m, scale_of(m, s)) == pytest.approx(1e-3 / 1001)
    assert error_of(m + 1e-3, m) == pytest.approx(1e-3)


def load_without(output):
    """A file that returns 0 for one output."""

    def load(path, subject):
        def run(*inputs):
            y = subject.reference(*inputs)[0].clone()
            y[:, output] = 0
            return (y,)

        return run

    return load


@pytest.mark.parametrize("scales", [(1e-7, 1e-7), (1e-7, 1.0), (1.0, 1e9)])
def test_a_small_output_that_is_wrong_is_seen_also_beside_a_large_one(scales, tmp_path):
    layers = list(network([2, 3, 2]).layers)
    units = Affine(torch.tensor(scales, dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    model = ew.KAN.assemble(layers, output_affine=units)
    with pytest.raises(ExportError, match="differs from the model"):
        ew.export(model, tmp_path / "net", format=dataclasses.replace(RIGHT, load=load_without(0)))


def test_a_model_without_a_finite_output_is_not_called_equal(tmp_path):
    model = network([2, 1])
    model.layers[0].coef.data.fill_(torch.nan)
    with pytest.raises(ExportError, match="no finite output"):
        ew.export(model, tmp_path / "net", format=RIGHT)
    assert contents(tmp_path) == {}


def test_an_input_without_a_scale_is_compared_like_others():
    model = mixed()
    model.input_affine.scale[1] = 0.0
    (x,) = check_inputs(subject_of(model))
    assert bool(torch.isfinite(x).all())


def test_rows_without_a_jump_or_a_far_input_are_compared_however_many_inputs_there_are(tmp_path):
    """On a knot of degree 0 every output is right that lies between the two: such rows alone would pass anything."""

    def load(path, subject):
        return lambda x: (subject.reference(x)[0] + HUNDREDTH,)

    model = network([120, 1], basis=ew.BSpline(5, 0))
    with pytest.raises(ExportError, match="differs from the model"):
        ew.export(model, tmp_path / "net", format=dataclasses.replace(RIGHT, load=load))


def test_a_classifier_is_exported_with_its_probabilities(tmp_path):
    pytest.importorskip("sklearn")
    x = samples(60, 2).numpy()
    for y in ((x[:, 0] > 0).astype(int), np.array(["red", "green", "blue"])[(x[:, 0] > 0) + 1 * (x[:, 1] > 0)]):
        fitted = ew.KANClassifier(hidden=(), random_state=0, steps=3).fit(x, y)
        subject = subject_of(fitted)
        (p,) = subject.reference(torch.as_tensor(x))
        np.testing.assert_allclose(p.numpy(), fitted.predict_proba(x), rtol=0, atol=1e-12)
        assert list(subject.metadata["classes"]) == fitted.classes_.tolist()


@pytest.mark.parametrize("family", ["poisson", "gamma", "binomial", "cox"])
def test_an_estimator_with_a_link_is_exported_as_it_predicts(family, tmp_path):
    pytest.importorskip("sklearn")
    x = samples(80, 2).numpy()
    mean = np.exp(1 + x[:, 0])
    y = {"poisson": mean.round(), "binomial": (x[:, 0] > 0) * 1.0}.get(family, mean)
    loss = {"binomial": "bce"}.get(family, family)
    deep = ew.KANRegressor(hidden=(), loss=loss, random_state=0, steps=3, simplest=False).fit(x, y)
    outcome = y if family != "cox" else np.array([(True, t) for t in y], dtype=[("event", bool), ("time", float)])
    for fitted in (ew.KANAdditive(family=family).fit(x, outcome), deep):
        (found,) = subject_of(fitted).reference(torch.as_tensor(x))
        np.testing.assert_allclose(found[:, 0].numpy(), fitted.predict(x), rtol=1e-12, atol=1e-12)
        for name, suffix in (("python", "py"), ("sql", "sql")):
            assert ew.export(fitted, tmp_path / f"net.{suffix}", format=name, tolerance=1e-10).inputs == 1000


def test_an_estimator_of_a_frame_brings_its_encoding_and_one_with_levels_is_refused(tmp_path):
    pandas = pytest.importorskip("pandas")
    x = samples(60, 1).numpy()[:, 0]
    frame = pandas.DataFrame({"a": x, "b": np.where(x > 0, "up", "down")})
    fitted = ew.KANRegressor(hidden=(), random_state=0, steps=3, simplest=False).fit(frame, x)
    assert subject_of(fitted).metadata["encoding"] == fitted.encoding_.to_json()
    with pytest.raises(TypeError, match=r"this KANAdditive has levels, .* which no format holds"):
        ew.export(ew.KANAdditive().fit(frame, x), tmp_path / "net.py", format="python")
    assert contents(tmp_path) == {}
