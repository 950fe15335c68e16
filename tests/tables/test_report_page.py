"""The report page: names of columns, classes and tables are text, in a parser and in a browser."""

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings, strategies as st

import edgewise as ew
from edgewise.expressions import Formula
from edgewise.tables.job.record import (
    Disagreement,
    FormulaFacts,
    FrontEntry,
    JobSettings,
    NetworkFacts,
    RowCounts,
    RunRecord,
    Score,
)
from edgewise.tables.job.report import Evidence, report_page

HOSTILE = ["</script><b>bold</b>", "<title>other</title>&amp;\"'", "two\nlines</mi></math><b>"]


def page(names) -> str:
    """The report of a run whose inputs, target, table and texts have these names."""
    first, second, target = names
    a, b = (sympy.Symbol(name, real=True) for name in (first, second))
    formula = Formula((2 * a / b + sympy.sin(b),), (a, b), (target,))
    facts = FormulaFacts(
        text=str(formula),
        latex=formula.latex(),
        python=formula.python(),
        exact=formula.to_json(),
        inputs=(first, second),
        origin=first,
        complexity=3,
        error_against_network=Disagreement(rmse=0.1, relative=0.05),
        constants=(f"factor of {first}: 2.00 ± 0.10, so 2",),
    )
    record = RunRecord(
        table=first,
        settings=JobSettings(target, inputs=(first, second)),
        target=target,
        task="regression",
        classes=(),
        rounded_to=(),
        rows=RowCounts(70, 15, 15),
        scores=(
            Score("KAN", "network", {"rmse": 0.1, "r2": 0.9}, 30),
            Score(first, "baseline", {"rmse": 1.0, "r2": 0.0}, 1),
        ),
        importance={first: 1.5, second: 0.1},
        network=NetworkFacts((2, 1), (2, 1), 2, 2, 30, (second,)),
        formula=facts,
        front=(FrontEntry(str(formula), 1e-3, 3, second), FrontEntry(first, 1e-2, 1, second)),
        warnings=names,
    )
    random = torch.Generator().manual_seed(0)
    model = ew.KAN([2, 1], generator=random, input_names=(first, second), output_names=(target,)).double()
    x = np.random.default_rng(0).uniform(-1, 1, (15, 2))
    return report_page(record, Evidence(model, formula, x, x[:, 0], x[:, 0], {}))


class Elements(HTMLParser):
    """The elements of a page and its titles outside drawings."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.title = set(), [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        self.open = self.open[: len(self.open) - 1 - self.open[::-1].index(tag)]

    def handle_data(self, data):
        if self.open[-2:] == ["head", "title"]:
            self.title += data


PLAIN = ("first", "second", "third")


@settings(max_examples=15)
@given(st.lists(st.text(min_size=1) | st.sampled_from(HOSTILE), min_size=3, max_size=3, unique=True))
def test_a_name_adds_no_element(names):
    assert Elements(page(tuple(names))).tags <= Elements(page(PLAIN)).tags | {"msub"}


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_finds_no_foreign_element(tmp_path):
    plain, hostile = (opened(page(tuple(names)), tmp_path / f"{n}.html") for n, names in enumerate((PLAIN, HOSTILE)))
    assert Elements(hostile).tags == Elements(plain).tags
    assert Elements(hostile).title == f"{HOSTILE[2]} from {HOSTILE[0]}"
    assert "<b>bold" not in hostile


def opened(text: str, path: Path) -> str:
    """What the page has become in a browser."""
    path.write_text(text, encoding="utf-8")
    folder = path.with_suffix(".profile")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"--user-data-dir={folder}"]
    return subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=120, check=True).stdout
