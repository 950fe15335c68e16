"""Documentation is run: the Python blocks of every page, in order, as one program; and every module has its page."""

import importlib
import re
from pathlib import Path

import pytest

import edgewise

pytestmark = pytest.mark.usefixtures("module_as_a_user")

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^\|[^\n]*\| edgewise \|\n\|[-|: ]+\n((?:\|.*\n)+)", re.MULTILINE)
CALL = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
DOCUMENTED = {
    name
    for page in (DOCS / "reference").glob("*.md")
    for name in re.findall(r"^\.\. automodule:: (\S+)", page.read_text(), re.MULTILINE)
}

OPTIONAL = {"edgewise.adapters.peft", "edgewise.models.kan_gpt_transformers"}
"""These need packages that may be absent."""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT).with_suffix(""))


@pytest.fixture
def own_registries(monkeypatch) -> None:
    """What a page registers is forgotten after it."""
    from edgewise.bases import _basis
    from edgewise.kernels import registry

    monkeypatch.setattr(_basis, "_REGISTRY", dict(_basis._REGISTRY))
    for name in ("_newest", "_layered"):
        monkeypatch.setattr(registry, name, getattr(registry, name))
    monkeypatch.setattr(registry, "_kernels", dict(registry._kernels))


@pytest.mark.usefixtures("own_registries")
@pytest.mark.parametrize("page", [p for p in PAGES if BLOCK.search(p.read_text())], ids=name_of)
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, namespace = page.read_text(), {"__name__": page.stem}
    exec(compile("\n".join(BLOCK.findall(text)), str(page), "exec"), namespace)
    for call in calls(text):
        exec(compile(call, f"{page.name}: {call}", "exec"), namespace)
    assert not list(tmp_path.iterdir()), "an example left a file behind"


def calls(text: str) -> list[str]:
    """The code in the last column of the tables of translations, whose last column is called edgewise."""
    rows = [row for table in TABLE.findall(text) for row in table.splitlines()]
    cells = [re.split(r"(?<!\\)\|", row)[-2].replace("\\|", "|") for row in rows]
    return [call for cell in cells for call in CALL.findall(cell)]


def test_the_calls_of_a_table_are_found():
    assert calls("| there | edgewise |\n|---|---|\n| `f()` | `a \\| b`, or `c` |\n| `g()` | not here |\n") == ["a | b", "c"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_links_of_a_page_lead_to_files(page):
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


def public_modules() -> list[str]:
    """The modules with `__all__` and without an underscore in their name."""
    paths = [p for p in (ROOT / "src" / "edgewise").rglob("*.py") if "\n__all__" in p.read_text()]
    names = [".".join(p.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__") for p in paths]
    return sorted(name for name in names if "._" not in name)


@pytest.mark.parametrize("module", public_modules())
def test_every_public_module_is_in_the_reference(module):
    assert module in DOCUMENTED, f"add `.. automodule:: {module}` to a page of docs/reference"


def test_the_reference_names_modules_that_exist():
    for name in DOCUMENTED - OPTIONAL:
        importlib.import_module(name)


def test_every_name_of_the_package_has_a_place_in_the_reference():
    places = [importlib.import_module(name) for name in DOCUMENTED - OPTIONAL]
    homeless = [n for n in edgewise.__all__ if not any(n in getattr(place, "__all__", vars(place)) for place in places)]
    assert not homeless


DOCSTRINGS = {
    "shapes (*b, in) -> (*b, out)": r"shapes (\*b, in) -> (\*b, out)",
    r"the sum $\sum_k c_k$ of `coef`": r"the sum :math:`\sum_k c_k` of ``coef``",
    "call adapt_grid_ now": r"call adapt_grid\_ now",
    "$K$-th": ":math:`K`-th",
    "    $$ y = x $$": "\n    .. math:: y = x\n",
    "```python\nf(*x)\n```": ".. code-block:: python\n\n   f(*x)\n",
    "Text:\n\n    f(*x)": "Text:\n\n::\n\n    f(*x)",
    ">>> f(*x)\n1": ">>> f(*x)\n1",
}


@pytest.mark.parametrize("docstring", DOCSTRINGS, ids=lambda text: text[:20])
def test_docstrings_become_restructured_text(docstring, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    assert importlib.import_module("markdown_docstrings").to_rst(docstring) == DOCSTRINGS[docstring]
