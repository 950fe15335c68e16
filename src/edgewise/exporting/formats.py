"""The formats that there are, by name."""

from __future__ import annotations

from edgewise.exporting.file_format import Format

_FORMATS: tuple[Format, ...] = ()


def formats() -> dict[str, Format]:
    """Every format by name."""
    return {known.name: known for known in _FORMATS}


def find_format(name: str | Format) -> Format:
    """The format of that name. Raises `ValueError`, which lists those there are, for an unknown one."""
    if isinstance(name, Format):
        return name
    if name not in formats():
        raise ValueError(f"there is no format {name!r}; there are {', '.join(formats())}")
    return formats()[name]
