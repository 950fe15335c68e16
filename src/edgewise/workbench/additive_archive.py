"""A session on an additive model as one ZIP archive, from which the studio opens it again.

The archive has the first model and the one that is worked on, the rows by which they are judged, the script of the
edits between them, and `history.json`, as the archive of a network has it. Nothing of it is run. The files in it are
not compressed: none can be larger than the archive.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewise.io.reading import reading, require
from edgewise.tables.additive import AdditiveModel, additive_model_from_json
from edgewise.tables.additive.deviance import KeptRows
from edgewise.tables.additive.stored_rows import rows_from_json, rows_to_json
from edgewise.workbench.archive import HISTORY, REMEDY, history_document, history_fields, packed, unpacked
from edgewise.workbench.branches import History

FORMAT = "edgewise-studio-additive-1"
MODEL, EDITED, ROWS, SCRIPT = "model.json", "edited.json", "rows.json", "session.py"

_HEAD = f'''"""A session of the edgewise studio: the edits of an additive model from the first to the last one."""

import json
from pathlib import Path

from edgewise.tables.additive import additive_model_from_json
from edgewise.tables.additive.added_pairs import with_pair
from edgewise.tables.additive.stored_rows import rows_from_json
from edgewise.tables.additive.term_editing import clipped, smoothed, with_values, without_term

here = Path(__file__).parent
model = additive_model_from_json(json.loads((here / "{MODEL}").read_text(encoding="utf-8")))
rows = rows_from_json(json.loads((here / "{ROWS}").read_text(encoding="utf-8")))'''


@dataclass(frozen=True)
class StoredAdditive:
    """What an archive holds: the first model, its rows, the states after the first, the current one, and the texts."""

    model: AdditiveModel
    rows: KeptRows
    states: list[dict[str, Any]]
    current: int
    title: str
    note: str


def additive_script(tree: History, number: int) -> str:
    """Python source of the edits from the first state to this one; it reads two files of the session's archive."""
    tail = 'print(f"{len(model.terms)} terms")\n'
    return "\n".join([_HEAD, *(step.code() for step in tree.steps(number)), tail])


def additive_archived(tree: History, title: str = "", note: str = "") -> bytes:
    """The archive of a session."""
    start, current = tree[0].session, tree.current.session
    parts = {
        SCRIPT: additive_script(tree, tree.current.id),
        MODEL: json.dumps(start.model.to_json()),
        EDITED: json.dumps(current.model.to_json(covariance=False)),
        ROWS: json.dumps(rows_to_json(start.rows)),
        HISTORY: history_document(tree, FORMAT, title, note),
    }
    return packed(parts)


def is_additive(path: Path) -> bool:
    """Whether a file is the archive of an additive session; `FileFormatError` where its parts cannot be told."""
    if not zipfile.is_zipfile(path):
        return False
    with reading(path, REMEDY), zipfile.ZipFile(path) as file:
        return {MODEL, ROWS, HISTORY} <= set(file.namelist())


def read_additive_archive(path: Path) -> StoredAdditive:
    """The session in an archive; `FileFormatError` where it is something else."""
    with reading(path, REMEDY):
        history, model, rows = map(json.loads, unpacked(path, HISTORY, MODEL, ROWS))
        fields, states, current = history_fields(history, FORMAT)
        title, note = (str(fields.get(name, "")) for name in ("title", "note"))
        found = additive_model_from_json(model)
        kept = rows_from_json(rows)
        kinds = tuple((column.name, column.kind) for column in kept.columns)
        require(kinds == found.columns, "its rows are not those of its model")
        require(kept.targets.shape[1] == len(found.intercept), "its rows have not the outputs of its model")
        return StoredAdditive(found, kept, states[1:], current, title, note)
