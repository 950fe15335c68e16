"""The formats that there are, by name."""

from __future__ import annotations

from edgewise.exporting.c_header import C
from edgewise.exporting.coreml_file import COREML
from edgewise.exporting.executorch_file import EXECUTORCH
from edgewise.exporting.file_format import Format
from edgewise.exporting.inductor_package import TORCH
from edgewise.exporting.js_module import JS
from edgewise.exporting.litert_file import LITERT
from edgewise.exporting.onnx_file import ONNX
from edgewise.exporting.openvino_file import OPENVINO
from edgewise.exporting.plain_python import PYTHON
from edgewise.exporting.sql_expression import SQL

_FORMATS: tuple[Format, ...] = (ONNX, OPENVINO, LITERT, EXECUTORCH, COREML, TORCH, C, JS, PYTHON, SQL)


def formats() -> dict[str, Format]:
    """Every format by name."""
    return {known.name: known for known in _FORMATS}


def find_format(name: str | Format) -> Format:
    """The format of that name. Raises `ValueError`, which lists those there are, for an unknown one."""
    if isinstance(name, Format):
        return name
    if name not in formats():
        raise ValueError(f"there is no format {name!r}; there are {', '.join(formats())}")
    return formats()[name]
