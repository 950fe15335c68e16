"""Defines the protocol of all studies: a `Study` says what is measured, how, and what its table and figures are.

A study is one value. `studies.runner.run` measures it, `python -m studies NAME` is its command line, and its result is
a `studies.result.StudyResult` in `studies/results/NAME.json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from itertools import product
from pathlib import Path
from typing import Any, Generic, TypeVar

Case = dict[str, Any]
"""What is measured at once, as JSON values, with its "seed": ``{"function": "bessel", "seed": 0}``."""

Row = dict[str, Any]
"""A case and what was measured for it, or a row of the summary, as JSON values."""


@dataclass(frozen=True)
class Settings:
    """Base of the settings of a study; a study without settings uses it as it is."""


S = TypeVar("S", bound=Settings)


def option(default: Any, help: str, *, choices: Sequence[Any] = (), selects: bool = False, subset: bool = False) -> Any:
    """A field of a dataclass of settings, which is an option of the command line as well.

    Args:
        default: a bool, number, string, or a tuple of numbers or strings; its type is that of the option.
        help: one line.
        choices: the values allowed, of each item for a tuple.
        selects: the setting chooses cases and changes no measurement: rows with other values of it are kept.
        subset: the default is a tuple of all that there is, and the setting selects some of it.
    """
    metadata = {"help": help, "choices": tuple(choices), "selects": selects or subset, "subset": subset}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Run(Generic[S]):
    """What `measure` is given besides the case.

    Args:
        settings: of this run.
        folder: where the result and its figures go; for a figure that needs more than the row.
        once: `once(what, compute)` returns the JSON value that `compute` returns, computed once for all cases of a run,
            and kept when the run is interrupted: a tuned learning rate, the time of a step. `what` says all that the
            value depends on but the settings.
    """

    settings: S
    folder: Path
    once: Callable[[str, Callable[[], Any]], Any]


def no_figures(result: Any, folder: Path) -> None:
    """The `draw` of a study without figures."""


@dataclass(frozen=True)
class Study(Generic[S]):
    """One study of a paper, an application or a speed.

    Args:
        name: of the command line and of the files in `studies/results`.
        title: one line: what is measured on which problems.
        cases: (settings, seeds) to the cases, in the order in which they are measured.
        measure: (case, run) to what was measured, as JSON values. It depends on nothing but the case and the settings.
        summarise: rows to the rows of the table: medians and worst values over the seeds.
        settings: the defaults, an instance of a dataclass of `option`s.
        seeds: the seeds of the published result. A seed that no decision was taken with says most.
        draw: (result, folder) writes the figures `folder/NAME*.png` and measures nothing.
        tiny: settings that take seconds, for tests; None where there are none.
        threads: of torch; None leaves torch's default.
    """

    name: str
    title: str
    cases: Callable[[S, Sequence[int]], list[Case]]
    measure: Callable[[Case, Run[S]], Row]
    summarise: Callable[[list[Row]], list[Row]]
    settings: S
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    draw: Callable[[Any, Path], None] = no_figures
    tiny: S | None = None
    threads: int | None = 1


def grid(**values: Iterable[Any]) -> list[Case]:
    """Every combination of the values as a case, the last key fastest: ``grid(function=names, seed=seeds)``."""
    return [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]


def case_id(case: Mapping[str, Any]) -> str:
    """The case as text, such as ``function=bessel, seed=0``: equal for equal cases alone."""
    return ", ".join(f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in case.items())


def deciding(settings: Settings) -> Row:
    """The settings that a measurement depends on, without those that select cases."""
    return {f.name: plain(getattr(settings, f.name)) for f in fields(settings) if not f.metadata.get("selects")}


def plain(value: Any) -> Any:
    """The value as JSON: dataclasses as objects, tuples as lists, scalars of arrays as numbers, NaN and inf as null."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{value!r} is no JSON value; a row has numbers, strings, lists and objects alone")
