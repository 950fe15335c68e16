"""Finds what a study has measured already: rows of the same case, settings and commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from studies.environment import environment
from studies.journal import Journal
from studies.result import StudyResult
from studies.study import Case, Row, Settings, Study, case_id, deciding, plain


class Known:
    """The rows and the shared values of a study, in the result and in the journal of a folder.

    Args:
        name: of the study.
        settings: a row of other settings is not taken, unless they only select cases.
        folder: has `NAME.json` and `NAME.jsonl`.
        any_commit: take what other commits measured.
    """

    def __init__(self, name: str, settings: Settings, folder: Path, any_commit: bool) -> None:
        self.environment = environment()  # of the code that has been loaded: the checkout may change during the run
        self.settings = deciding(settings)
        self.any_commit = any_commit
        self.journal = Journal(folder / f"{name}.jsonl")
        self.earlier = StudyResult.read(name, folder)
        self.rows: dict[str, Row] = {}
        self.shared: dict[str, Any] = {}
        for kind, key, value in [*self._stored(), *self._journalled()]:
            (self.rows if kind == "case" else self.shared)[key] = value

    def add(self, case: Case, row: Row) -> None:
        """Store what was measured."""
        key = case_id(case)
        if clash := {k for k in row if k in case and row[k] != case[k]}:
            raise ValueError(f"{key}: what was measured has the keys {sorted(clash)} of the case with other values")
        row = {"case": key, **case, **plain(row), "commit": self.environment["commit"]}
        self._append("case", key, row)
        self.rows[key] = row

    def once(self, what: str, compute: Callable[[], Any]) -> Any:
        """A value that all cases share, computed once and stored."""
        if what not in self.shared:
            self.shared[what] = plain(compute())
            self._append("shared", what, self.shared[what])
        return self.shared[what]

    def result(self, study: Study[Any], settings: Settings, cases: list[Case]) -> StudyResult:
        """The rows of these cases in their order, then others that are known."""
        wanted = [case_id(case) for case in cases]
        found = {key: self.rows[key] for key in wanted if key in self.rows}
        rows = list((found | self.rows).values())
        return StudyResult(
            study=study.name,
            title=study.title,
            settings=plain(settings),
            environment=self.environment,
            rows=rows,
            summary=plain(study.summarise(rows)) if rows else [],
            shared=self.shared,
            missing=len(wanted) - len(found),
        )

    def _append(self, kind: str, key: str, value: Any) -> None:
        self.journal.append(
            {kind: key, "settings": self.settings, "commit": self.environment["commit"], "value": value}
        )

    def _journalled(self) -> Iterator[tuple[str, str, Any]]:
        for entry in self.journal.entries:
            if entry["settings"] == self.settings and self._trusts(entry["commit"]):
                kind = "case" if "case" in entry else "shared"
                yield kind, entry[kind], entry["value"]

    def _stored(self) -> Iterator[tuple[str, str, Any]]:
        found = self.earlier
        if found is None or any(found.settings.get(k, object()) != v for k, v in self.settings.items()):
            return
        yield from (("case", r["case"], r) for r in found.rows if "legacy" not in r and self._trusts(r["commit"]))
        if self._trusts(found.environment["commit"]):
            yield from (("shared", key, value) for key, value in found.shared.items())

    def _trusts(self, commit: str | None) -> bool:
        return self.any_commit or commit == self.environment["commit"]
