"""Formulas as sympy expressions: evaluated, refitted, simplified, with units and a canonical form."""

from edgewise.expressions.constants import refit_constants as refit_constants, snap as snap
from edgewise.expressions.formula import Check as Check, Formula as Formula
from edgewise.expressions.names import quoted as quoted
from edgewise.expressions.parse import (
    parse_expression as parse_expression,
    parse_formula as parse_formula,
)
from edgewise.expressions.simplify import (
    canonical as canonical,
    length as length,
    pareto as pareto,
)
from edgewise.expressions.uncertainty import Constant as Constant, refit_with_errors as refit_with_errors
from edgewise.expressions.units import DimensionError as DimensionError, Unit as Unit, parse_units as parse_units

__all__ = [
    "Check",
    "Constant",
    "DimensionError",
    "Formula",
    "Unit",
    "canonical",
    "length",
    "pareto",
    "parse_expression",
    "parse_formula",
    "parse_units",
    "quoted",
    "refit_constants",
    "refit_with_errors",
    "snap",
]
