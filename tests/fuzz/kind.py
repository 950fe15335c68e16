"""What a kind of files is, and the damages that all kinds share."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from damage import changed, damaged


@dataclass(frozen=True)
class Kind:
    """Files of one kind: `make(folder)` writes good ones and returns what the others need, `damage` one of them.

    `sealed` ones carry a digest, so that a damaged file is never read as another one. Reading takes at most `limit`
    seconds of the processor.
    """

    make: Callable[[Path], Any]
    read: Callable[[Path, Any], Any]
    damage: Callable[[Path, Any, random.Random], str]
    sealed: bool = False
    limit: float = 5.0


def any_file(folder: Path, _: Any, rng: random.Random) -> str:
    """Damage the bytes of one of the files."""
    path = rng.choice(sorted(p for p in folder.rglob("*") if p.is_file()))
    name, data = damaged(path.read_bytes(), rng)
    path.write_bytes(data)
    return f"{name}, {path.name}"


def change_json(path: Path, rng: random.Random) -> str:
    """Change one or a few places of a JSON file."""
    value = json.loads(path.read_text())
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        value = changed(value, rng)
    path.write_text(json.dumps(value))
    return f"another value, {path.name}"


def other_tensor(t: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """A tensor of another shape, dtype or value."""
    choices = [
        lambda: torch.zeros(rng.choice([0, 1, 2, 1000])),
        t.flatten,
        t[None].contiguous,
        lambda: t.double() if t.dtype != torch.float64 else t.float(),
        t.long,
        lambda: t.float() * torch.nan,
        lambda: torch.full_like(t, 100),
        lambda: t.flip(-1).contiguous() if t.ndim else t,
        lambda: torch.cat([t, t]) if t.ndim else t,
    ]
    return rng.choice(choices)()


def keep_one(folder: Path, rng: random.Random) -> Path:
    """One of the files, chosen at random; the others are removed, so that a case costs one reading."""
    path, *others = rng.sample(sorted(p for p in folder.iterdir() if p.is_file()), len(list(folder.iterdir())))
    for other in others:
        other.unlink()
    return path
