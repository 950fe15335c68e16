"""The Python text of a formula runs by itself: it imports what it uses."""

import math

import numpy as np
import pytest
import sympy

from edgewise.expressions import Formula

A = sympy.Symbol("a", real=True)
VALUES = {
    sympy.pi * A: math.pi * 0.3,
    sympy.sin(sympy.pi * A): math.sin(math.pi * 0.3),
    sympy.E**A: math.exp(0.3),
    sympy.E * A: math.e * 0.3,
    sympy.sqrt(2) * A / 7: math.sqrt(2) * 0.3 / 7,
    sympy.GoldenRatio * A: (1 + math.sqrt(5)) / 2 * 0.3,
    sympy.erf(A) + sympy.pi: math.erf(0.3) + math.pi,
    sympy.EulerGamma + A: 0.5772156649015329 + 0.3,
}


@pytest.mark.parametrize("expression", VALUES, ids=str)
def test_the_text_runs_alone(expression):
    namespace: dict = {}
    source = Formula((expression,), (A,), ("y",)).python()
    exec(source, namespace)
    assert namespace["formula"](np.array(0.3)) == pytest.approx(VALUES[expression])
    assert "numpy.pi" in source or not expression.has(sympy.pi)
