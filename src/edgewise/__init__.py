"""Kolmogorov-Arnold networks: neural networks whose edges carry learnable functions."""

from edgewise._version import __version__ as __version__
from edgewise.bases import Basis as Basis, BSpline as BSpline
from edgewise.kernels import use_backend as use_backend
from edgewise.nn import (
    DEFAULT_LIBRARY as DEFAULT_LIBRARY,
    KAN as KAN,
    KANLinear as KANLinear,
    Library as Library,
    SymbolicFn as SymbolicFn,
)
from edgewise.trace import Trace as Trace, trace as trace
from edgewise.viz import Diagram as Diagram, diagram as diagram
