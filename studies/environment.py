"""Says where a result was measured: the commit, the versions and the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from edgewise._version import __version__

ROOT = Path(__file__).parent.parent


def environment() -> dict[str, Any]:
    """The commit, the date, the versions and the machine, for every file of results."""
    return {
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"edgewise": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        },
    }


def commit() -> str | None:
    """The commit of the checkout, with a "+" where `src` or `studies` differ from it; None without git."""
    found = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "src", "studies", ":!studies/results")
    return f"{found}+" if found and changed else found


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=ROOT)
    except OSError:
        return None
    return done.stdout.strip() or None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return f"{values.get('model name', '?')} (family {values.get('cpu family', '?')}, model {values.get('model', '?')})"
