"""A session that was exported opens again with all its states; what is no session is refused."""

import base64
import io
import json
import zipfile

import pytest
import torch

from edgewise.io import FileFormatError
from edgewise.workbench import open_archive
from edgewise.workbench.steps import step_of

from .test_workspace import STEPS, A, B


@pytest.fixture
def session(work, do, tmp_path):
    """A session with two branches, and its archive."""
    do("fit", steps=15)
    do("fix", edge=A, name="sin")
    do("undo")
    do("shape", edge=B, shape="convex")
    do("fit", steps=5)
    do("name", state=2, name="a <sine>")
    do("goto", state=2)
    path = tmp_path / "session.zip"
    path.write_bytes(base64.b64decode(do("bundle")["file"]["base64"]))
    return work, path


def test_an_archive_opens_with_every_state(session):
    work, path = session
    told = []
    again = open_archive(path, told.append)
    assert len(told) == 4
    assert again.document() == work.document()
    for before, after in zip(work.tree, again.tree, strict=True):
        for name, value in before.session.model.state_dict().items():
            assert torch.equal(after.session.model.state_dict()[name], value)
    assert again.act({"do": "undo"})["current"] == 1


def test_a_step_is_the_message_that_it_was_made_of(work, do):
    do("fix", edge=A, name="sin")
    for name, fields in STEPS.items():
        sent = {"do": name, **fields}
        assert json.loads(json.dumps(step_of(work.session, sent).message())) == sent


def changed(path, **entries: bytes | None) -> None:
    """The archive with some entries replaced, or removed."""
    with zipfile.ZipFile(path) as file:
        content = {name: file.read(name) for name in file.namelist()}
    content |= {name.replace("_", "."): value for name, value in entries.items()}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, value in content.items():
            if value is not None:
                file.writestr(name, value)
    path.write_bytes(packed.getvalue())


def history(**fields: object) -> bytes:
    return json.dumps({"format": "edgewise-studio-1", "current": 0, "states": [{}], **fields}).encode()


@pytest.mark.parametrize(
    "entries",
    [
        {"history_json": None},
        {"history_json": b"{"},
        {"history_json": b"[]"},
        {"history_json": history(format="other")},
        {"history_json": history(states=[])},
        {"history_json": history(states=[{}, 3])},
        {"history_json": history(current=9)},
        {"history_json": history(current="0")},
        {"history_json": history(states=[{}, {"parent": 5, "name": "", "step": {"do": "fit", "steps": 5}}])},
        {"history_json": history(states=[{}, {"parent": 0, "name": "", "step": {"do": "__init__"}}])},
        {"history_json": history(states=[{}, {"parent": 0, "name": "", "step": {"do": "undo"}}])},
        {"history_json": history(states=[{}, {"parent": 0, "name": 7, "step": {"do": "fit", "steps": 5}}])},
        {"history_json": history(states=[{}, {"parent": 0, "name": "", "step": None}])},
        {"data_safetensors": b"nonsense"},
        {"start_safetensors": b"nonsense"},
        {"data_safetensors": None},
    ],
    ids=str,
)
def test_what_is_no_session_is_refused(session, entries):
    _, path = session
    changed(path, **entries)
    with pytest.raises(FileFormatError, match="choose an archive that the studio exported"):
        open_archive(path)


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "session.zip").write_bytes(b"PK nonsense")
    with pytest.raises(FileFormatError, match=r"session\.zip cannot be loaded"):
        open_archive(tmp_path / "session.zip")
    with pytest.raises(FileNotFoundError):
        open_archive(tmp_path / "absent.zip")


def test_an_archive_that_was_compressed_again_is_refused(session, tmp_path):
    """What it unpacks to would be known only after it was unpacked."""
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(session[1]) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(FileFormatError, match="its files are compressed"):
        open_archive(packed)


def test_an_archive_with_a_damaged_list_of_parts_is_refused(session, tmp_path):
    """It was `BadZipFile` while the kind of the archive was looked up."""
    data = bytearray(session[1].read_bytes())
    data[data.index(b"PK\x01\x02")] ^= 1
    (tmp_path / "bent.zip").write_bytes(data)
    with pytest.raises(FileFormatError, match=r"bent\.zip cannot be loaded: BadZipFile.*choose an archive"):
        open_archive(tmp_path / "bent.zip")
