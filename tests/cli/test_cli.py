"""The command line from end to end, on tables small enough to take seconds."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import edgewise.discovery.noisy.short_formula
import edgewise.discovery.noisy.thinned_ratio
import edgewise.tables.job.table_run
from edgewise.cli import main
from edgewise.compare import fit_baselines
from edgewise.discovery.noisy.thinned_ratio import fit_ratio
from edgewise.io.sealed import read_sealed, write_sealed, write_sums

QUICK = ["--seconds", "20", "--hidden", "2"]
FLOW = ["--seconds", "100", "--hidden", "0"]
"""Where the flow of files and messages is the subject: one layer, fitted in a tenth of the time."""
SHORT = ["--seconds", "5", "--hidden", "2"]
HASTE = ["--seconds", "0.2", "--hidden", "0"]
"""No time for a formula."""
COLUMNS = ["--inputs", "p", "q"]
ROWS = 120
"""84 of them train at most 40 parameters, and the noise is a thousandth of z: as good as many more rows."""


@pytest.fixture(autouse=True, scope="module")
def quick():
    """Baselines of few steps, ratios of one start, no small networks (`finished` has them): the flow is the subject."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edgewise.tables.job.table_run, "fit_baselines", partial(fit_baselines, steps=40))
        patch.setattr(edgewise.discovery.noisy.short_formula, "SHAPES", ())
        patch.setattr(edgewise.discovery.noisy.short_formula, "fit_ratio", partial(fit_ratio, starts=1))
        patch.setattr(edgewise.discovery.noisy.thinned_ratio, "RUNNERS_UP", 1)
        yield


@pytest.fixture
def table(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_table(tmp_path / "table.csv")


@dataclass(frozen=True)
class Finished:
    """A finished run on p, q and kind, and what its command printed; tests that change the folder take copies."""

    folder: Path
    printed: str


@pytest.fixture(scope="module")
def finished(tmp_path_factory, quick) -> Finished:
    folder, printed = tmp_path_factory.mktemp("finished"), io.StringIO()
    given = str(write_table(folder / "table.csv"))
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(edgewise.discovery.noisy.short_formula, "SHAPES", ((),))
        out = str(folder / "run")
        assert run("fit", given, "--target", "z", "--exclude", "class", "steps", "--out", out, *QUICK) == 0
    return Finished(folder / "run", printed.getvalue())


def write_table(path: Path) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"p": rng.uniform(1, 3, ROWS), "q": rng.uniform(1, 3, ROWS)})
    frame["kind"] = rng.choice(["u", "v"], ROWS)
    frame["z"] = 2 * frame["p"] * frame["q"] + 0.01 * rng.normal(size=ROWS)
    frame["class"] = np.where(frame["p"] > frame["q"], "upper", "lower")
    frame["steps"] = 2 * np.round(frame["p"] - frame["q"])
    frame.to_csv(path, index=False)
    return path


class Page(HTMLParser):
    """The external references of a page, and its unclosed elements."""

    VOID = frozenset({"meta", "br", "img", "input", "link", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.foreign += [v for k, v in attrs if k in ("src", "href") and v and not v.startswith("#")]
        self.foreign += [tag] * (tag in ("script", "link", "iframe"))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        pass


def run(*arguments: str) -> int:
    return main(list(arguments))


def test_a_regression_from_table_to_prediction(table, finished, capsys):
    printed, folder = finished.printed, str(finished.folder)
    assert {path.name for path in finished.folder.iterdir()} == {
        "model.safetensors",
        "report.html",
        "metrics.json",
        "formula.txt",
        "SHA256SUMS",
    }
    for word in (
        "KAN",
        "formula",
        "gradient boosting",
        "MLP",
        "linear model",
        "p*q",
        "the formula needs 2 of 3 inputs",
    ):
        assert word in printed
    metrics = json.loads((finished.folder / "metrics.json").read_text())
    scores = {row["kind"]: row["measures"] for row in metrics["scores"]}
    assert scores["formula"]["r2"] > 0.999
    assert scores["network"]["r2"] > 0.99
    assert metrics["formula"]["error_against_network"]["relative"] < 0.1

    capsys.readouterr()
    assert run("explain", folder) == 0
    assert capsys.readouterr().out in printed

    assert run("predict", folder, "table.csv") == 0
    answer = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert answer.columns[-1] == "z_predicted"
    given = pd.read_csv(table)
    pd.testing.assert_frame_equal(answer.iloc[:, :-1], given)
    assert np.corrcoef(answer["z_predicted"], given["z"])[0, 1] > 0.99

    assert run("predict", folder, "table.csv", "--formula", "--out", "answer.csv") == 0
    assert capsys.readouterr().out == ""
    by_formula = pd.read_csv("answer.csv")["z_predicted"]
    assert np.corrcoef(by_formula, 2 * given["p"] * given["q"])[0, 1] > 0.9999


def test_the_page_is_complete_in_itself(table, finished):
    page = (finished.folder / "report.html").read_text()
    parsed = Page(page)
    assert parsed.open == []
    assert parsed.foreign == []
    assert "url(" not in page
    for part in ("<math", "<svg", "How good it is", "What matters", "The network", "Every curve", "LaTeX", "Python"):
        assert part in page
    text = (finished.folder / "formula.txt").read_text()
    source = text.partition("Python:\n")[2]
    scope: dict = {}
    exec(source, scope)
    given = pd.read_csv(table)
    p, q = given["p"].to_numpy(), given["q"].to_numpy()
    np.testing.assert_allclose(scope["formula"](p, q, np.zeros(ROWS)), given["z"], atol=0.2)


def test_a_classification_has_probabilities(table, capsys):
    assert run("fit", "table.csv", "--target", "class", "--exclude", "z", "steps", "--out", "run", *SHORT) == 0
    printed = capsys.readouterr().out
    assert "accuracy" in printed
    assert "classification" in printed
    assert run("predict", "run", "table.csv") == 0
    answer = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(answer.columns[-3:]) == ["probability_lower", "probability_upper", "class_predicted"]
    np.testing.assert_allclose(answer["probability_lower"] + answer["probability_upper"], 1, rtol=1e-9)
    assert (answer["class_predicted"] == answer["class"]).mean() > 0.9


def test_amounts_on_few_whole_numbers_are_rounded(table, capsys):
    assert run("fit", "table.csv", "--target", "steps", *COLUMNS, "--out", "run", *HASTE) == 0
    assert "rounded to the nearest" in capsys.readouterr().out
    assert run("predict", "run", "table.csv") == 0
    answer = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(answer.columns[-2:]) == ["steps_estimate", "steps_predicted"]
    assert set(answer["steps_predicted"]) <= set(answer["steps"])


def test_names_rename_columns_or_name_them(table, capsys):
    assert (
        run("fit", "table.csv", "--target", "z", "--names", "p=width", "--inputs", "width", "--out", "a", *HASTE) == 0
    )
    assert "width" in capsys.readouterr().out
    pd.read_csv(table)[["p", "q", "z"]].to_csv("bare.csv", index=False, header=False)
    assert run("fit", "bare.csv", "--target", "v", "--names", "t", "u", "v", "--out", "b", *FLOW) == 0
    assert "t*u" in capsys.readouterr().out
    assert run("fit", "bare.csv", "--target", "v", "--names", "t", "u=v", "--out", "c") == 2


def test_an_existing_run_is_not_overwritten(table, finished, capsys):
    arguments = ["fit", "table.csv", "--target", "z", *COLUMNS, "--out", "run", *FLOW]
    shutil.copytree(finished.folder, "run")
    before = Path("run/metrics.json").read_bytes()
    assert run(*arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert Path("run/metrics.json").read_bytes() == before
    assert run(*arguments, "--force", "--seed", "1") == 0
    assert Path("run/metrics.json").read_bytes() != before


@pytest.mark.parametrize("stage", ["search_formula", "formula_text"])
def test_an_interrupted_run_resumes_and_ends_as_if_it_had_not_been(table, capsys, monkeypatch, stage):
    arguments = ["fit", "table.csv", "--target", "z", *COLUMNS, *FLOW]
    with monkeypatch.context() as patch:
        patch.setattr(edgewise.tables.job.table_run, stage, interrupt)
        assert run(*arguments, "--out", "run") == 130
    kept = " ".join(capsys.readouterr().err.split())
    assert re.search(
        r"stopped: run.partial keeps the complete stages \(.*network.*\), and the same command resumes", kept
    )
    assert not Path("run").exists()
    assert run("explain", "run") == 2
    assert "interrupted" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(edgewise.tables.job.table_run, "train", interrupt)  # the finished stage is not done again
        assert run(*arguments, "--out", "run") == 0
    assert "resuming the interrupted run" in capsys.readouterr().err
    assert not Path("run.partial").exists()
    assert json.loads(Path("run/metrics.json").read_text())["formula"]["inputs"] == ["p", "q"]


def test_a_changed_file_runs_nothing(table, finished, capsys, monkeypatch):
    hostile = "open('made', 'w')"
    shutil.copytree(finished.folder, "run")
    record = json.loads(Path("run/metrics.json").read_text())
    record["formula"]["exact"]["outputs"] = dict.fromkeys(record["formula"]["exact"]["outputs"], hostile)
    Path("run/metrics.json").write_text(json.dumps(record))
    assert run("predict", "run", "table.csv", "--formula") == 2
    assert "its metrics.json is not the file that was written" in " ".join(capsys.readouterr().err.split())
    write_sums(Path("run"))
    assert run("predict", "run", "table.csv", "--formula") == 2
    assert "metrics.json cannot be loaded: \"open('made', 'w')\" is no expression" in " ".join(
        capsys.readouterr().err.split()
    )
    arguments = ["fit", "table.csv", "--target", "z", *COLUMNS, *FLOW, "--out", "other"]
    with monkeypatch.context() as patch:
        patch.setattr(edgewise.tables.job.table_run, "formula_text", interrupt)
        assert run(*arguments) == 130
    (stage,) = Path("other.partial").rglob("formulas.json")
    stored = json.loads(read_sealed(stage))
    for finding in stored["front"]:
        finding["formula"]["outputs"] = {"z": hostile}
    write_sealed(stage, json.dumps(stored).encode())
    assert run(*arguments) == 2
    assert "is no expression" in " ".join(capsys.readouterr().err.split())
    assert not Path("made").exists()


def interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "tabel.csv", "--target", "z"], r"did you mean 'table.csv'"),
        (["fit", "knotz", "--target", "z"], r"no shipped table .*knots"),
        (
            ["fit", "table.csv", "--target", "Z1"],
            r"no column 'Z1'.*did you mean 'z'",
        ),
        (["fit", "table.csv", "--target", "z", "--inputs", "pp"], r"no column 'pp'"),
        (["bench"], r"no command 'bench'; the commands are fit, .*studio\. Studies .*python -m studies NAME"),
        (["explain", "nowhere"], r"nowhere is not the folder of a run"),
        (["predict", "nowhere", "table.csv"], r"nowhere is not the folder of a run"),
    ],
)
def test_mistakes_are_told_in_one_line(table, capsys, arguments, message):
    assert run(*arguments) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert re.search(message, err), err
    assert "Traceback" not in err


def test_bad_cells_are_told_before_anything_is_written(table, capsys):
    frame = pd.read_csv(table)
    frame.loc[4, "p"] = np.inf
    frame.to_csv("bad.csv", index=False)
    assert run("fit", "bad.csv", "--target", "z", "--out", "run") == 2
    assert "line 6" in " ".join(capsys.readouterr().err.split())
    assert not Path("run").exists()
    assert not Path("run.partial").exists()


def test_a_reader_that_leaves_early_is_no_mistake(table, finished, capsys, monkeypatch):
    """As in `edgewise predict RUN TABLE | head -1`."""
    Path("new.csv").write_text("p,q,kind\n" + 20_000 * "1.5,2.5,u\n")
    capsys.readouterr()
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        monkeypatch.setattr("sys.stdout", closed)
        assert run("predict", str(finished.folder), "new.csv") == 0
    assert capsys.readouterr().err == ""


def test_an_export_that_cannot_be_is_told_in_one_line(table, finished, capsys):
    Path("folder").mkdir()
    for arguments, message in (
        (("--format", "sql"), "one layer of edges"),
        (("--format", "python", "--out", "folder"), "folder is a folder"),
        (("--format", "python", "--tolerance", "-1"), "tolerance must be"),
    ):
        assert run("export", str(finished.folder), *arguments) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert not list(Path("folder").iterdir())


def test_prediction_needs_rows_and_the_columns(table, finished, capsys):
    capsys.readouterr()
    pd.DataFrame({"P": [1.0], "q": [2.0], "kind": ["u"]}).to_csv("new.csv", index=False)
    assert run("predict", str(finished.folder), "new.csv") == 2
    assert "did you mean 'P'" in capsys.readouterr().err
    pd.DataFrame({"p": [], "q": [], "kind": []}).to_csv("new.csv", index=False)
    assert run("predict", str(finished.folder), "new.csv") == 2
    assert "no rows" in capsys.readouterr().err


def test_prediction_of_cells_that_training_did_not_see(table, finished, capsys):
    folder = str(finished.folder)
    Path("new.csv").write_text("p,q\n1.5,2.5\n")
    assert run("predict", folder, "new.csv") == 2
    assert "there is no column 'kind'" in capsys.readouterr().err
    Path("new.csv").write_text("p;q;kind\n1,5;2,5;u\n1,5;2,5;w\n")
    assert run("predict", folder, "new.csv") == 2
    assert "holds 'w', where training saw 'u' and 'v' only, in line 3" in " ".join(capsys.readouterr().err.split())
    Path("new.csv").write_text("p;q;kind\n1,5;2,5;u\n1,5;2,5;w\n1,5;;u\n")
    assert run("predict", folder, "new.csv", "--missing", "drop") == 0
    printed = capsys.readouterr()
    assert "2 of 3 rows have an empty or unknown cell: left out" in printed.err
    (answer,) = pd.read_csv(io.StringIO(printed.out))["z_predicted"]
    assert abs(answer - 7.5) < 0.5
    Path("bare.csv").write_text("1.5,-999,u\n1.5,2.5,u\n")
    assert run("predict", folder, "bare.csv") == 2
    assert "needs --names" in " ".join(capsys.readouterr().err.split())
    given = ["--names", "p", "q", "kind", "--na-values=-999", "--missing", "drop"]
    assert run("predict", folder, "bare.csv", *given) == 0
    assert pd.read_csv(io.StringIO(capsys.readouterr().out))["z_predicted"].tolist() == [answer]


def test_control_characters_of_columns_are_shown_not_sent(table, capsys):
    pd.read_csv(table).rename(columns={"p": "\x1b[31mred"}).to_csv("hostile.csv", index=False)
    assert run("fit", "hostile.csv", "--target", "class", "--inputs", "\x1b[31mred", "q", "--out", "r", *HASTE) == 0
    assert run("predict", "r", "table.csv") == 2
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert "\\x1b[31mred" in printed.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["discover", "table.csv", "--target", "z", "--out", "no/law.json"], "there is no folder no for --out"),
        (["discover", "table.csv", "--target", "z", "--out", "."], "is a folder; choose another --out"),
        (["solve", "none.py", "--out", "table.csv/a"], r"there is no folder table\.csv"),
        (["fit", "table.csv", "--target", "z", "--out", "table.csv/run"], "Not a directory: 'table.csv/run.partial'"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_before_the_work(table, capsys, monkeypatch, arguments, message):
    monkeypatch.setattr(edgewise.tables.job.table_run, "train", interrupt)
    assert run(*arguments) == 2
    assert re.search(message, " ".join(capsys.readouterr().err.split()))


def test_the_place_behind_a_link_is_looked_at(table, capsys):
    Path("law.json").symlink_to("no/law.json")
    assert run("discover", "table.csv", "--target", "z", "--out", "law.json") == 2
    assert "there is no folder" in capsys.readouterr().err


def test_a_full_disk_ends_in_one_line_and_keeps_the_stages(table, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "run.partial/stages/formulas.json")

    arguments = ["fit", "table.csv", "--target", "z", *COLUMNS, *FLOW, "--out", "run"]
    with monkeypatch.context() as patch:
        patch.setattr(edgewise.tables.job.table_run, "search_formula", full)
        assert run(*arguments) == 2
    assert "error: [Errno 28] No space left on device" in " ".join(capsys.readouterr().err.split())
    assert {path.stem for path in Path("run.partial/stages").iterdir()} == {
        "network",
        "pruned",
        "importance",
        "baselines",
    }


def test_damaged_runs_are_told(table, finished, capsys):
    shutil.copytree(finished.folder, "run")
    for name, content in (("model.safetensors", b"nonsense"), ("metrics.json", b"{"), ("metrics.json", b"{}")):
        kept = Path("run", name).read_bytes()
        Path("run", name).write_bytes(content)
        for command in (("predict", "run", "table.csv"), ("explain", "run")):
            assert run(*command) == 2
            assert f"its {name} is not the file that was written" in " ".join(capsys.readouterr().err.split())
        write_sums(Path("run"))
        assert run("predict", "run", "table.csv") == 2
        Path("run", name).write_bytes(kept)
        write_sums(Path("run"))
    capsys.readouterr()
    assert run("predict", "run", "table.csv") == 0


def test_a_large_table_is_sampled_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    pd.DataFrame({"a": rng.normal(size=20_000)}).assign(y=lambda t: 2 * t["a"]).to_parquet("large.parquet")
    assert run("fit", "large.parquet", "--target", "y", "--rows", "400", "--out", "run", *HASTE) == 0
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["rows"] == {"train": 400, "validation": 100, "test": 2000}
    assert any("20000 rows: trained on 400" in warning for warning in metrics["warnings"])


def test_more_columns_than_rows_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(12, 14)), columns=[f"x{n}" for n in range(14)])
    frame.assign(y=frame["x3"]).to_csv("wide.csv", index=False)
    assert run("fit", "wide.csv", "--target", "y", "--out", "run", *HASTE) == 0
    assert "more inputs (14) than rows (12)" in " ".join(capsys.readouterr().out.split())


def test_help_comes_before_any_heavy_import():
    code = """
import sys
from edgewise.cli import main
try:
    main(["fit", "--help"])
except SystemExit as end:
    assert end.code == 0
main(["bench"])
print([m for m in ("torch", "sympy", "scipy", "pandas", "matplotlib", "sklearn", "numpy") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--target" in done.stdout
    assert "python -m studies" in done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_studio_that_cannot_open_says_what_to_do(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for arguments, text in (
        (["studio", "knots"], "--target COLUMN"),
        (["studio", str(tmp_path / "empty"), "--target", "y"], "a run has its target"),
        (["studio", str(tmp_path / "empty")], "is not the folder of a run"),
        (["studio", "absent.csv", "--target", "y"], "there is no file"),
    ):
        assert main(arguments) == 2
        assert text in " ".join(capsys.readouterr().err.split())
