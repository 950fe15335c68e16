"""Laws of the package as a whole: what an import brings, and that every public name is there."""

import ast
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgewise as ew

HEAVY = ("torch", "numpy")
LATE = ("sympy", "mpmath", "scipy", "pandas", "matplotlib", "sklearn", "rich", "tyro", "torch._dynamo")
OPTIONAL = ("matplotlib", "sklearn", "pandas", "anywidget", "peft", "onnx", "huggingface_hub", "tyro", "rich")


PROGRAM = f"""
import json, sys
told = dict()
def loaded(names):
    return [name for name in names if name in sys.modules]

import edgewise as ew
told["import"] = loaded({(*HEAVY, *LATE, *OPTIONAL)})

import torch
ew.KAN([2, 5, 1])(torch.zeros(3, 2)).sum().backward()
told["network"] = loaded({LATE})

told["modules"] = [loaded(["edgewise.pde", "edgewise.compare"]), ew.pde.__name__, ew.compare.__name__]
told["absent"] = hasattr(ew, "absent")
told["missing"] = [name for name in ew.__all__ if getattr(ew, name, None) is None]
told["function"] = ew.training.fit is ew.fit
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told() -> dict:
    """What a fresh interpreter loads, step by step."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_import_brings_nothing_heavy_late_or_optional(told):
    assert told["import"] == []


def test_a_network_runs_without_what_is_late(told):
    assert told["network"] == []


def test_modules_resolve_without_an_import_of_their_own(told):
    assert told["modules"] == [[], "edgewise.pde", "edgewise.compare"]
    assert not told["absent"]


def test_every_public_name_resolves(told):
    assert told["missing"] == []
    assert told["function"]


def test_the_lazy_names_are_those_of_the_type_checker():
    tree = ast.parse(Path(ew.__file__).read_text())
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.name: node.module for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    modules = {name for name, home in imported.items() if home == "edgewise"}
    public = {info.name for info in pkgutil.iter_modules(ew.__path__) if not info.name.startswith("_")}
    assert modules == public - {"cli"}
    imported = {name: home for name, home in imported.items() if name not in modules}
    assert imported == ew._HOME
    assert sorted(imported) == sorted(ew.__all__)
    assert set(ew.__all__) <= set(dir(ew))


def test_a_name_that_is_not_at_the_top_is_told_where_it_is():
    with pytest.raises(AttributeError, match=r"no attribute 'widen'; it is edgewise\.surgery\.widen"):
        ew.widen  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'node_scores'; it is edgewise\.tracing\.node_scores"):
        ew.node_scores  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'absent'$"):
        ew.absent  # noqa: B018


def test_the_citation_names_this_version():
    citation = (Path(__file__).parent.parent / "CITATION.cff").read_text()
    assert f"\nversion: {ew.__version__}\n" in citation
