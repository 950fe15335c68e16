"""Laws of the interactive diagram: self-contained, escaped, and interactive in a browser."""

import json
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
import torch
from hypothesis import given, settings, strategies as st

import edgewise as ew
from edgewise.nn import KANLinear, SymbolicEdges
from edgewise.viz import diagram, html

TAGS = {
    "svg", "title", "desc", "style", "rect", "g", "path", "polyline", "polygon", "circle", "text",
    "div", "label", "input", "p", "output", "script", "html", "head", "meta", "body",
}  # fmt: skip


class Page(HTMLParser):
    """The elements of a page, the text of its scripts, and its title."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.titles, self._open = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, data):
        if self._open == "script":
            self.scripts[-1] += data
        if self._open == "title":
            self.titles.append(data)


def drawing(names=("mass", "speed"), seed=0):
    layer = ew.KAN([2, 2], generator=torch.Generator().manual_seed(seed)).layers[0]
    symbols = SymbolicEdges(
        [ew.DEFAULT_LIBRARY["log"]], torch.tensor([0]), torch.tensor([0]), torch.tensor([[3.0, 1.0, -2.0, 0.5]])
    )
    mask = torch.tensor([[False, True], [True, True]])
    layer = KANLinear.assemble(
        layer.basis, layer.residual, coef=layer.coef, grid=layer.grid, mask=mask, bias=layer.bias, symbolic=symbols
    )
    return diagram(layer, input_names=names)


@pytest.mark.parametrize("theme", ["auto", "light", "dark"])
@pytest.mark.parametrize("page", [False, True])
def test_nothing_is_loaded_from_elsewhere(theme, page):
    text = html(drawing(), theme=theme, page=page)
    assert text.startswith("<!DOCTYPE html>") is page
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert all("src" not in attributes and "href" not in attributes for _, attributes in Page(text).elements)


@settings(max_examples=25)
@given(
    st.lists(st.text(min_size=1), min_size=2, max_size=2, unique=True)
    | st.just(["</script><script>alert(1)</script>", "<!-- <script> ]]> & \"'"])
)
def test_any_name_stays_a_name(names):
    shown = drawing(names)
    page = Page(html(shown, page=True, title=names[0]))
    assert {tag for tag, _ in page.elements} <= TAGS
    assert sum(tag == "script" for tag, _ in page.elements) == 2
    records = json.loads(page.scripts[0])
    assert [record["source"] for record in records] == [shown.source(edge).name for edge in shown.edges]


def test_the_panel_has_every_edge_with_its_formula_and_samples():
    shown = drawing()
    records = json.loads(Page(html(shown)).scripts[0])
    for record, edge in zip(records, shown.edges, strict=True):
        assert (record["x"], record["y"]) == (list(edge.x), list(edge.y))
        assert record["importance"] == edge.importance
    assert [r["formula"] for r in records] == ["-2 log(3 mass + 1) + 0.5", "", "", ""]
    assert shown._repr_html_() == html(shown)


@pytest.mark.parametrize(
    ("name", "text"),
    [("sin", "sin(2 x)"), ("x^2", "(2 x)^2"), ("1/x", "1/(2 x)"), ("1/sqrt", "1/sqrt(2 x)"), ("x", "2 x"), ("0", "0")],
)
def test_formulas_of_symbols_are_readable(name, text):
    symbols = SymbolicEdges(
        [ew.DEFAULT_LIBRARY[name]], torch.tensor([0]), torch.tensor([0]), torch.tensor([[2.0, 0.0, 1.0, 0.0]])
    )
    layer = ew.KANLinear(1, 1, bias=False)
    layer = KANLinear.assemble(
        layer.basis, None, coef=layer.coef[:, :-1], grid=layer.grid, mask=torch.zeros(1, 1, dtype=torch.bool),
        bias=None, symbolic=symbols,
    )  # fmt: skip
    (record,) = json.loads(Page(html(diagram(layer, torch.rand(9, 1) + 0.5, input_names=["x"]))).scripts[0])
    assert record["formula"] == text


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_the_script_answers_to_pointer_keyboard_and_slider(tmp_path):
    steps = """<script>
    const boxes = [...document.querySelectorAll("g.edge")], log = {};
    const heading = () => document.querySelector(".panel h3").textContent;
    const visible = () => boxes.filter((box) => box.style.display !== "none").length;
    log.start = heading();
    boxes[3].dispatchEvent(new Event("pointerenter")); log.hover = heading();
    boxes[1].dispatchEvent(new Event("click")); log.pinned = heading();
    boxes[3].dispatchEvent(new Event("pointerenter")); log.stays = heading();
    boxes[1].dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
    boxes[3].dispatchEvent(new Event("focus")); log.free = heading();
    boxes[0].dispatchEvent(new Event("pointerenter"));
    log.curves = document.querySelectorAll(".panel polyline.symbol").length;
    log.all = visible();
    const slider = document.querySelector("input");
    slider.value = 1; slider.dispatchEvent(new Event("input")); log.strong = visible();
    log.output = document.querySelector("output").textContent;
    document.body.innerHTML = ""; document.body.append(JSON.stringify(log));
    </script></body>"""
    shown = drawing()
    path = tmp_path / "page.html"
    path.write_text(html(shown, page=True).replace("</body>", steps), encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"--user-data-dir={tmp_path}"]
    done = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    log = json.loads(done.stdout[done.stdout.index("<body>") + 6 : done.stdout.rindex("</body>")])
    names = [f"{shown.source(e).name} → {shown.target(e).name}" for e in shown.edges]
    best = max(range(4), key=lambda k: shown.edges[k].importance)
    assert log["start"] == names[best]
    assert (log["hover"], log["pinned"], log["stays"], log["free"]) == (names[3], names[1], names[1], names[3])
    assert (log["curves"], log["all"], log["strong"]) == (1, 4, 1)
    assert log["output"] == "1 of 4 edges, importance at least 1"
