"""Tables: what columns become, and every way in which a table can be unusable."""

import json
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from edgewise.tables.cells import TableError
from edgewise.tables.encode import Encoding
from edgewise.tables.prepare import prepare
from edgewise.tables.read_table import read_table


def frame(rows: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=rows), rng.normal(size=rows)
    return pd.DataFrame({"a": a, "b": b, "kind": np.where(a > 0.3, "x", np.where(a > -0.3, "y", "z")), "y": a + b})


def refuse(table: pd.DataFrame, *patterns: str, **options) -> None:
    """`prepare` must raise an error that contains every pattern."""
    with pytest.raises(TableError) as caught:
        prepare(table, options.pop("target", "y"), **options)
    for pattern in patterns:
        assert re.search(pattern, str(caught.value)), f"{pattern!r} not in {caught.value}"


@pytest.mark.parametrize(
    ("suffix", "options"), [(".csv", {}), (".csv.gz", {}), (".tsv", {"sep": "\t"}), (".txt", {"sep": ";"})]
)
def test_csv_is_read_with_any_usual_separator(tmp_path, suffix, options):
    path = tmp_path / f"table{suffix}"
    frame().to_csv(path, index=False, **options)
    table = read_table(path)
    assert list(table.index) == list(range(2, 32)), "the lines of the file"
    pd.testing.assert_frame_equal(table.reset_index(drop=True), frame(), check_dtype=False)


def test_parquet_is_read(tmp_path):
    frame().to_parquet(tmp_path / "table.parquet")
    table = read_table(tmp_path / "table.parquet")
    assert list(table.index) == list(range(1, 31)), "the first row is row 1"
    pd.testing.assert_frame_equal(table.reset_index(drop=True), frame(), check_dtype=False)


def test_a_file_without_header_takes_names(tmp_path):
    frame().to_csv(tmp_path / "t.csv", index=False, header=False)
    table = read_table(tmp_path / "t.csv", ["p", "q", "r", "s"])
    assert list(table.columns) == ["p", "q", "r", "s"]
    assert len(table) == 30


def test_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "knots.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TableError, match=r"no file .*knot.csv.*did you mean 'knots.csv'"):
        read_table(tmp_path / "knot.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n1,2,3\n", r"t.csv: line 3 has 3 fields"),
        (b"a,b\n\xff\xfe\xff,2\n", "not UTF-8"),
        (b"a,a \n1,2\n", "two columns named 'a'"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(TableError, match=message):
        read_table(tmp_path / "t.csv")


def test_decimals_of_parquet_have_a_point_whatever_the_texts_have(tmp_path):
    table = pd.DataFrame({"a": [Decimal(f"{n}.234") for n in range(1, 31)], "b": [f"{n},5" for n in range(30)]})
    table.assign(y=np.arange(0, 60, 2)).to_parquet(tmp_path / "t.parquet")
    prepared = prepare(read_table(tmp_path / "t.parquet"), "y")
    np.testing.assert_allclose(prepared.inputs[1], [2.234, 1.5])


def test_a_foreign_parquet_file_is_refused(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 but nothing else")
    with pytest.raises(TableError, match="cannot be read as a table"):
        read_table(tmp_path / "t.parquet")


def test_missing_column_suggests_the_nearest():
    refuse(frame(), r"no column 'Knd'.*did you mean 'kind'", target="Knd")
    refuse(frame(), r"no column 'zz'; the table has a, b, kind, y", exclude=["zz"])
    assert "did you mean" not in _message(frame(), target="zz")


def test_text_in_a_numeric_column_names_rows_and_values():
    table = frame()
    table["a"] = table["a"].astype(object)
    table.loc[3, "a"], table.loc[7, "a"] = "n/k", "?"
    refuse(table, "'a' is a number", "'n/k', '\\?'", "rows 4, 8", "--exclude")


def test_text_in_a_numeric_target_names_rows():
    table = frame()
    table["y"] = table["y"].astype(object)
    table.loc[5, "y"] = "tall"
    refuse(table, "'y'", "'tall'", "row 6")


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
@pytest.mark.parametrize("column", ["a", "y"])
def test_nan_and_infinity_name_rows(column, value, word):
    table = frame()
    table.loc[[1, 2, 11], column] = value
    refuse(table, f"'{column}'", "rows 2, 3, 12", "--missing drop")
    prepared = prepare(table, "y", missing="drop")
    assert len(prepared.outcome) == 27
    assert any("3 of 30 rows" in warning for warning in prepared.warnings)
    if column == "a":
        refuse(table, word)


def test_many_bad_rows_are_counted_not_listed():
    table = frame()
    table.loc[:, "a"] = np.where(np.arange(30) < 20, np.nan, 1.0)
    refuse(table, "rows 1, 2, 3, 4, 5 and 15 more")


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_too_few_rows(rows):
    refuse(frame(30).head(rows), rf"{rows} rows?; at least 10")


def test_constant_target_and_no_inputs():
    refuse(frame().assign(y=3.5), "'y' is .*3.5.* in every row")
    refuse(frame()[["y"]], "no column except the target")
    refuse(frame().assign(a=1.0, b=2.0, kind="x"), "no column can serve as an input")


def test_constant_and_duplicate_features_are_dropped_with_a_warning():
    prepared = prepare(frame().assign(c=1.0, d=lambda t: t["a"]), "y")
    assert not {"c", "d"} & set(prepared.encoding.names)
    assert any("'c' is 1 in every row" in warning for warning in prepared.warnings)
    assert any("'d' equals 'a'" in warning for warning in prepared.warnings)


def test_more_columns_than_rows_is_a_warning():
    rng = np.random.default_rng(1)
    wide = pd.DataFrame(rng.normal(size=(12, 30)), columns=[f"x{n}" for n in range(30)])
    prepared = prepare(wide.assign(y=rng.normal(size=12)), "y")
    assert prepared.inputs.shape == (12, 30)
    assert any("more inputs (30) than rows (12)" in warning for warning in prepared.warnings)


def test_texts_become_indicators_with_names():
    prepared = prepare(frame(), "y")
    assert prepared.encoding.names == ["a", "b", "kind=x", "kind=y", "kind=z"]
    np.testing.assert_array_equal(prepared.inputs[:, 2:].sum(1), 1)
    two = prepare(frame().assign(kind=lambda t: t["kind"].replace("z", "y")), "y")
    assert len([name for name in two.encoding.names if name.startswith("kind=")]) == 1


def test_levels_that_are_numbers_of_two_types_are_seen():
    prepared = prepare(level_table(["p", 1.0, "q"]), "y")
    assert dict(zip(prepared.encoding.names, prepared.inputs.sum(0), strict=True)) == {"k=1": 10, "k=p": 10, "k=q": 10}


def test_rare_levels_get_no_indicator_and_labels_of_rows_are_left_out():
    table = frame(100).assign(name=[f"row {n}" for n in range(100)])
    table["kind"] = ["p"] * 50 + ["q"] * 49 + ["r"]
    prepared = prepare(table, "y")
    assert prepared.encoding.names == ["a", "b", "kind=p", "kind=q"]
    assert any("'name' has 100 different texts" in warning for warning in prepared.warnings)


def test_row_counters_and_spans_of_time_are_left_out():
    table = frame().assign(day=pd.to_timedelta(range(30), unit="D"))
    table["Unnamed: 0"] = range(30)
    prepared = prepare(table, "y")
    assert not {"day", "Unnamed: 0"} & set(prepared.encoding.names)
    assert sum("left out" in warning for warning in prepared.warnings) == 2
    table.loc[3, "a"] = np.nan  # without that row the counter has a gap
    assert "Unnamed: 0" not in prepare(table, "y", missing="drop").encoding.names


@pytest.mark.parametrize(
    ("values", "task", "classes", "rounded"),
    [
        (["b", "a"], "classification", ("a", "b"), ()),
        ([True, False], "classification", (False, True), ()),
        ([0, 1, 2], "classification", (0, 1, 2), ()),
        ([1, 2, 3], "classification", (1, 2, 3), ()),
        ([-1, 1], "classification", (-1, 1), ()),
        ([-4, -2, 0, 2], "regression", (), (-4.0, -2.0, 0.0, 2.0)),
        ([0, 2, 4], "regression", (), (0.0, 2.0, 4.0)),
        ([0.5, 1.25, 3.0], "regression", (), ()),
    ],
)
def test_the_task_follows_from_the_target(values, task, classes, rounded):
    encoding = prepare(frame().assign(y=[values[n % len(values)] for n in range(30)]), "y").encoding
    assert (encoding.task, encoding.classes, encoding.values) == (task, classes, rounded)


def test_the_task_can_be_told():
    table = frame().assign(y=[n % 3 for n in range(30)])
    assert prepare(table, "y", "regression").encoding.task == "regression"
    assert prepare(table.assign(y=table["y"] * 2), "y", "classification").encoding.classes == (0, 2, 4)
    refuse(frame(60), "at most 50 classes", task="classification")


def test_a_label_outside_the_known_classes_names_its_row():
    encoding = prepare(frame().assign(y=[n % 2 for n in range(30)]), "y").encoding
    with pytest.raises(TableError, match="none of the known classes in row 3"):
        encoding.outcome(pd.DataFrame({"y": [0, 1, 7]}))


def test_an_encoding_survives_json_and_is_replayed_on_new_tables():
    encoding = prepare(frame(), "y").encoding
    again = Encoding.from_json(json.loads(json.dumps(encoding.to_json())))
    assert again == encoding
    new = pd.DataFrame({"kind": ["z", "new"], "b": [1.0, 2.0], "a": [3.0, 4.0], "other": [0, 0]})
    np.testing.assert_array_equal(again.inputs(new), [[3, 1, 0, 0, 1], [4, 2, 0, 0, 0]])
    assert again.unknown_levels(new) == {"kind": ["new"]}
    with pytest.raises(TableError, match="no column 'a'"):
        again.inputs(new.drop(columns="a"))


def level_table(levels) -> pd.DataFrame:
    return pd.DataFrame({"k": [levels[n % len(levels)] for n in range(30)], "y": np.arange(30) * 1.5})


def test_a_third_level_is_not_the_second():
    encoding = prepare(level_table(["p", "q"]), "y").encoding
    new = pd.DataFrame({"k": ["p", "r", "q"]})
    with pytest.raises(
        TableError, match=r"column 'k' holds 'r', where training saw 'p' and 'q' only, in row 2; .*drop"
    ):
        encoding.inputs(new)
    assert encoding.usable(new).tolist() == [True, False, True]
    assert prepare(level_table(["p", "q", "s"]), "y").encoding.unknown_levels(new) == {"k": ["r"]}


def test_a_column_may_be_called_like_a_level_of_another():
    table = level_table(["p", "q", "r"]).assign(**{"k=q": np.arange(30) ** 2.0})
    prepared = prepare(table, "y")
    assert prepared.encoding.names == ["k=p", "k=q (level)", "k=r", "k=q"]
    np.testing.assert_array_equal(prepared.inputs[:, 1], table["k"] == "q")
    np.testing.assert_array_equal(prepared.inputs[:, 3], table["k=q"])


def test_an_empty_column_is_left_out_and_costs_no_rows():
    prepared = prepare(frame().assign(e=np.nan, f=None), "y", missing="drop")
    assert len(prepared.outcome) == 30
    assert sum("is empty in every row: left out" in warning for warning in prepared.warnings) == 2
    refuse(frame().assign(y=np.nan), "the target 'y' is empty in every row")
    refuse(frame().assign(e=[1.0] * 9 + [np.nan] * 21), r"has 9 rows; .*\(21 of 30 .*21 in 'e'\)", missing="drop")


def test_empty_cells_can_be_kept():
    table = frame().assign(kind=lambda t: t["kind"].where(t.index != 4, None))
    table.loc[[1, 2], "a"] = np.nan
    table.loc[7, "y"] = np.nan
    prepared = prepare(table, "y", missing="keep")
    names, kept = prepared.encoding.names, np.delete(np.arange(30), 7)
    assert {"a", "a is empty", "kind=(empty)"} <= set(names)
    a, empty, kind = (prepared.inputs[:, names.index(name)] for name in ("a", "a is empty", "kind=(empty)"))
    filled = table["a"].fillna(table["a"][kept].mean())
    np.testing.assert_allclose(a, filled[kept])
    np.testing.assert_array_equal(empty, np.isin(kept, [1, 2]))
    np.testing.assert_array_equal(kind, kept == 4)
    again = Encoding.from_json(json.loads(json.dumps(prepared.encoding.to_json())))
    np.testing.assert_array_equal(again.inputs(table.iloc[kept]), prepared.inputs)
    refuse(table.assign(a=np.inf), "'a' is infinite", missing="keep")
    assert any(re.search(r"1 of 30 rows .* left out \(1 in 'y'\)", warning) for warning in prepared.warnings)


def test_empty_cells_are_kept_beside_more_levels_than_indicators():
    levels = pd.Series([f"l{n % 25}" for n in range(100)])
    prepared = prepare(pd.DataFrame({"k": levels.where(levels.index != 7, None), "y": range(100)}), "y", missing="keep")
    assert prepared.encoding.names == ["k (mean of y)"]
    encoding = prepared.coded(np.arange(100), 0).encoding
    assert {level for level, _ in encoding.features[0].codes} == {*levels, "(empty)"}
    assert len(prepared.outcome) == 100


def test_a_row_whose_gap_alone_is_an_input_can_be_used():
    table = frame().assign(c=[None if n % 3 else 1.0 for n in range(30)])
    encoding = prepare(table, "y", missing="keep").encoding
    assert "c is empty" in encoding.names
    assert "c" not in encoding.names
    assert encoding.usable(table).all()


@pytest.mark.parametrize("task", ["auto", "regression"])
def test_whole_numbers_are_rounded_only_where_the_task_was_not_told(task):
    encoding = prepare(frame().assign(y=[2 * (n % 5) for n in range(30)]), "y", task).encoding
    assert encoding.round(np.array([3.2])) == (4.0 if task == "auto" else 3.2)


def test_words_that_are_empty_among_numbers_are_levels_among_texts():
    prepared = prepare(level_table(["NA", "None", "yes"]), "y")
    assert prepared.encoding.names == ["k=NA", "k=None", "k=yes"]
    assert any("has the level 'NA'; --na-values NA" in warning for warning in prepared.warnings)
    refuse(level_table(["NA", "1.5", "2.5"]), "'k' is empty .* rows 1, 4, 7, 10, 13 and 5 more")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_word_or_a_number_for_empty_cells_can_be_named(tmp_path, suffix):
    table = frame().assign(code=np.arange(30.0))
    table.loc[3, "code"], table.loc[5, "kind"] = -999, "unknown"
    path = tmp_path / f"t{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    read = read_table(path, na_values=["-999.0", "unknown"])
    assert read["code"].isna().tolist() == [n == 3 for n in range(30)]
    assert read["kind"].isna().tolist() == [n == 5 for n in range(30)]


def test_percentages_and_amounts_keep_their_sign():
    table = frame().assign(share=[f"{n}%" for n in range(30)], cost=[f"${n},500.00" for n in range(1, 31)])
    prepared = prepare(table, "y")
    columns = dict(zip(prepared.encoding.names, prepared.inputs.T, strict=True))
    np.testing.assert_allclose(columns["share"], np.arange(30) / 100)
    np.testing.assert_allclose(columns["cost"], np.arange(1, 31) * 1000 + 500)
    assert sum("is read as" in warning for warning in prepared.warnings) == 2
    with pytest.raises(TableError, match="column 'share' has plain numbers, the training table had numbers with %"):
        prepared.encoding.inputs(table.assign(share=0.5))


def test_the_decimal_sign_of_training_reads_what_a_new_table_leaves_open():
    encoding = prepare(pd.DataFrame({"a": [f"{n},5" for n in range(30)], "y": range(30, 90, 2)}), "y").encoding
    assert encoding.inputs(pd.DataFrame({"a": ["1,234", "2,000", "3,500"]})).tolist() == [[1.234], [2.0], [3.5]]


def test_a_copy_of_the_target_is_told():
    assert any(
        "'copy' equals the target" in warning for warning in prepare(frame().assign(copy=lambda t: t.y), "y").warnings
    )


def test_rounding_moves_to_the_nearest_value():
    encoding = Encoding((), "y", "regression", values=(-2.0, 0.0, 2.0))
    np.testing.assert_array_equal(encoding.round(np.array([-9.0, -0.9, 1.2])), [-2, 0, 2])
    np.testing.assert_array_equal(encoding.round(np.array([np.nan, np.inf, 0.1])), [np.nan, np.inf, 0])
    free = Encoding((), "y", "regression")
    np.testing.assert_array_equal(free.round(np.array([0.3])), [0.3])


def _message(table: pd.DataFrame, **options) -> str:
    with pytest.raises(TableError) as caught:
        prepare(table, options.pop("target", "y"), **options)
    return str(caught.value)
