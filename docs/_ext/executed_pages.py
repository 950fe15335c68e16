"""Tutorials are executed when the documentation is built: what every cell shows is put below it.

A page in `docs/tutorials` is plain Markdown. Its results go to `tutorials/_executed`, which is not in the repository:
pictures, and the page as an executed notebook to download. A page is run again when it or the package has changed, or
with `sphinx-build -D executed_when=missing` only where it was never run, to look at the rest. Each runs in a process of
its own, so that none sees what another one imported or registered.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cells import Cell, cells_of, notebook, run

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "tutorials"
EXECUTED = "_executed"
SECONDS = 900


def execute(page: Path, folder: Path) -> None:
    """Run a page; write its Markdown with results, its pictures and its notebook to the folder."""
    cells = cells_of(page.read_text(encoding="utf-8"))
    run(cells, page.stem)
    for old in folder.glob(f"{page.stem}-*.png"):
        old.unlink()
    (folder / f"{page.stem}.ipynb").write_text(notebook(cells), encoding="utf-8")
    text = _with_results(cells, page.stem, folder)
    (folder / f"{page.stem}.txt").write_text(f"{fingerprint(page)}\n{text}", encoding="utf-8")


def _with_results(cells: list[Cell], name: str, folder: Path) -> str:
    parts, count = [], 0
    for cell, before in zip(cells, [None, *cells], strict=False):
        parts.append(f"```python\n{cell.source}\n```" if cell.is_code else cell.source)
        if cell.text.strip():
            parts.append(f"```{{code-block}} text\n:class: result\n\n{cell.text.rstrip()}\n```")
        parts += [f"$$\n{latex}\n$$" for latex in cell.latex]
        for picture in cell.pictures:
            count += 1
            (folder / f"{name}-{count}.png").write_bytes(picture)
            parts.append(f"![{_last_sentence(before)}]({EXECUTED}/{name}-{count}.png)")
    download = f"*Executed when this page was built.* {{download}}`As a notebook <{EXECUTED}/{name}.ipynb>`"
    title, _, rest = parts[0].partition("\n")
    return "\n\n".join([title, download, rest.strip(), *parts[1:]]) + "\n"


def _last_sentence(cell: Cell | None) -> str:
    """What the picture shows, for those who do not see it: the end of the text above its cell."""
    lines = cell.source.splitlines() if cell and not cell.is_code else []
    words = " ".join(line for line in lines if not line.startswith("#")).strip() or "What the cell above draws."
    return words.replace(". ", ".\n").splitlines()[-1].rstrip(":").translate(str.maketrans("", "", "[]`*"))


def fingerprint(page: Path) -> str:
    """Changes with the page, the package and what runs a page."""
    digest = hashlib.sha256(page.read_bytes())
    for path in (Path(__file__).with_name("cells.py"), *sorted((ROOT / "src" / "edgewise").rglob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_fresh(app: Sphinx, kept: Path, source: Path) -> bool:
    """Whether what was kept of a run, its fingerprint in the first line, is that of the source as it is."""
    if not kept.exists():
        return False
    first = kept.read_text(encoding="utf-8").partition("\n")[0]
    return app.config.executed_when == "missing" or first == fingerprint(source)


def read(app: Sphinx, docname: str, content: list[str]) -> None:
    """Give Sphinx the page with its results in place of the page."""
    folder, _, name = docname.rpartition("/")
    if folder != FOLDER or name == "index":
        return
    page = Path(app.srcdir) / f"{docname}.md"
    kept = page.parent / EXECUTED / f"{name}.txt"
    if not is_fresh(app, kept, page):
        _in_a_process_of_its_own(page)
    content[0] = kept.read_text(encoding="utf-8").partition("\n")[2]


def _in_a_process_of_its_own(page: Path) -> None:
    command = [sys.executable, __file__, str(page)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        from sphinx.errors import ExtensionError

        raise ExtensionError(f"{page.name} was not executed:\n{done.stderr[-4000:]}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_config_value("executed_when", "changed", "", str)
    app.connect("source-read", read)
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    source = Path(sys.argv[1]).resolve()
    target = source.parent / EXECUTED
    target.mkdir(exist_ok=True)
    execute(source, target)
