"""Laws of the protocol of studies: resumption, results, tables and the command line."""

import json
import math
from dataclasses import dataclass, replace

import pytest

from studies import __main__ as command, known as known_module, runner, table
from studies.journal import Journal
from studies.result import RESULTS, StudyResult
from studies.study import Settings, Study, case_id, option, plain


@dataclass(frozen=True)
class Small(Settings):
    power: int = option(2, "exponent")
    names: tuple[str, ...] = option(("a", "b"), "which", choices=("a", "b", "c"), selects=True)
    parts: tuple[str, ...] = option(("p", "q"), "some", subset=True)


def cases(settings, seeds):
    return [{"name": name, "seed": seed} for name in settings.names for seed in seeds]


def measure(case, run):
    return {"value": case["seed"] ** run.settings.power, "shared": run.once("offset", lambda: 7)}


def summarise(rows):
    return table.over_seeds(rows, ("name",), ("value",))


SMALL = Study("small", "Powers", cases, measure, summarise, Small(), seeds=(3, 4))


def without_time(result):
    return [{key: value for key, value in row.items() if key != "cpu_seconds"} for row in result.rows]


class Stopped(Exception):
    pass


def stopping(study, after):
    """The study, interrupted before the measurement of this number; counts measurements."""
    done = []

    def counted(case, run):
        if len(done) == after:
            raise Stopped
        done.append(case_id(case))
        return study.measure(case, run)

    return replace(study, measure=counted), done


def test_a_result_is_its_own_json(tmp_path):
    result = runner.run(SMALL, folder=tmp_path)
    assert StudyResult.from_json(result.to_json()) == result == StudyResult.read("small", tmp_path)
    assert [row["value"] for row in result.rows] == [9, 16, 9, 16]
    assert result.summary[0] == {"name": "a", "seeds": 2, "value_median": 12.5, "value_worst": 16}
    assert result.missing == 0
    assert result.shared == {"offset": 7}


@pytest.mark.parametrize("after", range(4))
def test_an_interrupted_run_resumes_and_gives_the_same_rows(tmp_path, after):
    whole = runner.run(SMALL, folder=tmp_path / "whole")
    folder = tmp_path / "parts"
    with pytest.raises(Stopped):
        runner.run(stopping(SMALL, after)[0], folder=folder)
    counted, done = stopping(SMALL, math.inf)
    resumed = runner.run(counted, folder=folder)
    assert len(done) == 4 - after
    assert without_time(resumed) == without_time(whole)
    assert resumed.summary == whole.summary
    assert [path.name for path in folder.iterdir()] == ["small.json"]


def test_a_torn_last_line_is_dropped(tmp_path):
    journal = Journal(tmp_path / "study.jsonl")
    journal.append({"case": "a"})
    journal.append({"case": "b"})
    content = journal.path.read_bytes()
    for torn in range(len(content) + 1):
        journal.path.write_bytes(content[:torn])
        read = Journal(journal.path)
        assert len(read.entries) == content[:torn].count(b"\n")
        read.append({"case": "c"})
        assert Journal(journal.path).entries == [*read.entries[:-1], {"case": "c"}]


def test_the_time_limit_begins_no_case_and_replaces_nothing(tmp_path):
    empty = runner.run(SMALL, folder=tmp_path, minutes=0)
    assert (empty.rows, empty.missing) == ([], 4)
    assert not list(tmp_path.iterdir())
    runner.run(SMALL, folder=tmp_path)
    before = (tmp_path / "small.json").read_text()
    runner.run(SMALL, Small(power=3), folder=tmp_path, minutes=0)
    assert (tmp_path / "small.json").read_text() == before


def test_settings_that_decide_are_measured_anew_and_those_that_select_are_not(tmp_path):
    runner.run(SMALL, folder=tmp_path)
    counted, done = stopping(SMALL, math.inf)
    more = runner.run(counted, Small(names=("c",)), folder=tmp_path)
    assert done == ["name=c, seed=3", "name=c, seed=4"]
    assert [row["name"] for row in more.rows] == ["c", "c", "a", "a", "b", "b"]
    runner.run(counted, Small(power=3), folder=tmp_path)
    assert len(done) == 6


def test_rows_of_another_commit_are_measured_anew_unless_asked_for(tmp_path, monkeypatch):
    runner.run(SMALL, folder=tmp_path)
    here = known_module.environment()
    monkeypatch.setattr(known_module, "environment", lambda: here | {"commit": "another"})
    counted, done = stopping(SMALL, math.inf)
    kept = runner.run(counted, folder=tmp_path, any_commit=True)
    assert not done
    assert {row["commit"] for row in kept.rows} == {here["commit"]}
    assert {row["commit"] for row in runner.run(counted, folder=tmp_path).rows} == {"another"}
    assert len(done) == 4


def test_a_result_with_fewer_rows_does_not_replace_one_with_more(tmp_path):
    runner.run(SMALL, folder=tmp_path)
    before = (tmp_path / "small.json").read_text()
    runner.run(SMALL, Small(power=3), seeds=(5,), folder=tmp_path)
    assert (tmp_path / "small.json").read_text() == before
    assert len(Journal(tmp_path / "small.jsonl").entries) == 3


def test_redraw_measures_nothing(tmp_path):
    drawn = []
    study = replace(stopping(SMALL, 0)[0], draw=lambda result, folder: drawn.append((result, folder)))
    with pytest.raises(ValueError, match="there is no result"):
        runner.redraw(study, tmp_path)
    result = runner.run(SMALL, folder=tmp_path)
    assert runner.redraw(study, tmp_path) == result
    assert drawn == [(result, tmp_path)]


def test_a_case_without_a_seed_and_a_row_that_changes_its_case_are_errors(tmp_path):
    with pytest.raises(ValueError, match="has no seed"):
        runner.run(replace(SMALL, cases=lambda settings, seeds: [{"name": "a"}]), folder=tmp_path)
    with pytest.raises(ValueError, match="with other values"):
        runner.run(replace(SMALL, measure=lambda case, run: {"seed": -1}), folder=tmp_path)


def test_what_is_not_finite_is_null_and_what_is_no_json_is_an_error():
    assert plain({1: (math.nan, -math.inf, 2.5), "s": SMALL.settings}) == {
        "1": [None, None, 2.5],
        "s": {"power": 2, "names": ["a", "b"], "parts": ["p", "q"]},
    }
    with pytest.raises(TypeError, match="no JSON value"):
        plain({"a": object()})


def test_null_is_worse_than_any_number():
    assert table.median_and_worst([1.0, None, 2.0]) == (2.0, None)
    assert table.median_and_worst([None, None, 2.0]) == (None, None)
    assert table.median_and_worst([1.0, None, 2.0], higher_is_better=True) == (1.0, None)
    assert table.median_and_worst([1.0, 3.0, 2.0], higher_is_better=True) == (2.0, 1.0)


def test_a_table_has_a_line_for_each_row():
    rows = [{"name": "a|b", "error": 1.23456e-7, "n": 12345}, {"name": "c", "error": None, "exact": True}]
    assert table.text(rows).splitlines() == [
        "name      error       n  exact",
        "----  ---------  ------  -----",
        "a|b   1.235e-07  12,345",
        "c                        yes",
    ]
    assert table.markdown(rows).splitlines()[2] == "| a\\|b | 1.235e-07 | 12,345 |  |"
    assert table.text([]) == "(no rows)"


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(command, "NAMES", ("small",))
    monkeypatch.setattr(command, "load", lambda name: SMALL)
    monkeypatch.setattr(command, "load_all", lambda: [SMALL])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["smal"], "there is no study 'smal'; did you mean 'small'?"),
        (["x"], "there is no study 'x'; `python -m studies` lists them"),
        (["small", "--nothing"], "unrecognized arguments: --nothing"),
        (["small", "--power", "x"], "argument --power: invalid int value: 'x'"),
        (["small", "--names", "d"], "argument --names: invalid choice: 'd'"),
        (["small", "--parts", "r"], "argument --parts: invalid choice: 'r' (choose from"),
        (["small", "--seeds", "-1"], "argument --seeds"),
        (["small", "--minutes", "-1"], "argument --minutes"),
    ],
)
def test_a_mistake_is_status_2_and_one_line(small, capsys, arguments, message):
    try:
        status = command.main(arguments)
    except SystemExit as stopped:
        status = stopped.code
    said = capsys.readouterr().err
    assert status == 2
    assert message in said
    assert said.count("\n") == 1


def test_the_list_has_every_title(small, capsys):
    assert command.main([]) == 0
    assert "small  Powers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "seeds"), [("1", (3,)), ("2", (3, 4)), ("4", (3, 4, 5, 6)), ("0", ()), ("7,", (7,)), ("0,9", (0, 9))]
)
def test_seeds_are_a_count_or_a_list(text, seeds):
    assert command.seeds_of(SMALL)(text) == seeds


def test_options_reach_the_study(small, tmp_path, capsys):
    arguments = ["small", "--seeds", "2,3", "--power", "3", "--names", "c", "--out", str(tmp_path)]
    assert command.main(arguments) == 0
    stored = json.loads((tmp_path / "small.json").read_text())
    assert [row["value"] for row in stored["rows"]] == [8, 27]
    assert stored["settings"] == {"power": 3, "names": ["c"], "parts": ["p", "q"]}
    assert "value median" in capsys.readouterr().out
    assert command.main(["small", "--redraw", "--out", str(tmp_path)]) == 0
    assert command.main(["small", "--redraw", "--out", str(tmp_path / "none")]) == 1
    assert "there is no result" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_stored_result_is_a_study_result(path):
    result = StudyResult.from_json(path.read_text(encoding="utf-8"))
    assert result.study == path.stem
    assert result.rows
    assert all("commit" in row for row in result.rows)
    assert {"commit", "versions", "machine"} <= result.environment.keys()
