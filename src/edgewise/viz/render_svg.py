"""Render a diagram as SVG: one string of valid XML, without any dependency."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

from edgewise.viz._drawing import (
    DARK,
    LIGHT,
    NAME_SIZE,
    NOTE_SIZE,
    SYMBOL_SIZE,
    Palette,
    Point,
    band_outline,
    bounds,
    caption,
    curve_lines,
    idle,
    label,
    links,
    node_label,
    opacity,
    palette,
    radius,
    short,
    wires,
)
from edgewise.viz.diagram_data import BOX_HEIGHT, BOX_WIDTH, Diagram, Edge, Node

_UNIT = 46  # pixels per unit of the diagram at natural size


def svg(diagram: Diagram, *, theme: str = "auto", title: str | None = None) -> str:
    """A diagram as an `<svg>` element that scales with its page.

    Every edge is a group of class "edge" with `data-layer`, `data-source` and `data-target`; a screen reader finds a
    title and a description, and a pointer a tooltip on every edge and node.

    Args:
        diagram: what `diagram(model, x)` returned.
        theme: "light", "dark", or "auto" to follow the reader's setting.
        title: by default the shape of the network.
    """
    colours = LIGHT if theme == "auto" else palette(theme)
    left, top, right, bottom = bounds(diagram)
    width, height = right - left, bottom - top
    title = title or "Kolmogorov-Arnold network [" + ", ".join(map(str, diagram.widths)) + "]"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="edgewise edgewise-{theme}" role="img" '
        f'viewBox="{_n(left)} {_n(top)} {_n(width)} {_n(height)}" width="{_n(width * _UNIT)}" '
        f'height="{_n(height * _UNIT)}" style="max-width:100%;height:auto" '
        f'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">',
        f"<title>{_text(title)}</title>",
        f"<desc>{_text(caption(diagram))}</desc>",
    ]
    if theme == "auto":
        parts.append(f"<style>@media (prefers-color-scheme: dark) {{ {_rules(DARK)} }}</style>")
    parts.append(
        f'<rect class="paper" x="{_n(left)}" y="{_n(top)}" width="{_n(width)}" height="{_n(height)}" rx="0.2" '
        f'fill="{colours.paper}"/>'
    )
    parts += _wires(diagram, colours)
    parts += (line for edge in diagram.edges for line in _edge(diagram, edge, colours))
    unused = idle(diagram)
    parts += (line for node in diagram.nodes for line in _node(node, colours, faint=node in unused))
    if diagram.note():
        x, y = (left + right) / 2, bottom - NOTE_SIZE
        parts.append(_label(x, y, diagram.note(), NOTE_SIZE, "soft", colours.soft, "middle"))
    return "\n".join([*parts, "</svg>"])


def _wires(diagram: Diagram, colours: Palette) -> Iterable[str]:
    """The lines between nodes and boxes, below everything else."""
    yield '<g class="wires" fill="none" stroke-width="0.035">'
    for edge in diagram.edges:
        name = "symbol" if edge.kind == "symbol" else "ink"
        path = " ".join(_cubic(line) for line in wires(diagram, edge))
        yield (
            f'<path class="wire {name}-line" d="{path}" stroke="{getattr(colours, name)}" '
            f'stroke-opacity="{opacity(edge.importance) * 0.75:.3f}"/>'
        )
    yield from (
        f'<path class="product-line" d="{_cubic(line)}" stroke="{colours.product}"/>' for line in links(diagram)
    )
    yield "</g>"


def _edge(diagram: Diagram, edge: Edge, colours: Palette) -> Iterable[str]:
    """The box of an edge with its curve."""
    x, y = edge.center
    name = "symbol" if edge.kind == "symbol" else "ink"
    strong = opacity(edge.importance)
    yield (
        f'<g class="edge {edge.kind}" data-layer="{edge.layer}" data-source="{edge.source}" '
        f'data-target="{edge.target}"><title>{_text(label(diagram, edge))}</title>'
    )
    frame = colours.symbol if edge.kind == "symbol" else colours.frame
    yield (
        f'<rect class="{"symbol" if edge.kind == "symbol" else "frame"}-line box" x="{_n(x - BOX_WIDTH / 2)}" '
        f'y="{_n(y - BOX_HEIGHT / 2)}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="0.1" fill="{colours.box}" '
        f'stroke="{frame}" stroke-width="0.03" stroke-opacity="{0.3 + 0.7 * strong:.3f}"/>'
    )
    band = band_outline(edge)
    if band:
        fill = getattr(colours, name)
        yield f'<polygon class="{name}-fill" points="{_points(band)}" fill="{fill}" fill-opacity="0.18"/>'
    for line in curve_lines(edge):
        yield (
            f'<polyline class="{name}-line" points="{_points(line)}" fill="none" stroke="{getattr(colours, name)}" '
            f'stroke-width="0.06" stroke-linecap="round" stroke-linejoin="round" stroke-opacity="{strong:.3f}"/>'
        )
    if edge.symbol is not None:
        yield _label(
            x, y - BOX_HEIGHT / 2 - 0.07, short(edge.symbol), SYMBOL_SIZE, "symbol-fill", colours.symbol, "middle"
        )
    yield "</g>"


def _node(node: Node, colours: Palette, *, faint: bool) -> Iterable[str]:
    """A dot for an input, a circle with a plus or a cross for a sum or product, and the name of an input or output."""
    r = radius(node)
    dim = ' opacity="0.4"' if faint else ""
    yield f'<g class="node {node.kind}"{dim}><title>{_text(node_label(node))}</title>'
    name = "product" if node.kind in ("product", "factor") else "ink"
    colour = getattr(colours, name)
    yield f'<circle class="{name}-fill" cx="{_n(node.x)}" cy="{_n(node.y)}" r="{r}" fill="{colour}"/>'
    if node.kind != "input":
        turn = f' transform="rotate(45 {_n(node.x)} {_n(node.y)})"' if node.kind == "product" else ""
        a = 0.55 * r
        yield (
            f'<path class="paper-line" d="M{_n(node.x - a)} {_n(node.y)}h{_n(2 * a)}M{_n(node.x)} {_n(node.y - a)}'
            f'v{_n(2 * a)}" stroke="{colours.paper}" stroke-width="0.05" stroke-linecap="round"{turn}/>'
        )
    if node.name:
        sign, anchor = (-1, "end") if node.kind == "input" else (1, "start")
        x, y = node.x + sign * (r + 0.12), node.y + 0.35 * NAME_SIZE
        yield _label(x, y, short(node.name), NAME_SIZE, "ink-fill", colours.ink, anchor)
    yield "</g>"


def _label(x: float, y: float, text: str, size: float, css: str, colour: str, anchor: str) -> str:
    return (
        f'<text class="{css}" x="{_n(x)}" y="{_n(y)}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">'
        f"{_text(text)}</text>"
    )


def _rules(colours: Palette) -> str:
    """The style rules that recolour the diagrams that follow the reader's setting."""
    fills = {"paper": "paper", "box": "box", "soft": "soft"}
    strokes = {"paper-line": "paper", "frame-line": "frame"}
    for name in ("ink", "symbol", "product"):
        fills[f"{name}-fill"], strokes[f"{name}-line"] = name, name
    rules = [f"svg.edgewise-auto .{css}{{fill:{getattr(colours, name)}}}" for css, name in fills.items()]
    rules += [f"svg.edgewise-auto .{css}{{stroke:{getattr(colours, name)}}}" for css, name in strokes.items()]
    return " ".join(rules)


def _cubic(points: Iterable[Point]) -> str:
    a, b, c, d = (f"{_n(x)} {_n(y)}" for x, y in points)
    return f"M{a}C{b} {c} {d}"


def _points(line: Iterable[Point]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in line)


def _n(value: float) -> str:
    """Three decimals: a thousandth of a box."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _text(text: str) -> str:
    """Escaped, without the control characters that XML does not know."""
    return escape("".join(c if c.isprintable() else " " for c in text))
