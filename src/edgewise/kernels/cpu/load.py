"""The native library: prebuilt in the wheel, else built once into the user's cache, else absent with a reason.

One shared object per instruction set. Its name contains a hash of the sources, so that a library is used with the
sources it was built from and no others. A name proves nothing: where others than this user may write, nothing is
loaded. Nothing here runs on import; the first layer that a kernel could serve loads it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from edgewise.kernels.cpu.build import PREBUILT, VARIANTS, build, here
from edgewise.progress import uncounted

log = logging.getLogger("edgewise")

SUFFIX = {torch.float32: "f32", torch.float64: "f64"}  # of the functions' names
NAMES = ("sum", "gradients", "plan", "plan_bytes", "rational", "rational_gradients", "adam", "multiply_add")
NAMES += tuple(f"network_{part}" for part in ("few", "forward", "gradients", "jacobian", "jets", "steps"))
IN_DOUBLE = ("curves", "pull_back", "gram")


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
        found = ctypes.CDLL(str(path))
        names = [f"{name}_{end}" for name in NAMES for end in SUFFIX.values()]
        missing = [name for name in (*names, *(f"{n}_f64" for n in IN_DOUBLE)) if not hasattr(found, f"ew_{name}")]
        if missing:
            raise RuntimeError(f"{path} lacks the function {missing[0]!r}; delete it to build it again")
        return found, None
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
    if (PREBUILT / name).exists():
        return PREBUILT / name
    folder = next(filter(_is_private, cache_folders()), None)
    if folder is None:
        raise RuntimeError(
            f"others may write to {cache_folders()[0]}, or it cannot be made, so no library is loaded from there; "
            "set EDGEWISE_CACHE to a folder that you alone can write to"
        )
    target = folder / name
    if _is_private(target, stat.S_ISREG):
        return target
    with uncounted(), _locked(target.with_suffix(".lock")):
        if not _is_private(target, stat.S_ISREG):  # another process may have built it while this one waited
            log.warning("edgewise compiles its native kernels (%s) into %s, once: up to a minute", variant, folder)
            build(variant, target)
            target.chmod(0o755)
    return target


def cache_folders() -> list[Path]:
    """The folders of built libraries: EDGEWISE_CACHE where it is set, and the cache folder of the platform."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    chosen = os.environ.get("EDGEWISE_CACHE")
    return [*([Path(chosen)] if chosen else []), base / "edgewise"]


def _is_private(path: Path, kind: Callable[[int], bool] = stat.S_ISDIR) -> bool:
    """Whether a folder (made where it is missing) or a file is this user's or root's, and no other may write to it."""
    if kind is stat.S_ISDIR:
        with contextlib.suppress(OSError):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        return False
    found = path.stat() if kind is stat.S_ISDIR else path.lstat()
    if sys.platform == "win32":  # has neither owners nor modes here
        return kind(found.st_mode)
    mine = found.st_uid in (os.getuid(), 0)
    return kind(found.st_mode) and mine and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


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
