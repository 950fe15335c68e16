"""What holds for every test: shapes and types are checked at run time, one thread, repeatable examples."""

import os
from pathlib import Path

import pytest
import torch
import typecheck
from hypothesis import settings
from typecheck import unchecked

os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is imported, by whichever test comes first
collect_ignore = ["fuzz"]
"""A program of its own, `make fuzz`."""

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("ci" if os.environ.get("CI") else "local")
    torch.set_num_threads(1)
    if checks_shapes(config):
        typecheck.install("edgewise")


def pytest_runtest_setup(item: pytest.Item) -> None:
    typecheck.begin_test()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not checks_shapes(config):
        return
    alone = pytest.mark.skip(reason="the shape-checking hook breaks fullgraph; run `pytest -m compile`")
    for item in items:
        if "compile" in item.keywords:
            item.add_marker(alone)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The run of the compile tests imports no file without one: half of its time was collecting the others."""
    if checks_shapes(config) or collection_path.suffix != ".py":
        return None
    return True if "mark.compile" not in collection_path.read_text("utf-8") else None


@pytest.fixture
def as_a_user():
    """Without the run-time checks, which would refuse a wrong argument before the code under test sees it.

    They also take half of the time of a long computation: one whose parts other tests call with the checks runs as a
    user runs it.
    """
    with unchecked():
        yield


@pytest.fixture(scope="module")
def module_as_a_user():
    """The same for all tests of a module and the fixtures that they share."""
    with unchecked():
        yield


def checks_shapes(config: pytest.Config) -> bool:
    """The hook rewrites every annotated function, and torch.compile cannot trace what it puts there."""
    return not config.option.markexpr.startswith("compile")
