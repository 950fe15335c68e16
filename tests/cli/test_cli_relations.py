"""`edgewise relations` from end to end: relations with their evidence, a figure, and clear refusals."""

import json

import numpy as np
import pandas as pd
import pytest

from edgewise.cli import main


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"side": rng.uniform(1, 3, 200), "height": rng.uniform(1, 3, 200)})
    frame["area"] = frame["side"] * frame["height"]
    frame["noise"] = rng.normal(size=200)
    frame["id"] = [f"row {n}" for n in range(200)]
    frame.to_csv("table.csv", index=False)


@pytest.mark.usefixtures("table")
def test_relations_are_printed_written_and_drawn(capsys, tmp_path):
    assert main(["relations", "table.csv", "--out", "found.json", "--figure", "found.png"]) == 0
    printed = capsys.readouterr()
    assert "side — height — area: exact" in printed.out
    assert "height = area/side" in printed.out
    assert "'id' is left out: it has 200 different texts" in printed.err
    (relation,) = json.loads((tmp_path / "found.json").read_text())["relations"]
    assert relation["columns"] == ["side", "height", "area"]
    assert relation["exact"] is True
    assert relation["q"] <= 0.05
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["table.csv", "--inputs", "side", "width"], "has no column 'width'"),
        (["table.csv", "--inputs", "side"], "a relation needs two columns"),
        (["table.csv", "--fdr", "2"], "fdr must be a rate"),
        (["table.csv", "--out", "absent/found.json"], "there is no folder"),
        (["absent.csv"], "there is no file"),
    ],
)
def test_what_cannot_be_done_is_refused(given, message, capsys):
    assert main(["relations", *given]) == 2
    assert message in capsys.readouterr().err
