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
from edgewise.workbench import AdditiveWorkspace
from edgewise.workbench.additive_steps import EDITS

pytestmark = pytest.mark.usefixtures("module_as_a_user")

EDIT = {
    "set_values": {"term": "<b>age</b>", "low": -0.5, "high": 0.25, "value": 0.1},
    "clip_term": {"term": "<b>age</b>", "low": -0.5, "high": 0.5},
    "smooth_term": {"term": "<b>age</b>", "factor": 10},
    "remove_term": {"term": "kind"},
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
        assert preview["term"] == next((t for t in work.state()["terms"] if t["name"] == fields["term"]), None)
        assert math.isclose(getattr(fitted, name)(*_arguments(name, fields)).after, preview["after"], rel_tol=1e-4) or (
            len(work.tree.steps(work.tree.current.id)) > 1
        )
    assert len(work.tree.branches) == 5
    archive = base64.b64decode(work.act({"do": "bundle"})["file"]["base64"])
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


def _link(work, fitted) -> np.ndarray:
    return work.session.model.link(list(fitted.rows_.columns))


def _arguments(name: str, fields: dict) -> tuple:
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
    ],
    ids=str,
)
def test_what_cannot_be_done_is_an_error(work, message):
    answer = work.act(message)
    assert set(answer) == {"error"}
    assert "failed inside" not in answer["error"]
    assert len(work.tree.branches) == 1


def test_terms_are_drawn_and_a_model_without_terms_is_shown(work, tmp_path):
    assert base64.b64decode(work.act({"do": "picture", "format": "png"})["file"]["base64"]).startswith(b"\x89PNG")
    for term in [t["name"] for t in work.state()["terms"]]:
        assert work.act({"do": "remove_term", "term": term})["ok"]
    assert work.state()["terms"] == []
    pd.DataFrame({"a": np.arange(40.0), "y": np.arange(40.0) ** 2}).to_csv(tmp_path / "t.csv", index=False)
    table = str(tmp_path / "t.csv")
    assert "deviance explained" in repr(ew.studio(table, target="y", additive=True, interactions=0))
