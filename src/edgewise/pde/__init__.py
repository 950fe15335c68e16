"""Solve differential equations with networks, by collocation with exact derivatives of `edgewise.jets`.

`Problem` states an equation on a domain (`Box`, `disk`, `polygon`, `Region`, `Slab`, `Mesh`, and what `|`, `&` and `-`
make of them) with conditions (`dirichlet`, `neumann`, `robin`, `initial`, `periodic`, `observe`, `condition`);
`solve(problem, model, method)` finds a `Solution`.
The method is a value, `GaussNewton`, `QuasiNewton`, `AdamDescent` or `BySize` (the default), and holds what belongs to
the minimisation: starts, steps, rounds, resolutions; or `Surfaces`: one spline of all coordinates
on adaptive grids. `Collocation` is the value that holds what belongs to the discretisation: points and weights. What is
left are arguments of the run: windows of time, seconds, seed, progress.
"""

from edgewise.pde.clouds import PointCloud as PointCloud, read_cloud as read_cloud
from edgewise.pde.collocation import Collocation as Collocation
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
)
from edgewise.pde.exact_shapes import (
    annulus as annulus,
    ball as ball,
    cylinder as cylinder,
    disk as disk,
    polygon as polygon,
)
from edgewise.pde.following import follow as follow
from edgewise.pde.meshes import Mesh as Mesh, read_mesh as read_mesh
from edgewise.pde.operators import ProblemError as ProblemError
from edgewise.pde.problem import Problem as Problem
from edgewise.pde.problem_file import read_solution as read_solution, run_problem_file as run_problem_file
from edgewise.pde.solution import Solution as Solution, SolutionRecord as SolutionRecord, Stage as Stage
from edgewise.pde.solve_methods import (
    AdamDescent as AdamDescent,
    BySize as BySize,
    GaussNewton as GaussNewton,
    QuasiNewton as QuasiNewton,
    SolveMethod as SolveMethod,
    Surfaces as Surfaces,
)
from edgewise.pde.solver import solve as solve

__all__ = [
    "AdamDescent",
    "Box",
    "BySize",
    "Collocation",
    "Condition",
    "Domain",
    "GaussNewton",
    "Mesh",
    "PointCloud",
    "Problem",
    "ProblemError",
    "QuasiNewton",
    "Region",
    "Slab",
    "Solution",
    "SolutionRecord",
    "SolveMethod",
    "Stage",
    "Surfaces",
    "annulus",
    "ball",
    "condition",
    "cylinder",
    "dirichlet",
    "disk",
    "follow",
    "initial",
    "neumann",
    "observe",
    "periodic",
    "polygon",
    "read_cloud",
    "read_mesh",
    "read_solution",
    "robin",
    "run_problem_file",
    "solve",
]
