"""Modules that the tests of one file need, imported by the process that runs them and not by all that collect them."""

import importlib
import importlib.util
from typing import Any

import pytest


def later(name: str) -> Any:
    """The module, imported when something of it is first used; the file is skipped where its package is absent."""
    package = name.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed", allow_module_level=True)
    return _Later(name)


class _Later:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_") or attribute == "pytestmark":  # asked for by pytest of everything in a file
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self._name), attribute)
