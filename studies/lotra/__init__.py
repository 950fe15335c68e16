"""What LoTRA and slim layers do on small problems: `python -m studies.lotra`.

Medians and worst cases over seeds, equal numbers of tries per method; the rate of a method is chosen by its loss at
validation samples, or by its training loss where there are none, never by its test error. The problems are ours: those
of arXiv 2502.06153 were not available to us, so nothing here reproduces its tables.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from studies import timing
from studies.lotra import expressiveness, images, plots, rates, sequential, step, transfer
from studies.lotra.journal import Journal

logger = logging.getLogger(__name__)

STUDIES = {
    "rates": rates.study,
    "transfer": transfer.study,
    "expressiveness": expressiveness.study,
    "functions": images.functions,
    "digits": images.digits,
    "mnist": images.mnist,
    "fashion": images.fashion,
    "sequential": sequential.study,
    "step": step.study,
}


def run(
    studies: Iterable[str] | None = None,
    out: Path = timing.RESULTS,
    seeds: int = 5,
    minutes: float = math.inf,
) -> dict[str, Any]:
    """Run these studies (all by default), log their tables, write a JSON file and a picture for each.

    What a file in `out` has measured already, of the same settings, is kept. After `minutes` a study begins nothing
    new: "transfer" then reports what it has, others raise `TimeSpentError`, and a next run goes on there.
    """
    done: dict[str, Any] = {}
    for name in STUDIES if studies is None else studies:
        path = out / f"lotra-{name}.json"
        journal = Journal(path, minutes)
        rows = STUDIES[name](range(seeds), journal)
        done[name] = {
            "study": name,
            "what": (STUDIES[name].__doc__ or "").split("\n")[0],
            "environment": timing.environment(),
            "seeds": seeds,
            "cpu_seconds": journal.seconds(),
            "rows": rows,
            "outcomes": journal.asked,
        }
        timing.write(done[name], path)
        journal.close()
        plots.plot(name, rows, path.with_suffix(".png"))
        logger.info("%s, %.0f s\n%s\n", done[name]["what"], done[name]["cpu_seconds"], table(rows))
    return done


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as aligned text."""
    columns = list(rows[0])
    cells = [[_shown(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(column), *(len(row[n]) for row in cells)) for n, column in enumerate(columns)]
    lines = [columns, ["-" * width for width in widths], *cells]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
