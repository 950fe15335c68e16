"""The common part of the renderers: colours, the strength of an edge, and the lines inside and between the boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgewise.viz.diagram_data import BOX_HEIGHT, BOX_WIDTH, Diagram, Edge, Node

Point = tuple[float, float]

NODE_RADIUS, INPUT_RADIUS, FACTOR_RADIUS = 0.19, 0.1, 0.13
NAME_SIZE, SYMBOL_SIZE, NOTE_SIZE = 0.34, 0.26, 0.24
NAME_LETTERS = 24


@dataclass(frozen=True)
class Palette:
    """The colours of a diagram or plot."""

    ink: str
    soft: str
    paper: str
    box: str
    frame: str
    symbol: str
    product: str
    series: tuple[str, ...]


LIGHT = Palette(
    ink="#1d2530",
    soft="#6a7482",
    paper="#ffffff",
    box="#ffffff",
    frame="#aab2bd",
    symbol="#d1382c",
    product="#1b6fa8",
    series=("#1b6fa8", "#d1382c", "#3d8f5f", "#8a5fb0", "#b97a12"),
)
DARK = Palette(
    ink="#e8ebf0",
    soft="#98a2b0",
    paper="#14181f",
    box="#1b212b",
    frame="#56606f",
    symbol="#ff8370",
    product="#62b8f0",
    series=("#62b8f0", "#ff8370", "#7fd0a0", "#c3a0e8", "#e8b95a"),
)
PALETTES = {"light": LIGHT, "dark": DARK}


def palette(theme: str) -> Palette:
    """The colours of a theme by its name."""
    if theme not in PALETTES:
        raise ValueError(f"unknown theme {theme!r}; choose one of {', '.join(PALETTES)}")
    return PALETTES[theme]


def opacity(importance: float) -> float:
    """Faint where an edge hardly matters, never invisible: the eye sees differences of small scores in the root."""
    return 0.12 + 0.88 * math.sqrt(importance)


def short(name: str) -> str:
    """The name on one line, with an ellipsis where it is too long for a plot."""
    name = " ".join(name.split())
    return name if len(name) <= NAME_LETTERS else name[: NAME_LETTERS - 1] + "…"


def radius(node: Node) -> float:
    """The size of a node."""
    return {"input": INPUT_RADIUS, "factor": FACTOR_RADIUS}.get(node.kind, NODE_RADIUS)


def wires(diagram: Diagram, edge: Edge) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """The two cubic Bezier curves (four points each) from the source to the box and from the box to the target."""
    source, target = diagram.source(edge), diagram.target(edge)
    x, y = edge.center
    arrive = _bezier((source.x + radius(source), source.y), (x - BOX_WIDTH / 2, y))
    leave = _bezier((x + BOX_WIDTH / 2, y), (target.x - radius(target), target.y))
    return arrive, leave


def links(diagram: Diagram) -> list[tuple[Point, ...]]:
    """The Bezier curves from the factors to their products."""
    lines = []
    for node in diagram.nodes:
        if node.kind == "factor":
            product = diagram.product(node)
            lines.append(_bezier((node.x + radius(node), node.y), (product.x - radius(product), product.y)))
    return lines


def idle(diagram: Diagram) -> set[Node]:
    """The nodes that no drawn edge touches."""
    touched = {n for edge in diagram.edges for n in (diagram.source(edge), diagram.target(edge))}
    touched |= {diagram.product(node) for node in touched if node.kind == "factor"}
    return set(diagram.nodes) - touched


def rounded_box(edge: Edge, corner: float = 0.1, n: int = 5) -> list[Point]:
    """The outline of an edge's box as a polygon with round corners."""
    x, y = edge.center
    a, b = BOX_WIDTH / 2 - corner, BOX_HEIGHT / 2 - corner
    outline = []
    for quarter, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        for k in range(n + 1):
            t = (quarter + k / n) * math.pi / 2
            outline.append((x + sx * a + corner * math.cos(t), y + sy * b + corner * math.sin(t)))
    return outline


def curve_lines(edge: Edge) -> list[list[Point]]:
    """The curve inside its box, in diagram coordinates: one line per finite stretch, y scaled to the box."""
    return _lines(edge, edge.y, value_range(edge))


def band_outline(edge: Edge) -> list[Point]:
    """The outline of the confidence band inside the box; empty where there is no band."""
    if edge.band is None:
        return []
    (lower,), (upper,) = (_lines(edge, values, value_range(edge)) for values in edge.band)
    return [*lower, *reversed(upper)]


def value_range(edge: Edge) -> tuple[float, float]:
    """The range of the curve and its band; a unit around the value where it is constant."""
    values = [v for v in edge.y if v is not None] + [v for line in edge.band or () for v in line]
    if not values:
        return -1.0, 1.0
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-300):
        return low - 0.5, high + 0.5
    return low, high


def bounds(diagram: Diagram) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the diagram with its names and its note."""
    first = max((text_width(short(n.name)) for n in diagram.nodes if n.layer == 0), default=0.0)
    last = max((text_width(short(n.name)) for n in diagram.nodes if n.layer > 0), default=0.0)
    note = 2 * NOTE_SIZE if diagram.note() else 0.0
    return -0.4 - NAME_SIZE * first, -0.3, diagram.width + 0.5 + NAME_SIZE * last, diagram.height + 0.3 + note


def text_width(text: str) -> float:
    """About how wide a text is, in units of its size; a little too much rather than too little."""
    return sum(0.36 if c in "iljtfrI.,:;'|! ()[]" else 1.0 if c in "mwMW@%" or ord(c) > 0x2E80 else 0.66 for c in text)


def caption(diagram: Diagram) -> str:
    """The diagram in one sentence, for those who cannot see it."""
    symbols = sum(edge.kind == "symbol" for edge in diagram.edges)
    shape = ", ".join(map(str, diagram.widths))
    kinds = (
        f"{len(diagram.edges) - symbols} curves and {symbols} symbols" if symbols else f"{len(diagram.edges)} curves"
    )
    note = diagram.note()
    return f"Kolmogorov-Arnold network with layers of {shape} nodes: {kinds}" + (f"; {note}" if note else "")


def label(diagram: Diagram, edge: Edge) -> str:
    """An edge in words: its ends, its formula, its importance."""
    source, target = diagram.source(edge), diagram.target(edge)
    what = formula_text(edge, source.name or "x") or "curve"
    return f"{node_label(source)} to {node_label(target)}: {what}, importance {edge.importance:.2g}"


def formula_text(edge: Edge, variable: str) -> str:
    """A symbol written out, such as "2 sin(3 x + 1) - 0.5", to three digits; empty for a curve."""
    if edge.symbol is None or edge.affine is None:
        return ""
    a, b, c, d = edge.affine
    inner = _affine_text(a, variable, b)
    if edge.symbol == "0":
        return f"{d:.3g}"
    if edge.symbol == "x":
        return _affine_text(c * a, variable, c * b + d)
    if len(edge.symbol.split("/")[-1]) > 1 and edge.symbol[-1].isalpha():  # sin, 1/sqrt
        body = f"{edge.symbol}({inner})"
    elif "x" in edge.symbol:  # x^2, 1/x
        body = edge.symbol.replace("x", inner if inner == variable else f"({inner})")
    else:
        body = edge.symbol
    return _affine_text(c, body, d)


def _affine_text(factor: float, text: str, shift: float) -> str:
    product = text if f"{factor:.3g}" == "1" else f"-{text}" if f"{factor:.3g}" == "-1" else f"{factor:.3g} {text}"
    if f"{abs(shift):.3g}" == "0":
        return product
    return f"{product} {'-' if shift < 0 else '+'} {abs(shift):.3g}"


def node_label(node: Node) -> str:
    """The name of a node, or its kind and place."""
    return node.name or f"{node.kind} {node.index} of layer {node.layer}"


def bezier_points(points: Sequence[Point], n: int = 20) -> list[Point]:
    """The cubic Bezier curve as a polyline; two points where it is straight, which renderers draw without a wiggle."""
    if abs(points[0][1] - points[-1][1]) < 1e-6:
        return [points[0], points[-1]]
    line = []
    for k in range(n + 1):
        t = k / n
        weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
        line.append(
            (
                sum(w * p[0] for w, p in zip(weights, points, strict=True)),
                sum(w * p[1] for w, p in zip(weights, points, strict=True)),
            )
        )
    return line


def _bezier(a: Point, b: Point) -> tuple[Point, ...]:
    middle = (a[0] + b[0]) / 2
    return a, (middle, a[1]), (middle, b[1]), b


def _lines(edge: Edge, values: Sequence[float | None], y_range: tuple[float, float]) -> list[list[Point]]:
    x0, y0 = edge.center
    (low, high), (left, right) = y_range, (edge.x[0], edge.x[-1])
    width, height = 0.86 * BOX_WIDTH, 0.76 * BOX_HEIGHT
    lines: list[list[Point]] = [[]]
    for x, y in zip(edge.x, values, strict=True):
        if y is None:
            lines.append([])
            continue
        u, v = (x - left) / ((right - left) or 1.0), (y - low) / (high - low)
        lines[-1].append((x0 + (u - 0.5) * width, y0 - (v - 0.5) * height))
    return [line for line in lines if len(line) > 1]
