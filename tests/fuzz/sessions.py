"""Sessions of the studio: their archives, forged ones too, and the messages of a page."""

import io
import json
import random
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from damage import changed
from kind import Kind, any_file

import edgewise as ew
from edgewise.workbench import AdditiveWorkspace, Workspace
from edgewise.workbench.opening import open_archive
from edgewise.workbench.server import parsed

NAME = "session.zip"
MESSAGES: list[dict[str, Any]] = [
    {"do": "fix", "edge": [0, 0, 0], "name": "sin"},
    {"do": "release", "edge": [0, 0, 0]},
    {"do": "remove", "edge": [0, 1, 0]},
    {"do": "lock", "edges": [[0, 0, 0]]},
    {"do": "share", "edges": [[0, 0, 0], [0, 1, 0]]},
    {"do": "forbid", "names": ["sin"]},
    {"do": "shape", "edge": [0, 0, 0], "shape": "increasing"},
    {"do": "constrain", "shape": "increasing", "inputs": [0]},
    {"do": "symmetric", "inputs": [0, 1]},
    {"do": "prune", "least": 0.1},
    {"do": "refine", "intervals": 4},
    {"do": "fit", "steps": 5},
    {"do": "goto", "state": 1},
    {"do": "rename", "state": 0, "name": "first"},
    {"do": "compare", "state": 0},
    {"do": "suggest", "edge": [0, 0, 0]},
    {"do": "predict", "x": [0.5, -1.0]},
    {"do": "preview", "step": {"do": "fix", "edge": [0, 0, 0], "name": "sin"}},
    *({"do": name} for name in ("undo", "redo", "constants", "script", "report", "picture", "bundle", "stop")),
]


class FailedInsideError(Exception):
    """The studio says that it failed itself."""


def work() -> Workspace:
    x = torch.linspace(-1, 1, 40, dtype=torch.float64).reshape(20, 2)
    model = ew.KAN([2, 2, 1], ew.BSpline(3, 2), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return Workspace(model, x, x[:, :1].sin() + x[:, 1:] ** 2, title="<b>")


def make_session(folder: Path) -> None:
    made = work()
    for message in (MESSAGES[0], MESSAGES[11], MESSAGES[10], MESSAGES[2]):
        assert "ok" in made.act(message), message
    (folder / NAME).write_bytes(_file(made.act({"do": "bundle"})))


def _file(answer: dict[str, Any]) -> bytes:
    import base64

    return base64.b64decode(answer["file"]["base64"])


def forge(folder: Path, _: Any, rng: random.Random) -> str:
    """Another history, network or data in an archive whose checksums are right, at times compressed."""
    with zipfile.ZipFile(folder / NAME) as file:
        parts = {entry: file.read(entry) for entry in file.namelist()}
    name = rng.choice(["history.json", "history.json", *parts])
    if name == "history.json":
        history = json.loads(parts[name])
        if rng.random() < 0.3:
            history["states"].append({"parent": 1, "name": "", "step": changed(rng.choice(MESSAGES), rng)})
        parts[name] = json.dumps(changed(history, rng)).encode()
    else:
        parts[name] = rng.choice([b"", parts[name][:100], rng.randbytes(50), parts["history.json"]])
    packed = io.BytesIO()
    how = zipfile.ZIP_DEFLATED if rng.random() < 0.05 else zipfile.ZIP_STORED
    with zipfile.ZipFile(packed, "w", how) as file:
        for entry, data in parts.items():
            file.writestr(entry, data)
    (folder / NAME).write_bytes(packed.getvalue())
    return f"forged, {name}"


def read_session(folder: Path, _: Any) -> Any:
    opened = open_archive(folder / NAME)
    return json.dumps(opened.state(), allow_nan=False)


def make_messages(folder: Path) -> Workspace:
    (folder / "messages.jsonl").write_text("\n".join(map(json.dumps, MESSAGES)))
    return work()


def damage_messages(folder: Path, _: Any, rng: random.Random, *, messages: Sequence[Any] = MESSAGES) -> str:
    """A few messages of a page, some of them changed."""
    sent = [json.dumps(changed(m, rng) if rng.random() < 0.5 else m) for m in rng.choices(messages, k=3)]
    (folder / "messages.jsonl").write_text("\n".join(sent))
    return "messages " + sent[-1][:120]


def read_messages(folder: Path, made: Workspace | AdditiveWorkspace) -> None:
    """Every message is answered; when the history has become long, begin anew."""
    if len(made.tree.branches) > 12:
        made.__dict__.update((work if isinstance(made, Workspace) else additive_work)().__dict__)
    for line in (folder / "messages.jsonl").read_text().splitlines():
        answer = made.act(parsed(line))
        json.dumps([answer, made.state()], allow_nan=False)
        if "inside edgewise" in answer.get("error", ""):
            raise FailedInsideError(f"{answer['error']}: {line[:150]}")


AGE = "<b>age</b>"
EDITS: list[dict[str, Any]] = [
    {"do": "set_values", "term": AGE, "low": -0.5, "high": 0.25, "value": 0.1},
    {"do": "clip_term", "term": AGE, "low": -0.5, "high": 0.5},
    {"do": "smooth_term", "term": AGE, "factor": 10},
    {"do": "smooth_term", "term": f"{AGE} x b", "factor": 2},
    {"do": "remove_term", "term": "kind"},
    {"do": "preview", "step": {"do": "remove_term", "term": AGE}},
    {"do": "picture", "format": "svg"},
    *MESSAGES[12:15],
    *({"do": name} for name in ("undo", "redo", "script", "bundle", "report")),
]


def additive_work() -> AdditiveWorkspace:
    """A curve with gaps, levels with markup and a pair."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({AGE: rng.uniform(-1, 1, 120), "b": rng.uniform(-1, 1, 120), "kind": ["x", "</y>", "z"] * 40})
    y = np.sin(3 * frame[AGE]) + frame[AGE] * frame["b"]
    frame.loc[:8, AGE] = np.nan
    opened = ew.studio(ew.KANAdditive(interactions=[(AGE, "b")]).fit(frame, y.fillna(0.0))).work
    assert isinstance(opened, AdditiveWorkspace)
    return opened


def make_edits(folder: Path) -> AdditiveWorkspace:
    (folder / "messages.jsonl").write_text("\n".join(map(json.dumps, EDITS)))
    return additive_work()


def make_additive_session(folder: Path) -> None:
    made = additive_work()
    for message in (EDITS[0], EDITS[2], EDITS[4]):
        assert "ok" in made.act(message), message
    (folder / NAME).write_bytes(_file(made.act({"do": "bundle"})))


KINDS = {
    "studio session": Kind(make_session, read_session, any_file),
    "studio session, forged": Kind(make_session, read_session, forge, limit=20.0),
    "studio messages": Kind(make_messages, read_messages, damage_messages, limit=20.0),
    "additive messages": Kind(make_edits, read_messages, partial(damage_messages, messages=EDITS), limit=20.0),
    "additive session": Kind(make_additive_session, read_session, forge, limit=20.0),
}
