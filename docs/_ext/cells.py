"""A page of Markdown as the cells of a notebook: its Python blocks are run in order, and what they show is kept.

As in a notebook, a cell shows what it prints, the figures that it leaves open, and the value of its last line: a figure
as a picture, an object with `_repr_latex_` as an equation, any other but None as text.
"""

import ast
import contextlib
import io
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n?", re.MULTILINE | re.DOTALL)
DPI = 110


class CellError(Exception):
    """A cell of a page raised; the message says which, and the cause is what it raised."""


@dataclass
class Cell:
    """A paragraph of text or of code, and what the code showed."""

    source: str
    is_code: bool
    text: str = ""
    latex: list[str] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)


def cells_of(page: str) -> list[Cell]:
    """The page in alternating cells of text and code, none of them empty."""
    return [cell for cell in _pieces(page) if cell.source.strip()]


def _pieces(page: str) -> Iterator[Cell]:
    end = 0
    for block in BLOCK.finditer(page):
        yield Cell(page[end : block.start()].strip("\n"), is_code=False)
        yield Cell(block["code"].rstrip("\n"), is_code=True)
        end = block.end()
    yield Cell(page[end:].strip("\n"), is_code=False)


def run(cells: list[Cell], name: str) -> None:
    """Run the cells of code in one namespace, and keep what each shows in the cell.

    Raises:
        CellError: if one raises.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    namespace: dict[str, Any] = {"__name__": name}
    for number, cell in enumerate((c for c in cells if c.is_code), 1):
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                value = _execute(cell.source, namespace, f"{name}, cell {number}")
        except Exception as error:
            raise CellError(f"{name}, cell {number} raised {type(error).__name__}: {error}\n{cell.source}") from error
        cell.text = printed.getvalue()
        _show(value, cell)


def _execute(source: str, namespace: dict[str, Any], where: str) -> Any:
    """The value of the last line where that is an expression, else None."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, where, "exec"), namespace)
    return None if last is None else eval(compile(ast.Expression(last.value), where, "eval"), namespace)


def _show(value: Any, cell: Cell) -> None:
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    figures = [plt.figure(number) for number in plt.get_fignums()]
    if isinstance(value, Figure) and value not in figures:
        figures.append(value)
    for figure in figures:
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=DPI, bbox_inches="tight", metadata={"Software": None})
        cell.pictures.append(picture.getvalue())
    plt.close("all")
    if hasattr(value, "_repr_latex_"):
        cell.latex.append(value._repr_latex_().strip().strip("$"))
    elif value is not None and not _is_drawing(value):
        cell.text += f"{value!r}\n"


def _is_drawing(value: Any) -> bool:
    """A part of a figure, such as the legend that a last line returns: the figure shows it."""
    from matplotlib.figure import Figure

    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, Figure) or type(first).__module__.startswith("matplotlib.")


def notebook(cells: list[Cell]) -> str:
    """The executed cells as a notebook of Jupyter (nbformat 4.5)."""
    content = {
        "cells": [_notebook_cell(cell, number) for number, cell in enumerate(cells)],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False)


def _notebook_cell(cell: Cell, number: int) -> dict[str, Any]:
    base = {"id": f"cell-{number}", "metadata": {}, "source": cell.source.splitlines(keepends=True)}
    if not cell.is_code:
        return base | {"cell_type": "markdown"}
    outputs: list[dict[str, Any]] = []
    if cell.text:
        outputs.append({"output_type": "stream", "name": "stdout", "text": cell.text.splitlines(keepends=True)})
    shown = [{"text/latex": f"${latex}$"} for latex in cell.latex]
    shown += [{"image/png": b64encode(picture).decode()} for picture in cell.pictures]
    outputs += [{"output_type": "display_data", "metadata": {}, "data": data} for data in shown]
    return base | {"cell_type": "code", "execution_count": None, "outputs": outputs}
