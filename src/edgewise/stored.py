"""Read values back from JSON: every field of the type that its class declares.

What `to_json` wrote comes back as the value that it was. Anything else, damaged or forged, is one `ValueError` that
names the field, so that what shows a value or computes with it can rely on its types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def read_fields(kind: type[T], given: Any, what: str, **ready: Any) -> T:
    """The dataclass whose fields these are; `ValueError` where one is missing, unknown or of another type.

    >>> from edgewise.progress import Event
    >>> read_fields(Event, {"stage": "fit", "fraction": 1, "text": ""}, "an event")
    Event(stage='fit', fraction=1.0, text='')
    >>> read_fields(Event, {"stage": "fit", "fraction": "1", "text": ""}, "an event")
    Traceback (most recent call last):
    ValueError: the fraction of an event is '1', not a float

    Args:
        kind: the class.
        given: the JSON object.
        what: to call it in an error, such as "a run record".
        ready: fields that are read by rules of their own; the object has them too.
    """
    types = _types(kind)
    known = require_keys(given, types, what)
    read = {name: read_as(types[name], known[name], f"the {name} of {what}") for name in types if name not in ready}
    return kind(**read, **ready)


def require_keys(given: Any, names: Any, what: str) -> Mapping[str, Any]:
    """The JSON object, which has exactly these keys; else `ValueError`."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} is a JSON object, not a {type(given).__name__}")
    missing, unknown = set(names) - set(given), set(given) - set(names)
    if missing or unknown:
        told = [f"{word} are {sorted(keys)}" for word, keys in (("missing", missing), ("unknown", unknown)) if keys]
        raise ValueError(f"this is not {what}: {', '.join(told)[:300]}; give what `to_json` returned")
    return given


def read_as(hint: Any, value: Any, where: str) -> Any:
    """The value of this type that JSON stands for; `ValueError` where it stands for none.

    The type is Any, a number, a text, a truth value, None, a `Literal`, a union, a tuple, a `Mapping`, a dataclass, or
    a class with `from_json`.
    """
    if hint is Any:
        return _tuples(value)
    reader = _READERS.get(get_origin(hint))
    if reader is not None:
        return reader(get_args(hint), value, where)
    if isinstance(hint, type) and hasattr(hint, "from_json"):
        return hint.from_json(value)  # pyright: ignore[reportAttributeAccessIssue]
    if is_dataclass(hint) and isinstance(hint, type):
        return read_fields(hint, value, where)
    return _plain(hint, value, where)


def _plain(hint: Any, value: Any, where: str) -> Any:
    if hint is float and type(value) in (int, float):
        try:
            return float(value)
        except OverflowError as error:
            raise ValueError(f"{where} is larger than every float") from error
    if hint not in (int, bool, str, NoneType) or type(value) is not hint:
        raise _other(value, where, f"a {getattr(hint, '__name__', hint)}")
    return _text(value, where) if isinstance(value, str) else value


def _other(value: Any, where: str, wanted: str) -> ValueError:
    return ValueError(f"{where} is {ascii(value)[:40]}, not {wanted}")


def _text(value: str, where: str) -> str:
    """A text that can be written: JSON can also say half of a character."""
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError(f"{where} has half of a character: {ascii(value)[:40]}")
    return value


def _either(options: tuple[Any, ...], value: Any, where: str) -> Any:
    """Of the type that the value has already, else of the first that takes it."""
    errors = []
    for option in sorted(options, key=lambda option: option is not type(value)):
        try:
            return read_as(option, value, where)
        except ValueError as error:
            errors.append(error)
    raise next((e for e in errors if str(e).startswith("this is not")), errors[0])


def _literal(options: tuple[Any, ...], value: Any, where: str) -> Any:
    if not any(value == one and type(value) is type(one) for one in options):
        raise _other(value, where, f"one of {', '.join(map(repr, options))}")
    return value


def _tuple(inner: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _other(value, where, "a list")
    if inner[-1] is Ellipsis:
        return tuple(read_as(inner[0], part, where) for part in value)
    if len(value) != len(inner):
        raise ValueError(f"{where} has {len(value)} parts, not {len(inner)}")
    return tuple(read_as(hint, part, where) for hint, part in zip(inner, value, strict=True))


def _mapping(inner: tuple[Any, ...], value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _other(value, where, "a JSON object")
    return {_text(name, where): read_as(inner[1], part, where) for name, part in value.items()}


def _tuples(value: Any) -> Any:
    """The value with tuples for lists, as the dataclasses have them."""
    if isinstance(value, Mapping):
        return {key: _tuples(part) for key, part in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


@lru_cache
def _types(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind) if field.init}  # pyright: ignore[reportArgumentType]


_READERS = {Union: _either, UnionType: _either, Literal: _literal, tuple: _tuple, Mapping: _mapping, dict: _mapping}
