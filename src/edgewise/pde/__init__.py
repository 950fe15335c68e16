"""Differential equations: exact derivatives by Taylor mode, and a Gauss-Newton solver on top of them."""

from edgewise.jets.derivatives import (
    bilaplacian as bilaplacian,
    directional as directional,
    gradient as gradient,
    hessian_vector as hessian_vector,
    laplacian as laplacian,
    partial as partial,
)
from edgewise.jets.rules import Sine as Sine
from edgewise.pde.conditions import (
    Condition as Condition,
    condition as condition,
    dirichlet as dirichlet,
    initial as initial,
    neumann as neumann,
    observe as observe,
    periodic as periodic,
    robin as robin,
)
from edgewise.pde.domains import (
    Box as Box,
    Domain as Domain,
    Region as Region,
    Slab as Slab,
    disk as disk,
    polygon as polygon,
)
from edgewise.pde.errors import ProblemError as ProblemError
from edgewise.pde.problem import Problem as Problem
from edgewise.pde.run import run_problem_file as run_problem_file
from edgewise.pde.solution import Solution as Solution, Stage as Stage
from edgewise.pde.solver import solve as solve

__all__ = [
    "Box",
    "Condition",
    "Domain",
    "Problem",
    "ProblemError",
    "Region",
    "Sine",
    "Slab",
    "Solution",
    "Stage",
    "bilaplacian",
    "condition",
    "directional",
    "dirichlet",
    "disk",
    "gradient",
    "hessian_vector",
    "initial",
    "laplacian",
    "neumann",
    "observe",
    "partial",
    "periodic",
    "polygon",
    "robin",
    "run_problem_file",
    "solve",
]
