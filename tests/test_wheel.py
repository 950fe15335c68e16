"""The wheel works where there is no compiler: its native kernels are inside."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from edgewise.kernels.cpu import build

ROOT = Path(__file__).parent.parent
PROGRAM = """
import pathlib, shutil, sys
import torch
import edgewise as ew
from edgewise.kernels.cpu import load

assert not any(map(shutil.which, ("c++", "g++", "clang++", "cc", "gcc")))
assert pathlib.Path(ew.__file__).is_relative_to(sys.prefix), ew.__file__
assert load.why_not() is None, load.why_not()
assert load.find_or_build(load.variant()).parent == load.PREBUILT
model, x = ew.KAN([2, 5, 1]), torch.rand(64, 2)
with ew.use_backend("cpu"):
    fast = model(x)
with ew.use_backend("reference"):
    torch.testing.assert_close(fast, model(x))
result = ew.fit(model, (x, x.prod(1)), ew.FirstOrder("adam", steps=20))
assert result.report.loss < result.history[0]["loss"]
print(load.variant())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that EDGEWISE_WHEEL names, or one built now (pip fetches the build backend)."""
    if given := os.environ.get("EDGEWISE_WHEEL"):
        return Path(given)
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT]
    subprocess.run(command, check=True, env={**os.environ, "EDGEWISE_NATIVE": "1"})
    return next(folder.glob("*.whl"))


@pytest.mark.parametrize("name", build.OTHERS)
def test_a_library_built_elsewhere_has_the_name_that_is_looked_for(name, monkeypatch):
    """On Windows `platform.machine()` says AMD64."""
    other = build.OTHERS[name]
    monkeypatch.setattr("platform.machine", lambda: other.machine.upper() if other.system == "win32" else other.machine)
    monkeypatch.setattr("sys.platform", other.system)
    assert [build.here().library_name(v) for v in build.here().variants] == [
        other.library_name(v) for v in other.variants
    ]


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["", "portable"])
def test_the_wheel_needs_no_compiler(wheel, variant, tmp_path):
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    where = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    site = Path(where.stdout.strip())
    zipfile.ZipFile(wheel).extractall(site)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")  # torch and the others, not edgewise
    cache = tmp_path / "cache"
    environment = {"PATH": str(tmp_path), "EDGEWISE_CACHE": str(cache), "HOME": str(tmp_path)}
    if variant:
        environment["EDGEWISE_CPU_VARIANT"] = variant
    done = subprocess.run(
        [python, "-c", PROGRAM], check=False, capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not variant or done.stdout.split() == [variant]
    assert not cache.exists()
    assert "py3-none-" in wheel.name
