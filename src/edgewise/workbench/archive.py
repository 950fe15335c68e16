"""A session as one ZIP archive, from which the studio opens it again: every state is made anew by its steps.

The archive has the script of the current state, the first network, the data, and `history.json`: the title, and for
every state its parent, its name and the message of its step. Nothing of it is run, and messages are read like those of
a page. The files in it are not compressed: none can be larger than the archive.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load as tensors_of_bytes, save as bytes_of_tensors
from torch import Tensor

from edgewise.io.in_memory import bytes_of, model_of
from edgewise.io.reading import reading, require
from edgewise.nn import KAN
from edgewise.workbench.branches import History
from edgewise.workbench.script import DATA, SCRIPT, START, script

HISTORY, FORMAT = "history.json", "edgewise-studio-1"
REMEDY = "; choose an archive that the studio exported"


@dataclass(frozen=True)
class StoredSession:
    """What an archive holds.

    Attributes:
        model: the first network.
        data: inputs and targets.
        held: those of rows that no step sees; None where there are none.
        states: for every state after the first, {"parent": number, "name": text, "step": message}.
        current: the state that was worked on.
        title: of the session.
        note: on data and targets.
    """

    model: KAN
    data: tuple[Tensor, Tensor]
    held: tuple[Tensor, Tensor] | None
    states: list[dict[str, Any]]
    current: int
    title: str
    note: str


def archived(tree: History, title: str = "", note: str = "") -> bytes:
    """The archive of a session."""
    start = tree[0].session
    pairs = {"": (start.x, start.y), **({} if tree.held is None else {"held_": tree.held})}
    data = {
        f"{kind}{n}": t.detach().contiguous() for kind, pair in pairs.items() for n, t in zip("xy", pair, strict=True)
    }
    parts = {SCRIPT: script(tree, tree.current.id), START: bytes_of(start.model), DATA: bytes_of_tensors(data)}
    return packed({**parts, HISTORY: history_document(tree, FORMAT, title, note)})


def read_archive(path: Path) -> StoredSession:
    """The session in an archive; `FileFormatError` where it is something else."""
    with reading(path, REMEDY):
        history, network, data = unpacked(path, HISTORY, START, DATA)
        fields, states, current = history_fields(json.loads(history), FORMAT)
        tensors = tensors_of_bytes(data)
        require({"x", "y"} <= set(tensors), "it has no data")
        model = model_of(network)
        require(isinstance(model, KAN), "its network is no KAN")
        assert isinstance(model, KAN)
    held = (tensors["held_x"], tensors["held_y"]) if {"held_x", "held_y"} <= set(tensors) else None
    title, note = (str(fields.get(name, "")) for name in ("title", "note"))
    return StoredSession(model, (tensors["x"], tensors["y"]), held, states[1:], current, title, note)


def packed(parts: Mapping[str, str | bytes]) -> bytes:
    """The parts as one ZIP archive, not compressed."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as file:
        for name, part in parts.items():
            file.writestr(name, part)
    return written.getvalue()


def unpacked(path: Path, *names: str) -> list[bytes]:
    """These parts of an archive, which are not compressed."""
    with zipfile.ZipFile(path) as file:
        entries = [file.getinfo(name) for name in names]
        small = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
        require(not small, "its files are compressed, so that their sizes are not known before they are read")
        return [file.read(entry) for entry in entries]


def history_document(tree: History, form: str, title: str, note: str) -> str:
    """The title, and every state by its parent, its name and the message of its step."""
    states = [
        {"parent": branch.parent, "name": branch.name, "step": None if branch.step is None else branch.step.message()}
        for branch in tree
    ]
    fields = {"format": form, "title": title, "note": note, "current": tree.current.id, "states": states}
    return json.dumps(fields, indent=1)


def history_fields(fields: Any, form: str) -> tuple[dict[str, Any], list[dict[str, Any]], int]:
    """The fields of a history, its states, and the number of the current one."""
    require(isinstance(fields, dict) and fields.get("format") == form, f"its format is not {form!r}")
    states, current = fields.get("states"), fields.get("current")
    if not isinstance(states, list) or not states or not isinstance(current, int):
        raise ValueError("it has no history")
    require(all(isinstance(state, dict) for state in states), "a state of it is no object")
    return fields, states, current
