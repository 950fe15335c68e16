"""The shipped table, and what is claimed about it."""

import numpy as np
import sympy

from edgewise.tables.shipped import load_knots, shipped_tables


def test_the_knots_are_what_the_readme_says():
    knots = load_knots()
    assert knots.shape == (9996, 11)
    assert knots["name"].is_unique
    assert not knots.isna().any().any()
    assert set(knots["signature"] % 2) == {0}
    area = knots["longitudinal_translation"] * knots["meridional_translation_imag"]
    np.testing.assert_allclose(knots["cusp_volume"], area / 2, rtol=1e-6)


def test_the_slope_rule_predicts_as_often_as_published():
    knots, rule = load_knots(), shipped_tables()["knots"].references[0]
    expression = sympy.sympify(rule.expression)
    names = sorted(map(str, expression.free_symbols))
    value = sympy.lambdify(names, expression)(*(knots[name].to_numpy() for name in names))
    hits = 2 * np.round(value / 2) == knots[rule.target]
    assert 0.75 < hits.mean() < 0.78


def test_every_table_has_a_file_and_a_description():
    for name, table in shipped_tables().items():
        assert table.name == name
        assert table.path.is_file()
        assert table.description
        assert {reference.target for reference in table.references} <= set(table.load().columns)
        assert set(table.symbols) <= set(table.load().columns)
