"""Laws of the symbolic path: a formula is its network, a search finds the function that made the curve."""

import json
import math

import numpy as np
import pytest
import sympy
import torch
from scipy import special

import edgewise as ew
from edgewise.nn import Affine, KANLinear, ProductNodes, SymbolicEdges
from edgewise.symbolic import formula, search_edge, search_layer, suggest, symbolify
from edgewise.symbolic.edges import tidy

LIBRARY = ew.nn.DEFAULT_LIBRARY
SMOOTH = ["x", "x^2", "sin", "exp", "tanh", "gaussian", "cosh", "arctan", "erf"]


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def symbolic_layer(inputs: int, outputs: int, seed: int, names: list[str] | None = None) -> KANLinear:
    """A layer whose every edge is a random symbol, defined everywhere."""
    g = torch.Generator().manual_seed(seed)
    names = names or SMOOTH
    n = inputs * outputs
    pick = torch.randint(len(names), (n,), generator=g).tolist()
    sources, targets = torch.arange(n) // outputs, torch.arange(n) % outputs
    symbols = SymbolicEdges([LIBRARY[names[p]] for p in pick], sources, targets, torch.randn(n, 4, generator=g) * 0.7)
    layer = KANLinear(inputs, outputs, generator=g)
    return KANLinear.assemble(
        layer.basis,
        layer.residual,
        coef=layer.coef,
        grid=layer.grid,
        mask=torch.zeros(inputs, outputs, dtype=torch.bool),
        bias=torch.randn(outputs, generator=g),
        symbolic=symbols,
    )


def products_network(seed: int) -> ew.KAN:
    g = torch.Generator().manual_seed(seed)
    layers = [symbolic_layer(3, 6, seed), ProductNodes(1, (2, 3)), symbolic_layer(3, 2, seed + 100)]
    return ew.KAN.assemble(
        layers,
        input_affine=Affine(torch.rand(3, generator=g) + 0.5, torch.randn(3, generator=g)),
        output_affine=Affine(torch.tensor([2.5, -0.3]), torch.tensor([1.0, 1e-3])),
        input_names=["mass", "lambda", "x_3"],
        output_names=["force", "energy"],
    )


@pytest.mark.parametrize("seed", range(4))
def test_formula_is_the_network(seed):
    model = products_network(seed)
    x = torch.rand(200, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    f = formula(model)
    expected = model(x).detach().numpy()
    scale = np.abs(expected).max()
    oracle = sympy.lambdify(f.inputs, f.expressions, ["scipy", "numpy"])
    np.testing.assert_allclose(np.stack(oracle(*x.numpy().T), -1), expected, atol=1e-12 * scale)
    np.testing.assert_allclose(f(x).numpy(), expected, atol=1e-12 * scale)
    np.testing.assert_allclose(f(x.numpy()), expected, atol=1e-12 * scale)
    space: dict = {}
    exec(f.python("law"), space)
    np.testing.assert_allclose(np.stack(space["law"](*x.numpy().T), -1), expected, atol=1e-12 * scale)
    check = f.check(model, x)
    assert check.max_abs <= 1e-12 * scale
    assert check.samples == 200
    assert [str(s) for s in f.inputs] == ["mass", "lambda", "x_3"]
    assert f.names == ("force", "energy")


@pytest.mark.parametrize("name", [n for n in LIBRARY if n != "sign"])
def test_every_function_has_one_meaning(name):
    """The torch form, the sympy form and scipy's evaluation of it agree inside the domain."""
    fn = LIBRARY[name]
    low, high = max(fn.domain[0], -1.4), min(fn.domain[1], 1.4)
    u = torch.linspace(low + 0.01, high - 0.01, 40)
    symbol = sympy.Symbol("u", real=True)
    oracle = sympy.lambdify(symbol, fn.sympy(symbol), ["scipy", "numpy"])
    np.testing.assert_allclose(fn(u).numpy(), oracle(u.numpy()) * np.ones(40), rtol=1e-13, atol=1e-13)


def test_a_network_is_built_from_a_text():
    a, b = sympy.symbols("a b", real=True)
    x = torch.rand(9, 2, dtype=torch.float64)
    model = ew.from_formula("2*sin(a) + b**2/4", [a, b])
    torch.testing.assert_close(model(x), ew.from_formula(2 * sympy.sin(a) + b**2 / 4, [a, b])(x))
    torch.testing.assert_close(model(x), ew.from_formula("2*sin(a) + b**2/4", ["a", "b"])(x))
    torch.testing.assert_close(model(x), ew.from_formula(sympy.sympify("2*sin(a) + b**2/4"), ["a", "b"])(x))
    with pytest.raises(ValueError, match="is no expression that can be read"):
        ew.from_formula("open('made', 'w')", [a])
    with pytest.raises(ValueError, match="'b' is not among the names a"):
        ew.from_formula(["a", "a*b"], [a])


def test_formula_refuses_curves():
    with pytest.raises(ValueError, match=r"layer 'layers.0': 6 edges are still curves, the first is \(in=0, out=0\)"):
        formula(ew.KAN([2, 3, 1]))


def test_formula_of_absent_edges_is_the_bias():
    layer = KANLinear(2, 1)
    empty = KANLinear.assemble(
        layer.basis,
        layer.residual,
        coef=layer.coef,
        grid=layer.grid,
        mask=torch.zeros(2, 1, dtype=torch.bool),
        bias=torch.tensor([0.25]),
    )
    model = ew.KAN.assemble([empty])
    x = torch.randn(5, 2)
    assert formula(model).check(model, x).max_abs == 0
    assert formula(model).expressions == (sympy.Float(0.25, 17),)


def test_simplified_keeps_the_values():
    for seed in range(2):
        f = formula(products_network(seed))
        x = torch.rand(100, 3) * 2 - 1
        torch.testing.assert_close(f.simplified()(x), f(x), rtol=1e-8, atol=1e-8)


CURVES = {
    "x": lambda x: 2 * x - 1,
    "x^2": lambda x: (x - 0.2) ** 2 / 3,
    "x^3": lambda x: (x - 0.3) ** 3,
    "1/x": lambda x: 1 / (x + 1.3),
    "sqrt": lambda x: np.sqrt(x + 1),
    "x^1.5": lambda x: (x + 1) ** 1.5,
    "exp": lambda x: 0.2 * np.exp(-0.7 * x),
    "log": lambda x: np.log(x + 1.01),
    "abs": lambda x: np.abs(x - 0.3),
    "sin": lambda x: 2 * np.sin(3.3 * x + 0.4) + 1,
    "tan": lambda x: np.tan(0.6 * x - 0.2),
    "sinh": lambda x: np.sinh(1.5 * x + 0.1),
    "cosh": lambda x: np.cosh(1.5 * x - 0.1),
    "tanh": lambda x: np.tanh(4 * x - 1),
    "arcsin": lambda x: np.arcsin((x - 0.5) / 1.5),
    "arctan": lambda x: np.arctan(3 * x),
    "arctanh": lambda x: np.arctanh(0.45 * x),
    "gaussian": lambda x: np.exp(-8 * (x - 0.3) ** 2),
    "erf": lambda x: special.erf(2 * x - 0.5),
}


@pytest.mark.parametrize("name", CURVES)
def test_search_finds_the_function_that_made_the_curve(name):
    x = np.linspace(-1, 2, 150)
    best = search_edge(torch.tensor(x), torch.tensor(CURVES[name](x)))[0]
    assert best.fn.name == name
    assert best.r2 > 1 - 1e-12
    a, b, c, d = best.affine
    symbol = sympy.Symbol("u", real=True)
    oracle = sympy.lambdify(symbol, best.fn.sympy(symbol), ["scipy", "numpy"])
    np.testing.assert_allclose(c * oracle(a * x + b) + d, CURVES[name](x), atol=1e-7)
    value = sympy.lambdify(symbol, best.expression(symbol), ["scipy", "numpy"])(x)
    np.testing.assert_allclose(best.value(torch.tensor(x)).numpy(), value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_noisy_sine_is_a_sine(seed):
    rng = np.random.default_rng(seed)
    x = np.linspace(-1, 2, 150)
    v = np.sin(3 * x) + 0.05 * rng.standard_normal(150)
    assert {c.fn.name for c in search_edge(torch.tensor(x), torch.tensor(v))[:2]} == {"sin", "cos"}


def test_fast_oscillation():
    x = torch.linspace(-1, 1, 192)
    best = search_edge(x, torch.sin(20 * x))[0]
    assert best.fn.name == "sin"
    assert abs(abs(best.affine[0]) - 20) < 1e-8


def test_candidates_are_defined_on_the_whole_range():
    x = torch.linspace(0, 2, 60)
    for c in search_edge(x, torch.log(x + 0.01), margin=0.1):
        a, b, _, _ = c.affine
        ends = sorted([a * -0.2 + b, a * 2.2 + b])
        slack = 1e-9 * max(map(abs, ends))
        assert c.fn.defined_on(ends[0] + slack, ends[1] - slack), c


def test_constant_curve():
    only = search_edge(torch.linspace(0, 1, 20), torch.full((20,), 3.0))
    assert len(only) == 1
    assert only[0].fn.name == "0"
    assert only[0].affine[3] == 3.0


def test_bad_curves_get_clear_answers():
    x = torch.linspace(0, 1, 20)
    with pytest.raises(ValueError, match="5 different inputs, and 8 are needed"):
        search_edge(x[:5], x[:5] ** 2)
    with pytest.raises(ValueError, match="not finite at sample 3"):
        search_edge(x, torch.where(x == x[3], torch.nan, x))
    with pytest.raises(ValueError, match="no points"):
        search_edge(x[:0], x[:0])


@pytest.mark.parametrize("curve", [lambda x: 1 / x, lambda x: torch.tan(3 * x)])
def test_a_curve_with_a_pole_inside_is_explained_by_nothing(curve):
    x = torch.linspace(-1, 1, 200)
    for c in search_edge(x, curve(x)):
        a, b, _, _ = c.affine
        assert torch.isfinite(c.fn(a * torch.linspace(-1, 1, 4001) + b)).all()
        assert c.r2 < 0.9, c


def test_an_edge_like_a_pole_is_told():
    model = ew.KAN([1, 1], ew.BSpline(200, 3), residual=None, dtype=torch.float64)
    with torch.no_grad():
        model.layers[0].coef[0, 99:103, 0] = torch.tensor([-1e3, -1e5, 1e5, 1e3], dtype=torch.float64)
    _, report = symbolify(model, torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None])
    assert len(report.warnings) == 1
    assert "edge (in=0, out=0) stays a curve" in report.warnings[0]
    assert "is a pole inside its range?" in report.warnings[0]


def test_a_law_with_a_pole_inside_the_data_is_found():
    x = torch.rand(300, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = ew.discover(x, 2 / (x - 0.3))
    assert found.exact
    assert sympy.simplify(found.formula.expressions[0] - 2 / (found.formula.inputs[0] - sympy.Rational(3, 10))) == 0


def _raises(u):
    raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (_raises, "fails on a float64 tensor"),
        (lambda u: u.sum(-1), "returns shape"),
        (lambda u: u * torch.nan, "finite nowhere"),
    ],
)
def test_broken_user_functions_are_named(bad, message):
    library = LIBRARY | ew.SymbolicFn("mine", bad, sympy.Function("mine"))
    x = torch.linspace(0, 1, 20)
    with pytest.raises(ValueError, match=message):
        search_edge(x, x**2, library=library)


def test_user_function_reaches_the_formula():
    j0 = ew.SymbolicFn("sinc", torch.special.sinc, sympy.Function("mysinc"), 3)
    x = torch.linspace(-3, 3, 300)[:, None]
    symbols = SymbolicEdges([j0], torch.tensor([0]), torch.tensor([0]), torch.tensor([[1.3, 0.1, 2.0, 0.5]]))
    layer = KANLinear(1, 1)
    parts = {"coef": layer.coef, "grid": layer.grid, "mask": torch.zeros(1, 1, dtype=torch.bool), "bias": None}
    model = ew.KAN.assemble([KANLinear.assemble(layer.basis, layer.residual, **parts, symbolic=symbols)])
    assert formula(model).check(model, x).max_abs < 1e-14
    best = search_layer(x, model(x).detach()[:, :, None], library=LIBRARY | j0)[0, 0][0]
    assert best.fn is j0


def fitted_hello() -> tuple[ew.KAN, torch.Tensor, torch.Tensor]:
    """exp(sin(pi a) + b^2) as three curves, exact to about 1e-7."""
    from edgewise.functional import fit_curves

    g = torch.Generator().manual_seed(0)
    model = ew.KAN([2, 1, 1], ew.BSpline(20, 5), residual=None, generator=g)
    first, last = model.layers
    with torch.no_grad():
        p = first.basis.sample_points(first.grid)
        curves = torch.stack([torch.sin(torch.pi * p[:, 0]), p[:, 1] ** 2], 1)[..., None]
        first.coef.copy_(fit_curves(p, curves, first.grid, first.basis))
        last.grid.copy_(last.basis.init_grid(1, -1, 2))
        p = last.basis.sample_points(last.grid)
        last.coef.copy_(fit_curves(p, torch.exp(p)[..., None], last.grid, last.basis))
    x = torch.rand(400, 2, generator=g) * 2 - 1
    return model, x, torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)


def test_symbolify_finds_hello_kan():
    model, x, y = fitted_hello()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    told = []
    result, report = symbolify(model, x, y=y, progress=told.append)
    assert told[0].stage.startswith("functions for")
    assert all(0 <= event.fraction <= 1 for event in told)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert report.complete
    assert [e.chosen.fn.name for e in report.edges] == ["sin", "x^2", "exp"]
    assert report.rmse < 1e-12
    f = formula(result, ["a", "b"])
    a, b = np.random.default_rng(0).uniform(-2, 2, (2, 50))
    np.testing.assert_allclose(f(np.stack([a, b], -1))[:, 0], np.exp(np.sin(np.pi * a) + b**2), rtol=1e-9)
    json.dumps(report.to_json())
    json.dumps(f.to_json())


def test_symbolify_leaves_what_it_cannot_explain():
    model, x, _ = fitted_hello()
    wiggle = torch.randn(model.layers[0].coef.shape[1], generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        model.layers[0].coef[0, :, 0] = wiggle
    result, report = symbolify(model, x)
    assert not report.complete
    assert result.layers[0].mask.tolist() == [[True], [False]]
    assert "stays a curve" in report.warnings[0]
    with pytest.raises(ValueError, match="still curves"):
        formula(result)


def test_suggest_and_its_errors():
    model, x, _ = fitted_hello()
    assert suggest(model, x, ("layers.0", 0, 0))[0].fn.name in ("sin", "cos")
    assert suggest(model, x, (1, 0, 0))[0].fn.name == "exp"
    with pytest.raises(ValueError, match=r"no KANLinear is named .layers\.7."):
        suggest(model, x, ("layers.7", 0, 0))
    with pytest.raises(ValueError, match=r"no edge \(in=5, out=0\)"):
        suggest(model, x, (0, 5, 0))
    with pytest.raises(ValueError, match="not finite at sample 2"):
        suggest(model, torch.where(torch.arange(400)[:, None] == 2, torch.nan, x), (0, 0, 0))
    with pytest.raises(ValueError, match="y has shape"):
        symbolify(model, x, y=torch.zeros(400, 2))


LAWS = {
    "(a, b) -> exp(b^2 + sin(pi a))": (
        lambda a, b, F: F(0.99) * sympy.exp(F(1.01) * (F(0.99) * b - F(0.01)) ** 2 + F(0.98) * sympy.sin(F(3.1) * a)),
        lambda a, b: sympy.exp(b**2 + sympy.sin(sympy.pi * a)),
    ),
    "a rational": (lambda a, b, F: F(0.7) / (F(2.1) * a * b + F(1.9)) + F(0.01), lambda a, b: 1 / (1 + a * b)),
    "a root": (
        lambda a, b, F: sympy.sqrt(F(0.3) * a**2 + F(0.3) * b**2 + F(0.2)),
        lambda a, b: sympy.sqrt(1 + a**2 + b**2),
    ),
    "a Gaussian": (
        lambda a, b, F: F(0.4) * sympy.exp(F(-0.52) * a**2 / b**2) / b,
        lambda a, b: sympy.exp(-(a**2) / (2 * b**2)) / sympy.sqrt(2 * sympy.pi) / b,
    ),
}


@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize("law", LAWS)
def test_snap_recovers_the_exact_constants(law, noise):
    from edgewise.expressions.constants import snap

    a, b = sympy.symbols("a b", real=True)
    rough, exact = LAWS[law]
    x = torch.rand(400, 2, generator=torch.Generator().manual_seed(1)) * 2 + 0.5
    y = torch.tensor(sympy.lambdify((a, b), exact(a, b), "numpy")(*x.numpy().T))[:, None]
    y = y + noise * y.std() * torch.randn(y.shape, generator=torch.Generator().manual_seed(2))
    (found,) = snap([rough(a, b, lambda v: sympy.Float(v, 17))], (a, b), x, y)
    assert sympy.simplify(found - exact(a, b)) == 0


def test_snap_at_the_end_of_a_domain_keeps_the_numbers():
    from edgewise.expressions.constants import snap

    a = sympy.Symbol("a", real=True)
    x = torch.linspace(0, 2, 50)[:, None]
    law = sympy.Float(1.2, 17) * sympy.sqrt(sympy.Float(2, 17) - a)  # infinite slope by the 2 at a = 2
    (found,) = snap([law], (a,), x, 1.2 * (2 - x).sqrt())
    values = [float(found.subs(a, v)) for v in (0, 1, 2)]
    np.testing.assert_allclose(values, [1.2 * 2**0.5, 1.2, 0], rtol=1e-6, atol=1e-3)


def test_snap_leaves_a_number_without_a_name():
    from edgewise.expressions.constants import snap

    a = sympy.Symbol("a", real=True)
    x = torch.linspace(0, 1, 50)[:, None]
    (found,) = snap([sympy.Float(1.2, 17) * a], (a,), x, 1.234567890123 * x)
    assert float(found.coeff(a)) == pytest.approx(1.234567890123, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_beam_corrects_a_wrong_first_choice(seed):
    """Curves that are off by a few percent mislead a greedy choice; the joint refit on data does not."""
    model, x, y = fitted_hello()
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in model.layers:
            layer.coef += 0.01 * torch.randn(layer.coef.shape, generator=g)
    result, report = symbolify(model, x, y=y)
    assert report.rmse < 1e-12
    f = formula(result, ["a", "b"]).snapped(x, y)
    a, b = f.inputs
    assert sympy.simplify(f.expressions[0] - sympy.exp(b**2 + sympy.sin(sympy.pi * a))) == 0
    assert report.pareto[-1].rmse < 1e-10


@pytest.mark.parametrize("slope", [1e-266, -1e-160, 1e200])
@pytest.mark.parametrize("name", ["1/x^2", "x^5", "sqrt", "1/x^5"])
def test_an_edge_with_a_slope_beyond_all_measure_is_left_alone(name, slope):
    affine = (slope, 3.0, 9.0, -1.0)
    tidied = tidy(name, affine)
    assert all(map(math.isfinite, tidied))
    assert tidied[2] != 0


def test_one_input_far_away_from_all_others_is_no_crash():
    x = torch.linspace(0, 1, 200, dtype=torch.float64)
    x[77] = 1e9
    best, *_ = search_edge(x, 2 * x)
    assert best.fn.name == "x"
