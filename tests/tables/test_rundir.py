"""The folder of a run: whole or not there, never lost, never overwritten by accident."""

import pytest
import torch

import edgewise as ew
from edgewise.tables.job import RunDirectory, RunDirectoryError


def forbidden():
    raise AssertionError("a finished stage must not be computed again")


def test_a_folder_appears_at_the_end_and_holds_no_stages(tmp_path):
    run = RunDirectory(tmp_path / "out", {"a": 1})
    assert run.json("numbers", lambda: [1, 2]) == [1, 2]
    run.write("metrics.json", "{}")
    assert not (tmp_path / "out").exists()
    run.commit()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["metrics.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_interrupted_run_resumes(tmp_path):
    first = RunDirectory(tmp_path / "out", {"seed": 1})
    model = first.model("network", lambda: ew.KAN([2, 1]))
    first.json("numbers", lambda: {"x": 0.5})
    again = RunDirectory(tmp_path / "out", {"seed": 1})
    assert again.resumed
    x = torch.rand(5, 2)
    assert torch.equal(again.model("network", forbidden)(x), model(x))
    assert again.json("numbers", forbidden) == {"x": 0.5}


def test_a_stage_that_fails_leaves_nothing(tmp_path):
    run = RunDirectory(tmp_path / "out", {})
    with pytest.raises(KeyboardInterrupt):
        run.json("numbers", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert run.json("numbers", lambda: 3) == 3


def test_other_settings_start_afresh(tmp_path):
    RunDirectory(tmp_path / "out", {"seed": 1}).json("numbers", lambda: 1)
    other = RunDirectory(tmp_path / "out", {"seed": 2})
    assert not other.resumed
    assert other.json("numbers", lambda: 2) == 2


def test_a_run_is_replaced_only_by_force(tmp_path):
    for force in (False, True):
        run = RunDirectory(tmp_path / "out", {}, force=force)
        run.write("metrics.json", str(force))
        run.commit()
        with pytest.raises(RunDirectoryError, match="--force"):
            RunDirectory(tmp_path / "out", {})
    assert (tmp_path / "out" / "metrics.json").read_text() == "True"


def test_force_never_replaces_what_is_not_a_run(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with pytest.raises(RunDirectoryError, match="not the folder of a run"):
        RunDirectory(tmp_path / "thesis", {}, force=True)
    (tmp_path / "empty").mkdir()
    run = RunDirectory(tmp_path / "empty", {}, force=True)
    run.commit()
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "years of work"
