"""Damages files as disks, networks, editors and forgers do."""

import json
import random
from collections.abc import Callable
from typing import Any


def damaged(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """The name of a damage and the bytes after it."""
    name = rng.choice([*BYTES, *(TEXTS if _is_text(data) else ())])
    return name, {**BYTES, **TEXTS}[name](data, rng)


def changed(value: Any, rng: random.Random) -> Any:
    """A JSON value with one place changed: deleted, nested, of another type, or a number of another size."""
    value = json.loads(json.dumps(value))
    places = list(_places(value))
    if not places:
        return rng.choice(ODD)
    holder, key = rng.choice(places)
    kind = rng.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
        holder[key] = holder[key] * 10 ** rng.randrange(1, 13) * rng.choice([1, -1])
    elif kind == 2:
        for _ in range(rng.choice([1, 3, 60])):
            holder[key] = [holder[key]]
    elif kind == 3:
        other, name = rng.choice(places)
        holder[key] = json.loads(json.dumps(other[name])) if name in other or isinstance(other, list) else None
    elif kind == 4 and isinstance(holder, dict):
        holder[rng.choice(["", "more", "__class__", "0"])] = holder[key]
    else:
        holder[key] = rng.choice(ODD)
    return value


ODD = [
    None,
    True,
    -1,
    0,
    0.5,
    10**9,
    10**30,
    1e308,
    float("nan"),
    "",
    "x",
    "1",
    "\x00",
    "é" * 300,
    [],
    {},
    [[]],
    {"a": 1},
]
ODD += [[0] * 1000, "open('made', 'w')", "__import__('os')", "../../x", "<script>", "Symbol('a')" * 50, "sin(" * 300]


def _places(value: Any):
    """Every (container, key) inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in list(items):
        yield value, key
        yield from _places(part)


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data[:2000].decode()
    except UnicodeDecodeError:
        return False


def _flip(data: bytes, rng: random.Random, count: int = 1) -> bytes:
    out = bytearray(data or b"\0")
    for _ in range(count):
        out[_near_start(len(out), rng)] ^= 1 << rng.randrange(8)
    return bytes(out)


def _near_start(size: int, rng: random.Random) -> int:
    """A place anywhere, or often in the first bytes, where headers are."""
    return rng.randrange(min(size, 300) if rng.random() < 0.4 else size)


def _swap(data: bytes, rng: random.Random) -> bytes:
    a, b, c = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _fill(data: bytes, rng: random.Random) -> bytes:
    a = _near_start(len(data) or 1, rng)
    n = rng.choice([1, 4, 8, 64, 4096])
    return data[:a] + rng.choice([b"\0", b"\xff"]) * min(n, len(data) - a) + data[a + n :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    a = _near_start(len(data) or 1, rng)
    return data[:a] + rng.randbytes(rng.choice([1, 8, 100])) + data[a:]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:b] + data[a:b] * rng.choice([1, 3]) + data[b:]


def _resize(data: bytes, rng: random.Random) -> bytes:
    """A number of the text with other digits."""
    text = data.decode()
    starts = [n for n, letter in enumerate(text) if letter.isdigit() and (n == 0 or not text[n - 1].isdigit())]
    if not starts:
        return data
    start = rng.choice(starts)
    end = start + 1
    while end < len(text) and text[end].isdigit():
        end += 1
    number = rng.choice(["0", "-1", "9" * 400, "1e999", "9" * 5000, "0.5", "99999999999", "NaN", "", "0x10"])
    return (text[:start] + number + text[end:]).encode()


def _nest(data: bytes, rng: random.Random) -> bytes:
    a, count = rng.randrange(len(data) + 1), rng.choice([5, 500, 50_000])
    left, right = rng.choice([(b"[", b"]"), (b'{"a":', b"}"), (b"(", b")"), (b"- ", b""), (b'"', b'"')])
    return data[:a] + left * count + right * rng.choice([0, count]) + data[a:]


BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "a bit": _flip,
    "many bits": lambda data, rng: _flip(data, rng, rng.choice([2, 10, 100])),
    "cut": lambda data, rng: data[: rng.randrange(len(data) or 1)],
    "cut in front": lambda data, rng: data[rng.randrange(len(data) or 1) :],
    "a hole": lambda data, rng: data[: (a := rng.randrange(len(data) or 1))] + data[a + rng.choice([1, 7, 500]) :],
    "swapped": _swap,
    "filled": _fill,
    "inserted": _insert,
    "repeated": _repeat,
    "noise": lambda data, rng: rng.randbytes(rng.choice([0, 1, 8, len(data)])),
}
TEXTS = {"a number": _resize, "nested": _nest}
