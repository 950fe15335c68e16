"""ONNX Runtime from a loop in C, by the library inside its Python package and without a header.

`OrtGetApiBase()->GetApi(version)` is a table of functions which later versions only append to, so that a place in it is
part of the binary interface. The session and its tensors are made from Python; the loop that is timed is C.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

VERSION = 16
PLACES = {"GetErrorMessage": 2, "CreateEnv": 3, "CreateSession": 7, "Run": 9, "CreateSessionOptions": 10}
PLACES |= {"SetIntraOpNumThreads": 24, "SetInterOpNumThreads": 25, "CreateTensorWithDataAsOrtValue": 49}
PLACES |= {"CreateCpuMemoryInfo": 69}
WARNING, FLOAT, DEVICE_ALLOCATOR, DEFAULT_MEMORY = 2, 1, 0, 0

LOOP = """
#include <stddef.h>
#include <string.h>

typedef void *run_function(void *, const void *, const char *const *, const void *const *, size_t,
                           const char *const *, size_t, void **);

void *loop(run_function *run, void *session, const char *const *from, const void *input, const char *const *to,
           void *output, float *row, const float *result, const float *x, float *y, long rows, size_t in, size_t out)
{
  for (; rows; rows--, x += in, y += out) {
    memcpy(row, x, in * sizeof *x);
    void *error = run(session, NULL, from, &input, 1, to, 1, &output);
    if (error) return error;
    memcpy(y, result, out * sizeof *y);
  }
  return NULL;
}
"""

Rows = NDArray[np.float32]


def session_in_c(path: Path, inputs: int, outputs: int) -> Callable[[Rows], Rows]:
    """The graph of one input and one output on rows, one `Run` of one thread for each, in a loop of C.

    The tensors are made once over the same memory, which is the fastest way that the interface has.
    """
    import onnxruntime

    library = next((Path(str(onnxruntime.__file__)).parent / "capi").glob("libonnxruntime.so*"))
    call = _Interface(ctypes.CDLL(str(library)))
    options = call.new("CreateSessionOptions")
    for name in ("SetIntraOpNumThreads", "SetInterOpNumThreads"):
        call(name, options, c_int(1))
    environment = call.new("CreateEnv", c_int(WARNING), c_char_p(b"edgewise"))
    session = call.new("CreateSession", environment, c_char_p(bytes(path)), options)
    memory = call.new("CreateCpuMemoryInfo", c_int(DEVICE_ALLOCATOR), c_int(DEFAULT_MEMORY))
    row, result = np.zeros((1, inputs), np.float32), np.zeros((1, outputs), np.float32)
    tensors = [_tensor(call, memory, array) for array in (row, result)]
    graph = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [(c_char_p * 1)(side[0].name.encode()) for side in (graph.get_inputs(), graph.get_outputs())]
    loop = _compiled_loop()

    def run(x: Rows) -> Rows:
        x, y = np.ascontiguousarray(x, np.float32), np.empty((len(x), outputs), np.float32)
        where = (_at(row), _at(result), _at(x), _at(y))
        sizes = (ctypes.c_long(len(x)), c_size_t(inputs), c_size_t(outputs))
        call.check(loop(call.pointer("Run"), session, names[0], tensors[0], names[1], tensors[1], *where, *sizes))
        return y

    return run


class _Interface:
    """The functions of ONNX Runtime's table, by name; what one reports as an error is raised."""

    def __init__(self, library: ctypes.CDLL) -> None:
        library.OrtGetApiBase.restype = POINTER(c_void_p)
        table = ctypes.CFUNCTYPE(c_void_p, c_uint32)(library.OrtGetApiBase()[0])(VERSION)
        self._table = ctypes.cast(table, POINTER(c_void_p))

    def pointer(self, name: str) -> c_void_p:
        return c_void_p(self._table[PLACES[name]])

    def __call__(self, name: str, *given: Any) -> None:
        kinds = [type(value) if isinstance(value, ctypes._SimpleCData) else c_void_p for value in given]
        self.check(ctypes.CFUNCTYPE(c_void_p, *kinds)(self._table[PLACES[name]])(*given))

    def new(self, name: str, *given: Any) -> c_void_p:
        """What the function makes: its last argument receives it."""
        made = c_void_p()
        self(name, *given, byref(made))
        return made

    def check(self, status: int | None) -> None:
        if status:
            message = ctypes.CFUNCTYPE(c_char_p, c_void_p)(self._table[PLACES["GetErrorMessage"]])(status)
            raise RuntimeError(message.decode())


def _tensor(call: _Interface, memory: c_void_p, array: Rows) -> c_void_p:
    """A tensor over the memory of the array."""
    shape = (c_int64 * array.ndim)(*array.shape)
    size, axes = c_size_t(array.nbytes), c_size_t(array.ndim)
    return call.new("CreateTensorWithDataAsOrtValue", memory, _at(array), size, shape, axes, c_int(FLOAT))


def _at(array: Rows) -> c_void_p:
    return c_void_p(array.ctypes.data)


def _compiled_loop() -> Any:
    compiler = next(found for name in ("gcc", "cc", "clang") if (found := shutil.which(name)))
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "loop.so"
        command = [compiler, "-std=c99", "-O2", "-fPIC", "-shared", "-x", "c", "-", "-o", str(library)]
        subprocess.run(command, input=LOOP, text=True, check=True)
        loop = ctypes.CDLL(str(library)).loop
    loop.restype = c_void_p
    return loop
