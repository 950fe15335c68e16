"""Laws of every study of the registry."""

import re
from dataclasses import replace

import pytest

from studies import runner
from studies.__main__ import COMMON, changed, main, parser
from studies.registry import MODULES, NAMES, load
from studies.result import StudyResult
from studies.study import case_id, no_figures, plain

CHEAP = [name for name in NAMES if load(name).tiny is not None]


@pytest.mark.parametrize("name", NAMES)
def test_a_study_is_named_and_has_help(name, capsys):
    study = load(name)
    assert study.name == name
    assert 20 < len(study.title) <= 110
    assert "\n" not in study.title
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert re.sub(r"\s+", " ", study.title) in shown
    assert "--seeds" in shown


@pytest.mark.parametrize("name", NAMES)
def test_without_seeds_and_time_nothing_is_measured(name, tmp_path, capsys):
    assert main([name, "--seeds", "0", "--minutes", "0", "--out", str(tmp_path)]) == 0
    assert not list(tmp_path.iterdir())
    assert load(name).title in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_cases_differ_and_have_a_seed(name):
    study = load(name)
    cases = [plain(case) for case in study.cases(study.settings, study.seeds)]
    assert len({case_id(case) for case in cases}) == len(cases) > 0
    assert {case["seed"] for case in cases} <= set(study.seeds)


@pytest.mark.parametrize("name", CHEAP)
def test_a_tiny_run_is_written_read_and_resumed(name, tmp_path):
    study = load(name)
    result = runner.run(study, study.tiny, study.seeds[:1], folder=tmp_path)
    assert result == StudyResult.read(name, tmp_path)
    assert result.rows
    assert result.summary
    assert not result.missing
    unseen = replace(study, measure=lambda case, run: pytest.fail("measured again"), draw=no_figures)
    assert runner.run(unseen, study.tiny, study.seeds[:1], folder=tmp_path).rows == result.rows
    assert runner.redraw(unseen, tmp_path).summary == result.summary
    assert not list(tmp_path.glob("*.jsonl"))


def test_an_option_counts_in_a_tiny_run_even_if_it_is_the_default():
    study = load("noise")
    given = vars(parser(study).parse_args(["--tiny", "--samples", *map(str, study.settings.samples)]))
    options = {key: value for key, value in given.items() if key not in COMMON}
    assert set(options) == {"samples"}
    assert changed(study.tiny, options) == replace(study.tiny, samples=study.settings.samples) != study.tiny


def test_a_time_limit_below_zero_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["noise", "--minutes", "-1"])
    assert "--minutes: a number >= 0, got '-1'" in capsys.readouterr().err


def test_names_are_in_order():
    assert list(MODULES) == sorted(MODULES)
