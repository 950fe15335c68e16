"""Second-order training: losses with their curvature, analytic Jacobians, Levenberg-Marquardt, smoothing; and Adam."""

from edgewise.optim.adam import Adam as Adam
from edgewise.optim.bands import Band as Band, edge_bands as edge_bands
from edgewise.optim.flat import Network as Network, Numbers as Numbers
from edgewise.optim.jacobian import (
    NormalEquations as NormalEquations,
    Problem as Problem,
    jacobian as jacobian,
    normal_equations as normal_equations,
)
from edgewise.optim.levenberg_marquardt import LevenbergMarquardt as LevenbergMarquardt, Minimum as Minimum
from edgewise.optim.local import absorb_ as absorb_
from edgewise.optim.losses import Loss as Loss, get_loss as get_loss
from edgewise.optim.module import ModuleProblem as ModuleProblem
from edgewise.optim.smoothing import Smoothing as Smoothing

__all__ = [
    "Adam",
    "Band",
    "LevenbergMarquardt",
    "Loss",
    "Minimum",
    "ModuleProblem",
    "Network",
    "NormalEquations",
    "Numbers",
    "Problem",
    "Smoothing",
    "absorb_",
    "edge_bands",
    "get_loss",
    "jacobian",
    "normal_equations",
]
