"""The command line: `edgewise fit | discover | relations | explain | predict | export | solve | studio`.

Nothing heavy (torch, sympy, scipy, pandas, matplotlib) is imported before the arguments are parsed.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence

try:
    import tyro
except ImportError as error:
    raise ImportError("the command line needs its extra: pip install edgewise[cli]") from error

from edgewise.cli.commands import COMMANDS
from edgewise.cli.output import errors, plain
from edgewise.cli.places import UsageError

STUDIES = "Studies of papers and of speed: `python -m studies NAME` in the source repository."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    It is 0, or 1 for a solve that diverged, 2 for a mistake in what was given, 130 for an interruption.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch")  # of torch 2.14 to itself, on its import
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _check_command(given)
        status = tyro.extras.subcommand_cli_from_dict(
            dict(COMMANDS),
            prog="edgewise",
            description=f"Networks whose edges are functions: from a table to a formula. {STUDIES}",
            args=given,
        )
        sys.stdout.flush()
    except BrokenPipeError:
        return _unread()
    except UsageError as error:
        return _refuse(error)
    except ValueError as error:
        if not isinstance(error, _user_errors()):
            raise
        return _refuse(error)
    except OSError as error:
        return _refuse(error)
    except KeyboardInterrupt as stop:
        errors().print(f"[yellow]stopped:[/] {plain(str(stop) or 'no result was written')}", highlight=False)
        return 130
    return status or 0


def _check_command(given: Sequence[str]) -> None:
    """Raise `UsageError` for a command that does not exist, such as `edgewise bench`."""
    if given and not given[0].startswith("-") and given[0] not in COMMANDS:
        raise UsageError(f"there is no command {given[0]!r}; the commands are {', '.join(COMMANDS)}. {STUDIES}")


def _unread() -> int:
    """The reader of our output, such as `head`, has left with what it wanted: no mistake, and nothing to say."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains as it flushes at the end
    return 0


def _refuse(error: Exception) -> int:
    errors().print(f"[bold red]error:[/] {plain(str(error))}", highlight=False, soft_wrap=True)
    return 2


def _user_errors() -> tuple[type[ValueError], ...]:
    """The errors whose message tells the user everything."""
    from edgewise.exporting import ExportError
    from edgewise.io import FileFormatError
    from edgewise.pde import ProblemError
    from edgewise.tables.cells import TableError
    from edgewise.tables.job import RunDirectoryError

    return TableError, RunDirectoryError, ProblemError, FileFormatError, ExportError
