"""The report of a session: one self-contained HTML page with the formula, its errors, the network and the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from edgewise._version import __version__
from edgewise.symbolic.combined_inputs import in_columns
from edgewise.tables.job.report import equations
from edgewise.viz import diagram, svg
from edgewise.workbench.branches import Branch, History
from edgewise.workbench.document import step_told
from edgewise.workbench.partial_formula import partial_formula
from edgewise.workbench.script import script


def summary_page(
    title: str, tree: History, names: Sequence[str], scale: float, symbols: Mapping[str, str] | None = None
) -> str:
    """The HTML of the report of the current state, complete in itself.

    Args:
        title: of the session.
        tree: its history.
        names: the names of the inputs.
        scale: the standard deviation of the targets.
        symbols: trusted LaTeX of some inputs.
    """
    branch = tree.current
    style = files("edgewise.tables.job").joinpath("report.css").read_text(encoding="utf-8")
    found = in_columns(partial_formula(branch.session.model, names), branch.session.combined)
    steps = "".join(f"<li>{escape(step_told(tree, state))}</li>" for state in tree.way(branch.id))
    drawn = svg(diagram(branch.session.model, branch.session.x))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>"
        f'<div class="law long">{"".join(equations(found, symbols or {}))}</div>'
        f'<div class="tiles">{_tiles(branch, scale)}</div>'
        f'<h2>The network</h2><figure class="wide">{drawn}</figure>'
        f"<h2>Steps</h2><ol>{steps}</ol>"
        f"<details><summary>Python</summary><pre>{escape(script(tree, branch.id))}</pre></details>"
        f"<footer>edgewise {escape(__version__)}</footer>\n</main>\n</body>\n</html>\n"
    )


def _tiles(branch: Branch, scale: float) -> str:
    curves, symbols = branch.edges
    facts = {
        "root mean square error": f"{branch.error:.3g}",
        "the same on other rows": "" if branch.held_error is None else f"{branch.held_error:.3g}",
        "R²": f"{1 - (branch.error / scale) ** 2:.4f}" if scale > 0 else "",
        "curves": f"{curves}",
        "symbols": f"{symbols}",
    }
    return "".join(f'<div class="tile"><b>{text}</b><span>{name}</span></div>' for name, text in facts.items() if text)
