"""Compile the native kernels into the wheel: one library per instruction set, `py3-none-<platform>`.

`build.py` is the only file of the package that runs here, by its path: building must not need torch. Where there is no
compiler the wheel is pure Python, and the kernels are built on the user's machine or not at all. EDGEWISE_NATIVE=0
leaves them out, EDGEWISE_NATIVE=1 fails rather than leave them out. EDGEWISE_PLATFORM names another platform (`OTHERS`
of build.py) to build the wheel for, with a compiler in CXX that takes `-target`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeKernels(BuildHookInterface):
    """Adds the libraries to a wheel and names the platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        wanted = os.environ.get("EDGEWISE_NATIVE")
        if version == "editable" or wanted == "0":
            return
        build = _build_module(Path(self.root) / "src/edgewise/kernels/cpu/build.py")
        other = os.environ.get("EDGEWISE_PLATFORM")
        if other and other not in build.OTHERS:
            raise ValueError(f"EDGEWISE_PLATFORM={other!r} is none of {', '.join(build.OTHERS)}")
        platform = build.OTHERS[other] if other else build.here()
        try:
            compiler = build.find_compiler()
        except RuntimeError:
            if wanted == "1" or other:
                raise
            self.app.display_warning("no C++ compiler: the wheel holds no native kernels")
            return
        if other:
            compiler += f" -target {platform.triple}"
        self._folder = tempfile.TemporaryDirectory()
        targets = []
        for variant in platform.variants:
            target = Path(self._folder.name) / platform.library_name(variant)
            build.build(variant, target, compiler)
            targets.append(target)
            build_data["force_include"][str(target)] = f"edgewise/kernels/cpu/lib/{target.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform.tag or _tag_here(targets)}"


def _tag_here(libraries: list[Path]) -> str:
    """The platform tag; on Linux with the oldest glibc that has every symbol version the libraries name (PEP 600)."""
    tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    if sys.platform != "linux":
        return tag
    named = [re.findall(rb"GLIBC_2\.(\d+)", library.read_bytes()) for library in libraries]
    newest = max((int(minor) for minors in named for minor in minors), default=17)
    return tag.replace("linux_", f"manylinux_2_{max(17, newest)}_", 1)


def _build_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("edgewise_native_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
