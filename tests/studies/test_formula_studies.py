"""The studies of formulas: scores against oracles that share no code, tables and figures from rows of any study."""

from dataclasses import replace

import numpy as np
import pytest
import sympy
import torch

from edgewise.expressions import Formula
from edgewise.tables.shipped import KNOTS, load_knots
from studies import runner, table
from studies.kan_paper import anderson, knots
from studies.peers import symbolic_pykan
from studies.problems.anderson import CHAINS
from studies.problems.feynman import KAN_PAPER
from studies.registry import load
from studies.result import StudyResult
from studies.speed import edge_search

NAMES = ["longitudinal_translation", "meridional_translation_real", "meridional_translation_imag"]


def test_the_slope_rule_is_scored_as_its_authors_do():
    frame = load_knots()
    symbols = sympy.symbols(NAMES, real=True)
    rule = sympy.parse_expr(KNOTS.references[0].expression, local_dict=dict(zip(NAMES, symbols, strict=True)))
    x, y = frame[NAMES].to_numpy(float), frame["signature"].to_numpy(float)
    slope = (x[:, 0] / (x[:, 1] + 1j * x[:, 2])).real
    known = Formula((rule,), tuple(symbols), ("signature",))
    assert knots.accuracy(known, x, y) == pytest.approx((-2 * np.round(slope / 4) == y).mean(), abs=2e-3)
    assert knots.r2(known, x, y) == pytest.approx(1 - np.mean((y + slope / 2) ** 2) / np.var(y))
    assert knots.same_form(rule * sympy.Float(0.86), rule)
    assert not knots.same_form(rule + 1, rule)


def test_a_figure_and_a_table_of_knots(tmp_path):
    front = [{"law": f"{n} * a", "complexity": n, "accuracy": 0.7 + n / 100} for n in (1, 2, 3)]
    row = {"text": "signature = 2 * a", "front": front, "same_form": True, "cpu_seconds": 1.0}
    rows = [row | {"accuracy": 0.86, "rule": 0.76, "r2": 0.94, "rule_r2": 0.91}] * 2
    result = StudyResult("knots", "", {}, {}, rows, knots.summarise(rows))
    knots.draw(result, tmp_path)
    assert (tmp_path / "knots.png").stat().st_size > 1000
    assert "0.86" in table.text(result.summary)
    assert result.summary[0]["same_form"] == 2


def test_a_law_of_theory_is_recognised():
    chain = CHAINS["GAAM"]
    law = sympy.parse_expr(anderson.LAWS["GAAM"])
    assert chain.edge(0.5, 0.5) == pytest.approx(float(law.subs({"lam": 0.5, "alpha": 0.5})))
    rows = [{"model": "GAAM", "exact": True, "accuracy": 0.99, "theory": 0.99, "cpu_seconds": 1.0}]
    assert anderson.summarise(rows)[0]["exact"] == 1


def test_recovery_resumes_and_counts(tmp_path):
    study = load("symbolic")
    settings = replace(study.settings, noise=(0.0,), samples=300)
    one, both = (replace(settings, equations=names) for names in (("II.38.3",), ("II.38.3", "II.2.42")))
    first = runner.run(study, one, (7,), folder=tmp_path)
    assert first.summary[0]["per_seed"]["7"]["recovered"] == 1
    assert first.summary[0]["false_claims"] == 0
    found = runner.run(study, both, (7,), folder=tmp_path)
    assert found.rows[0] == first.rows[0]
    assert [row["outcome"] for row in found.rows] == ["recovered", "recovered"]
    assert (found.summary[0]["median_recovered"], found.summary[0]["equations"]) == (2, 2)
    nothing = runner.run(study, both, (8,), folder=tmp_path / "other", minutes=0)
    assert (nothing.rows, nothing.missing) == ([], 2)


def test_edges_are_timed():
    x = torch.linspace(-1, 1, 192, dtype=torch.float64)[:, None].expand(-1, 3)
    assert edge_search.curves(x, 2).shape == (192, 3, 2)
    assert edge_search.curves(x, 2).isfinite().all()


def test_a_formula_of_a_peer_is_judged_inside_and_outside():
    equation = KAN_PAPER["I.12.11"]
    assert symbolic_pykan.relative_error(equation.expression, equation, 0.25) < 1e-12
    assert symbolic_pykan.relative_error(equation.expression + 1, equation, 0.0) > 0.1
    row = {"equation": "I.12.11", "seed": 1, "cpu_seconds": 120.0, "formula": None, "outcome": "not finished"}
    assert "not finished" in table.text(symbolic_pykan.summarise([row]))
    row |= {"formula": "x1", "error": 0.1, "wider_box_error": 0.2}
    assert symbolic_pykan.summarise([row])[0]["wider_box_error"] == 0.2
