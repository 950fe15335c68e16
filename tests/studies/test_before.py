"""Two checkouts side by side: the jobs of a side, the table of both, and what is refused."""

import io
import json
import sys

import numpy as np
import pytest

from studies.speed import before, side


def test_a_side_fits_and_tells_its_error(tmp_path):
    x = np.linspace(-1, 1, 60)[:, None]
    np.savez(tmp_path / "data.npz", x=x, y=x[:, 0] ** 2, fresh=x / 2, truth=x[:, 0] ** 2 / 4)
    found = side.fit(str(tmp_path / "data.npz"), [1, 1], 0, 50)
    assert found["rmse"] < 1e-6
    assert found["cpu_seconds"] > 0


def test_a_side_answers_every_line(monkeypatch, capsys):
    monkeypatch.setattr(side, "SLICE", 0.0)
    jobs = [
        {"job": "normal_equations", "widths": [2, 2, 1], "intervals": 3, "rows": 40},
        {"job": "step", "widths": [3, 2], "intervals": 3, "batch": 8, "optimizer": "torch"},
        {"job": "step", "widths": [3, 2, 1], "intervals": 3, "batch": 8, "optimizer": "edgewise"},
        {"job": "call", "widths": [2, 2, 1]},
    ]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(map(json.dumps, jobs))))
    side.main()
    equations, *steps, call = map(json.loads, capsys.readouterr().out.splitlines())
    assert equations["gram"] > 0
    assert all(step["ms"] > 0 for step in steps)
    assert call["us"] > 0
    assert call["linear_us"] > 0


def test_ratios_count_where_the_error_is_not_larger():
    row = {"part": "fit", "before": 4.0, "now": 1.0, "ratio": 4.0, "unit": "CPU s", "error_before": 1.0}
    rows = [row | {"problem": "a", "error_now": 1.0}, row | {"problem": "b", "error_now": 2.0, "ratio": 8.0}]
    *_, everything, good = before.summarise(rows)
    assert (everything["ratio"], good["ratio"]) == (6.0, 4.0)
    assert good["problem"] == "median of the 1 with no larger error"


def test_what_edgewise_fit_prints_is_read():
    text = "accuracy  R2\nKAN      92.1%  0.96  374\nslope rule  76.7%  0.92\nnote: 3% of the rows\n"
    assert before._accuracies(text) == pytest.approx({"KAN": 0.921, "slope rule": 0.767})


def test_a_table_has_its_rows(tmp_path):
    before.write_table(tmp_path / "t.csv", 7, 3)
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert (lines[0], len(lines)) == ("x0,x1,x2,y", 8)


def test_a_folder_without_edgewise_is_refused():
    with pytest.raises(ValueError, match=r"is no checkout of edgewise; make one with `git worktree add"):
        before._folders(before.BeforeSettings(against="docs"))
