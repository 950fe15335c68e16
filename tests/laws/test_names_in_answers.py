"""Names of columns in the answers of every search: one line, quoted, never read as markup or as mathematics."""

import json

import numpy as np
import pytest
import sympy

from edgewise.discovery.dynamics.dynamics_value import Dynamics
from edgewise.discovery.fields import FieldLaw
from edgewise.discovery.fields.method_of_lines import Grid
from edgewise.discovery.relations.relations_found import Relation, Relations
from edgewise.discovery.relations.solved_forms import SolvedForm
from edgewise.expressions import Formula
from edgewise.expressions.names import heading
from edgewise.expressions.printers import latex_name

NAMES = [("a\nb", "<b>c</b>"), ("$\\frac$", "u_hat"), ("x-1", "`"), ("$x$", "%"), ("mu_imag", "\u202e")]


@pytest.fixture(params=NAMES, ids=ascii)
def names(request):
    return request.param


def relations(names):
    a, b = (sympy.Symbol(name, real=True) for name in names)
    points = np.stack([np.linspace(0, 1, 9)] * 2, 1)
    solved = (SolvedForm(names[0], 2 * b, 1.0),)
    one = Relation(names, names[0], 0.99, 0.01, 0.01, True, True, a - 2 * b, solved, 1.0, "a reason", points)
    return Relations((one,), ((names, (names,)),), (), names, 0.05, (10, 10), (), 0.1, 0)


def test_relations_are_told_in_lines_of_their_own(names):
    found = relations(names)
    assert len(str(found).splitlines()) == 6
    assert str(found).count(heading(names[1])) >= 3
    json.dumps(found.to_json())


def test_figures_print_names_and_typeset_none(names):
    pytest.importorskip("matplotlib")
    figure = relations(names).plot()
    figure.canvas.draw()
    written = [t.get_text() for ax in figure.axes for t in ax.texts]
    assert names[1] in written or len(names[1]) < 2


def test_laws_of_systems_and_fields_print_names_as_they_are(names):
    a, b = (sympy.Symbol(name, real=True) for name in names)
    law = Formula((b, -9 * a), (a, b, sympy.Symbol("t", real=True)), names)
    system = Dynamics("flow", law, "r", (), None, {}, (), names, (), 0.1)
    assert len(str(system).splitlines()) == 3
    assert str(system).startswith(f"{heading(names[0])}' = ")
    grid = Grid((np.linspace(0, 1, 5),), (True,))
    field = FieldLaw(
        law=Formula((2 * sympy.Symbol(names[0], real=True),), (sympy.Symbol(names[0], real=True),), (f"{names[0]}_t",)),
        terms=(),
        reason="r",
        noise={},
        names=names[:1],
        axes=("x",),
        grid=grid,
        held_out=None,
        **dict.fromkeys(("error", "weak_error", "horizon", "span", "seconds"), 0.1),
    )
    for shown in (system.latex(), field.latex()):
        assert latex_name(names[0]) in shown
        assert r"\hat" not in shown
