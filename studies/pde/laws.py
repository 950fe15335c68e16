"""`python -m studies.pde.laws`: equations with a closed solution are solved, then `discover` looks for it.

A law is right where it agrees with the exact solution within `RIGHT`, on the domain and on one stretched by half: a
formula that only fits leaves the data outside.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from edgewise.pde import solve
from edgewise.pde.solution import relative_error
from studies.pde.study import network
from studies.problems.equations import CASES, Case, arguments
from studies.timing import RESULTS, begin_study, environment, write

logger = logging.getLogger(__name__)

NAMES = ("heat", "poisson-sine", "poisson")
RIGHT = 1e-4  # relative; ten times the error that the solve may have
STRETCH = 1.5


def run(names: Sequence[str] = NAMES, out: Path = RESULTS, seeds: int = 1, seconds: float = 15.0) -> dict[str, Any]:
    """Solve and discover; the file is written after every law."""
    known = {case.name: case for case in CASES}
    report: dict[str, Any] = {"study": "pde_laws", "environment": environment(), "rows": []}
    for name in names:
        for seed in range(seeds):
            report["rows"].append({"case": name, "seed": seed} | find_law(known[name], seed, seconds))
            write(report, out / "pde_laws.json")
            logger.info("%s", report["rows"][-1])
    return report


def find_law(case: Case, seed: int, seconds: float = 15.0, **changes: Any) -> dict[str, Any]:
    """The law behind the solution of a case: its text, its distance to the exact one and whether it is right."""
    problem, start = case.problem(seed), time.process_time()
    solution = solve(problem, network(case, problem, seed), seed=seed, **arguments({**case.settings, **changes}))
    solved = time.process_time()
    found = solution.discover(seed=seed, max_seconds=seconds, clock=time.process_time)
    x = solution.sample(2000)
    middle = torch.tensor(problem.domain.bounds, dtype=torch.float64).mean(1)
    law = None if found.law is None else found.formula
    distances = (
        [relative_error(law(at), case.reference(at)) for at in (x, middle + STRETCH * (x - middle))]
        if law is not None
        else []
    )
    return {
        "error_of_the_solve": solution.error(case.reference, x),
        "law": None if law is None else str(law),
        "distance": distances[0] if distances else None,
        "distance_outside": distances[1] if distances else None,
        "right": bool(distances) and max(distances) < RIGHT,
        "reason": found.reason,
        "cpu_seconds_solve": round(solved - start, 1),
        "cpu_seconds_discover": round(time.process_time() - solved, 1),
    }


def main(options: Sequence[str] = ()) -> None:
    """Options of `run`."""
    parser = argparse.ArgumentParser(prog="python -m studies.pde.laws", description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*NAMES, []], help="all by default")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args(options)
    begin_study()
    run(args.cases or NAMES, args.out, args.seeds)


if __name__ == "__main__":
    main(sys.argv[1:])
