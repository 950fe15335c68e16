"""`edgewise discover` from end to end: a law, or a clear answer to a table that has none."""

import json

import numpy as np
import pandas as pd
import pytest
import sympy

from edgewise.cli import main


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"m": rng.uniform(1, 3, 300), "v": rng.uniform(1, 3, 300)})
    frame["E"] = frame["m"] * frame["v"] ** 2 / 2
    frame["colour"] = rng.choice(["red", "blue"], 300)
    frame["pole"] = 1 / (frame["m"] - 2)
    frame["same"] = 7.0
    frame.to_csv("table.csv", index=False)
    return frame


def run(*arguments: str) -> int:
    return main(["discover", "table.csv", *arguments])


def test_a_law_with_its_evidence(table, capsys, tmp_path):
    given = ["--target", "E", "--inputs", "m", "v", "colour", "--units", "E=J", "m=kg", "v=m/s"]
    assert run(*given, "--out", "law.json") == 0
    printed = capsys.readouterr()
    assert "E = m*v**2/2" in printed.out
    assert "exact" in printed.out
    assert "colour: texts and dates cannot be in a law, left out" in printed.err
    written = json.loads((tmp_path / "law.json").read_text())
    m, v = sympy.symbols("m v", real=True)
    assert sympy.sympify(written["law"]["formula"]["outputs"]["E"]) == m * v**2 / 2
    assert written["exact"] is True
    assert sorted(p.name for p in tmp_path.iterdir()) == ["law.json", "table.csv"]


def test_a_pole_inside_the_data(table, capsys):
    assert run("--target", "pole", "--inputs", "m") == 0
    assert "pole = 1/(m - 2)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--target", "F"], "there is no column 'F'"),
        (["--target", "same"], "there is nothing to learn"),
        (["--target", "E", "--inputs", "colour"], "a law needs a column of numbers"),
        (["--target", "E", "--inputs", "m", "v", "--units", "m"], "--units takes COLUMN=UNIT"),
        (["--target", "E", "--inputs", "m", "v", "--units", "E=J", "m=kg"], "no unit is given for v"),
        (["--target", "E", "--inputs", "m", "v", "--units", "E=J", "m=kg", "v=m/parsec"], "not known"),
        (["--target", "E", "--inputs", "m", "v", "--units", "E=J", "m=kg", "v=m/s", "x=m"], "units are given for x"),
    ],
)
def test_mistakes_are_explained(table, capsys, given, message):
    assert run(*given) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_few_rows_are_refused(table, capsys):
    table[:5].to_csv("table.csv", index=False)
    assert run("--target", "E", "--inputs", "m", "v") == 2
    assert "at least" in capsys.readouterr().err


def test_noise_alone_has_no_law(table, capsys):
    table["noise"] = np.random.default_rng(1).normal(size=300)
    table.to_csv("table.csv", index=False)
    assert run("--target", "noise", "--inputs", "m", "v", "--seconds", "1") == 0
    assert "no law" in capsys.readouterr().out


def test_trajectories_have_a_law(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    t = np.arange(0, 6, 0.05)
    parts = [
        pd.DataFrame({"t": t, "run": run, "heat": a * np.exp(-0.5 * t), "note": "x"}) for run, a in (("a", 2), ("b", 5))
    ]
    pd.concat(parts).to_csv("table.csv", index=False)
    assert run("--time", "t", "--trajectory", "run", "--out", "law.json") == 0
    printed = capsys.readouterr()
    assert "heat' = -heat/2" in printed.out
    assert "note: no numbers, left out" in printed.err
    assert json.loads((tmp_path / "law.json").read_text())["kind"] == "flow"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "give --target"),
        (["--target", "E", "--time", "m"], "give --target"),
        (["--target", "E", "--controls", "m"], "belong to --time"),
        (["--time", "m", "--units", "m=s"], "--units belongs to --target"),
        (["--time", "n"], "there is no column 'n'"),
        (["--time", "m", "--inputs", "v"], "t does not increase"),
    ],
)
def test_mistakes_with_trajectories_are_explained(table, capsys, given, message):
    assert run(*given) == 2
    assert message in " ".join(capsys.readouterr().err.split())
