"""The jobs of the command line: from a table to a network, a report and a formula; to predictions; to a law."""

from edgewise.tables.job.answers import (
    discover_table as discover_table,
    predict_file as predict_file,
    predict_table as predict_table,
    read_encoding as read_encoding,
)
from edgewise.tables.job.record import JobSettings as JobSettings, RunRecord as RunRecord
from edgewise.tables.job.rundir import (
    RunDirectory as RunDirectory,
    RunDirectoryError as RunDirectoryError,
    kept_of as kept_of,
    read_record as read_record,
)
from edgewise.tables.job.table_run import RunResult as RunResult, fit_table as fit_table

__all__ = [
    "JobSettings",
    "RunDirectory",
    "RunDirectoryError",
    "RunRecord",
    "RunResult",
    "discover_table",
    "fit_table",
    "kept_of",
    "predict_file",
    "predict_table",
    "read_encoding",
    "read_record",
]
