"""Renders rows as a table, in text and in Markdown, and summarises rows over their seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from studies.study import Row


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as aligned text; numbers to the right."""
    if not rows:
        return "(no rows)"
    columns = _columns(rows)
    cells = [[_shown(row.get(column)) for column in columns] for row in rows]
    heads = [column.replace("_", " ") for column in columns]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    right = [any(_is_number(row.get(column)) for row in rows) for column in columns]

    def line(parts: Sequence[str]) -> str:
        pads = (p.rjust(w) if r else p.ljust(w) for p, w, r in zip(parts, widths, right, strict=True))
        return "  ".join(pads).rstrip()

    return "\n".join([line(heads), line(["-" * w for w in widths]), *map(line, cells)])


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table in Markdown."""
    if not rows:
        return ""
    columns = _columns(rows)
    heads = [column.replace("_", " ") for column in columns]
    rules = ["---:" if any(_is_number(row.get(column)) for row in rows) else "---" for column in columns]
    cells = [[_shown(row.get(column)).replace("|", "\\|") for column in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, rules, *cells])


def over_seeds(
    rows: Iterable[Row],
    by: Sequence[str],
    measures: Sequence[str],
    *,
    keep: Sequence[str] = (),
    higher_is_better: bool = False,
) -> list[Row]:
    """Rows grouped by these keys: the count of seeds, and the median and the worst value of every measure.

    Args:
        rows: of one study.
        by: keys that a group shares, in the order of the columns.
        measures: keys of numbers. A null, which a diverged run has, is worse than any number.
        keep: keys whose first value in a group is shown.
        higher_is_better: the direction of the measures.
    """
    found = []
    for group in grouped(rows, by):
        row = {key: group[0].get(key) for key in (*by, *keep)} | {"seeds": len(group)}
        for measure in measures:
            median, worst = median_and_worst([r.get(measure) for r in group], higher_is_better)
            row |= {f"{measure}_median": median, f"{measure}_worst": worst}
        found.append(row)
    return found


def grouped(rows: Iterable[Row], by: Sequence[str]) -> list[list[Row]]:
    """The rows with equal values of these keys together, in the order of their first row."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(repr([row.get(key) for key in by]), []).append(row)
    return list(groups.values())


def median_and_worst(
    values: Sequence[float | None], higher_is_better: bool = False
) -> tuple[float | None, float | None]:
    """The median and the worst; a null is worse than any number, and so may be the median."""
    if not values:
        return None, None
    bad = -math.inf if higher_is_better else math.inf
    numbers = [bad if v is None else v for v in values]
    found = statistics.median(numbers), (min if higher_is_better else max)(numbers)
    return tuple(v if math.isfinite(v) else None for v in found)


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys of all rows whose values fit into a cell."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [key for key in keys if not any(isinstance(row.get(key), Mapping) for row in rows)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
