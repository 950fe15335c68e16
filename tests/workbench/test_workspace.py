"""Messages change a session and nothing else does; what cannot be done is an answer, never an exception."""

import json
import math

import numpy as np
import pytest
import torch

import edgewise as ew
from edgewise.workbench import Workspace
from edgewise.workbench.desk import MOVES
from edgewise.workbench.document import BINS, _counts
from edgewise.workbench.questions import QUESTIONS
from edgewise.workbench.steps import METHODS, step_of

from .conftest import small

A, B = [0, 0, 0], [0, 1, 0]

STEPS = {
    "fix": {"edge": A, "name": "sin"},
    "release": {"edge": A},
    "draw": {"edge": B, "points": [[-0.5, 0.1], [0.0, 0.0], [0.5, 0.2]]},
    "pull": {"edge": B, "x": 0.5, "y": 0.3},
    "remove": {"edge": B},
    "remove_node": {"layer": 0, "node": 1},
    "split_node": {"layer": 0, "node": 1},
    "multiply_node": {"layer": 0, "node": 0},
    "exclude": {"inputs": [1]},
    "combine": {"formula": "`<b>angle</b>` * `load & \\`wind\\``", "name": "<i>product</i>"},
    "adopt": {"expressions": ["2*sin(`<b>angle</b>`)"]},
    "measure": {"units": {"<b>angle</b>": "rad", "y": "m/s"}},
    "lock": {"edges": [A]},
    "unlock": {"edges": [A]},
    "share": {"edges": [A, B]},
    "forbid": {"names": ["tan", "erf"]},
    "shape": {"edge": B, "shape": "convex"},
    "constrain": {"shape": "increasing", "inputs": [0]},
    "symmetric": {"inputs": [0, 1]},
    "prune": {"least": 0.01},
    "refine": {"intervals": 12},
    "fit": {"steps": 10},
}
"""A message for every step; `release` needs a symbol, which the test makes first."""


def test_every_step_is_done_and_undone_and_its_script_does_the_same(tmp_path):
    assert set(STEPS) == set(METHODS)
    model, x, y = small(widths=(2, 2, 1))
    work = Workspace(model, x, y, held=(x[:30] * 0.9, y[:30]))

    def do(what: str, /, **fields: object) -> None:
        answer = work.act({"do": what, **fields})
        assert "error" not in answer, (what, answer)

    do("fit", steps=5)
    base = work.tree.current.id
    for name, fields in STEPS.items():
        if name == "release":
            do("fix", edge=A, name="sin")
        do(name, **fields)
        step = work.tree.current.step
        assert step is not None
        assert step.method == name
        message = json.loads(json.dumps(step.message()))
        parent = work.tree[work.tree.current.parent or 0].session
        again = step_of(parent, message)
        assert again.code() == step.code()
        scope = {"session": parent}
        exec(step.code(), {}, scope)  # as the exported script does
        with torch.no_grad():
            expected, got = (s.model(s.x) for s in (work.session, scope["session"]))
        assert (got - expected).abs().max() <= 1e-12
        json.dumps(work.state(), allow_nan=False)
        do("goto", state=base)
    assert [branch.parent for branch in work.tree if branch.id > base].count(base) == len(STEPS)


def test_the_law_is_found_and_read(work, do):
    do("fit", steps=30)
    best = do("suggest", edge=A)["candidates"]
    assert best[0]["name"] in ("sin", "cos")
    assert len(best[0]["y"]) == 61
    do("fix", edge=A, name="sin")
    do("fix", edge=B, name="x^2")
    do("fit", steps=30)
    state = work.state()
    formula = state["formula"]
    assert formula["curves"] == 0
    assert state["history"][-1]["error"] < 1e-9
    assert "numpy.sin" in formula["python"]
    named = do("constants")["formula"]
    assert "sin(2*`<b>angle</b>`)" in named["text"]
    assert named["error"] < 1e-9


def test_a_preview_says_what_the_step_then_does(work, do):
    do("fit", steps=20)
    step = {"do": "fix", "edge": B, "name": "x^2"}
    preview = do("preview", step=step)["preview"]
    before = len(work.tree.branches)
    do("fix", edge=B, name="x^2")
    assert len(work.tree.branches) == before + 1
    assert math.isclose(preview["error"], work.tree.current.error, rel_tol=1e-5)
    assert (preview["curves"], preview["symbols"]) == work.tree.current.edges == (1, 1)
    drawn = next(edge for edge in work.state()["network"]["edges"] if edge["key"] == B)
    assert torch.allclose(torch.tensor(preview["edge"]["y"]), torch.tensor(drawn["y"]), atol=1e-5)


def test_undo_redo_and_branches(work, do):
    do("fix", edge=A, name="sin")
    do("fix", edge=B, name="x^2")
    do("undo")
    do("undo")
    assert "nothing to undo" in work.act({"do": "undo"})["error"]
    do("redo")
    assert work.tree.current.id == 1
    do("fix", edge=B, name="x^3")
    assert [branch.parent for branch in work.tree] == [None, 0, 1, 1]
    assert "no later state" in work.act({"do": "redo"})["error"]
    do("goto", state=2)
    do("undo")
    do("redo")
    assert work.tree.current.id == 2  # the branch that was visited last, not the newest
    do("name", state=2, name="a parabola")
    assert work.state()["history"][2]["name"] == "a parabola"
    assert work.state()["history"][2]["step"].startswith("x^2 on load & `wind` ")
    other = do("compare", state=3)
    assert [edge["symbol"] for edge in other["network"]["edges"]] == ["sin", "x^3"]


def test_the_state_is_json_and_is_the_network(work, do):
    do("fit", steps=10)
    do("predict", x=[0.3, -0.2])
    text = json.dumps(work.state(), allow_nan=False)
    state = json.loads(text)
    assert state.pop("moment") < work.state()["moment"]
    assert state == {"busy": False, **work.document()}
    assert len(text) < 60_000
    for edge in state["network"]["edges"]:
        l, j, i = edge["key"]
        low, high = edge["x"]
        at = torch.linspace(low, high, len(edge["y"]), dtype=torch.float64)[:, None].expand(-1, 2)
        values = work.session.model.layers[l].edge_values(at)[:, j, i]
        assert torch.allclose(values, torch.tensor(edge["y"], dtype=torch.float64), atol=1e-4)
        assert sum(edge["density"]) == len(work.session.x)


def test_a_prediction_has_its_place_on_every_curve(work, do):
    answer = do("predict", x=[0.3, -0.2])
    with torch.no_grad():
        expected = work.session.model(torch.tensor([[0.3, -0.2]], dtype=torch.float64))
    assert math.isclose(answer["outputs"][0], expected.item(), rel_tol=1e-5)
    assert answer["at"] == [[0.3, -0.2]]


def test_the_interval_of_a_prediction_holds_nine_of_ten_other_rows(do, work):
    do("fit", steps=20)
    answer = do("predict", x=[0.3, -0.2])
    x, y = work.tree.held
    with torch.no_grad():
        inside = ((work.session.model(x) - y).abs() <= answer["within"][0]).double().mean()
    assert 0.9 <= inside <= 0.9 + 2 / len(x)
    assert answer["level"] == 0.9


def test_formulas_are_searched_and_adopted():
    model, x, y = small(("a", "b"))
    work = Workspace(model, x, y, held=(x[:30] * 0.9, torch.sin(1.8 * x[:30, :1]) + 0.405 * x[:30, 1:] ** 2))
    stages = []
    assert work.act({"do": "search", "seconds": 2}, lambda event: stages.append(event.stage))["ok"]
    assert len(stages) > 1
    front = work.state()["found"]
    lengths = [formula["length"] for formula in front]
    assert lengths == sorted(lengths)
    best = min(front, key=lambda formula: formula["error"])
    assert best["error"] < 1.01 * y.std().item()  # better than that where the machine has time for it
    assert work.act({"do": "adopt", "expressions": best["expressions"]})["ok"]
    assert math.isclose(work.tree.current.error, best["error"], rel_tol=1e-6)
    assert work.state()["length"] is not None
    two = Workspace(ew.KAN([1, 2]), x[:, :1].float(), x.float())
    assert "one output" in two.act({"do": "search", "seconds": 1})["error"]
    assert "stopped" in work.act({"do": "search", "seconds": 8}, lambda event: work.stop())["error"]


def test_pictures_come_in_the_formats_of_pages_and_papers(do):
    import base64

    starts = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF"}
    for kind, start in starts.items():
        file = do("picture", format=kind)["file"]
        assert base64.b64decode(file["base64"]).startswith(start)
        assert file["name"] == f"network.{kind}"


def test_a_fit_tells_its_errors_and_can_be_stopped(work):
    told = []

    def tell(event) -> None:
        told.append(float(event.text))
        if len(told) == 2:
            work.act({"do": "stop"})

    answer = work.act({"do": "fit", "steps": 500}, tell)
    assert answer["ok"]
    assert len(told) == 2
    step = work.tree.current.step
    assert step is not None
    assert step.times == 2
    assert math.isclose(told[-1], work.tree.current.error, rel_tol=1e-5)


def test_a_fit_is_stopped_within_a_round_too(work, monkeypatch):
    from edgewise.symbolic import Session

    whole, rounds = Session.fit, []

    def fit(session, steps, *, tick=lambda: None):
        rounds.append(steps)
        if len(rounds) == 3:
            work.stop()
        return whole(session, steps, tick=tick)

    monkeypatch.setattr(Session, "fit", fit)
    assert work.act({"do": "fit", "steps": 500})["ok"]
    assert work.tree.current.step.times == 2
    assert work.tree.steps(1)[0].apply(work.tree[0].session).error == work.tree.current.error
    rounds[:] = [0, 0]
    assert "before its first round" in work.act({"do": "fit", "steps": 500})["error"]
    assert work.tree.current.id == 1


def test_only_one_step_at_a_time(work):
    answers = []

    def tell(event) -> None:
        answers.append(work.act({"do": "undo"}))
        answers.append(work.act({"do": "suggest", "edge": A}))
        work.stop()

    work.act({"do": "fit", "steps": 100}, tell)
    assert "still running" in answers[0]["error"]
    assert answers[1]["candidates"]


WRONG = [
    None,
    [],
    "fit",
    {},
    {"do": 3},
    {"do": "explode"},
    {"do": "__init__"},
    {"do": "formula"},
    {"do": "fix"},
    {"do": "fix", "edge": A},
    {"do": "fix", "edge": A, "name": "nothing"},
    {"do": "fix", "edge": A, "name": ["sin"]},
    {"do": "fix", "edge": A, "name": "sin", "affine": [1, 2, 3, 4]},
    {"do": "fix", "edge": [0, 9, 0], "name": "sin"},
    {"do": "fix", "edge": [0, -1, 0], "name": "sin"},
    {"do": "fix", "edge": [7, 0, 0], "name": "sin"},
    {"do": "fix", "edge": ["layers.0", 0, 0], "name": "sin"},
    {"do": "fix", "edge": [0, True, 0], "name": "sin"},
    {"do": "fix", "edge": [0, 0.0, 0], "name": "sin"},
    {"do": "fix", "edge": {"layer": 0}, "name": "sin"},
    {"do": "fix", "edge": "abc", "name": "sin"},
    {"do": "release", "edge": A},
    {"do": "lock", "edges": A},
    {"do": "share", "edges": [A]},
    {"do": "share", "edges": [A] * 2000},
    {"do": "shape", "edge": A, "shape": "round"},
    {"do": "shape", "edge": A, "shape": "x" * 300},
    {"do": "constrain", "shape": "even", "inputs": []},
    {"do": "constrain", "shape": "convex", "inputs": [5]},
    {"do": "symmetric", "inputs": [0, 0]},
    {"do": "forbid", "names": ["furlong"]},
    {"do": "prune", "least": 1.0},
    {"do": "prune", "least": math.nan},
    {"do": "prune", "least": "0.1"},
    {"do": "refine", "intervals": 10**9},
    {"do": "fit", "steps": 0},
    {"do": "fit", "steps": 1e3},
    {"do": "goto", "state": 99},
    {"do": "goto", "state": -1},
    {"do": "name", "state": 0, "name": "x" * 61},
    {"do": "name", "state": 0},
    {"do": "compare"},
    {"do": "suggest"},
    {"do": "predict", "x": [1.0]},
    {"do": "predict", "x": [1.0, math.inf]},
    {"do": "predict", "x": [1.0, "2"]},
    {"do": "preview", "step": {"do": "fit", "steps": 5}},
    {"do": "preview", "step": {"do": "undo"}},
    {"do": "preview", "step": {"do": ["fix"]}},
    {"do": "constants"},
    {"do": "draw", "edge": A, "points": [[0, 1]]},
    {"do": "draw", "edge": A, "points": [[0, 1], [1]]},
    {"do": "draw", "edge": A, "points": [[0, 1], [1, "x"]]},
    {"do": "pull", "edge": A, "x": math.inf, "y": 0},
    {"do": "remove_node", "layer": 0, "node": 0},
    {"do": "split_node", "layer": 7, "node": 0},
    {"do": "multiply_node", "layer": 0, "node": -1},
    {"do": "exclude", "inputs": [0, 1]},
    {"do": "combine", "formula": "__import__('os')", "name": ""},
    {"do": "combine", "formula": "c + d", "name": ""},
    {"do": "combine", "formula": 3, "name": ""},
    {"do": "adopt", "expressions": ["x" * 5000]},
    {"do": "adopt", "expressions": []},
    {"do": "measure", "units": ["m"]},
    {"do": "measure", "units": {"nobody": "m"}},
    {"do": "search", "seconds": 0},
    {"do": "search", "seconds": "long"},
    {"do": "picture", "format": "exe"},
]


@pytest.fixture(scope="module")
def untouched() -> Workspace:
    """One workspace for all messages that change nothing."""
    return Workspace(*small())


@pytest.mark.parametrize("message", WRONG, ids=str)
def test_what_cannot_be_done_is_an_error_and_changes_nothing(untouched, message):
    before = untouched.document()
    answer = untouched.act(message)
    assert set(answer) == {"error"}
    assert "failed inside" not in answer["error"]
    assert 5 < len(answer["error"]) < 1000
    assert untouched.document() == before
    assert len(untouched.tree.branches) == 1


def test_an_error_of_ours_does_not_end_the_session(work, monkeypatch, caplog):
    def broken(self, message):
        raise RuntimeError("secret")

    monkeypatch.setitem(QUESTIONS, "script", broken)  # type: ignore[arg-type]
    assert "RuntimeError" in work.act({"do": "script"})["error"]
    assert "secret" not in work.act({"do": "script"})["error"]
    assert "secret" in caplog.text
    assert work.act({"do": "state"})["ok"]


def test_exports_are_text_whatever_the_names(work, do):
    import base64

    for what in ("report", "picture"):
        page = base64.b64decode(do(what)["file"]["base64"]).decode()
        assert "<b>angle" not in page
        assert "&lt;b&gt;angle" in page
    assert "<b>" not in "".join(work.state()["formula"]["mathml"])


def test_the_actions_are_a_closed_table():
    tables = (Workspace.steps, Workspace.long, Workspace.questions, MOVES)
    names = [name for table in tables for name in table]
    assert len(names) == len(set(names)) == sum(map(len, tables))


def test_many_rows_are_thinned_for_pictures_only():
    import edgewise as ew

    x = torch.rand(5000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    work = Workspace(ew.KAN([1, 1], dtype=torch.float64), x, x**2)
    assert work.state()["rows"] == 5000
    assert sum(work.state()["network"]["edges"][0]["density"]) <= 2000
    assert work.act({"do": "fit", "steps": 20})["ok"]
    assert len(work.session.x) == 5000


@pytest.mark.parametrize("width", [1.0, 1e-17, 0.0, 1e300])
def test_the_rows_of_a_range_are_counted_however_narrow_it_is(width):
    values = 0.3 + width * np.linspace(0, 1, 50)
    counts = _counts(values)
    assert counts.sum() == 50
    if width == 1.0:
        np.testing.assert_array_equal(counts, np.histogram(values, BINS)[0])
