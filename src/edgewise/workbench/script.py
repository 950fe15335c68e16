"""A session as a Python script that reproduces it: the steps as code, after the first network and the data."""

from __future__ import annotations

from edgewise.nn import DEFAULT_LIBRARY
from edgewise.workbench.branches import History

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
    """Python source of the steps from the first state to this one; it reads two files of a session's archive."""
    own = [name for name, fn in tree[0].session.library.items() if DEFAULT_LIBRARY.get(name) != fn]
    note = [f"# needs your own functions: Session(..., library=...) with {', '.join(map(repr, own))}"] if own else []
    return "\n".join([_HEAD.rstrip("\n"), *note, *(step.code() for step in tree.steps(number)), _TAIL])
