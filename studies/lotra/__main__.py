"""`python -m studies.lotra [STUDY ...]`, and all of it as `edgewise reproduce lotra`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from studies.lotra import STUDIES, run
from studies.timing import RESULTS, begin_study


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m studies.lotra", description="LoTRA and slim layers")
    parser.add_argument("studies", nargs="*", help=f"of {', '.join(STUDIES)}; all by default")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing new after this time")
    args = parser.parse_args(arguments)
    unknown = set(args.studies) - set(STUDIES)
    if unknown:
        parser.error(f"unknown study {', '.join(sorted(unknown))}; choose from {', '.join(STUDIES)}")
    begin_study()
    run(args.studies or None, args.out, args.seeds, args.minutes)


if __name__ == "__main__":
    main()
