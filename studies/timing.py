"""What studies outside the protocol of `studies.study` still share; goes with the last of them."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from edgewise.io.whole import write_whole
from studies import environment as measured_here
from studies.machine import best_seconds, peak_flops, peak_memory, product_flops
from studies.result import RESULTS

__all__ = [
    "RESULTS",
    "begin_study",
    "best_seconds",
    "environment",
    "peak_flops",
    "peak_memory",
    "product_flops",
    "write",
    "write_rows",
]


def begin_study() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("edgewise.training").setLevel(logging.WARNING)
    torch.set_num_threads(1)


def environment() -> dict[str, Any]:
    found = measured_here.environment()
    return {"commit": found["commit"], "date": found["date"], **found["versions"], **found["machine"]}


def write(results: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(results, indent=1, default=asdict) + "\n")


def write_rows(name: str, measure: str, rows: Sequence[Mapping[str, Any]], **more: Any) -> Path:
    path = RESULTS / f"{name}.json"
    write({"environment": environment(), "measure": measure, "rows": list(rows), **more}, path)
    return path
