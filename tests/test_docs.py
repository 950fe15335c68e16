"""Documentation is run: the Python blocks of every page, in order, as one program; and every module has its page."""

import importlib
import re
from pathlib import Path

import pytest
import yaml

import edgewise

pytestmark = pytest.mark.usefixtures("module_as_a_user")

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GENERATED = {"_build", "_executed", "gallery"}
PAGES = [ROOT / "README.md", *sorted(p for p in DOCS.rglob("*.md") if not GENERATED & set(p.parts))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^\|[^\n]*\| edgewise \|\n\|[-|: ]+\n((?:\|.*\n)+)", re.MULTILINE)
CALL = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
DOCUMENTED = {
    name
    for page in (DOCS / "reference").glob("*.md")
    for name in re.findall(r"^\.\. automodule:: (\S+)", page.read_text(), re.MULTILINE)
}

SLOW = {
    *(f"docs/guides/{name}" for name in ("export", "hosts", "fitting", "pde", "discovery", "pykan", "relations")),
    *("docs/guides/dynamics", "docs/guides/coming_from", "docs/extend/kernel_backend"),
}
"""Pages, beside the tutorials, that `make test-slow` runs: exporters, packages that only it installs, long ones."""

NOT_RUN = {
    "docs/guides/knotinfo": "downloads a table of PyPI; a script of findings/ runs the like",
}
"""Pages with a `{code-block} python` that no test runs as it stands, and why."""

COMMANDS = {
    "edgewise": "run by tests/test_commands.py",
    "make": "these are the commands of CI",
    "pip": "needs the network; CI installs the extras",
    "torchrun": "run by tests/test_examples.py, with fewer processes",
    "srun": "needs a cluster",
    "head=$(scontrol": "needs a cluster",
    "#SBATCH": "needs a cluster",
    "python": "the studies, which tests/studies runs with their tiny settings",
}
"""How the lines of `console` and `bash` blocks are tried."""

OPTIONAL = {"edgewise.adapters.peft", "edgewise.models.kan_gpt_transformers"}
"""These need packages that may be absent."""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT).with_suffix(""))


def is_slow(page: Path) -> bool:
    return name_of(page) in SLOW or page.parent.name == "tutorials"


def executed_pages() -> list:
    pages = [page for page in PAGES if BLOCK.search(page.read_text())]
    return [pytest.param(p, id=name_of(p), marks=[pytest.mark.slow] if is_slow(p) else []) for p in pages]


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
@pytest.mark.parametrize("page", executed_pages())
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # mlflow-skinny has no database
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
    assert calls("| there | edgewise |\n|---|---|\n| `f()` | `a \\| b`, or `c` |\n| `g()` | not here |\n") == [
        "a | b",
        "c",
    ]


FENCE = re.compile(r"^ *```(?P<kind>\S+)[^\n]*\n(?P<body>.*?)^ *```", re.MULTILINE | re.DOTALL)
MARKUP = {"{toctree}", "{eval-rst}", "{include}", "{literalinclude}"}
INDENTED = re.compile(r"(?:^|\n)(?P<before>[^\n]*)\n\n {4}\S")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_snippet_of_a_page_is_run_or_has_its_reason(page):
    text = page.read_text()
    for fence in FENCE.finditer(text):
        if fence["kind"] in {"console", "bash"}:
            lines = fence["body"].replace("\\\n", " ").splitlines()
            assert {line.split()[0] for line in lines} <= set(COMMANDS)
        elif fence["kind"] == "yaml":
            assert list(yaml.safe_load_all(fence["body"]))  # settings of a cluster, which no test has
        elif fence["kind"] == "{code-block}":
            assert name_of(page) in NOT_RUN
        else:
            assert fence["kind"] in MARKUP | {"python"}
    assert not [m["before"] for m in INDENTED.finditer(text) if not re.match(r" *([-*]|\d+\.) |  ", m["before"])]


def test_no_reason_is_left_over():
    assert all("{code-block} python" in (ROOT / f"{name}.md").read_text() for name in NOT_RUN)


ANCHOR = re.compile(r"\]\((?P<path>[^)#:\s]*)#(?P<anchor>[^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_links_of_a_page_lead_to_headings(page):
    for link in ANCHOR.finditer(page.read_text()):
        target = page.parent / link["path"] if link["path"] else page
        if target.suffix == ".md":
            headings = re.findall(r"^#+ +(.+)$", target.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
            assert link["anchor"] in slugs, f"{target.name} has no heading {link['anchor']}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_links_of_a_page_lead_to_files(page):
    text = FENCE.sub("", page.read_text())
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
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
