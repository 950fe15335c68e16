"""Tables that someone may have, and whole commands on them."""

import contextlib
import json
import math
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from kind import Kind
from quick import fit, main

from edgewise.tables.prepare import prepare
from edgewise.tables.read_table import read_table

CELLS: list[Callable[[random.Random, int], str]] = [
    lambda rng, n: f"{rng.gauss(0, 1):.4g}",
    lambda rng, n: str(rng.randrange(5)),
    lambda rng, n: str(n),
    lambda rng, n: "1",
    lambda rng, n: "",
    lambda rng, n: rng.choice(["nan", "inf", "-inf", "NA", "None", "1e400", "1e308", "-1e308", "1e-320"]),
    lambda rng, n: rng.choice(["a", "b"]),
    lambda rng, n: f"name {n}",
    lambda rng, n: f"2024-01-{1 + n % 28:02d}",
    lambda rng, n: rng.choice(["1,5", "2,25", "3,0"]),
    lambda rng, n: rng.choice(["5%", "$5", "(3)", "1_000", "0x1f", "1,234.5", "−2", "½"]),
    lambda rng, n: rng.choice(["True", "False"]),
    lambda rng, n: str(rng.randrange(10**18, 10**20)),
    lambda rng, n: f"{1e9 + rng.random() * 1e-3:.12f}",
    lambda rng, n: rng.choice(["é", "\u202e", "<b>", "=1+1", "'", "a\tb", "x" * 500]),
    lambda rng, n: f"{rng.gauss(0, 1):.4g}" if rng.random() < 0.97 else rng.choice(["", "?", "-"]),
]
NAMES = [
    "a",
    "x-1",
    "a b",
    "2",
    "",
    "pi",
    "E",
    "a=b",
    "k",
    "lambda",
    "<script>",
    "y",
    "target",
    "é",
    "x" * 200,
    "sin(x)",
    "a,b",
]
NAMES += [
    "<img src=x onerror=alert(1)>",
    "]]>",
    "--",
    "*/",
    "'); DROP TABLE t; --",
    "${x}",
    "%s",
    "a\\nb",
    "t",
    "[red]",
]
NAMES += ["Unnamed: 0", "temp_%", "`", "\\", "\u200b", "CON", "index", "mu_imag", "x_hat"]


def hostile_table(path: Path, rng: random.Random) -> None:
    """A CSV that someone may have: odd cells, odd names, few or no rows, ragged lines, other separators."""
    columns = [rng.choice(CELLS if rng.random() < 0.35 else CELLS[:3]) for _ in range(rng.choice([1, 2, 3, 3, 4, 8]))]
    rows = rng.choice([0, 1, 9, 10, 11, 15, 25, 40, 40, 60, 60])
    separator = rng.choice([",", ",", ",", ";", "\t", "|"])
    header = [rng.choice(NAMES) if rng.random() < 0.25 else f"c{n}" for n in range(len(columns))]
    lines = [[*header, "y"]]
    for n in range(rows):
        lines.append([*(cell(rng, n) for cell in columns), rng.choice([CELLS[0], columns[0], CELLS[1]])(rng, n)])
    if rng.random() < 0.1 and rows:
        rng.choice(lines).append("more")
    text = "\n".join(separator.join(_quoted(cell, separator) for cell in line) for line in lines) + "\n"
    path.write_bytes(text.encode(rng.choice(["utf-8", "utf-8", "utf-8", "utf-16", "utf-8-sig"])))


def _quoted(cell: str, separator: str) -> str:
    return f'"{cell}"' if separator in cell or "\n" in cell else cell


def damage(folder: Path, _: Any, rng: random.Random) -> str:
    """Write a hostile table, and the options of its fit."""
    hostile_table(folder / "t.csv", rng)
    more = rng.choice(["", "", "--missing drop", "--missing keep", "--task classification", "--task regression"])
    (folder / "options").write_text(more)
    return f"a table, {more}"


def damage_numbers(folder: Path, _: Any, rng: random.Random) -> str:
    """A table of numbers over time that is good but for a few cells, or a hostile one."""
    if rng.random() < 0.3:
        return damage(folder, _, rng)
    names = ["t", *rng.sample(NAMES, 2), "y"]
    place = rng.randrange(4) if rng.random() < 0.5 else -1
    bad = rng.choice(CELLS)
    lines = [",".join(f'"{name}"' for name in names)]
    for n in range(rng.choice([20, 40, 60, 80])):
        a, b = math.cos(0.2 * n), math.sin(0.2 * n)
        cells = [f"{0.1 * n:.3f}", f"{a:.6f}", f"{b:.6f}", f"{a * b + 1:.6f}"]
        if place >= 0 and rng.random() < 0.2:
            cells[place] = bad(rng, n)
        lines.append(",".join(f'"{cell}"' for cell in cells))
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    (folder / "options").write_text("")
    return "numbers with bad cells"


def make(folder: Path) -> None:
    """A table that is read well."""
    rows = [f"{n / 40},{(n * 7 % 40) / 40},{n / 20 + 1}" for n in range(40)]
    (folder / "t.csv").write_text("a,b,y\n" + "\n".join(rows) + "\n")
    (folder / "options").write_text("")


def read_table_alone(folder: Path, _: Any) -> None:
    """Read and encode the table, with the options."""
    options = (folder / "options").read_text()
    missing = next((m for m in ("drop", "keep") if m in options), "error")
    task = next((t for t in ("classification", "regression") if t in options), "auto")
    prepared = prepare(read_table(folder / "t.csv"), "y", task, missing=missing)
    assert np.isfinite(prepared.inputs).all(), "an input is not finite"
    assert len(prepared.inputs) > 0, "no row is left"


def fit_whole(folder: Path, _: Any) -> None:
    """Fit, show, predict and export as the command line does; `OSError` where it refuses in words."""
    table, out = folder / "t.csv", folder / "run"
    if fit(table, out, *(folder / "options").read_text().split()) == 2:
        raise RefusedError("edgewise: the table is refused")
    for command in (["explain", str(out)], ["predict", str(out), str(table), "--out", str(folder / "p.csv")]):
        assert main(command) in (0, 2), command
    assert main(["predict", str(out), str(table), "--formula"]) in (0, 2)
    for name in ("python", "sql"):
        assert main(["export", str(out), "--format", name, "--out", str(folder / f"exported.{name}")]) in (0, 2), name


def searched(*arguments: str) -> Callable[[Path, Any], None]:
    """A search of the command line on the table, written to a file and read again."""

    def read(folder: Path, _: Any) -> None:
        law = folder / "law.json"
        given = [a.replace("FIRST", _first_column(folder / "t.csv")) for a in arguments]
        if main([given[0], str(folder / "t.csv"), *given[1:], "--seconds", "2", "--out", str(law)]) == 2:
            raise RefusedError("edgewise: the table is refused")
        json.loads(law.read_text())

    return read


def _first_column(path: Path) -> str:
    """The first name of the header, as a person would type it."""
    for encoding in ("utf-8-sig", "utf-16"):
        with contextlib.suppress(UnicodeError):
            return re.split(r"[,;\t|\n]", path.read_text(encoding=encoding))[0].strip('"') or "c0"
    return "c0"


class RefusedError(OSError):
    """The command line refused in words."""


KINDS = {
    "hostile table": Kind(make, read_table_alone, damage),
    "fit, hostile table": Kind(make, fit_whole, damage, limit=20.0),
    "discover, hostile table": Kind(make, searched("discover", "--target=y"), damage_numbers, limit=20.0),
    "trajectory, hostile table": Kind(make, searched("discover", "--time=FIRST"), damage_numbers, limit=20.0),
    "relations, hostile table": Kind(make, searched("relations"), damage_numbers, limit=20.0),
}
