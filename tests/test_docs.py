"""Documentation is run: the Python blocks of every page, in order, as one program; and every module has its page."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import edgewise

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
DOCUMENTED = {
    name
    for page in (DOCS / "reference").glob("*.md")
    for name in re.findall(r"^\.\. automodule:: (\S+)", page.read_text(), re.MULTILINE)
}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT).with_suffix(""))


@pytest.mark.parametrize("page", [p for p in PAGES if BLOCK.search(p.read_text())], ids=name_of)
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = "\n".join(BLOCK.findall(page.read_text()))
    exec(compile(program, str(page), "exec"), {"__name__": page.stem})
    assert not list(tmp_path.iterdir()), "an example left a file behind"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_links_of_a_page_lead_to_files(page):
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


def public_modules() -> list[str]:
    """The modules with `__all__` and without an underscore in their name."""
    found = []
    for info in pkgutil.walk_packages(edgewise.__path__, "edgewise."):
        path = ROOT / "src" / Path(*info.name.split("."))
        source = (path / "__init__.py" if info.ispkg else path.with_suffix(".py")).read_text()
        if "\n__all__" in source and "._" not in info.name:
            found.append(info.name)
    return found


@pytest.mark.parametrize("module", public_modules())
def test_every_public_module_is_in_the_reference(module):
    assert module in DOCUMENTED, f"add `.. automodule:: {module}` to a page of docs/reference"


def test_the_reference_names_modules_that_exist():
    for name in DOCUMENTED - {"edgewise.adapters.peft", "edgewise.models.kan_gpt_transformers"}:
        importlib.import_module(name)
