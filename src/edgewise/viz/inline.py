"""Charts as inline SVG, for pages without scripts: one curve, predictions against outcomes, a confusion matrix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from jaxtyping import Float, Num

Array = np.ndarray


def curve(
    x: Sequence[float], y: Sequence[float | None], *, symbol: bool, title: str, height: float | None = None
) -> str:
    """One edge: its values over its arguments, with the ends of both axes.

    Args:
        x: arguments, rising.
        y: values; None where there is none.
        symbol: whether the edge is a symbol.
        title: for screen readers.
        height: the range of values that the picture shows, the curve in its middle, so that several can be compared; by
            default that of the curve.
    """
    finite = [v for v in y if v is not None]
    if not finite:
        return ""
    left, right, top, bottom = 4.0, 176.0, 8.0, 88.0
    low, high = min(finite), max(finite)
    across = (right - left) / ((x[-1] - x[0]) or 1.0)
    span = max(height or 0.0, high - low)
    up = (bottom - top) / (span or 1.0)
    floor = (low + high - span) / 2
    lines = " ".join(
        "M" + "L".join(f"{left + (a - x[0]) * across:.1f} {bottom - (b - floor) * up:.1f}" for a, b in stretch)
        for stretch in _finite_stretches(x, y)
    )
    zero = f'<path class="axis" d="M{left} {bottom + floor * up:.1f}H{right}"/>' if floor < 0 < floor + span else ""
    return (
        f'<svg viewBox="0 0 180 124" role="img"><title>{escape(title)}</title>'
        f'<path class="axis" d="M{left} {bottom + 4}H{right}"/>{zero}'
        f'<path class="curve{" symbol" if symbol else ""}" d="{lines}"/>'
        f'<text class="tick" x="{left}" y="106">{_number(x[0])}</text>'
        f'<text class="tick" x="{right}" y="106" text-anchor="end">{_number(x[-1])}</text>'
        f'<text class="tick" x="90" y="120" text-anchor="middle">{_number(low)} … {_number(high)}</text></svg>'
    )


def scatter(outcome: Num[Array, " rows"], prediction: Float[Array, " rows"], *, most: int = 800) -> str:
    """Predictions over outcomes; the broken line is where they agree."""
    step = max(1, -(-len(outcome) // most))
    outcome, prediction = outcome[::step], prediction[::step]
    low = float(min(outcome.min(), np.quantile(prediction, 0.002)))
    high = float(max(outcome.max(), np.quantile(prediction, 0.998)))
    left, right, top, bottom = 60.0, 470.0, 12.0, 382.0

    def across(value: float) -> float:
        return left + (value - low) / ((high - low) or 1.0) * (right - left)

    def up(value: float) -> float:
        return bottom - (min(max(value, low), high) - low) / ((high - low) or 1.0) * (bottom - top)

    dots = "".join(
        f'<circle class="dot" cx="{across(a):.1f}" cy="{up(b):.1f}" r="3"/>'
        for a, b in zip(outcome, prediction, strict=True)
    )
    return (
        f'<svg viewBox="0 0 480 420" role="img"><title>predictions over outcomes</title>'
        f'<path class="axis" d="M{left} {top}V{bottom}H{right}"/>{dots}'
        f'<path class="ideal" d="M{left} {bottom}L{right} {top}"/>'
        f'<text class="tick" x="{left}" y="398">{_number(low)}</text>'
        f'<text class="tick" x="{right}" y="398" text-anchor="end">{_number(high)}</text>'
        f'<text class="tick" x="{(left + right) / 2}" y="412" text-anchor="middle">outcome</text>'
        f'<text class="tick" x="{left - 6}" y="{bottom}" text-anchor="end">{_number(low)}</text>'
        f'<text class="tick" x="{left - 6}" y="{top + 8}" text-anchor="end">{_number(high)}</text>'
        f'<text class="tick" transform="translate(14 {(top + bottom) / 2}) rotate(-90)" text-anchor="middle">'
        f"prediction</text></svg>"
    )


def confusion(labels: Sequence[str], counts: Float[Array, "outcome prediction"]) -> str:
    """How often every class (or value) was predicted as every other one; shades by the share of the row."""
    n, size, left, top = len(labels), 36, 96, 30
    parts = []
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            share = count / max(row.sum(), 1)
            x, y = left + j * size, top + i * size
            title = f"{labels[i]} predicted as {labels[j]}: {int(count)}"
            parts.append(
                f'<rect class="cell" x="{x}" y="{y}" width="{size - 2}" height="{size - 2}" rx="4" '
                f'fill-opacity="{0.06 + 0.84 * share:.3f}"><title>{escape(title)}</title></rect>'
            )
            if count:
                colour = "var(--paper)" if share > 0.5 else "var(--ink)"
                parts.append(
                    f'<text x="{x + size / 2 - 1}" y="{y + size / 2 + 3}" text-anchor="middle" font-size="11" '
                    f'fill="{colour}">{int(count)}</text>'
                )
        parts.append(_tick(left - 8, top + i * size + size / 2 + 3, labels[i], "end"))
        parts.append(_tick(left + i * size + size / 2 - 1, top - 8, labels[i], "middle"))
    width, height = left + n * size + 8, top + n * size + 8
    style = f'style="max-width:{width * 1.25}px"'
    return f'<svg viewBox="0 0 {width} {height}" {style} role="img"><title>classes</title>{"".join(parts)}</svg>'


def _tick(x: float, y: float, text: str, anchor: str) -> str:
    short = text if len(text) <= 12 else text[:11] + "…"
    return f'<text class="tick" x="{x}" y="{y}" text-anchor="{anchor}">{escape(short)}</text>'


def _finite_stretches(x: Sequence[float], y: Sequence[float | None]) -> Iterable[list[tuple[float, float]]]:
    stretch: list[tuple[float, float]] = []
    for a, b in zip(x, y, strict=True):
        if b is None:
            if stretch:
                yield stretch
            stretch = []
        else:
            stretch.append((a, b))
    if stretch:
        yield stretch


def _number(value: float) -> str:
    return f"{value:{'.0f' if 1e3 <= abs(value) < 1e6 else '.3g'}}".replace("-", "−")
