"""A value is read back from JSON as it was, or refused with the field that is wrong: whatever is put in its place."""

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pytest

from edgewise.stored import read_as, read_fields


@dataclass(frozen=True)
class Part:
    name: str
    size: tuple[int, float]


@dataclass(frozen=True)
class Whole:
    kind: Literal["a", "b"]
    share: float
    parts: tuple[Part, ...]
    by_name: Mapping[str, tuple[float, ...]]
    label: str | int | None = None
    sure: bool = True
    more: Any = None


VALUE = Whole("a", 0.5, (Part("p", (1, 2.5)), Part("é", (0, -1.0))), {"x": (1.0,)}, "l", False, ((1, 2),))
OTHERS = [None, True, -1, 0.5, "x", "\ud800", [], {}, [1, 2, 3], {"a": 1}, 10**400]
FREE = ("more",)


def places(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (*path, key)
        yield from places(part, (*path, key))


def typed(value):
    """Types all the way down, which equality of 1 and True would not see."""
    if isinstance(value, dict):
        return {key: typed(part) for key, part in value.items()}
    return tuple(map(typed, value)) if isinstance(value, list | tuple) else type(value)


def test_what_was_written_is_read():
    assert read_fields(Whole, json.loads(json.dumps(asdict(VALUE))), "a whole") == VALUE


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: ascii(other)[:12])
def test_another_value_at_any_place_is_of_the_same_type_or_refused(other):
    text = json.dumps(asdict(VALUE))
    for path in places(json.loads(text)):
        given = json.loads(text)
        holder = given
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = copy.deepcopy(other)
        try:
            read = read_fields(Whole, given, "a whole")
        except ValueError:
            continue
        kept = {"label", "more"}  # may be of several types
        before, after = ({k: v for k, v in asdict(x).items() if k not in kept} for x in (VALUE, read))
        if path[0] not in ("parts", "by_name"):  # these may be empty or longer
            assert typed(before) == typed(after), path


def test_keys_that_are_missing_or_unknown_are_named():
    good = json.loads(json.dumps(asdict(VALUE)))
    with pytest.raises(ValueError, match=r"this is not a whole: missing are \['share'\], unknown are \['colour'\]"):
        read_fields(Whole, {k: v for k, v in good.items() if k != "share"} | {"colour": 1}, "a whole")
    with pytest.raises(ValueError, match="the share of a whole is larger than every float"):
        read_fields(Whole, good | {"share": 10**400}, "a whole")
    with pytest.raises(ValueError, match="has 3 parts, not 2"):
        read_as(tuple[int, int], [1, 2, 3], "a pair")
