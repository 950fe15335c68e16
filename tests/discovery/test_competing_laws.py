"""Laws of noisy rows beside their competitors: free exponents, honest names, and what the rows do not tell apart."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import sympy
import torch

from edgewise.discovery import discover
from edgewise.discovery.competing_laws import MARGIN, competing, one_form
from edgewise.discovery.evidence_bits import count_numbers, form_bits, weighed_numbers
from edgewise.discovery.free_exponents import freed
from edgewise.discovery.law import Law
from edgewise.discovery.rows import Table
from edgewise.expressions import Formula
from edgewise.expressions.constants import name_bits
from edgewise.expressions.parse import parse_formula

pytestmark = pytest.mark.usefixtures("module_as_a_user")

a, b = sympy.symbols("a b", real=True)


def law(expression, bits: float = 0.0) -> Law:
    return Law(Formula((expression,), (a, b), ("y",)), 0.1, 0.1, 1, "", bits=bits)


def table(rows: int, seed: int, terms, noise: float) -> Table:
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.5, 3, (rows, 2))
    y = np.sum([c * np.prod(x ** np.array(p), 1) for c, p in terms], 0)
    y = y + noise * y.std() * rng.standard_normal(rows)
    return Table((a, b), torch.tensor(x), torch.tensor(y))


def exponents(expression) -> list[tuple[float, float]]:
    """The exponents of a and b in every term, in order; NaN where a term is no product of powers."""
    rows = []
    for term in sympy.Add.make_args(sympy.expand(expression)):
        powers = [term.as_powers_dict().get(s, 0) for s in (a, b)]
        pure = not (term / a ** powers[0] / b ** powers[1]).free_symbols
        rows.append(tuple(float(p) if pure else math.nan for p in powers))
    return sorted(rows)


POWER_SUMS = [
    [(2.1, (1.62, 0)), (0.8, (0, 1))],
    [(1.3, (0.37, 0)), (0.9, (0, 2.23))],
    [(-0.7, (2.41, 0)), (2.2, (0, -0.58))],
    [(1.7, (1.19, -0.83))],
    [(0.6, (2.57, 0.44)), (1.9, (0, 1.31))],
]


@pytest.mark.parametrize("nth", [1, *(pytest.param(nth, marks=pytest.mark.slow) for nth in (2, 3, 4))])
def test_a_sum_of_powers_that_have_no_name_is_announced_only_where_it_is_right(nth):
    terms = POWER_SUMS[nth]
    rows = table(400, 700 + nth, terms, 0.02 if nth % 2 else 0.05)
    found = discover(rows.x, rows.y, names=["a", "b"], seconds=1, clock=time.process_time)
    assert not found.exact
    if found.law is not None:
        wanted = np.array(sorted(p for _, p in terms))
        got = np.array(exponents(found.formula.expressions[0]))
        assert got.shape == wanted.shape, found
        assert ((got == 0) == (wanted == 0)).all(), found
        assert np.abs(got - wanted).max() < 0.15, found


def test_the_sum_with_a_free_exponent_is_found():
    rows = table(400, 3, POWER_SUMS[0], 0.05)
    found = discover(rows.x, rows.y, names=["a", "b"], seconds=5, clock=time.process_time)
    assert found.law is not None, found
    exponent = next(c for c in found.law.constants if c.place == "exponent of a")
    assert exponent.holds(1.62)
    assert exponent.error < 0.02


def test_free_exponents_without_noise_are_exact():
    rows = table(300, 4, [(2.1, (1.62, 0)), (0.8, (0, -0.71)), (1.1, (0.3, 2.2))], 0.0)
    start = torch.tensor([[1.5, 0.0], [0.0, -0.5], [0.5, 2.0]], dtype=torch.float64)
    expression = freed((a, b), start, rows.x, rows.y, torch.ones_like(rows.y))
    assert rows.error(expression) < 1e-9
    assert sorted(p for row in exponents(expression) for p in row if p) == pytest.approx([-0.71, 0.3, 1.62, 2.2])


def test_a_name_in_a_wide_interval_saves_nothing():
    """One number of b in the place of another: the free one costs the digits that the rows tell, the name its bits."""
    wide, narrow = (table(400, 5, [(1.0, (1, 0)), (0.5, (0, 1))], noise) for noise in (4.0, 0.005))
    for rows, cheaper in ((wide, False), (narrow, True)):
        free, _ = weighed_numbers(a + sympy.Float(0.5) * b, rows, 0.0)
        named, _ = weighed_numbers(a + b / 2, rows, 0.0)
        assert (named < free - 2) == cheaper
    assert name_bits(sympy.Integer(1)) < name_bits(sympy.Integer(2)) < name_bits(sympy.Rational(7, 5))
    assert form_bits(a * b) < form_bits(a * b + a) < form_bits(sympy.sin(a * b) + a)


def test_a_term_that_may_be_zero_is_seen():
    rows = table(200, 6, [(1.0, (1, 0))], 0.1)
    assert weighed_numbers(sympy.Float(1.01) * a, rows, 0.0)[1]
    assert not weighed_numbers(sympy.Float(1.01) * a + sympy.Float(0.001) * b, rows, 0.0)[1]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2.98*a**1.5 - a", "3*a**1.5 - 1.07*a", True),
        ("2.0*a**2", "2.1*a**1.93", True),
        ("2.0*a**2", "2.1*a**(3/2)", False),
        ("2.98*a**(3/2) - a + 0.81*b", "2.1*a**1.62 + 0.8*b", False),
        ("sin(2.1*a) + 0.2", "1.1*sin(2*a) + 0.3", True),
        ("2.18*a**2 + 1 - 3.77*b", "2*a**2.11 - 2.57*b", False),
        ("sin(2.1*a)", "cos(2.1*a)", False),
    ],
)
def test_the_form_of_a_law_is_what_its_numbers_do_not_change(first, second, same):
    p, q = (law(parse_formula(text, (a, b))) for text in (first, second))
    assert one_form(p, q) is same
    assert one_form(q, p) is same
    assert one_form(p, p)


def test_a_competitor_is_of_another_form_and_near():
    best, alike, near, far = law(a**2), law(sympy.Float(1.1) * a**2, 1.0), law(a, MARGIN - 1), law(b, MARGIN + 1)
    assert competing(best, [best, alike, far]) is None
    assert competing(best, [best, alike, far, near]) is near
    plain = replace(far, plain_bits=2.0)
    assert competing(replace(best, plain_bits=0.0), [best, alike, plain]) is plain


def test_every_number_counts_that_a_person_chose():
    assert [count_numbers(parse_formula(text, (a, b))) for text in ("a*sin(b)", "a + b", "2*a**3 - b + 1.5")] == [
        0,
        2,
        4,
    ]
