"""Second-order training: losses with their curvature, analytic Jacobians, Levenberg-Marquardt, smoothing; and Adam."""

from edgewise.optim.absorb import absorb_ as absorb_
from edgewise.optim.adam import Adam as Adam
from edgewise.optim.autodiff import (
    ModuleLeastSquares as ModuleLeastSquares,
    ResidualLeastSquares as ResidualLeastSquares,
    RowwiseLeastSquares as RowwiseLeastSquares,
)
from edgewise.optim.bands import Band as Band, edge_bands as edge_bands
from edgewise.optim.flat import Network as Network, Parameters as Parameters
from edgewise.optim.jacobian import (
    NetworkLeastSquares as NetworkLeastSquares,
    jacobian as jacobian,
    normal_equations as normal_equations,
)
from edgewise.optim.least_squares import (
    LeastSquares as LeastSquares,
    Minimum as Minimum,
    NormalEquations as NormalEquations,
    levenberg_marquardt as levenberg_marquardt,
)
from edgewise.optim.losses import (
    Loss as Loss,
    expectile as expectile,
    get_loss as get_loss,
    quantile as quantile,
    tweedie as tweedie,
)
from edgewise.optim.smoothing import Smoothing as Smoothing

__all__ = [
    "Adam",
    "Band",
    "LeastSquares",
    "Loss",
    "Minimum",
    "ModuleLeastSquares",
    "Network",
    "NetworkLeastSquares",
    "NormalEquations",
    "Parameters",
    "ResidualLeastSquares",
    "RowwiseLeastSquares",
    "Smoothing",
    "absorb_",
    "edge_bands",
    "expectile",
    "get_loss",
    "jacobian",
    "levenberg_marquardt",
    "normal_equations",
    "quantile",
    "tweedie",
]
