"""Equations with a closed solution are solved, then `discover` searches for its law.

A law is right where it agrees with the exact solution within `RIGHT`, on the domain and on one stretched by half: a
formula that only fits leaves the data outside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.pde import solve
from edgewise.pde.solution import relative_error
from studies.pde.study import EQUATIONS, kan
from studies.problems.equations import Case as Equation, arguments
from studies.study import Case, Row, Run, Settings, Study, grid, option

Function = Callable[[Tensor], Tensor]

NAMES = ("heat", "poisson-sine", "poisson")
RIGHT = 1e-4  # relative; ten times the error that the solve may have
STRETCH = 1.5
COLUMNS = ("equation", "seed", "law", "right", "error_of_the_solve", "distance", "distance_outside")


@dataclass(frozen=True)
class LawSettings(Settings):
    """Settings of the laws of solutions."""

    equations: tuple[str, ...] = option(NAMES, "some", subset=True)
    seconds: float = option(15.0, "processor time of a search")


def cases(settings: LawSettings, seeds: Sequence[int]) -> list[Case]:
    """Every equation with every seed."""
    return grid(equation=settings.equations, seed=seeds)


def measure(case: Case, run: Run[LawSettings]) -> Row:
    """The law of one solution."""
    return find_law(EQUATIONS[case["equation"]], case["seed"], run.settings.seconds)


def summarise(rows: list[Row]) -> list[Row]:
    """Every law and its distances to the exact solution."""
    return [{key: row[key] for key in COLUMNS} for row in rows]


def find_law(equation: Equation, seed: int, seconds: float = 15.0) -> Row:
    """The law of the solution of an equation: its text, its distance to the exact one and whether it is right."""
    problem, begun = equation.problem(seed), time.process_time()
    solution = solve(problem, kan(equation, problem, seed), seed=seed, **arguments(equation.settings))
    solved = time.process_time()
    found = solution.discover(seed=seed, seconds=seconds, clock=time.process_time)
    x = solution.sample(2000)
    middle = torch.tensor(problem.domain.bounds, dtype=torch.float64).mean(1)
    law = None if found.law is None else found.formula
    return {
        "error_of_the_solve": solution.error(equation.reference, x),
        "law": None if law is None else str(law),
        **verdict(law, equation.reference, x, middle),
        "reason": found.reason,
        "cpu_seconds_solve": round(solved - begun, 1),
        "cpu_seconds_discover": round(time.process_time() - solved, 1),
    }


def verdict(law: Function | None, reference: Function, x: Tensor, middle: Tensor) -> Row:
    """The distances of a law to the reference at the points and at points stretched from the middle."""
    if law is None:
        return {"distance": None, "distance_outside": None, "right": False}
    near, far = (relative_error(law(at), reference(at)) for at in (x, middle + STRETCH * (x - middle)))
    return {"distance": near, "distance_outside": far, "right": max(near, far) < RIGHT}


STUDY = Study(
    name="pde_laws",
    title="Laws read from solutions of differential equations, against the exact solutions",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=LawSettings(),
    seeds=(0,),
)
