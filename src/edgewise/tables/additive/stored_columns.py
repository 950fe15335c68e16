"""Columns of a dataset of Parquet files, each read when it is needed: a table larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgewise.tables.additive.inputs import Column, Kind, column_values, finite_numbers


class StoredColumn(Column):
    """A column whose values are read whenever they are asked for, and not kept."""

    read: Callable[[], np.ndarray]

    def __init__(self, name: str, kind: Kind, read: Callable[[], np.ndarray]) -> None:
        for key, value in (("name", name), ("kind", kind), ("read", read)):
            object.__setattr__(self, key, value)

    @property
    def values(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.read()


@dataclass(frozen=True)
class StoredTable:
    """Some columns of a `pyarrow.dataset.Dataset`.

    Args:
        dataset: of Parquet or other files that keep columns apart.
        names: of the columns that are inputs.
    """

    dataset: Any
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in self.names:
            self._require(name)

    def columns(self, kinds: Sequence[Kind] | None = None) -> list[Column]:
        """The columns, of the kinds found on the training table, or by their types."""
        found: list[Column] = []
        for j, name in enumerate(self.names):
            kind = kind_of(self.dataset.schema.field(name).type, name) if kinds is None else kinds[j]
            found.append(StoredColumn(name, kind, lambda name=name, kind=kind: self._read(name, kind)))
        return found

    def series(self, name: str) -> Any:
        """A column as a series of pandas."""
        self._require(name)
        return self.dataset.to_table(columns=[name]).column(0).to_pandas()

    def _require(self, name: str) -> None:
        known = self.dataset.schema.names
        if name not in known:
            raise ValueError(f"the dataset has no column {name!r}; its columns are {', '.join(known)[:200]}")

    def _read(self, name: str, kind: Kind) -> np.ndarray:
        if kind != "number" or kind_of(self.dataset.schema.field(name).type, name) != "number":
            return column_values(self.series(name), name, kind)
        found, row = np.empty(self.dataset.count_rows()), 0
        for batch in self.dataset.to_batches(columns=[name], batch_readahead=1, fragment_readahead=1):
            found[row : row + len(batch)] = batch.column(0).cast("float64").to_numpy(zero_copy_only=False)
            row += len(batch)
        return finite_numbers(found, name)


def is_dataset(X: Any) -> bool:
    """True for a `pyarrow.dataset.Dataset`."""
    return type(X).__module__.partition(".")[0] == "pyarrow" and hasattr(X, "count_rows") and hasattr(X, "schema")


def with_stored(X: Any, *given: Any) -> tuple[Any, ...]:
    """The inputs, and arrays of what is given: of a dataset, columns by their names, which are no inputs then.

    Args:
        X: a table; a dataset becomes a `StoredTable` of the columns that are not given.
        given: targets, weights and the like: arrays, None, or names of columns of a dataset.
    """
    if not is_dataset(X):
        return X, *given
    named = [what for what in given if isinstance(what, str)]
    inputs = StoredTable(X, tuple(name for name in X.schema.names if name not in named))
    return inputs, *(inputs.series(what) if isinstance(what, str) else what for what in given)


def kind_of(dtype: Any, name: str) -> Kind:
    """What a column of an Arrow type holds."""
    from pyarrow import types

    if types.is_boolean(dtype) or types.is_integer(dtype) or types.is_floating(dtype) or types.is_decimal(dtype):
        return "number"
    if types.is_date(dtype) or types.is_timestamp(dtype):
        return "date"
    if types.is_dictionary(dtype) or types.is_string(dtype) or types.is_large_string(dtype) or types.is_null(dtype):
        return "number" if types.is_null(dtype) else "level"
    raise ValueError(f"column {name!r} has the type {dtype}, which no term reads; cast it to numbers, texts or dates")
