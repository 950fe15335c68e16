"""A table in blocks: the rows and predictions of the whole table, whatever the blocks are; else the whole table."""

import io

import numpy as np
import pandas as pd
import pytest

from edgewise.tables.cells import TableError
from edgewise.tables.job import JobSettings, fit_table, predict_file, predict_table, streamed

pytestmark = pytest.mark.usefixtures("module_as_a_user")


def table(rows: int = 90) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=rows).round(3), "n": rng.integers(0, 9, rows)})
    frame["kind"] = rng.choice(["u", "v", "w, or x"], rows)
    frame["place"] = [f"p{n}" for n in rng.integers(0, 15, rows)]
    frame["day"] = pd.Timestamp("2021-03-05") + pd.to_timedelta(rng.integers(0, 900, rows), unit="D")
    frame["note"] = rng.choice(['say "yes"', "007", "two\nlines"], rows)
    frame["y"] = frame["a"] + (frame["kind"] == "u") + frame["place"].str[1:].astype(int) / 5
    frame.loc[rng.random(rows) < 0.1, "a"] = np.nan
    return frame


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streamed")
    table().to_csv(folder / "t.csv", index=False)
    settings = JobSettings("y", exclude=("note",), hidden=0, seconds=0.3)
    fit_table(str(folder / "t.csv"), settings, folder / "run")
    return folder / "run"


@pytest.fixture
def whole(monkeypatch):
    """How often the whole table was read."""
    counts = []
    read = predict_table
    monkeypatch.setattr("edgewise.tables.job.answers.predict_table", lambda *a, **k: counts.append(1) or read(*a, **k))
    return counts


def answer(run, path, **options) -> tuple[bytes, list[str]]:
    parts: list[bytes] = []

    def keep(given):
        parts.clear()
        parts.extend(given)

    notes = predict_file(run, str(path), keep, **options)
    return b"".join(parts), notes


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("block", [1 << 24, 600])
def test_blocks_give_the_rows_and_predictions_of_the_whole_table(run, tmp_path, whole, monkeypatch, separator, block):
    monkeypatch.setattr(streamed, "BLOCK_BYTES", block)
    new = table(200).drop(columns=["y", "note"]).assign(kind=lambda t: t["kind"].replace("w, or x", "w"), extra="007")
    new.loc[150, "place"] = "nowhere"
    new.to_csv(tmp_path / "new.csv", index=False, sep=separator)
    text, notes = answer(run, tmp_path / "new.csv")
    assert whole == []
    expected, told = predict_table(run, str(tmp_path / "new.csv"))
    found = pd.read_csv(io.BytesIO(text), dtype={"extra": str})
    assert found["extra"].eq("007").all()
    np.testing.assert_allclose(found["y_predicted"], expected["y_predicted"], rtol=1e-12)
    pd.testing.assert_frame_equal(found.iloc[:, :5], pd.read_csv(tmp_path / "new.csv", sep=separator).iloc[:, :5])
    assert notes == told
    assert any("'place' has levels that training did not see, or too rarely: nowhere" in note for note in notes)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_cells_with_commas_quotes_and_line_ends_are_kept(run, tmp_path, whole, kind, monkeypatch):
    monkeypatch.setattr(streamed, "BLOCK_BYTES", 300)
    path = tmp_path / f"new.{kind}"
    table(40).to_parquet(path) if kind == "parquet" else table(40).to_csv(path, index=False)
    text, _ = answer(run, path)
    assert whole == []
    found = pd.read_csv(io.BytesIO(text), dtype={"note": str}, parse_dates=["day"])
    assert found["note"].tolist() == table(40)["note"].tolist()
    assert found["kind"].tolist() == table(40)["kind"].tolist()
    assert found["n"].tolist() == table(40)["n"].tolist()
    expected, _ = predict_table(run, str(path))
    np.testing.assert_allclose(found["y_predicted"], expected["y_predicted"], rtol=1e-12)


@pytest.mark.parametrize("change", ["comment", "blank line", "decimal comma", "late word"])
def test_a_file_that_is_not_plain_is_read_as_a_whole(run, tmp_path, whole, change, monkeypatch):
    monkeypatch.setattr(streamed, "BLOCK_BYTES", 1000)
    new = table(60).drop(columns=["y", "note"])
    text = new.to_csv(index=False, sep=";" if change == "decimal comma" else ",")
    text = {
        "comment": "# made by hand\n" + text,
        "blank line": text.replace("\n", "\n\n", 3),
        "decimal comma": text.replace(".", ","),
        "late word": text[: text.rstrip("\n").rindex("\n")] + "\nNA,3,u,p1,2022-01-01\n",
    }[change]
    (tmp_path / "new.csv").write_text(text)
    found, _ = answer(run, tmp_path / "new.csv")
    assert whole == [1]
    frame, _ = predict_table(run, str(tmp_path / "new.csv"))
    assert found.decode() == frame.to_csv(index=False)


def test_a_wrong_cell_is_told_with_all_its_rows(run, tmp_path, monkeypatch):
    monkeypatch.setattr(streamed, "BLOCK_BYTES", 1000)
    new = table(80).drop(columns=["y", "note"])
    new.loc[[3, 70], "n"] = np.nan
    new.to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(TableError, match=r"'n' is empty or not a number \(NaN\) in lines 5, 72"):
        answer(run, tmp_path / "new.csv")


def test_blank_lines_are_no_rows_and_an_older_prediction_is_replaced(run, tmp_path, whole):
    new = table(150).drop(columns=["y", "note"]).to_csv(index=False)
    (tmp_path / "new.csv").write_text(new)
    plain, _ = answer(run, tmp_path / "new.csv")
    lines = new.splitlines(keepends=True)
    (tmp_path / "gaps.csv").write_text("".join([*lines[:100], "\n", *lines[100:], "\n"]))
    assert answer(run, tmp_path / "gaps.csv")[0] == plain
    assert whole == []
    (tmp_path / "again.csv").write_bytes(plain)
    found, expected = (pd.read_csv(io.BytesIO(text)) for text in (answer(run, tmp_path / "again.csv")[0], plain))
    assert whole == [1]
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12)
