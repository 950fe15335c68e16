"""Render a diagram as interactive HTML: one self-contained element with its own script."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from edgewise.viz._drawing import DARK, LIGHT, Palette, formula_text, node_label, palette
from edgewise.viz.diagram_data import Diagram, Edge
from edgewise.viz.render_svg import svg


def html(diagram: Diagram, *, theme: str = "auto", title: str | None = None, page: bool = False) -> str:
    """The diagram as SVG with a panel that enlarges the edge under the pointer and hides weak edges.

    Without scripts the SVG is still complete. Names are escaped; nothing is loaded from elsewhere.

    Args:
        diagram: what `diagram(model, x)` returned.
        theme: "light", "dark", or "auto" to follow the reader's setting.
        title: the title of the diagram.
        page: return a whole HTML document instead of an element to put into one.
    """
    drawn = svg(diagram, theme=theme, title=title)
    colours = _variables(LIGHT if theme == "auto" else palette(theme))
    style = f".edgewise-viewer.edgewise-{theme} {{ {colours} }}\n"
    if theme == "auto":
        style += f"@media (prefers-color-scheme: dark) {{ .edgewise-viewer.edgewise-auto {{ {_variables(DARK)} }} }}\n"
    viewer = f"""<div class="edgewise-viewer edgewise-{theme}">
<style>
{style}{_static("viewer.css")}</style>
<div class="picture">
{drawn}
</div>
<div class="side">
<div class="panel" aria-live="polite"></div>
<label>Hide weak edges <input type="range" min="0" max="1" step="0.01" value="0"></label>
<p><output></output></p>
</div>
<script type="application/json">{_embedded([_record(diagram, edge) for edge in diagram.edges])}</script>
<script>
{_static("viewer.js")}</script>
</div>"""
    if not page:
        return viewer
    heading = _embeddable_title(drawn)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="{"light dark" if theme == "auto" else theme}">
{heading}
</head>
<body>
{viewer}
</body>
</html>
"""


def _record(diagram: Diagram, edge: Edge) -> dict[str, Any]:
    """What the panel shows of an edge."""
    source = node_label(diagram.source(edge))
    return {
        "source": source,
        "target": node_label(diagram.target(edge)),
        "formula": formula_text(edge, source if diagram.source(edge).name else "x"),
        "importance": edge.importance,
        "score": edge.score,
        "x": edge.x,
        "y": edge.y,
        "band": edge.band,
    }


def _embedded(value: Any) -> str:
    """JSON that cannot end the script element around it."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def _embeddable_title(drawn: str) -> str:
    """The title element of the SVG, already escaped."""
    return drawn[drawn.index("<title>") : drawn.index("</title>")] + "</title>"


def _variables(colours: Palette) -> str:
    names = ("ink", "soft", "paper", "frame", "symbol", "product")
    return " ".join(f"--{name}: {getattr(colours, name)};" for name in names)


def _static(name: str) -> str:
    return files("edgewise.viz").joinpath("static", name).read_text(encoding="utf-8")
