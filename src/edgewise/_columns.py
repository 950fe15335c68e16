"""Tables of pandas and polars where tensors are expected: their numbers, and the names of their columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def as_tensor(data: Any) -> Tensor:
    """`torch.as_tensor`, of a frame or a series too, without complex numbers.

    Raises:
        TypeError: names the columns that are no numbers; or the numbers are complex, of which half would be lost.
    """
    if isinstance(data, Tensor) or not hasattr(data, "to_numpy"):
        return _real(torch.as_tensor(data))
    values = data.to_numpy()
    if values.dtype.kind not in "biufc":
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError) as error:
            names = column_names(data) or ()
            text = [name for name in names if not _is_numeric(data[name])]
            raise TypeError(
                f"{', '.join(map(repr, text)) or 'the data'}: not all values are numbers; encode or drop them, "
                "or use edgewise.tables"
            ) from error
    return _real(torch.as_tensor(np.array(values)))


def _real(values: Tensor) -> Tensor:
    if values.is_complex():
        raise TypeError("the data are complex numbers; give real and imaginary parts as columns of their own")
    return values


def column_names(data: Any) -> tuple[str, ...] | None:
    """The names of the columns of a frame or of a named series; None for everything else, and where two are equal."""
    if isinstance(data, Tensor) or not hasattr(data, "to_numpy"):
        return None
    columns = getattr(data, "columns", None)
    if columns is None:
        columns = () if getattr(data, "name", None) in (None, "") else (data.name,)
    names = tuple(str(column) for column in columns)
    return names if names and len(set(names)) == len(names) else None


def _is_numeric(column: Any) -> bool:
    try:
        column.to_numpy().astype(np.float64)
    except (TypeError, ValueError):
        return False
    return True
