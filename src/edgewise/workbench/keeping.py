"""A session that outlives its server: every new state is written to an archive, from which the session continues."""

from __future__ import annotations

import threading
from pathlib import Path

from edgewise.io import write_whole
from edgewise.workbench.desk import Desk


def keep(work: Desk, path: Path) -> None:
    """Write the archive of a session to a file now and after every change of its states or their names.

    Args:
        work: the session.
        path: the file, which is replaced as a whole, so that a server that is killed leaves the last one.
    """
    seen: list[tuple[object, ...]] = []
    writing = threading.Lock()  # so that no older session is written over a newer one

    def write() -> None:
        with writing:
            now = (work.tree.current.id, *((branch.id, branch.name) for branch in work.tree))
            if not seen or seen[-1] != now:
                write_whole(path, work.archive())
                seen[:] = [now]

    write()
    work.listeners.append(write)
