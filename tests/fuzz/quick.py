"""The command line with baselines of few steps and without small networks, so that many whole runs fit into minutes.

As a script it is `edgewise ARGUMENTS`.
"""

import sys
from functools import partial
from pathlib import Path

import edgewise.discovery.noisy.short_formula
import edgewise.tables.job.table_run
from edgewise.cli import main
from edgewise.compare import fit_baselines


def quicken() -> None:
    """Change what takes long and is not the subject."""
    edgewise.tables.job.table_run.fit_baselines = partial(fit_baselines, steps=5)
    edgewise.discovery.noisy.short_formula.SHAPES = ()


def fit(table: Path, out: Path, *more: str) -> int:
    """`edgewise fit`, with the target "y" and a second of time."""
    quicken()
    return main(["fit", str(table), "--target", "y", "--out", str(out), "--seconds", "0.5", "--hidden", "0", *more])


if __name__ == "__main__":
    quicken()
    sys.exit(main(sys.argv[1:]))
