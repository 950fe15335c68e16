"""An additive model is edited by messages: every edit is previewed, undone, and written as a script of the same."""

import base64
import io
import json
import math
import runpy
import zipfile

import numpy as np
import pandas as pd
import pytest

import edgewise as ew
from edgewise.tables.additive import additive_model_from_json
from edgewise.workbench import AdditiveWorkspace, open_archive
from edgewise.workbench.additive_steps import EDITS

pytestmark = pytest.mark.usefixtures("module_as_a_user")

EDIT = {
    "set_values": {"term": "<b>age</b>", "low": -0.5, "high": 0.25, "value": 0.1},
    "clip_term": {"term": "<b>age</b>", "low": -0.5, "high": 0.5},
    "smooth_term": {"term": "<b>age</b>", "factor": 10},
    "remove_term": {"term": "kind"},
    "add_pair": {"first": "<b>age</b>", "second": "kind"},
}


@pytest.fixture(scope="module")
def fitted() -> ew.KANAdditive:
    """An additive model of a curve with gaps, levels and a pair."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 1, (2, 240))
    kind = rng.choice(["x", "</y>", "z"], 240)
    y = np.sin(3 * a) + 0.5 * (kind == "z") + a * b + 0.1 * rng.normal(size=240)
    a[:9] = np.nan
    frame = pd.DataFrame({"<b>age</b>": a, "b": b, "kind": kind})
    return ew.KANAdditive(interactions=[("<b>age</b>", "b")]).fit(frame, pd.Series(y, name="y"))


@pytest.fixture
def work(fitted) -> AdditiveWorkspace:
    opened = ew.studio(fitted).work
    assert isinstance(opened, AdditiveWorkspace)
    return opened


def test_the_state_is_json_and_is_the_model(work, fitted):
    state = json.loads(json.dumps(work.state(), allow_nan=False))
    assert state["kind"] == "additive"
    terms = {term["name"]: term for term in state["terms"]}
    assert {term["kind"] for term in terms.values()} == {"curve", "levels", "surface"}
    age = terms["<b>age</b>"]
    x = np.linspace(*age["x"], len(age["y"]))
    known = next(term for term in fitted.additive_.terms if term.name == "<b>age</b>")
    assert np.allclose(known.axes[0].matrix(x) @ known.coef[0], age["y"], atol=1e-4)
    assert age["missing"] is not None
    assert sum(age["density"]) > 0
    assert state["history"][0]["error"] == pytest.approx(1 - fitted.summary().explained, rel=1e-4)


def test_every_edit_is_previewed_done_undone_and_written(work, fitted, tmp_path):
    assert set(EDIT) == set(EDITS)
    before = json.dumps(fitted.additive_.to_json())
    for name, fields in EDIT.items():
        step = {"do": name, **fields}
        preview = work.act({"do": "preview", "step": step})["preview"]
        assert work.act(step)["ok"]
        assert math.isclose(preview["after"], 1 - work.tree.current.error, rel_tol=1e-4)
        assert preview["term"] == next((t for t in work.state()["terms"] if t["name"] == name_of(fields)), None)
        assert math.isclose(getattr(fitted, name)(*_arguments(name, fields)).after, preview["after"], rel_tol=1e-4) or (
            len(work.tree.steps(work.tree.current.id)) > 1
        )
    assert len(work.tree.branches) == 6
    assert work.act({"do": "name", "state": 2, "name": "clipped"})["ok"]
    archive = base64.b64decode(work.act({"do": "bundle"})["file"]["base64"])
    (tmp_path / "kept.zip").write_bytes(archive)
    opened = open_archive(tmp_path / "kept.zip")
    assert opened.document() == work.document()
    assert opened.tree.held is None
    zipfile.ZipFile(io.BytesIO(archive)).extractall(tmp_path)
    assert (tmp_path / "session.py").read_text() == work.act({"do": "script"})["script"]
    again = runpy.run_path(str(tmp_path / "session.py"))["model"]
    shown = additive_model_from_json(json.loads((tmp_path / "edited.json").read_text()))
    for model in (again, shown):
        assert np.abs(model.link(list(fitted.rows_.columns)) - _link(work, fitted)).max() <= 1e-12
    for _ in EDIT:
        assert work.act({"do": "undo"})["ok"]
    assert json.dumps(work.session.model.to_json()) == before
    assert work.act({"do": "goto", "state": 3})["ok"]
    assert len(work.act({"do": "compare", "state": 0})["terms"]) == 4


def name_of(fields: dict) -> str:
    return fields.get("term") or f"{fields['first']} × {fields['second']}"


def _link(work, fitted) -> np.ndarray:
    return work.session.model.link(list(fitted.rows_.columns))


def _arguments(name: str, fields: dict) -> tuple:
    if name == "add_pair":
        return tuple(fields.values())
    term, *rest = fields.values()
    return (term, tuple(rest[:2]), rest[2]) if name == "set_values" else (term, *rest)


@pytest.mark.parametrize(
    "message",
    [
        {"do": "set_values", "term": "age", "low": 0, "high": 1, "value": 0},
        {"do": "set_values", "term": "<b>age</b>", "low": 1, "high": 0, "value": 0},
        {"do": "set_values", "term": "<b>age</b>", "low": 0, "high": 1, "value": "x"},
        {"do": "set_values", "term": "kind", "low": 0, "high": 1, "value": 0},
        {"do": "clip_term", "term": "<b>age</b>", "low": 0, "high": math.inf},
        {"do": "smooth_term", "term": "<b>age</b>", "factor": 0.5},
        {"do": "remove_term", "term": "b", "more": 1},
        {"do": "remove_term"},
        {"do": "fix", "edge": [0, 0, 0], "name": "sin"},
        {"do": "preview", "step": {"do": "undo"}},
        {"do": "picture", "format": "exe"},
        {"do": "add_pair", "first": "<b>age</b>", "second": "b"},
        {"do": "add_pair", "first": "<b>age</b>", "second": "<b>age</b>"},
        {"do": "add_pair", "first": "<b>age</b>", "second": "nobody"},
        {"do": "add_pair", "term": "kind"},
        {"do": "predict", "x": [0.1, 0.2]},
        {"do": "predict", "x": [0.1, "x", "x"]},
        {"do": "predict", "x": [0.1, 0.2, 3]},
    ],
    ids=str,
)
def test_what_cannot_be_done_is_an_error(work, message):
    answer = work.act(message)
    assert set(answer) == {"error"}
    assert "failed inside" not in answer["error"]
    assert len(work.tree.branches) == 1


def test_what_if_is_the_prediction_of_the_estimator(work, fitted):
    row = pd.DataFrame({"<b>age</b>": [np.nan], "b": [0.3], "kind": ["z"]})
    said = work.act({"do": "predict", "x": [None, 0.3, "z"]})
    assert said["outputs"][0] == pytest.approx(fitted.predict(row)[0], rel=1e-5)
    assert [said["low"][0], said["high"][0]] == pytest.approx(fitted.predict_interval(row)[0], rel=1e-5)
    total = work.session.model.intercept[0] + sum(said["adds"].values())
    assert total == pytest.approx(said["outputs"][0], abs=1e-4)
    names = {column["name"]: column for column in work.state()["columns"]}
    counts = [list(fitted.rows_.columns[2].values).count(level) for level in names["kind"]["levels"]]
    assert counts == sorted(counts, reverse=True)
    assert names["b"]["low"] < names["b"]["middle"] < names["b"]["high"]


@pytest.mark.parametrize("family", ["binomial", "classes", "poisson"])
def test_what_if_of_other_families(family):
    g = np.random.default_rng(4)
    x = g.uniform(-1, 1, (150, 2))
    y = g.poisson(np.exp(x[:, 0])) if family == "poisson" else (x[:, 0] + 0.3 * g.normal(size=150) > 0) + 0
    if family == "classes":
        y = y + (x[:, 1] > 0.5)
    model = ew.KANAdditive(family="poisson") if family == "poisson" else ew.KANAdditiveClassifier()
    fitted = model.fit(x, y)
    work = ew.studio(fitted).work
    said = work.act({"do": "predict", "x": [0.2, -0.1]})
    row = np.array([[0.2, -0.1]])
    expected = fitted.predict(row) if family == "poisson" else fitted.predict_proba(row)[0]
    assert said["outputs"] == pytest.approx(expected[1:] if family == "binomial" else expected, rel=1e-4)
    assert said["interval"] == {"binomial": "mean", "classes": "", "poisson": "outcome"}[family]
    if said["interval"]:
        assert said["low"][0] <= said["outputs"][0] <= said["high"][0]


def test_an_added_pair_is_the_interaction(tmp_path):
    g = np.random.default_rng(2)
    x = g.uniform(-1, 1, (400, 2))
    y = x[:, 0] + np.sin(2 * x[:, 1]) + 2 * x[:, 0] * x[:, 1] + 0.05 * g.normal(size=400)
    plain = ew.KANAdditive().fit(x, y)
    edit = plain.add_pair("x1", "x2")
    whole = ew.KANAdditive(interactions=[("x1", "x2")]).fit(x, y)
    new = g.uniform(-1, 1, (200, 2))
    truth = new[:, 0] + np.sin(2 * new[:, 1]) + 2 * new[:, 0] * new[:, 1]
    off = [np.sqrt(np.mean((model.predict(new) - truth) ** 2)) for model in (edit.model, whole)]
    assert off[0] < 0.06
    assert edit.after > 0.99 > edit.before
    assert np.allclose(plain.additive_.intercept, plain.additive_.intercept)
    held = (edit.model.predict_interval(new) - truth[:, None]) * [-1, 1]
    assert (held > 0).all(axis=1).mean() > 0.9


@pytest.mark.parametrize("damage", ["format", "rows", "kind", "step", "term"])
def test_a_damaged_archive_is_refused(work, tmp_path, damage):
    work.act({"do": "remove_term", "term": "b"})
    parts = {}
    with zipfile.ZipFile(io.BytesIO(work.archive())) as file:
        parts = {name: file.read(name).decode() for name in file.namelist()}
    history, rows = json.loads(parts["history.json"]), json.loads(parts["rows.json"])
    if damage == "format":
        history["format"] = "edgewise-studio-1"
    elif damage == "rows":
        rows["targets"] = rows["targets"][:-1]
    elif damage == "kind":
        rows["columns"][1]["kind"] = "level"
    elif damage == "step":
        history["states"][1]["step"] = {"do": "undo"}
    else:
        history["states"][1]["step"]["term"] = "nobody"
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as file:
        for name, text in {**parts, "history.json": json.dumps(history), "rows.json": json.dumps(rows)}.items():
            file.writestr(name, text)
    with pytest.raises(ValueError, match=r"bad\.zip"):
        open_archive(tmp_path / "bad.zip")


def test_terms_are_drawn_and_a_model_without_terms_is_shown(work, tmp_path):
    assert base64.b64decode(work.act({"do": "picture", "format": "png"})["file"]["base64"]).startswith(b"\x89PNG")
    for term in [t["name"] for t in work.state()["terms"]]:
        assert work.act({"do": "remove_term", "term": term})["ok"]
    assert work.state()["terms"] == []
    pd.DataFrame({"a": np.arange(40.0), "y": np.arange(40.0) ** 2}).to_csv(tmp_path / "t.csv", index=False)
    table = str(tmp_path / "t.csv")
    assert "deviance explained" in repr(ew.studio(table, target="y", additive=True, interactions=0))
