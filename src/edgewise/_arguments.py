"""Errors for arguments that a call does not have: they name the value that has the argument."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

C = TypeVar("C", bound=Callable[..., Any])
T = TypeVar("T")


def told(value: Any) -> str:
    """A value that was given, for a message: of a number of numpy the number alone.

    >>> import numpy
    >>> told(numpy.float64(1.0)), told("1")
    ('1.0', "'1'")
    """
    return repr(value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value)


def settings_are_in(values: Callable[[], Iterable[type]]) -> Callable[[C], C]:
    """A decorator: the TypeError for an unknown keyword says which of these dataclasses has a field of that name.

    Args:
        values: returns the dataclasses; called only for an error, so that they may be defined later.
    """

    def decorated(call: C) -> C:
        known = inspect.signature(call).parameters
        names = [name for name in known if name != "self"]
        in_order = [p for p in known.values() if p.kind is not p.KEYWORD_ONLY]
        title = call.__qualname__.removesuffix(".__init__")

        @wraps(call)
        def checked(*args: Any, **settings: Any) -> Any:
            unknown = [name for name in settings if name not in known]
            if unknown:
                raise TypeError(f"{title} has no argument {unknown[0]!r}; {_advice(unknown[0], names, values())}")
            if len(args) > len(in_order):
                given = [f"{p.name}=..." for p in known.values() if p.kind is p.KEYWORD_ONLY]
                raise TypeError(f"{title}: too many arguments without a name; write {', '.join(given)}")
            return call(*args, **settings)

        return checked  # type: ignore[return-value]

    return decorated


def with_advice(values: Callable[[], Iterable[type]]) -> Callable[[type[T]], type[T]]:
    """The same for the settings of a dataclass."""

    def decorated(cls: type[T]) -> type[T]:
        cls.__init__ = settings_are_in(values)(cls.__init__)
        return cls

    return decorated


def _advice(name: str, known: list[str], values: Iterable[type]) -> str:
    homes = [f"{value.__name__}({name}=...)" for value in values if name in {f.name for f in fields(value)}]
    return f"it is a setting of {' or '.join(homes)}" if homes else f"it has {', '.join(known)}"
