"""Laws of symbolic functions and of the edges that have them."""

import copy
import math
import pickle

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, strategies as st
from zoo import network, samples

import edgewise as ew
from edgewise import DEFAULT_LIBRARY, Library, SymbolicFn
from edgewise.nn import SymbolicEdges

every_function = pytest.mark.parametrize("fn", DEFAULT_LIBRARY.values(), ids=lambda fn: fn.name)
eighths = st.integers(-160, 160).map(lambda n: n / 8)  # not so near a pole that floats overflow


def points_in_domain(fn: SymbolicFn) -> torch.Tensor:
    low, high = max(fn.domain[0], -4.0), min(fn.domain[1], 4.0)
    x = torch.linspace(low, high, 403, dtype=torch.float64)
    if fn.poles is not None:
        first, period = fn.poles
        nearest = first if math.isinf(period) else first + ((x - first) / period).round() * period
        x = x[(x - nearest).abs() > 1e-3]
    return x


@every_function
def test_both_forms_agree_on_the_domain(fn):
    x = points_in_domain(fn)
    t = sympy.Symbol("t", real=True)
    oracle = sympy.lambdify(t, fn.sympy(t), "scipy")(x.numpy())
    expected = torch.as_tensor(np.broadcast_to(np.asarray(oracle, dtype=float), x.shape).copy())
    assert expected.isfinite().all()
    torch.testing.assert_close(fn(x), expected, rtol=1e-12, atol=1e-12)


@every_function
def test_undefined_outside_the_domain_and_infinite_at_poles(fn):
    for end, step in zip(fn.domain, (-0.1, 0.1), strict=True):
        if math.isfinite(end):
            assert not fn(torch.tensor(end + step, dtype=torch.float64)).isfinite()
    if fn.poles is not None:
        assert fn(torch.tensor(fn.poles[0], dtype=torch.float64)).abs() > 1e10


@every_function
@given(a=eighths, b=eighths)
def test_defined_on_says_where_it_is_finite(fn, a, b):
    low, high = min(a, b), max(a, b)
    x = torch.linspace(low, high, 101, dtype=torch.float64)
    if fn.defined_on(low, high):
        assert fn(x).isfinite().all()
    elif low >= fn.domain[0] and high <= fn.domain[1]:
        first, period = fn.poles
        poles = [first] if math.isinf(period) else [first + n * period for n in range(-20, 21)]
        assert any(low <= pole <= high for pole in poles)
    else:
        assert not fn(torch.tensor([low, high], dtype=torch.float64)).isfinite().all() or low < fn.domain[0]


@every_function
def test_functions_pickle_and_copy_as_values(fn):
    x = points_in_domain(fn)
    twin = pickle.loads(pickle.dumps(fn))
    assert twin == fn
    assert torch.equal(twin(x), fn(x))
    assert copy.deepcopy(fn) is fn


def test_a_library_is_an_immutable_collection_of_names():
    library = DEFAULT_LIBRARY
    bessel = SymbolicFn("J0", torch.special.bessel_j0, lambda x: sympy.besselj(0, x))
    bigger = library | bessel
    assert (len(bigger), "J0" in library, bigger["J0"]) == (len(library) + 1, False, bessel)
    assert set(bigger - ("J0", "x")) == set(library) - {"x"}
    assert list(library.only("sin", "exp")) == ["sin", "exp"]
    with pytest.raises(ValueError, match="two functions named 'sin'"):
        _ = library | library["sin"]
    with pytest.raises(KeyError, match="no function 'sine' in the library"):
        library["sine"]
    assert Library() | [bessel] == Library([bessel])


def test_symbols_compute_their_formula():
    model = network([2, 2], residual=None, bias=False)
    edges = {
        (0, 0): ("sin", (2.0, 0.5, 1.5, -1.0)),
        (1, 0): ("exp", (-1.0, 0.0, 0.3, 0.0)),
        (0, 1): ("sin", (1.0, 0.0, 1.0, 0.0)),
    }
    for (j, i), (fn, affine) in edges.items():
        model = ew.fix(model, (0, j, i), fn, affine)
    model = ew.remove_edge(model, (0, 1, 1))
    x = samples(20, 2)
    y = torch.stack([1.5 * torch.sin(2 * x[:, 0] + 0.5) - 1 + 0.3 * torch.exp(-x[:, 1]), torch.sin(x[:, 0])], 1)
    torch.testing.assert_close(model(x), y)
    values = model.layers[0].edge_values(x)
    torch.testing.assert_close(values.sum(1), y)
    symbolic = model.layers[0].symbolic
    t = sympy.Symbol("t")
    for n, (j, i) in enumerate(edges):
        f = sympy.lambdify(t, symbolic.expression(n, t))
        torch.testing.assert_close(values[:, j, i], torch.tensor(f(x[:, j].numpy())))


@pytest.mark.usefixtures("as_a_user")
def test_two_symbols_on_one_edge_are_refused():
    one = torch.ones(2, dtype=torch.long)
    sin = DEFAULT_LIBRARY["sin"]
    with pytest.raises(ValueError, match="an edge has one owner"):
        SymbolicEdges([sin, sin], one, one, torch.zeros(2, 4))
    with pytest.raises(ValueError, match="need 1 sources"):
        SymbolicEdges([sin], one, one, torch.zeros(1, 4))


def test_symbols_learn():
    model = ew.fix(network([1, 1]), (0, 0, 0), "sin", (1.0, 0.1, 1.0, 0.0))
    model(samples(10, 1)).square().sum().backward()
    grad = model.layers[0].symbolic.affine.grad
    assert (grad != 0).all()
    assert [n for n, _ in network([1, 1]).named_parameters()] == ["layers.0.coef", "layers.0.bias"]
