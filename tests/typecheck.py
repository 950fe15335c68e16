"""Checks every annotation of the package while tests run: types by beartype, shapes by jaxtyping.

One wrapper has arguments and result in one scope of shapes. The import hook of jaxtyping checks arguments twice and
binds them a third time, which took a fifth of the suite.
"""

import ast
import dataclasses
import functools
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder, SourceFileLoader
from typing import Any, get_type_hints
from unittest.mock import patch

import jaxtyping
from beartype import BeartypeConf, beartype

CHECKED_CALLS = 20
"""Of every function in every test: the others call it no differently, and took half of the time of a long test."""
_test = [0]
"""Counts the tests."""

checked_by_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeError))
"""An int may stand for a float."""


def install(package: str) -> None:
    """Check the functions of a package that is imported from now on."""
    sys.meta_path.insert(0, _Finder(package))


def begin_test() -> None:
    """Check the first calls of every function again."""
    _test[0] += 1


def typechecked(function: Any) -> Any:
    """The function with its arguments and its result checked, sizes of one name being one size.

    Of a class, its `__init__` where `dataclass` wrote it: all others are functions of the module.
    """
    if isinstance(function, type):
        written = function.__dict__.get("__init__")
        if dataclasses.is_dataclass(function) and written is not None and not hasattr(written, "__wrapped__"):
            function.__init__ = typechecked(written)
        return function
    if inspect.isgeneratorfunction(function):  # beartype would check its arguments in the scope that asks for values
        return jaxtyping.jaxtyped(typechecker=checked_by_beartype)(function)
    if not function.__annotations__:
        return function

    test, calls, checked = 0, 0, None

    @functools.wraps(function)
    def scoped(*args: Any, **kwargs: Any) -> Any:
        nonlocal test, calls, checked
        if test != _test[0]:
            test, calls = _test[0], 0
        calls += 1
        if calls > CHECKED_CALLS or jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        if checked is None:  # at the first call: a process that collects all tests runs few of the functions
            checked = checked_by_beartype(_with_hints(function))
        with jaxtyping.jaxtyped("context"):
            return checked(*args, **kwargs)

    return scoped


def _with_hints(function: Any) -> Any:
    function.__annotations__ = {name: _resolved(hint, function) for name, hint in function.__annotations__.items()}
    return function


def _resolved(hint: Any, function: Any) -> Any:
    """What an annotation written as text stands for; anything where its names are not known here."""

    def probe() -> None: ...

    probe.__annotations__ = {"hint": hint}
    try:
        return get_type_hints(probe, function.__globals__, include_extras=True)["hint"]
    except Exception:
        return Any


@contextmanager
def unchecked() -> Iterator[None]:
    """Without the checks: a third of the time of a long solve, whose parts other tests call with the checks."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


class _Finder(MetaPathFinder):
    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname.partition(".")[0] != self.package:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Decorates all functions of a module below their other decorators, classes above; keeps its bytecode apart."""

    def get_code(self, fullname: str) -> Any:
        place = functools.partial(importlib.util.cache_from_source, optimization="typechecked")
        with patch("importlib._bootstrap_external.cache_from_source", lambda path, **_: place(path)):
            return super().get_code(fullname)

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> Any:
        tree = ast.parse(data, path)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                decorator = ast.parse("__import__('typecheck').typechecked", mode="eval").body
                place = len(node.decorator_list) if isinstance(node, ast.FunctionDef) else 0
                node.decorator_list.insert(place, ast.fix_missing_locations(ast.copy_location(decorator, node)))
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)
