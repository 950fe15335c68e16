"""Kolmogorov-Arnold networks: neural networks whose edges carry learnable functions."""

from edgewise.bases import Basis as Basis
from edgewise.bases import BSpline as BSpline
from edgewise.kernels import use_backend as use_backend
from edgewise.nn import DEFAULT_LIBRARY as DEFAULT_LIBRARY
from edgewise.nn import KAN as KAN
from edgewise.nn import KANLinear as KANLinear
from edgewise.nn import Library as Library
from edgewise.nn import SymbolicFn as SymbolicFn
from edgewise.trace import Trace as Trace
from edgewise.trace import trace as trace

__version__ = "0.1.0"
