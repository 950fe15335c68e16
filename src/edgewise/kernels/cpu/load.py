"""The native library: prebuilt in the wheel, else built once into the user's cache, else absent with a reason.

One shared object per instruction set. Its name contains a hash of the sources, so that a library is used with the
sources it was built from and no others. Nothing here runs on import; the first layer that
a kernel could serve loads it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from edgewise.kernels.cpu.build import VARIANTS, build, here

log = logging.getLogger("edgewise")

PREBUILT = Path(__file__).parent / "lib"
SUFFIX = {torch.float32: "f32", torch.float64: "f64"}  # of the functions' names


def library() -> ctypes.CDLL | None:
    """The native kernels of this machine, or None; `why_not` tells the reason."""
    return _loaded()[0]


def call(name: str, dtype: torch.dtype, *args: Any) -> Any:
    """Call the native function of that name for a dtype, on torch's threads."""
    return function(name, dtype)(_pool(), torch.get_num_threads(), *args)


@functools.cache
def function(name: str, dtype: torch.dtype) -> Any:
    """The native function itself, which takes torch's parallel loop and the number of threads first."""
    return getattr(library(), f"ew_{name}_{SUFFIX[dtype]}")


def why_not() -> str | None:
    """None where the native kernels are there, else one line that says what is missing."""
    return _loaded()[1]


@functools.cache
def _loaded() -> tuple[ctypes.CDLL | None, str | None]:
    try:
        path = find_or_build(variant())
        return ctypes.CDLL(str(path)), None
    except (OSError, subprocess.SubprocessError, RuntimeError) as error:
        reason = f"no native library: {error}"
        log.warning("edgewise computes with plain torch, which is slower: %s", reason)
        return None, reason


def variant() -> str:
    """The widest variant that this processor runs, by torch's own detection; EDGEWISE_CPU_VARIANT overrides it."""
    forced = os.environ.get("EDGEWISE_CPU_VARIANT")
    if forced:
        if forced not in VARIANTS:
            raise RuntimeError(f"EDGEWISE_CPU_VARIANT={forced!r} is none of {', '.join(VARIANTS)}")
        return forced
    return {"AVX512": "x86-64-v4", "AVX2": "x86-64-v3"}.get(torch.backends.cpu.get_cpu_capability(), "portable")


def find_or_build(variant: str) -> Path:
    """The path of the library, built where it does not exist; raises `RuntimeError` where that is impossible."""
    name = here().library_name(variant)
    for folder in (PREBUILT, cache_folder()):
        if (folder / name).exists():
            return folder / name
    target = cache_folder() / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_suffix(".lock")):
        if not target.exists():  # another process may have built it while this one waited
            log.info("building the native kernels (%s) into %s, once", variant, target.parent)
            build(variant, target)
    return target


def cache_folder() -> Path:
    """The folder of built libraries: EDGEWISE_CACHE, else the cache folder of the platform."""
    if folder := os.environ.get("EDGEWISE_CACHE"):
        return Path(folder)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "edgewise"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the operating system frees the lock when a process dies."""
    with path.open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@functools.cache
def _pool() -> ctypes.c_void_p:
    return ctypes.c_void_p(parallel_for())


@functools.cache
def parallel_for() -> int | None:
    """The address of torch's own parallel loop (torch 2.10 and later), so that its one thread pool does the work."""
    try:
        name = {"win32": "torch_cpu.dll", "darwin": "libtorch_cpu.dylib"}.get(sys.platform, "libtorch_cpu.so")
        torch_cpu = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / name))
        return ctypes.cast(torch_cpu.torch_parallel_for, ctypes.c_void_p).value
    except (OSError, AttributeError):
        log.info("this torch does not export its thread pool: native kernels run on one thread")
        return None
