"""What a cell or a prompt ends with is short, and a formula is shown as one."""

import dataclasses
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import sympy
import torch

import edgewise as ew
from edgewise._shown import LETTERS, LINES, brief
from edgewise.discovery import Discovery
from edgewise.discovery.dynamics.dynamics_value import Dynamics
from edgewise.discovery.fields.field_law import FieldLaw
from edgewise.discovery.law import Law
from edgewise.discovery.relations.relations_found import Relations
from edgewise.expressions import Formula
from edgewise.nn import EdgeKey
from edgewise.pde import Box, Problem, Solution, dirichlet
from edgewise.pde.solution import Stage
from edgewise.symbolic import Candidate, EdgeReport, Session, SymbolifyReport

pytestmark = pytest.mark.usefixtures("as_a_user")


SINE = Candidate(ew.nn.DEFAULT_LIBRARY["sin"], (1.0, 0.0, 1.0, 0.0), 0.99, 0.1, 0.2, 9.0, 1.0)
DECISION = EdgeReport(EdgeKey(0, 0, 0), None, (SINE,))


@cache
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.rand(60, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    return x, torch.sin(2 * x[:, :1]) + x[:, 1:] ** 2


@cache
def model() -> ew.KAN:
    return ew.KAN([2, 5, 1], dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def formula() -> Formula:
    a, b = sympy.symbols("a b", real=True)
    return Formula((sympy.sin(2.12345678 * a) + b**2,), (a, b), ("<y>",))


def law() -> Law:
    return Law(formula(), 1e-3, 2e-3, 9, "separable")


def long_formula() -> Formula:
    a = sympy.Symbol("a", real=True)
    return Formula((sympy.Add(*[sympy.sin(n * 1.2345 * a) for n in range(1, 160)]),), (a,), ("y",))


def _stage() -> Stage:
    values = {field.name: 1.0 for field in dataclasses.fields(Stage)}
    return Stage(**{**values, "residuals": {"equation": 1e-3}, "window": 0})


def problem() -> Problem:
    return Problem(Box(x=(0, 1)), lambda u: u.dxx + 1, [dirichlet(0, "x-"), dirichlet(0, "x+")])


def solution() -> Solution:
    stages = (_stage(),) * 40
    return Solution(problem(), (model(),), (), {}, stages, True, "done", 1e-3, {"equation": 1e-3})


def dynamics() -> Dynamics:
    return Dynamics("flow", None, "nothing fits", (), None, {"x": 0.1}, (), ("x",), (), 1.0)


def estimator(kind: Callable[[], Any]) -> Any:
    x, y = (t.numpy() for t in rows())
    return kind().fit(x, y[:, 0])


VALUES: dict[str, Callable[[], Any]] = {
    "KAN": model,
    "deep KAN": lambda: ew.KAN([2] * 40),
    "Formula": formula,
    "long Formula": long_formula,
    "Law": law,
    "Discovery": lambda: Discovery(law(), True, "it leaves rounding only", (law(),) * 30, 0.1, 1.0),
    "no Discovery": lambda: Discovery(None, False, "nothing fits", (), 0.1, 1.0),
    "Dynamics": dynamics,
    "FitResult": lambda: ew.fit(model(), rows(), "lm"),
    "FitReport": lambda: ew.fit(model(), rows(), "lm").report,
    "SymbolifyReport": lambda: SymbolifyReport(
        (EdgeReport(EdgeKey(0, 0, 0), None, (SINE,)),) * 40, (), 0.9, 0.8, 0.1, 0.1, ()
    ),
    "Session": lambda: Session(model(), *rows()).lock(*[(0, 0, i) for i in range(5)]),
    "Diagram": lambda: ew.diagram(model(), rows()[0]),
    "Problem": problem,
    "Solution": solution,
    "KANAdditive": lambda: estimator(ew.KANAdditive),
    "AdditiveModel": lambda: estimator(ew.KANAdditive).additive_,
    "AdditiveSummary": lambda: estimator(ew.KANAdditive).summary(),
    "Edit": lambda: estimator(ew.KANAdditive).smooth_term("x1", 2.0),
    "Studio": lambda: ew.studio(model(), *rows()),
}
LAWS = (Dynamics, FieldLaw, Relations)


@pytest.mark.parametrize("name", VALUES)
def test_a_repr_is_short_and_a_notebook_has_a_picture_of_it(name):
    value = VALUES[name]()
    text = repr(value)
    assert 1 <= len(text.splitlines()) <= LINES
    assert len(text) <= LETTERS + 4
    if isinstance(value, torch.nn.Module):
        return
    page = value._repr_latex_() if isinstance(value, Formula) else _html(value)
    assert page is None or len(page) < 300_000
    assert "<y>" not in (page or "") or isinstance(value, Formula)


def _html(value: Any) -> str:
    if hasattr(value, "_repr_html_"):
        return value._repr_html_()
    return str(value._repr_mimebundle_())


def test_formulas_of_laws_are_mathematics():
    assert (formula()._repr_latex_() or "").startswith("$$")
    assert long_formula()._repr_latex_() is None
    found = VALUES["Discovery"]()._repr_html_()
    assert re.match(r"<math .*</math><pre>", found, re.DOTALL)
    assert "&lt;y&gt;" in found
    assert VALUES["no Discovery"]()._repr_html_().startswith("<pre>no law")


@pytest.mark.parametrize("kind", LAWS)
def test_laws_found_elsewhere_are_shown_alike(kind):
    assert kind.__repr__ is not object.__repr__
    assert "_repr_html_" in vars(kind)


def test_long_texts_are_cut_and_say_so():
    assert brief("a\n" * 14) == "a\n" * 14
    assert brief("a\n" * 40).endswith("... 26 more lines in str(...)")
    assert np.char.count(brief("b" * 10**5), "b") == LETTERS
