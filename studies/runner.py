"""Runs a study: measures the cases that are missing, keeps every row, writes the result and draws its figures."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from edgewise.progress import Budget
from studies import table
from studies.known import Known
from studies.result import RESULTS, StudyResult
from studies.study import Case, Row, Run, S, Study, case_id, plain

log = logging.getLogger(__name__)


def run(
    study: Study[S],
    settings: S | None = None,
    seeds: Sequence[int] | None = None,
    *,
    folder: Path = RESULTS,
    minutes: float = math.inf,
    any_commit: bool = False,
) -> StudyResult:
    """Measure what is missing, write `folder/NAME.json` and the figures, and return the result.

    Rows of the same case, settings and commit are taken from the result and from the journal `folder/NAME.jsonl`. The
    journal is removed once no case is missing. A result never replaces one that has more rows.

    Args:
        study: what is measured.
        settings: the study's own by default.
        seeds: those of the published result by default.
        folder: where everything is written.
        minutes: time limit after which no new case begins.
        any_commit: take rows that other commits measured as well.
    """
    settings = study.settings if settings is None else settings
    if study.threads is not None:
        torch.set_num_threads(study.threads)
    budget, known = Budget(60 * minutes), Known(study.name, settings, folder, any_commit)
    lab = Run(settings, folder, known.once)
    cases = [plain(case) for case in study.cases(settings, study.seeds if seeds is None else seeds)]
    for n, case in enumerate(cases, 1):
        if case_id(case) not in known.rows and not budget.over:
            known.add(case, _measured(study, case, lab))
            log.info("%d of %d: %s", n, len(cases), case_id(case))
    result = known.result(study, settings, cases)
    _publish(study, result, known, folder)
    return result


def redraw(study: Study[Any], folder: Path = RESULTS) -> StudyResult:
    """Summarise and draw the stored result anew; measures nothing. `ValueError` where there is no result."""
    result = StudyResult.read(study.name, folder)
    if result is None:
        raise ValueError(f"there is no result {folder / study.name}.json to draw")
    if not result.has_legacy:
        result = replace(result, summary=plain(study.summarise(result.rows)))
        result.write(folder)
    study.draw(result, folder)
    return result


def report(result: StudyResult) -> str:
    """The title, the table, and how many cases are missing."""
    lines = [result.title, "", table.text(result.summary)]
    if result.missing:
        lines += ["", f"{result.missing} cases are not measured yet: run again to continue"]
    return "\n".join(lines)


def _measured(study: Study[S], case: Case, lab: Run[S]) -> Row:
    if "seed" not in case:
        raise ValueError(f"study {study.name!r}: the case {case_id(case)!r} has no seed")
    begun = time.process_time()
    row = study.measure(case, lab)
    return {"cpu_seconds": round(time.process_time() - begun, 2), **row}


def _publish(study: Study[Any], result: StudyResult, known: Known, folder: Path) -> None:
    """Write the result and its figures, unless nothing is measured or the stored one has more rows."""
    stored = len(known.earlier.rows) if known.earlier else 0
    if len(result.rows) < max(stored, 1):
        if result.rows:
            log.warning(
                "%s has %d rows and is not replaced by %d; the new rows are in %s",
                *(folder / f"{study.name}.json", stored, len(result.rows), known.journal.path),
            )
        return
    log.info("wrote %s", result.write(folder))
    if not result.missing:
        known.journal.remove()
    study.draw(result, folder)
