"""A table in any dialect is read to the values that were written, or refused with the column and the line."""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from edgewise.tables.cells import TableError
from edgewise.tables.column_kinds import decimal_of, number, numbers_of, read_column
from edgewise.tables.prepare import prepare
from edgewise.tables.read_table import read_table

pytestmark = pytest.mark.usefixtures("as_a_user")

MINUS = st.sampled_from(["-", "\u2212", "\u2013"])
MARKS = st.sampled_from([("", ""), ("", "%"), ("", " %"), ("$", ""), ("", " €"), ("£ ", "")])


@dataclass(frozen=True)
class Written:
    """A file, the values that its columns stand for, and the line of every row."""

    text: str
    columns: dict[str, list[float]]
    lines: list[int]
    decimal: str
    separator: str


@st.composite
def columns_of_numbers(draw, rows: int, decimal: str, *, plain: bool = False) -> tuple[list[str], list[float]]:
    """The cells of a column, and their values; plain ones have an odd number of decimals and no groups."""
    places = draw(st.sampled_from([1, 2, 4] if plain else [0, 1, 2, 3, 6]))
    other = "," if decimal == "." else "."
    group = "" if plain else draw(st.sampled_from(["", other, " ", "\u202f", "'"]))
    minus, (before, after) = draw(MINUS), ("", "") if plain else draw(MARKS)
    drawn = draw(st.lists(st.integers(-(10**9), 10**9), min_size=rows, max_size=rows))
    texts, values = [], []
    for whole in drawn:
        value = whole / 10**places
        text = f"{abs(value):,.{places}f}".replace(",", "\0").replace(".", decimal).replace("\0", group)
        texts.append(f"{minus * (value < 0)}{before}{text}{after}")
        values.append(float(f"{value:.{places}f}") / (100 if "%" in after else 1))
    return texts, values


@st.composite
def tables(draw, *, evident: bool) -> Written:
    """Files of rows of numbers; an evident one has a column that shows the decimal sign."""
    decimal = draw(st.sampled_from([".", ","]))
    rows, width = draw(st.integers(3, 8)), draw(st.integers(1, 3))
    written = [draw(columns_of_numbers(rows, decimal)) for _ in range(width)]
    if evident:
        written.append(draw(columns_of_numbers(rows, decimal, plain=True)))
    names = [f"c{j}" for j in range(len(written))] + ["kind"]
    texts = [
        *(cells for cells, _ in written),
        [draw(st.sampled_from(["a", "b, c", "d;e", 'f"g'])) for _ in range(rows)],
    ]
    separator, end = draw(st.sampled_from([",", ";", "\t", "|"])), draw(st.sampled_from(["\n", "\r\n"]))
    file, lines = _Lines(separator, end, draw(st.sampled_from(["", separator]))), []
    for note in draw(st.lists(st.sampled_from(["# made on Monday", "#", ""]), max_size=3)):
        file.raw(note)
    file.row(names)
    for cells in zip(*texts, strict=True):
        if draw(st.integers(0, 5)) == 0:
            file.raw(draw(st.sampled_from(["", "# a pause"])))
        lines.append(file.count + 1)
        file.row(cells)
    values = {name: column for name, (_, column) in zip(names, written, strict=False)}
    return Written(draw(st.sampled_from(["", "\ufeff"])) + file.text, values, lines, decimal, separator)


class _Lines:
    """A file written line by line, by the csv module where lines are rows."""

    def __init__(self, separator: str, end: str, trailing: str) -> None:
        self.separator, self.end, self.trailing, self.text, self.count = separator, end, trailing, "", 0

    def raw(self, line: str) -> None:
        self.text, self.count = self.text + line + self.end, self.count + 1

    def row(self, cells) -> None:
        quoted = [f'"{cell.replace(chr(34), 2 * chr(34))}"' if self._special(cell) else cell for cell in cells]
        self.raw(self.separator.join(quoted) + self.trailing)

    def _special(self, cell: str) -> bool:
        return self.separator in cell or '"' in cell


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("dialects") / "table.csv"


def read(path: Path, text: str, decimal: str = "auto") -> pd.DataFrame:
    path.write_bytes(text.encode())
    return read_table(path, decimal=decimal)


class Refused(Exception):
    """A refusal with the words that it must have."""


@contextlib.contextmanager
def refused_with(pattern: str):
    try:
        yield
    except TableError as error:
        if re.search(pattern, str(error)):
            raise Refused from error
        raise


def assert_read(path: Path, table: Written, decimal: str) -> None:
    frame = read(path, table.text, decimal)
    assert list(frame.index) == table.lines
    sign = decimal_of(frame, decimal)
    for name, values in table.columns.items():
        np.testing.assert_allclose(numbers_of(frame[name], sign)[0], values, rtol=1e-15, err_msg=name)
    assert read_column(frame["kind"], sign).kind == "level"


@settings(max_examples=80)
@given(tables(evident=True))
def test_numbers_of_any_country_are_read_where_one_column_shows_the_decimal_sign(path, table):
    assert_read(path, table, "auto")


@settings(max_examples=40)
@given(tables(evident=False))
def test_the_option_reads_what_the_cells_leave_open(path, table):
    assert_read(path, table, table.decimal)


@settings(max_examples=40)
@given(tables(evident=False))
def test_commas_are_read_right_or_refused_with_column_line_and_option(path, table):
    frame = read(path, table.text)
    sign = decimal_of(frame)
    for name, values in table.columns.items():
        with (
            contextlib.suppress(Refused),
            refused_with(rf"column '{name}' holds '.*' in lines? \d.* may be .*--decimal"),
        ):
            found = numbers_of(frame[name], sign)[0]
            # Groups of three after a point alone: nothing in the file says that 1.234 is not a fraction.
            points = table.decimal == "," and not re.search(r"\d,\d", table.text)
            assert points or np.allclose(found, values, rtol=1e-15)


@settings(max_examples=40)
@given(tables(evident=True), st.data())
def test_a_row_that_does_not_fit_the_header_is_named(path, table, data):
    lines, separator = table.text.split("\n"), table.separator
    line, fields = data.draw(st.sampled_from(table.lines)), len(table.columns) + 1
    fields += data.draw(st.sampled_from([-1, 1]))
    lines[line - 1] = separator.join(["7"] * fields)
    with pytest.raises(TableError, match=rf"line {line} has {fields} fields"):
        read(path, "\n".join(lines))


@settings(max_examples=40)
@given(st.integers(0, 39), st.integers(0, 39), st.sampled_from(["error", "drop", "keep"]))
def test_a_wrong_cell_is_named_by_its_line_whatever_is_dropped(path, bad, empty, missing):
    cells = [f"{n}.5" for n in range(40)]
    cells[empty], cells[bad] = "", "n/k"
    text = "# a comment\nx,y\n" + "".join(f"{cell},{n % 7}.25\n" for n, cell in enumerate(cells))
    with pytest.raises(TableError, match=rf"column 'x' .*'n/k' in line {bad + 3};"):
        prepare(read(path, text), "y", missing=missing)


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [
        ("1,234.5", ".", 1234.5),
        ("1.234,5", ",", 1234.5),
        ("1'234'567", ".", 1234567),
        ("\u2212$5", ".", -5),
        ("$-5", ".", -5),
        ("12,5 %", ",", 0.125),
        ("1e-3", ".", 1e-3),
        (".5", ".", 0.5),
        ("5.", ".", 5),
        ("12,34,567", ".", None),
        ("1,23", ".", None),
        ("0,250", ".", None),
        ("1,234,5", ".", None),
        ("--5", ".", None),
        ("1_2", ".", None),
        ("", ".", None),
        (".", ".", None),
        ("$", ".", None),
        ("5 kg", ".", None),
    ],
)
def test_what_is_a_number(text, decimal, value):
    found = number(text, decimal)
    assert (None if found is None else found[0]) == value


@pytest.mark.parametrize(
    "cells",
    [
        ["2020-01-31", "2021-12-01"],
        ["2020-01-31T12:30:05", "2020-01-31 08:00"],
        ["31.01.2020", "1.2.21"],
        ["1/31/2020", "12/1/2021"],
        ["31 Jan 2020", "1-Feb-21"],
        ["Jan 31, 2020", "February 1, 2021"],
        ["12:30", "12:31:05"],
    ],
)
def test_dates_are_no_levels(cells):
    assert read_column(pd.Series(cells)).kind == "date"
    table = pd.DataFrame({"day": cells * 6, "x": np.arange(12.0), "y": np.arange(12.0) ** 2})
    prepared = prepare(table, "y")
    assert prepared.encoding.names[-1] == "x"
    assert all(name.startswith("day (") for name in prepared.encoding.names[:-1])
    said = "'day' has times without a day: left out" if ":" in cells[1][:3] else "'day' is a date: its inputs are day ("
    assert any(said in warning for warning in prepared.warnings)


@pytest.mark.parametrize("cells", [["1.2.3", "2.0.1"], ["a-1", "b-2"], ["10-20", "20-30"], ["true", "maybe"]])
def test_other_texts_are_levels(cells):
    assert read_column(pd.Series(cells)).kind == "level"


def test_one_sign_for_all_cells():
    """5% beside 0.05 may be the same amount or not: nobody knows."""
    with pytest.raises(TableError, match=r"column 'x' .*'0.05' in row 3"):
        numbers_of(pd.Series(["5%", "6%", "0.05"], index=pd.RangeIndex(1, 4, name="row"), name="x"))


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("# x y\n1 2\n3 4\n", ["x", "y"]),
        ("# two, words\nx,y\n1,2\n", ["x", "y"]),
        ("#id,x\n1,2\n", ["id", "x"]),
        ("sep=;\nx;y\n1;2\n", ["x", "y"]),
        ("x  y\n  1   2\n 10  20\n", ["x", "y"]),
        ("x, in m;y, in s\n1,5;2,5\n", ["x, in m", "y, in s"]),
        ("only\n1\n2\n", ["only"]),
        ("two words\n1\n2\n", ["two words"]),
        (",x,\n0,1,\n", ["Unnamed: 0", "x"]),
        ('"a\nb",c\n1,2\n', ["a\nb", "c"]),
    ],
)
def test_headers(path, text, columns):
    assert list(read(path, text).columns) == columns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y,y\n1,2,3\n", "two columns named 'y'"),
        ("x,y\n1,2,3\n", "line 2 has 3 fields separated by commas and the header 2"),
        ('x,y\n1,"2\n3,4\n', "row of line 2 cannot be read"),
        ("x,y\n1,2\0\n", "NUL|cannot be read"),
        ("# nothing\n\n", "is empty"),
    ],
)
def test_what_cannot_be_read_is_told(path, text, message):
    with pytest.raises(TableError, match=message):
        read(path, text)


def test_texts_keep_their_digits(path):
    frame = read(path, "code,id,ok,n,z\n007,12345678901234567890,true,1_2,1e3\n010,2,False,3_4,nan\n")
    assert frame["code"].tolist() == ["007", "010"]
    assert frame["id"].tolist() == ["12345678901234567890", "2"]
    assert frame["ok"].tolist() == [True, False]
    assert frame["n"].tolist() == ["1_2", "3_4"]
    np.testing.assert_array_equal(frame["z"], [1000, np.nan])


def test_utf_16_is_read(path):
    path.write_bytes("x;y\n1;2\n".encode("utf-16"))
    assert read_table(path).to_dict("list") == {"x": [1], "y": [2]}


@pytest.mark.parametrize(
    ("cells", "values", "mark"),
    [
        (["5kg", "6.5 kg", "-7kg"], [5, 6.5, -7], "kg"),
        (["1e3 m", "2e3 m", "1,500.5 m"], [1000, 2000, 1500.5], "m"),
        (["7 m/s", "8 m/s", None], [7, 8, np.nan], "m/s"),
        (["(5)", "6", "(1,234.50)"], [-5, 6, -1234.5], ""),
        (["($5)", "$(6)", "$7"], [-5, -6, 7], "$"),
        (["1_000", "2_500_000", "3"], [1000, 2500000, 3], ""),
    ],
)
def test_units_losses_and_groups_are_numbers(cells, values, mark):
    reading = read_column(pd.Series(cells, name="w", dtype=object))
    assert (reading.kind, reading.mark) == ("number", mark)
    np.testing.assert_array_equal(reading.values, values)


@pytest.mark.parametrize("cells", [["1A", "2B", "3A"], ["1st", "2nd", "3rd"], ["a1", "a2"], ["1_00", "2_0", "x"]])
def test_codes_stay_levels(cells):
    assert read_column(pd.Series(cells, name="w", dtype=object)).kind == "level"


def test_another_unit_among_amounts_is_told_with_its_row():
    cells = [f"{n}kg" for n in range(1, 12)]
    frame = pd.DataFrame({"w": [*cells, "500 g"], "y": np.arange(12.0)})
    (said,) = [w for w in prepare(frame, "y").warnings if "read as levels" in w]
    assert "numbers with 'kg', but '500 g' in row 12 is none" in said
    assert "write all in one unit" in said


def test_a_run_on_kilograms_refuses_grams():
    frame = pd.DataFrame({"w": [f"{n}kg" for n in range(1, 13)], "y": np.arange(12.0)})
    encoding = prepare(frame, "y").encoding
    np.testing.assert_array_equal(encoding.inputs(pd.DataFrame({"w": ["7 kg"]})), [[7.0]])
    with pytest.raises(TableError, match="column 'w' has numbers with g, the training table had numbers with kg"):
        encoding.inputs(pd.DataFrame({"w": ["7 g"]}))
