"""A session as a Python script that reproduces it: the first network and the data as files, the steps as code."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

from safetensors.torch import save as tensors_to_bytes

from edgewise.io import save
from edgewise.nn import DEFAULT_LIBRARY
from edgewise.studio.branches import History

SCRIPT, START, DATA = "session.py", "start.safetensors", "data.safetensors"

_HEAD = f'''"""A session of the edgewise studio: the steps from its first network to its last one."""

from pathlib import Path

from safetensors.torch import load_file

import edgewise as ew
from edgewise.symbolic import Session

here = Path(__file__).parent
data = load_file(here / "{DATA}")
session = Session(ew.load(here / "{START}"), data["x"], data["y"])
'''

_TAIL = """
model = session.model
print(f"error {session.error:.6g}")
"""


def script(tree: History, number: int) -> str:
    """Python source of the steps from the first state to this one; it reads the files of `bundle` beside it."""
    own = [name for name, fn in tree[0].session.library.items() if DEFAULT_LIBRARY.get(name) != fn]
    note = [f"# needs your own functions: Session(..., library=...) with {', '.join(map(repr, own))}"] if own else []
    return "\n".join([_HEAD.rstrip("\n"), *note, *(step.code() for step in tree.steps(number)), _TAIL])


def bundle(tree: History, number: int) -> bytes:
    """A ZIP archive with the script and the two files that it reads: the first network and the data."""
    start = tree[0].session
    data = {"x": start.x.detach().contiguous(), "y": start.y.detach().contiguous()}
    with tempfile.TemporaryDirectory() as folder:
        save(start.model, Path(folder) / START)
        network = (Path(folder) / START).read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(SCRIPT, script(tree, number))
        file.writestr(START, network)
        file.writestr(DATA, tensors_to_bytes(data))
    return archive.getvalue()
