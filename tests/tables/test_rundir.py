"""The folder of a run: whole or not there, never lost, never overwritten by accident."""

import contextlib
import os
import shutil

import pytest
import torch

import edgewise as ew
from edgewise.io import FileFormatError
from edgewise.tables.job import RunDirectory, RunDirectoryError
from edgewise.tables.job.rundir import read_record


@pytest.fixture
def begun():
    """Makes folders of runs, and lets go of them at the end of a test."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(RunDirectory(*args, **options))


def forbidden():
    raise AssertionError("a finished stage must not be computed again")


def test_a_folder_appears_at_the_end_and_holds_no_stages(tmp_path, begun):
    run = begun(tmp_path / "out", {"a": 1})
    assert run.json("numbers", lambda: [1, 2]) == [1, 2]
    run.write("metrics.json", "{}")
    assert not (tmp_path / "out").exists()
    run.commit()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["SHA256SUMS", "metrics.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_interrupted_run_resumes(tmp_path, begun):
    first = begun(tmp_path / "out", {"seed": 1})
    model = first.model("network", lambda: ew.KAN([2, 1]))
    first.json("numbers", lambda: {"x": 0.5})
    first.close()
    again = begun(tmp_path / "out", {"seed": 1})
    assert again.resumed
    x = torch.rand(5, 2)
    assert torch.equal(again.model("network", forbidden)(x), model(x))
    assert again.json("numbers", forbidden) == {"x": 0.5}


def test_a_run_of_an_older_version_is_refused_by_its_format(tmp_path):
    (tmp_path / "metrics.json").write_text('{"format": "edgewise-run-2"}', encoding="utf-8")  # and has no digests
    with pytest.raises(
        FileFormatError, match=r"format 'edgewise-run-2'; this version reads .*run `edgewise fit` again"
    ):
        read_record(tmp_path)


@pytest.mark.parametrize("name", ["numbers.json", "network.safetensors"])
def test_a_changed_stage_is_never_resumed(tmp_path, begun, name):
    run = begun(tmp_path / "out", {})
    run.json("numbers", lambda: [1.5])
    run.model("network", lambda: ew.KAN([2, 1]))
    path = run.partial / "stages" / name
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    run.close()
    again = begun(tmp_path / "out", {})
    with pytest.raises(FileFormatError, match=rf"{name} .*damaged.*; delete .*out\.partial to start afresh"):
        again.model("network", forbidden), again.json("numbers", forbidden)


@pytest.mark.parametrize("marker", [b"", b"\xff\xff"])
def test_a_damaged_marker_starts_afresh(tmp_path, begun, marker):
    first = begun(tmp_path / "out", {})
    first.json("numbers", lambda: 1)
    (first.partial / "run.json").write_bytes(marker)
    first.close()
    assert begun(tmp_path / "out", {}).json("numbers", lambda: 2) == 2


@pytest.mark.parametrize("calls", range(6))
def test_a_run_that_is_killed_while_it_commits_resumes(tmp_path, monkeypatch, calls):
    left = [calls]

    def killed(function):
        def counting(*args, **options):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return function(*args, **options)

        return counting

    def finish(seed, force=False):
        with RunDirectory(tmp_path / "out", {"seed": seed}, force=force) as run:
            value = run.json("numbers", lambda: seed)
            run.write("metrics.json", str(value))
            run.commit()

    finish(1)
    with monkeypatch.context() as patch:
        for module, name in ((os, "replace"), (shutil, "rmtree")):
            patch.setattr(module, name, killed(getattr(module, name)))
        with contextlib.suppress(KeyboardInterrupt):
            finish(2, force=True)
    assert (tmp_path / "out" / "metrics.json").read_text() in "12" if (tmp_path / "out").exists() else True
    finish(2, force=True)
    assert (tmp_path / "out" / "metrics.json").read_text() == "2"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_stage_that_fails_leaves_nothing(tmp_path, begun):
    run = begun(tmp_path / "out", {})
    with pytest.raises(KeyboardInterrupt):
        run.json("numbers", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert run.json("numbers", lambda: 3) == 3


def test_other_settings_start_afresh(tmp_path, begun):
    with RunDirectory(tmp_path / "out", {"seed": 1}) as first:
        first.json("numbers", lambda: 1)
    other = begun(tmp_path / "out", {"seed": 2})
    assert not other.resumed
    assert other.json("numbers", lambda: 2) == 2


def test_a_run_is_replaced_only_by_force(tmp_path, begun):
    for force in (False, True):
        run = begun(tmp_path / "out", {}, force=force)
        run.write("metrics.json", str(force))
        run.commit()
        with pytest.raises(RunDirectoryError, match="--force"):
            RunDirectory(tmp_path / "out", {})
    assert (tmp_path / "out" / "metrics.json").read_text() == "True"


def test_force_never_replaces_what_is_not_a_run(tmp_path, begun):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with pytest.raises(RunDirectoryError, match="not the folder of a run"):
        RunDirectory(tmp_path / "thesis", {}, force=True)
    (tmp_path / "empty").mkdir()
    run = begun(tmp_path / "empty", {}, force=True)
    run.commit()
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "years of work"


def test_one_run_at_a_time_has_the_folder(tmp_path, begun):
    first = begun(tmp_path / "out", {})
    with pytest.raises(RunDirectoryError, match=r"another run is writing to .*out\.partial; wait for it, or choose"):
        RunDirectory(tmp_path / "out", {})
    assert first.json("numbers", lambda: 1) == 1
    first.close()
    with RunDirectory(tmp_path / "out", {}) as second:
        assert second.resumed


def test_a_folder_that_appeared_meanwhile_is_not_replaced(tmp_path, begun):
    run = begun(tmp_path / "out", {})
    (tmp_path / "out").mkdir()
    with pytest.raises(RunDirectoryError, match="out exists"):
        run.commit()


def test_what_a_killed_run_was_writing_is_removed(tmp_path):
    with RunDirectory(tmp_path / "out", {}) as run:
        left = run.partial / "stages" / ".numbers.json.0123.part"
        left.write_text("half")
    with RunDirectory(tmp_path / "out", {}) as run:
        assert run.resumed
        assert not left.exists()
        assert not run.has("numbers")
