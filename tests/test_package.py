"""Laws of the package as a whole: what an import brings, and that every public name is there."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgewise as ew

LATE = ("sympy", "mpmath", "scipy", "pandas", "matplotlib", "sklearn", "rich", "tyro", "torch._dynamo")
OPTIONAL = ("matplotlib", "sklearn", "pandas", "anywidget", "peft", "onnx", "huggingface_hub", "tyro", "rich")


def printed(*lines: str) -> str:
    """What a fresh interpreter prints."""
    code = "\n".join(lines)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_import_brings_nothing_late_or_optional():
    before = "import sys, torch; before = set(sys.modules); import edgewise"
    assert printed(before, f"print([m for m in {LATE + OPTIONAL} if m in set(sys.modules) - before])") == "[]"


def test_the_package_alone_imports_nothing_heavy():
    heavy = ("torch", "numpy", "sympy", "scipy")
    assert printed("import sys, edgewise", f"print([m for m in {heavy} if m in sys.modules])") == "[]"


def test_a_network_runs_without_what_is_late():
    run = "import sys, torch, edgewise as ew; ew.KAN([2, 5, 1])(torch.zeros(3, 2)).sum().backward()"
    assert printed(run, f"print([m for m in {LATE} if m in sys.modules])") == "[]"


def test_every_public_name_resolves():
    missing = "print([name for name in ew.__all__ if getattr(ew, name, None) is None])"
    assert printed("import edgewise as ew", missing, "print(ew.training.fit is ew.fit)").split() == ["[]", "True"]


def test_modules_resolve_without_an_import_of_their_own():
    names = printed("import edgewise as ew", "print(ew.pde.__name__, ew.functional.__name__, hasattr(ew, 'absent'))")
    assert names == "edgewise.pde edgewise.functional False"


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
