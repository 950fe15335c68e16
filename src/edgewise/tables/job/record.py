"""The record of a run: all that was measured, stored as metrics.json, shown by the report and the command line.

The file is one JSON object with the key "format" and the fields of `RunRecord`; its parts are the classes below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edgewise._shown import shown
from edgewise._version import __version__
from edgewise.stored import read_fields
from edgewise.tables.cells import TableError
from edgewise.tables.column_kinds import Decimal
from edgewise.tables.encode import TaskKind

FORMAT = "edgewise-run-5"
"""Changes with every change of the fields."""

SHORT = 25
"""Symbols of a formula that is one: operations, and two for every constant that must be written down."""

HIGHER_IS_BETTER = {"accuracy": True, "r2": True, "rmse": False, "mae": False, "log_loss": False}


@dataclass(frozen=True)
class JobSettings:
    """The settings of a run; see `edgewise fit --help`."""

    target: str
    task: Literal["auto", "regression", "classification"] = "auto"
    names: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    missing: Literal["error", "drop", "keep"] = "keep"
    na_values: tuple[str, ...] = ()
    decimal: Decimal = "auto"
    hidden: int = 5
    rows: int = 20_000
    seconds: float = 120.0
    seed: int = 0

    @property
    def column_names(self) -> list[str]:
        """The names of the columns of a file without a header: those of `names` that are no pairs."""
        return [] if any("=" in name for name in self.names) else list(self.names)

    @property
    def renamed(self) -> dict[str, str]:
        """The new names of columns: the pairs COLUMN=NAME of `names`."""
        pairs = [name.rpartition("=") for name in self.names if "=" in name]
        if pairs and len(pairs) < len(self.names):
            raise TableError("--names takes either the names of all columns, or pairs COLUMN=NAME, not both")
        return {old: new for old, _, new in pairs}


@dataclass(frozen=True)
class RowCounts:
    """Rows for training, for choosing (pruning, formulas, early stopping), and for the scores."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class Score:
    """One model on the test rows.

    Args:
        name: of the model.
        kind: the network, its formula, the additive model, a published rule ("reference"), or a baseline.
        measures: r2, rmse, mae and, on few whole numbers, accuracy; or accuracy and log_loss.
        parameters: how many the model has; None where their count says nothing.
        note: a source.
    """

    name: str
    kind: Literal["network", "formula", "additive", "reference", "baseline"]
    measures: Mapping[str, float]
    parameters: int | None
    note: str = ""


@dataclass(frozen=True)
class NetworkFacts:
    """The network before and after pruning; `parameters` after it."""

    widths_before: tuple[Any, ...]
    widths: tuple[Any, ...]
    edges_before: int
    edges: int
    parameters: int
    unused_inputs: tuple[str, ...]


@dataclass(frozen=True)
class Disagreement:
    """How far formula and network differ on the test rows.

    Args:
        rmse: root mean square difference (regression).
        relative: the same over the standard deviation of the network's predictions.
        same_value: share of rows with the same rounded value, where amounts are rounded.
        same_class: share of rows with the same class (classification).
    """

    rmse: float | None = None
    relative: float | None = None
    same_value: float | None = None
    same_class: float | None = None


@dataclass(frozen=True)
class FormulaFacts:
    """The chosen formula: text, LaTeX, Python source, exact JSON form, the inputs that it needs, how it was found.

    Args:
        constants: its numbers with their standard errors and intervals, one line each; empty for long formulas.
    """

    text: str
    latex: str
    python: str
    exact: Mapping[str, Any]
    inputs: tuple[str, ...]
    origin: str
    complexity: int
    error_against_network: Disagreement
    constants: tuple[str, ...]

    @property
    def short(self) -> bool:
        """Whether it can be read: a longer one describes the curves, and these are the model."""
        return self.complexity <= SHORT


@dataclass(frozen=True)
class FrontEntry:
    """One formula of the front of error (on the validation rows) against complexity."""

    text: str
    error: float
    complexity: int
    origin: str


@shown
@dataclass(frozen=True)
class RunRecord:
    """Everything that a run measured.

    Args:
        table: the name of the table.
        settings: of the run.
        target: the column that was predicted.
        task: regression or classification.
        classes: the labels; empty for a regression.
        rounded_to: the values that predictions are rounded to; empty where they are not.
        rows: how the table was split.
        scores: of all models on the test rows; the network first.
        importance: rise of the error when a column is shuffled, in units of the error of the constant model, by input.
        network: its size.
        formula: None where no function fits some of the curves.
        front: shorter and longer formulas, the simplest first.
        warnings: for the reader.
        version: of edgewise.
    """

    table: str
    settings: JobSettings
    target: str
    task: TaskKind
    classes: tuple[str | int | float | bool, ...]
    rounded_to: tuple[float, ...]
    rows: RowCounts
    scores: tuple[Score, ...]
    importance: Mapping[str, float]
    network: NetworkFacts
    formula: FormulaFacts | None
    front: tuple[FrontEntry, ...]
    warnings: tuple[str, ...]
    version: str = __version__

    @property
    def measures(self) -> tuple[str, ...]:
        """The names of the measures of this task, in the order of reports."""
        return tuple(measure for measure in HIGHER_IS_BETTER if measure in self.scores[0].measures)

    @property
    def leading(self) -> str:
        """The measure by which models are compared first."""
        return "accuracy" if "accuracy" in self.scores[0].measures else "r2"

    def __str__(self) -> str:
        first = f"{self.target} of {self.table}: {self.leading} on {self.rows.test:,} test rows"
        scores = [f"  {score.name}: {score.measures[self.leading]:.4g}" for score in self.scores]
        return "\n".join([first, *scores, *self.warnings])

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, given: Any) -> RunRecord:
        """The record that `to_json` described; `ValueError` for anything else."""
        check_format(given)
        record = read_fields(cls, {key: value for key, value in given.items() if key != "format"}, "a run record")
        if not record.scores:
            raise ValueError("a run record has at least one score")
        return record


def check_format(given: Any) -> None:
    """Raise `ValueError` for anything but the JSON object of a record of this `FORMAT`."""
    if not isinstance(given, Mapping):
        raise ValueError(f"a run record is a JSON object, not a {type(given).__name__}")
    if given.get("format") != FORMAT:
        raise ValueError(
            f"its run record has the format {str(given.get('format'))[:40]!r}; this version reads {FORMAT!r}"
        )
