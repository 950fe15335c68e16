"""The main job of the command line: from a table to a network, a report and a formula."""

from edgewise.tables.job.main import Result as Result, Settings as Settings, run as run
from edgewise.tables.job.rundir import RunDirectory as RunDirectory, RunDirectoryError as RunDirectoryError

__all__ = ["Result", "RunDirectory", "RunDirectoryError", "Settings", "run"]
