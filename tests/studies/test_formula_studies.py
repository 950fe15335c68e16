"""The studies of formulas: scores against oracles that share no code, tables and pictures from rows of any study."""

import numpy as np
import pytest
import sympy
import torch

from edgewise.expressions import Formula
from edgewise.tables.shipped import KNOTS, load_knots
from studies.kan_paper import knots
from studies.peers import symbolic_pykan as symbolic_peer
from studies.problems.feynman import KAN_PAPER
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


def test_a_picture_and_a_table_of_knots(tmp_path):
    front = [{"law": f"{n} * a", "complexity": n, "accuracy": 0.7 + n / 100} for n in (1, 2, 3)]
    row = {"text": "signature = 2 * a", "front": front, "same_form": True, "worst": 0.7, "cpu_seconds": 1.0}
    row |= {"accuracy": 0.86, "rule": 0.76, "r2": 0.94, "rule_r2": 0.91}
    knots.draw([row, row], tmp_path / "knots.png")
    assert (tmp_path / "knots.png").stat().st_size > 1000
    assert "86.0%" in knots.table(knots.summary([row, row]))


def test_edges_are_timed():
    x = torch.linspace(-1, 1, 192, dtype=torch.float64)[:, None].expand(-1, 3)
    assert edge_search.curves(x, 2).shape == (192, 3, 2)
    assert edge_search.curves(x, 2).isfinite().all()
    row = edge_search.measured(1, 2, repeats=1)
    assert 0 < row["median_ms"] <= row["worst_ms"]


def test_a_formula_of_a_peer_is_judged_inside_and_outside():
    equation = KAN_PAPER["I.12.11"]
    assert symbolic_peer._error(equation.expression, equation, 0.25) < 1e-12
    assert symbolic_peer._error(equation.expression + 1, equation, 0.0) > 0.1
    row = {"equation": "I.12.11", "seed": 1, "cpu_seconds": 120.0, "formula": None, "outcome": "not finished"}
    assert symbolic_peer.shown(row) == "I.12.11, seed 1: not finished in 120 s"
    row |= {"formula": "x1", "error": 0.1, "wider_box_error": 0.2}
    assert "leaves 0.1 inside" in symbolic_peer.shown(row)
