"""Compiling the native kernels: without torch, so that the build of a wheel can use it too.

Run as a program it compiles those for this processor into the package, while torch is still being installed.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

SOURCES = Path(__file__).parent / "csrc"
PREBUILT = Path(__file__).parent / "lib"
"""Where a wheel has its libraries; load.py looks there first."""

# Contraction to FMA is what makes the kernels fast; the two -fno flags only drop errno and floating-point traps.
FLAGS = ("-std=c++17", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fPIC")
VARIANTS = {
    "x86-64-v4": ("-march=x86-64-v4", "-mprefer-vector-width=512"),
    "x86-64-v3": ("-march=x86-64-v3",),
    "portable": (),
}


class Platform(NamedTuple):
    """A machine, as `platform.machine()` names it there, and an operating system, as `sys.platform` names it.

    `triple` is its name for a cross compiler, `tag` its name in a wheel.
    """

    machine: str
    system: str
    triple: str = ""
    tag: str = ""

    @property
    def variants(self) -> list[str]:
        """The variants that it can run, widest first."""
        return list(VARIANTS) if self.machine in ("x86_64", "amd64") else ["portable"]

    def library_name(self, variant: str) -> str:
        """The file name for the sources as they are now."""
        suffix = {"win32": ".dll", "darwin": ".dylib"}.get(self.system, ".so")
        return f"edgewise-{source_hash()}-{self.machine}-{variant}{suffix}"


def here() -> Platform:
    """This machine."""
    return Platform(platform.machine().lower(), sys.platform)


OTHERS = {
    "linux-aarch64": Platform("aarch64", "linux", "aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64"),
    "macos-arm64": Platform("arm64", "darwin", "aarch64-macos", "macosx_11_0_arm64"),
    "windows-amd64": Platform("amd64", "win32", "x86_64-windows-gnu", "win_amd64"),
}
"""The platforms whose wheels are cross-compiled, by a compiler with the option `-target`, such as zig's."""


def build(variant: str, target: Path, compiler: str | None = None) -> None:
    """Compile the sources, one process per file, into `target`, which appears whole or not at all."""
    compiler = compiler or find_compiler()
    instructions = VARIANTS[variant]
    if "zig" in compiler:  # whose spelling differs
        instructions = tuple(flag.replace("x86-64-", "x86_64_") for flag in instructions)
    options = (*compiler.split(), *FLAGS, *instructions, *extra_flags())
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        sources = sorted(SOURCES.glob("*.cpp"))
        objects = [os.path.join(folder, source.stem + ".o") for source in sources]
        commands = [(*options, "-c", str(s), "-o", o) for s, o in zip(sources, objects, strict=True)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(_run, commands))
        linked = os.path.join(folder, target.name)
        _run((*options, "-shared", *objects, "-o", linked))
        os.replace(linked, target)


@functools.cache
def source_hash() -> str:
    """Of every source file and all flags."""
    digest = hashlib.sha256(repr((FLAGS, VARIANTS, extra_flags())).encode())
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def extra_flags() -> list[str]:
    """What EDGEWISE_CXXFLAGS adds, such as sanitizers."""
    return os.environ.get("EDGEWISE_CXXFLAGS", "").split()


def find_compiler() -> str:
    """$CXX, or the first C++ compiler on the path; raises `RuntimeError` where there is none."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    for name in names:
        if shutil.which(name.split()[0]):
            return name
    raise RuntimeError(f"no prebuilt library for this platform and no C++ compiler ({', '.join(names)}) to build one")


def _run(command: tuple[str, ...]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-500:]}")


def processor_flags() -> set[str] | None:
    """The flags of this processor, where Linux tells them."""
    processor = Path("/proc/cpuinfo")
    if not processor.exists():
        return None
    return set(next((line.split() for line in processor.read_text().splitlines() if line.startswith("flags")), []))


def by_flags(flags: set[str]) -> str:
    """The widest variant that a processor with these flags of /proc/cpuinfo runs."""
    wide = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
    if not {"avx2", "fma", "bmi2"} <= flags:
        return "portable"
    return "x86-64-v4" if wide <= flags else "x86-64-v3"


def main() -> None:
    """Compile for this processor, where Linux says which it is; `load` compiles at the first use what is missing."""
    flags = processor_flags()
    if flags is None:
        return
    variant = by_flags(flags)
    target = PREBUILT / here().library_name(variant)
    if not target.exists():
        PREBUILT.mkdir(exist_ok=True)
        try:
            build(variant, target)
        except RuntimeError as error:
            print(f"the native kernels are not compiled yet: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
