"""Laws of discovery: a known law comes back exactly, noise alone is refused, a compiled formula is its formula."""

import json
import time

import numpy as np
import pandas as pd
import pytest
import sympy
import torch

import edgewise as ew
from edgewise.discovery import anatomy, discover
from edgewise.discovery.separable import chebyshev, chebyshev_slopes, fit_separable
from edgewise.discovery.structure import Variables, join_variables
from edgewise.symbolic import formula, from_formula

a, b, c = sympy.symbols("a b c", real=True)


def samples(count: int, *ranges: tuple[float, float], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.uniform(low, high, count) for low, high in ranges], -1)


def values(expression, variables, x: np.ndarray) -> np.ndarray:
    return sympy.lambdify(variables, expression, "numpy")(*x.T) * np.ones(len(x))


COMPILED = [
    sympy.exp(-(a**2) / (2 * b**2)) / sympy.sqrt(2 * sympy.pi * b**2),
    sympy.sin(a) + a + 3 * sympy.cos(a) - 2,
    a * b * c,
    a,
    sympy.Integer(3),
    sympy.sqrt(1 + a**2 - 2 * a * sympy.cos(b - c)),
    (1 - sympy.cos(a * b)) / (1 - sympy.cos(b)),
    2**a + sympy.log(b) / 3,
    sympy.sinh(a) + b,
    a * (b + 1) * (c - 2) ** 2 / 3,
    sympy.Abs(a - b) + sympy.sign(a - b),
    (a + b) ** 2 + (a + b),
    sympy.pi * a * b + a * b + sympy.sin(a * b),
    3 * (a + b) * 2,
    -sympy.sqrt(2) * sympy.sin(2 * a + b) / 3,
    (a + b * c) / (1 + a * b) ** 2,
]


@pytest.mark.parametrize("expression", COMPILED, ids=str)
def test_compiled_is_its_formula(expression):
    x = samples(60, (0.5, 2), (0.5, 2), (0.5, 2))
    model = from_formula(expression, [a, b, c])
    expected = values(expression, (a, b, c), x)
    np.testing.assert_allclose(model(torch.tensor(x))[:, 0].detach().numpy(), expected, rtol=1e-13, atol=1e-13)
    assert formula(model).check(model, torch.tensor(x)).max_abs < 1e-12
    assert model.input_names == ("a", "b", "c")


def test_compiled_outputs_keep_their_order():
    x = samples(10, (0.5, 2), (0.5, 2))
    model = from_formula([a * b, sympy.sin(a), a * b], [a, b], output_names=["p", "q", "r"])
    expected = np.stack([x.prod(-1), np.sin(x[:, 0]), x.prod(-1)], -1)
    np.testing.assert_allclose(model(torch.tensor(x)).detach().numpy(), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (a + b ** sympy.Rational(5, 2), r"the term b\*\*\(5/2\) has no function"),
        (sympy.besselj(0, a), r"the term besselj\(0, a\) has no function"),
        (a**b, r"the term a\*\*b has no function"),
        (a + sympy.Symbol("t"), "t: not among the variables"),
        (a * sympy.I, "not real and finite"),
    ],
)
def test_what_cannot_be_compiled_is_named(expression, message):
    with pytest.raises(ValueError, match=message):
        from_formula(expression, [a, b])


def test_a_compiled_network_can_be_released_and_trained():
    model = from_formula(sympy.sin(a) * b, [a, b])
    x = torch.tensor(samples(200, (-1, 1), (-1, 1)))
    symbols = model.layers[0].symbolic
    freed = ew.surgery.release(model, (0, symbols.sources[0].item(), symbols.targets[0].item()), x)
    assert freed.layers[0].mask.sum() == 1
    torch.testing.assert_close(freed(x), model(x), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("expression", "ranges"),
    [
        (a * sympy.exp(-b), [(1, 5), (0, 5)]),
        ((a + b) / (1 + a * b), [(0, 1), (0, 1)]),
        (sympy.asin(a / b), [(0, 1), (1.1, 5)]),
        pytest.param(1 + a + 2 * sympy.sqrt(a) * sympy.cos(b), [(0.2, 5), (0, 6.28)], marks=pytest.mark.slow),
        pytest.param(sympy.sqrt(1 + a**2 + b**2), [(1, 3), (1, 3)], marks=pytest.mark.slow),
        pytest.param(a * (1 + b * sympy.cos(c)), [(1, 3), (0, 1), (0, 6.28)], marks=pytest.mark.slow),
        (sympy.sin(3 * a) + 2, [(-1, 2)]),
    ],
    ids=str,
)
def test_a_law_comes_back_exactly(expression, ranges):
    variables = (a, b, c)[: len(ranges)]
    x = samples(1200, *ranges)
    names = [str(v) for v in variables]
    found = discover(x, values(expression, variables, x), names=names, clock=time.process_time)
    assert found.exact, found
    assert sympy.simplify(found.formula.expressions[0] - expression) == 0
    model = found.model()
    far = samples(100, *ranges, seed=7)
    np.testing.assert_allclose(
        model(torch.tensor(far))[:, 0].detach().numpy(), values(expression, variables, far), atol=1e-9
    )
    json.dumps(found.to_json())


def test_a_law_under_noise():
    x = samples(1500, (1, 3), (1, 3))
    exact = x[:, 0] * np.sin(x[:, 1])
    y = exact + 0.01 * exact.std() * np.random.default_rng(1).standard_normal(1500)
    found = discover(x, y, names=["a", "b"])
    assert not found.exact
    assert sympy.simplify(found.formula.expressions[0] - a * sympy.sin(b)) == 0


@pytest.mark.usefixtures("as_a_user")
def test_noise_alone_is_refused():
    rng = np.random.default_rng(0)
    found = discover(rng.standard_normal((300, 2)), rng.standard_normal(300), seconds=1, clock=time.process_time)
    assert found.law is None
    assert found.reason
    with pytest.raises(ValueError, match="no law was found"):
        _ = found.formula


@pytest.mark.parametrize("high", [0.5, pytest.param(8.0, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("as_a_user")
def test_a_function_that_the_library_lacks_is_not_announced_as_exact(high):
    """A narrow range makes imitations good: they may be laws up to their error, not exact ones."""
    from scipy import special

    x = samples(400, (0, high))
    found = discover(x, special.j0(x[:, 0]), seconds=2, clock=time.process_time)
    assert not found.exact, found


@pytest.mark.slow
@pytest.mark.usefixtures("as_a_user")
def test_an_auxiliary_variable_shortens_the_way():
    x = samples(400, (1, 3), (1, 2), (3, 5), (1, 2))
    y = x[:, 3] * np.log(3 * x[:, 0] / (x[:, 1] + x[:, 2] ** 2) + 1)
    given = {"names": ["a", "b", "c", "d"], "seconds": 20, "clock": time.process_time}
    found = discover(x, y, auxiliary=["a / (b + c**2)"], **given)
    assert found.exact, found
    np.testing.assert_allclose(found.formula(x)[:, 0], y, rtol=1e-9)
    with pytest.raises(ValueError, match="not an expression of a, b, c, d"):
        discover(x, y, auxiliary=["q + 1"], **given)


def test_a_broken_user_function_is_named():
    def broken(u):
        raise RuntimeError("no")

    library = ew.nn.DEFAULT_LIBRARY | ew.SymbolicFn("mine", broken, sympy.Function("mine"))
    x = samples(50, (0, 1))
    with pytest.raises(ValueError, match="'mine' fails"):
        discover(x, x[:, 0] ** 2, library=library)


def test_constant_columns_do_not_matter():
    x = np.c_[samples(200, (1, 3)), np.full(200, 2.0)]
    told = []
    found = discover(x, x[:, 0] ** 2, progress=told.append)
    assert found.exact
    assert str(found.formula) == "y = x1**2"
    assert str(found.formula) in told[-1].text
    assert all(0 <= event.fraction <= 1 for event in told)
    nothing = discover(np.ones((50, 1)), np.arange(50.0))
    assert nothing.law is None


def test_bad_tables_get_clear_answers():
    x = samples(50, (0, 1), (0, 1))
    with pytest.raises(ValueError, match="y is constant"):
        discover(x, np.ones(50))
    with pytest.raises(ValueError, match="row 3"):
        discover(np.where(np.arange(50)[:, None] == 3, np.nan, x), x[:, 0])
    with pytest.raises(ValueError, match="at least 30"):
        discover(x[:5], x[:5, 0])
    with pytest.raises(ValueError, match="x must be"):
        discover(x, x[:20, 0])
    with pytest.raises(ValueError, match="names must be 2"):
        discover(x, x[:, 0], names=["a"])


@pytest.mark.parametrize("made", [np.asarray, torch.as_tensor, list, lambda c: pd.DataFrame(np.reshape(c, (50, -1)))])
def test_complex_numbers_are_refused_not_halved(made, as_a_user):
    x = samples(50, (0, 1), (0, 1))
    for inputs, target in ((made(x + 1j * x), x[:, 0]), (x, made(x[:, 0] * 1j))):
        with pytest.raises(TypeError, match="complex numbers; give real and imaginary parts"):
            discover(inputs, target)


def test_variables_that_act_together_are_joined():
    x = torch.tensor(samples(1500, (1, 3), (1, 3), (1, 3)))
    y = x[:, 0] * torch.cos(x[:, 1] - x[:, 2]) + x[:, 0] ** 2
    joined = join_variables(Variables(x, (a, b, c)), y)[-1]
    assert joined.expressions == (a, b - c)
    torch.testing.assert_close(joined.x[:, 1], x[:, 1] - x[:, 2])
    alone = x[:, 0] + torch.sin(x[:, 1]) * x[:, 2]
    assert len(join_variables(Variables(x, (a, b, c)), alone)) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_polynomials_and_their_slopes_are_those_of_numpy(size):
    x = torch.tensor(samples(40, (-3, 5), (2, 2.5)))
    low, high = torch.tensor([-3.0, 2.0]).double(), torch.tensor([5.0, 2.5]).double()
    value, slope = chebyshev(x, low, high, size), chebyshev_slopes(x, low, high, size)
    for j, domain in enumerate([(-3, 5), (2, 2.5)]):
        for n in range(size):
            oracle = np.polynomial.Chebyshev.basis(n, domain)
            np.testing.assert_allclose(value[:, j, n], oracle(x[:, j].numpy()), atol=1e-12)
            np.testing.assert_allclose(slope[:, j, n], oracle.deriv()(x[:, j].numpy()), atol=1e-11 * (n + 1) ** 2 * 4)


@pytest.mark.parametrize("products", [0, 1, 2])
def test_factors_tell_the_number_of_products(products):
    x = torch.tensor(samples(800, (1, 3), (1, 3), (1, 3)))
    terms = [x[:, 0] * torch.sin(x[:, 1]) * x[:, 2], torch.exp(-x[:, 0]) * torch.cos(x[:, 2]) * x[:, 1] ** 2]
    z = x[:, 0] ** 2 + torch.sqrt(x[:, 1]) + sum(terms[:products])
    errors = [fit_separable(x, z, m, size=12, steps=100, starts=6).error for m in range(products + 1)]
    assert errors[-1] < 1e-6
    assert all(e > 1e-3 for e in errors[:-1])


def test_the_equations_of_the_kan_paper_are_its_functions():
    from studies.problems.feynman import KAN_PAPER
    from studies.problems.functions import FUNCTIONS

    for name, equation in KAN_PAPER.items():
        x, y = FUNCTIONS[name].sample(20, torch.Generator().manual_seed(0))
        np.testing.assert_allclose(
            values(equation.expression, equation.variables, x.numpy()), y.numpy(), rtol=1e-9, atol=1e-12
        )


def test_equations_can_be_sampled():
    from studies.problems.feynman import EQUATIONS, TUTORIALS

    assert len(EQUATIONS) == 120
    for equation in (*EQUATIONS.values(), *TUTORIALS.values()):
        assert equation.expression.free_symbols == set(equation.variables), equation
        x, y = equation.sample(200, torch.Generator().manual_seed(0))
        low, high = torch.tensor(list(equation.ranges.values())).T
        assert len(x) == len(y) == 200
        assert ((low <= x) & (x <= high)).all(), equation
        assert y.isfinite().all()
        assert y.std() > 0
        wide, _ = equation.sample(200, torch.Generator().manual_seed(0), wider=0.25)
        assert not ((low <= wide) & (wide <= high)).all(), equation


@pytest.mark.parametrize(
    ("f", "additive", "multiplicative", "together"),
    [
        (lambda x: x[:, 0] * x[:, 1] + torch.sin(x[:, 2]), ((0, 1), (2,)), ((0, 1, 2),), {(0, 1, "product")}),
        (lambda x: x[:, 0] * torch.exp(x[:, 1]) * x[:, 2], ((0, 1, 2),), ((0,), (1,), (2,)), {(0, 2, "product")}),
        (lambda x: torch.sin(x[:, 0] - x[:, 1]) * x[:, 2], ((0, 1, 2),), ((0, 1), (2,)), {(0, 1, "difference")}),
        (lambda x: torch.exp(x[:, 0] / x[:, 2]), ((0, 2),), ((0, 2),), {(0, 2, "ratio")}),
        (
            lambda x: (x[:, 0] ** 2 + x[:, 1] ** 2).sqrt() + x[:, 2] ** 2,
            ((0, 1), (2,)),
            ((0, 1, 2),),
            {(0, 1, "squares")},
        ),
    ],
)
def test_anatomy_of_known_functions(f, additive, multiplicative, together):
    x = torch.tensor(samples(100, (1, 2), (1.5, 3), (1, 3)))
    found = anatomy(f, x, names=["a", "b", "c"])
    assert found.additive == additive
    assert found.multiplicative == multiplicative
    assert set(found.together) == together
    json.dumps(found.to_json())


def test_anatomy_of_a_network_and_its_errors():
    model = from_formula(a * sympy.sin(b) + c**2, [a, b, c])
    x = torch.tensor(samples(50, (1, 2), (1, 2), (1, 2)))
    found = anatomy(model, x, names=model.input_names)
    assert found.additive == ((0, 1), (2,))
    assert "additive: (a, b) + (c)" in str(found)
    with pytest.raises(ValueError, match="one output"):
        anatomy(lambda t: t, x)
    with pytest.raises(ValueError, match="constant"):
        anatomy(lambda t: t.sum(-1) * 0, x)
