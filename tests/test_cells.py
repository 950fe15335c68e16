"""Pages of the tutorials as cells: what is run, and what a cell shows."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "docs" / "_ext"))
import cells
from cells import CellError, cells_of, notebook, run

PAGE = """# Title

Some text.

```python
a = 1
print("printed", a)
```

```python
a + 1
```

More text.

```console
not run
```
"""


def executed(page: str) -> list[cells.Cell]:
    found = cells_of(page)
    run(found, "page")
    return found


def test_a_page_is_text_and_code_in_turn():
    found = executed(PAGE)
    assert [cell.is_code for cell in found] == [False, True, True, False]
    assert [cell.text for cell in found] == ["", "printed 1\n", "2\n", ""]
    assert "not run" in found[-1].source


def test_figures_are_shown_and_not_their_parts():
    (cell,) = executed("```python\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\n```\n")
    assert not cell.text
    (picture,) = cell.pictures
    assert picture.startswith(b"\x89PNG")


def test_a_figure_outside_pyplot_and_an_equation_are_shown():
    source = "```python\nfrom edgewise.viz.charts import new_figure\nnew_figure(2, 2)\n```\n"
    assert len(executed(source)[0].pictures) == 1
    source = "```python\nclass E:\n    def _repr_latex_(self):\n        return '$x^2$'\n\n\nE()\n```\n"
    assert executed(source)[0].latex == ["x^2"]


def test_an_error_names_the_page_and_the_cell():
    with pytest.raises(CellError, match=r"page, cell 2 raised ZeroDivisionError"):
        executed("```python\na = 0\n```\n\ntext\n\n```python\n1 / a\n```\n")


def test_the_notebook_has_the_cells_and_what_they_showed():
    content = json.loads(notebook(executed(PAGE)))
    assert [cell["cell_type"] for cell in content["cells"]] == ["markdown", "code", "code", "markdown"]
    assert "".join(content["cells"][1]["source"]) == 'a = 1\nprint("printed", a)'
    assert content["cells"][2]["outputs"] == [{"name": "stdout", "output_type": "stream", "text": ["2\n"]}]
