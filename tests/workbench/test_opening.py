"""A studio opens on a table, on the folder of a run, and on a network at hand."""

import json
import urllib.request
from urllib.error import HTTPError

import numpy as np
import pandas as pd
import pytest
import torch

import edgewise as ew
from edgewise.tables.cells import TableError
from edgewise.tables.job import JobSettings, fit_table
from edgewise.workbench import open_run, open_table

from .conftest import small

pytestmark = pytest.mark.usefixtures("module_as_a_user")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table, and the run of its amounts beside it."""
    folder = tmp_path_factory.mktemp("studio")
    rng = np.random.default_rng(3)
    a, b = rng.uniform(-1, 1, (2, 90))
    kind = np.where(a > 0, "up", "down")
    pd.DataFrame({"<i>a</i>": a, "b": b, "kind": kind, "y": a**2 + b}).to_csv(folder / "t.csv", index=False)
    settings = JobSettings("y", exclude=("kind",), hidden=0, seconds=2.0)
    fit_table(str(folder / "t.csv"), settings, folder / "run")
    return folder


def test_a_run_opens_with_its_network_and_rows(folder, tmp_path):
    work = open_run(folder / "run")
    model = ew.load(folder / "run" / "model.safetensors")
    assert isinstance(model, ew.KAN)
    x, y = work.session.x, work.session.y
    assert torch.equal(work.session.model(x), model(x))
    frame = pd.read_csv(folder / "t.csv")
    assert {round(v, 9) for v in y[:, 0].tolist()} < {round(v, 9) for v in frame["y"].tolist()}
    state = work.state()
    assert (state["rows"], state["heldRows"]) == (63, 13)
    assert state["title"] == "y from t.csv"
    assert [name["name"] for name in state["inputs"]] == ["<i>a</i>", "b"]
    for shortest in state["found"][:1]:  # none where the machine had no time for one
        assert work.act({"do": "adopt", "expressions": shortest["expressions"]})["ok"]
        assert work.tree.current.held_error == shortest["heldError"]
    frame.rename(columns={"b": "c"}).to_csv(tmp_path / "u.csv", index=False)
    with pytest.raises(TableError, match="gives other inputs"):
        open_run(folder / "run", str(tmp_path / "u.csv"))


def test_a_run_without_its_table_says_what_to_do(folder, tmp_path):
    (folder / "run").rename(tmp_path / "run")
    try:
        with pytest.raises(TableError, match="name it: --table"):
            open_run(tmp_path / "run")
        assert open_run(tmp_path / "run", str(folder / "t.csv")).state()["rows"] == 63
    finally:
        (tmp_path / "run").rename(folder / "run")


def test_a_table_opens_with_a_small_network(folder):
    work = open_table(str(folder / "t.csv"), "y", exclude=("kind",), hidden=0, seconds=2.0)
    assert work.tree.current.error < 0.1
    assert work.tree.current.held_error is not None


def test_of_classes_the_errors_are_distances_from_the_first_log_odds(folder):
    work = open_table(str(folder / "t.csv"), "kind", exclude=("y",), hidden=0, seconds=2.0)
    assert work.tree.current.error < 1e-12
    assert "log-odds" in work.state()["note"]
    assert work.act({"do": "fix", "edge": [0, 0, 0], "name": "tanh"})["ok"]


def test_a_studio_beside_a_notebook_is_the_same_session():
    pytest.importorskip("uvicorn")
    client = pytest.importorskip("websockets.sync.client")
    model, x, y = small()
    studio = ew.studio(model, x.numpy(), y[:, 0].numpy(), title="</title>").open(browser=False)
    try:
        assert studio.url is not None
        page = urllib.request.urlopen(studio.url, timeout=20).read().decode()
        assert "<title>&lt;/title&gt;" in page
        assert studio.url.startswith("http://127.0.0.1:")
        with pytest.raises(HTTPError, match="403"):
            urllib.request.urlopen(studio.url.split("?")[0], timeout=5)
        address = studio.url.replace("http://", "ws://").replace("/?", "/socket?")
        with client.connect(address, origin=studio.url.split("/?")[0], proxy=None) as socket:
            assert studio.work.act({"do": "fix", "edge": [0, 0, 0], "name": "sin"})["ok"]
            assert json.loads(socket.recv(timeout=10))["state"]["current"] == 1
            socket.send(json.dumps({"id": 1, "do": "undo"}))
            while json.loads(socket.recv(timeout=10)).get("id") != 1:
                pass
        assert studio.work.tree.current.id == 0
        assert studio.model is model
        assert studio.url in repr(studio)
    finally:
        url = studio.url or ""
        studio.close()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=5)


def test_the_public_name_opens_what_the_command_opens(folder):
    assert ew.studio(folder / "run").work.state()["rows"] == 63
    assert "1 state, error" in repr(ew.studio(str(folder / "t.csv"), target="y", hidden=0, seconds=2.0))
    model, x, y = small()
    for arguments, fields, match in [
        ((model,), {}, "with its data"),
        ((3,), {}, "not int"),
        (("t.csv", x, y), {}, "target="),
        (("t.csv",), {}, "target="),
    ]:
        with pytest.raises((TypeError, ValueError), match=match):
            ew.studio(*arguments, **fields)
