"""Formulas as sympy expressions: evaluated, refitted, simplified, with units and a canonical form."""

from edgewise.expressions.formula import Check as Check, Formula as Formula

__all__ = ["Check", "Formula"]
