"""Laws of fields: found with their constants, transformed with the units, refused where there are none."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import sympy

from edgewise.discovery.fields import FieldLaw, discover_field
from edgewise.discovery.fields.equation_search import WeakEquation, constants_again
from edgewise.discovery.fields.errors_in_variables import Constants
from edgewise.discovery.fields.field_data import read_fields
from edgewise.discovery.fields.field_terms import candidate_terms
from edgewise.discovery.fields.substitutes import is_full_series, substitute_of, twin_of
from edgewise.discovery.fields.window_plan import weak_systems, window_plan
from edgewise.progress import Event

pytestmark = pytest.mark.usefixtures("module_as_a_user")

T = np.linspace(0, 2, 49)
X = np.linspace(-4, 4, 72)


def burgers(t, x, nu=0.3):
    """An exact solution of u_t = -u u_x + nu u_xx by the transformation of Hopf (1950) and Cole (1951)."""
    t, x = t[:, None], x[None]
    waves = ((1.0, 0.0), (0.9, 1.7), (1.3, -1.2), (0.6, 2.6))
    parts = [a * np.exp(nu * k**2 * t - k * x) for a, k in waves]
    slope = sum(-k * p for (_, k), p in zip(waves, parts, strict=True))
    return -2 * nu * slope / sum(parts)


def heat(t, x, diffusivity=0.2, speed=0.5):
    """An exact solution of u_t = -c u_x + D u_xx."""
    t, x = t[:, None], x[None] - speed * t[:, None]
    return sum(
        a * np.exp(-diffusivity * k**2 * t) * np.sin(k * x + s)
        for a, k, s in ((1, 0.8, 0.1), (0.7, 1.7, 1.0), (0.5, 2.9, 2.0))
    )


def noisy(u, share, seed):
    return u + share * np.sqrt(np.mean(u**2)) * np.random.default_rng(seed).standard_normal(u.shape)


def values(found):
    return {term.term: term.constant.value for term in found.terms}


@pytest.fixture(scope="module")
def clean():
    return discover_field(T, burgers(T, X), X)


def test_a_manufactured_solution_gives_its_constants(clean):
    assert values(clean) == pytest.approx({"u*u_x": -1.0, "u_xx": 0.3}, rel=1e-6)
    assert str(clean).startswith("u_t = -u*u_x + 0.3*u_xx\n")
    assert str(clean.formula.expressions[0]) == "-u*u_x + 3*u_xx/10"
    assert clean.error < 1e-3
    assert clean.horizon == pytest.approx(clean.span)


def test_the_answer_is_a_value(clean):
    stored = json.loads(json.dumps(clean.to_json()))
    assert [t["name"] for t in stored["terms"]] == ["-1", "3/10"]
    t, x = sympy.symbols("t x", real=True)
    u = sympy.Function("u")(t, x)
    right = -u * u.diff(x) + sympy.Rational(3, 10) * u.diff(x, 2)
    assert sympy.expand(clean.equations[0].rhs - right) == 0
    assert clean.equations[0].lhs == u.diff(t)
    assert "\\frac{\\partial^{2}}{\\partial x^{2}}" in clean.latex()


def test_a_stored_law_is_the_law(clean):
    stored = json.loads(json.dumps(clean.to_json()))
    again = FieldLaw.from_json(stored)
    assert again.to_json() == clean.to_json()
    assert again.terms == clean.terms
    exact = burgers(T[:9], X)
    np.testing.assert_array_equal(
        again.simulate(exact[0], T[:9], boundary=exact), clean.simulate(exact[0], T[:9], boundary=exact)
    )
    for bad in ({}, stored | {"terms": [{}]}, stored | {"noise": 3}, stored | {"law": "u_x"}):
        with pytest.raises(ValueError, match="stored"):
            FieldLaw.from_json(bad)
    code = stored["terms"][0] | {"name": "__import__('os')"}
    with pytest.raises(ValueError, match=r"."):
        FieldLaw.from_json(stored | {"terms": [code]})


def test_a_law_is_solved_forward(clean):
    exact = burgers(T, X)
    solved = clean.simulate(exact[0], T, boundary=exact)
    assert np.abs(solved - exact).max() < 1e-3
    with pytest.raises(ValueError, match="boundary"):
        clean.simulate(exact[0], T)
    with pytest.raises(ValueError, match="shape"):
        clean.simulate(exact[0, 1:], T, boundary=exact)


def test_a_figure_of_three_maps(clean):
    pytest.importorskip("matplotlib")
    assert len(clean.plot().axes) >= 3
    with pytest.raises(ValueError, match="no field 'w'"):
        clean.plot("w")


def test_constants_change_with_the_units():
    """For T = 4 t, Z = x / 8, U = 32 u: a in a u u_x becomes a / (8 * 4 * 32), b in b u_xx becomes b / (64 * 4)."""
    u = noisy(burgers(T, X), 0.005, 0)
    here = discover_field(T, u, X, degree=2, order=2)
    there = discover_field(4 * T, 32 * u, X / 8, degree=2, order=2)
    expected = {"u*u_x": values(here)["u*u_x"] / (8 * 4 * 32), "u_xx": values(here)["u_xx"] / (64 * 4)}
    assert values(there) == pytest.approx(expected, rel=1e-6)


def test_intervals_of_a_nonlinear_law_hold_what_they_promise():
    """Errors of two constants at 2 % noise, 40 draws: 95 % intervals hold at least 66 of 80, and are not too wide."""
    t, x = T[:36], X[::2]
    data = read_fields(t, burgers(t, x), x, None, None)
    terms = tuple(term for term in candidate_terms(1, 1, degree=2) if term.text(("u",)) in ("(u**2)_x", "u_xx"))
    exact = np.array([-0.5, 0.3])
    law = WeakEquation(terms, replace(Constants.of_nothing(np.ones(1)), values=exact))
    z = []
    for seed in range(40):
        noisy_u = noisy(burgers(t, x), 0.02, seed)[None]
        own = replace(data, recordings=(replace(data.recordings[0], u=noisy_u),))
        systems = weak_systems(own, window_plan(own), 2)
        found = constants_again(systems, 0, law, np.random.default_rng(seed)).constants
        z += list((found.values - exact) / found.errors)
    assert 66 <= np.sum(np.abs(z) < 1.96) <= 80
    assert 0.7 < np.std(z) < 1.4
    assert abs(np.mean(z)) < 0.5


def test_ten_percent_noise():
    found = discover_field(T, noisy(heat(T, X), 0.1, 3), X, degree=2)
    assert values(found) == pytest.approx({"u_x": -0.5, "u_xx": 0.2}, rel=0.1)
    assert found.noise["u"] == pytest.approx(0.1 * np.sqrt(np.mean(heat(T, X) ** 2)), rel=0.05)


def test_uneven_grids_missing_cells_and_recordings():
    generator = np.random.default_rng(0)
    t = np.linspace(0, 2, 90) + generator.uniform(-0.004, 0.004, 90)
    x = X + 0.02 * np.sin(3 * X)
    u = noisy(heat(t, x), 0.01, 1)
    u[generator.random(u.shape) < 0.01] = np.nan
    found = discover_field([t, T], [u, noisy(heat(T + 1, x), 0.01, 2)], x, degree=2, order=2)
    assert values(found) == pytest.approx({"u_x": -0.5, "u_xx": 0.2}, rel=0.03)
    assert "were missing" in found.reason


def test_a_known_input_and_several_fields():
    """u_t = v, v_t = u_xx - u + f with f the input that makes it hold."""
    t, x = np.linspace(0, 6, 101)[:, None], np.linspace(0, 2 * np.pi, 65)[None, :-1]
    waves = [(1, 1, 1.0), (0.6, 2, 1.7), (0.5, 3, 0.6), (0.4, 1, 2.5)]
    u = sum(a * np.sin(k * x + n) * np.cos(w * t) for n, (a, k, w) in enumerate(waves))
    v = sum(-a * w * np.sin(k * x + n) * np.sin(w * t) for n, (a, k, w) in enumerate(waves))
    u_tt = sum(-a * w**2 * np.sin(k * x + n) * np.cos(w * t) for n, (a, k, w) in enumerate(waves))
    u_xx = sum(-a * k**2 * np.sin(k * x + n) * np.cos(w * t) for n, (a, k, w) in enumerate(waves))
    found = discover_field(t[:, 0], {"u": u, "v": v}, x[0], inputs={"f": u_tt - u_xx + u}, degree=1, order=2)
    assert str(found).startswith("u_t = v\nv_t = -u + f + u_xx\n")
    assert found.grid.periodic == (True,)


def test_a_field_in_the_plane():
    t, x = np.linspace(0, 1, 36), np.linspace(0, 2 * np.pi, 29)[:-1]
    s, a, b = np.meshgrid(t, x, x, indexing="ij")
    u = sum(
        c * np.exp((0.5 - 0.2 * (k * k + q * q)) * s) * np.sin(k * a + q * b + k)
        for c, k, q in ((1, 1, 0), (0.8, 1, 2), (0.6, 2, 1), (0.7, 0, 1))
    )
    found = discover_field(t, noisy(u, 0.01, 0), (x, x), degree=1, order=2)
    assert set(values(found)) == {"u", "lap(u)"}
    assert values(found) == pytest.approx({"u": 0.5, "lap(u)": 0.2}, rel=0.03)


@pytest.mark.parametrize("kind", ["noise", "steps at random", "still", "hidden"])
def test_no_law_is_claimed_where_there_is_none(kind):
    generator = np.random.default_rng(5)
    if kind == "noise":
        u = generator.standard_normal((49, 72))
    elif kind == "steps at random":
        u = np.cumsum(generator.standard_normal((49, 6)) @ np.sin(np.outer(np.arange(1, 7), X)), 0)
    elif kind == "still":
        u = np.sin(X) + 0.1 * generator.standard_normal((49, 72))
    else:  # two waves of speeds that only a second field would tell apart
        u = np.sin(X - 2 * T[:, None]) + 0.8 * np.sin(X + 3 * T[:, None] + 1)
    found = discover_field(T, u, X)
    assert found.law is None
    assert found.terms == ()
    assert found.equations == ()
    assert str(found).startswith("no law\n")
    with pytest.raises(ValueError, match="no law was found"):
        found.simulate(u[0], T)
    assert FieldLaw.from_json(json.loads(json.dumps(found.to_json()))).reason == found.reason


def exponential():
    """A diffusivity exp(u), which is no polynomial: explicit steps of conservative differences."""
    x = np.linspace(0, 10, 65)[:-1]
    u, states = sum(np.cos(2 * np.pi * k * x / 10 + k * k) / k for k in (1, 2, 3)), []
    for n in range(1440):
        flux = 0.2 * np.exp((u + np.roll(u, -1)) / 2) * (np.roll(u, -1) - u) / x[1] ** 2
        states += [u] if n % 30 == 0 else []
        u = u + 8e-4 * (flux - np.roll(flux, 1))
    return 0.024 * np.arange(48), np.array(states), x


def twins():
    """Two fields that obey one equation and differ by noise: each would do in the equation of the other."""
    return T, {name: noisy(heat(T, X), 0.01, seed) for seed, name in enumerate("uv")}, X


def one_wave():
    """u_t = -0.3 u, u_xx * 0.1333 or -u_xxxx * 0.06."""
    return T, np.exp(-0.3 * T[:, None]) * np.sin(1.5 * X), X


def noisy_wave():
    """The same with noise, where a term with more derivatives fits worse for that alone."""
    t, u, x = one_wave()
    return t, noisy(u, 0.02, 0), x


def ageing():
    """A diffusivity that grows by an eighth."""
    grown = T + T**2 / 32
    return T, noisy(heat(grown, X, speed=0.0), 0.002, 0), X


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (exponential, "no such polynomial"),
        (twins, "cannot tell"),
        (one_wave, "cannot tell"),
        (noisy_wave, "cannot tell"),
        (ageing, "not the same"),
    ],
)
def test_an_equation_that_only_imitates_the_fields_is_no_law(case, why):
    t, u, x = case()
    found = discover_field(t, u, x, degree=3 if case is exponential else 1)
    assert found.law is None
    assert why in found.reason


def test_a_library_of_few_terms_is_enough():
    """All but one of the candidates 1, u, u_x are terms of the law."""
    u = np.exp(0.3 * T[:, None]) * sum(np.sin(k * (X - 0.5 * T[:, None]) + k * k) / k for k in (1, 2, 3))
    found = discover_field(T, noisy(u, 0.01, 0), X, degree=1, order=1)
    assert values(found) == pytest.approx({"u": 0.3, "u_x": -0.5}, rel=0.03)


def test_a_wave_that_only_travels_says_so():
    found = discover_field(T, noisy(np.exp(-((X - 0.8 * T[:, None]) ** 2)), 0.01, 0), X, degree=2)
    assert values(found) == pytest.approx({"u_x": -0.8}, rel=0.02)
    assert "only travel" in found.reason


def test_the_closest_exchange_is_named():
    design = np.eye(6)[:, :4]
    design[:, 3] = design[:, 1] + 1e-3 * np.eye(6)[:, 5]
    assert substitute_of(design, 50 * design[:, 0] + 20 * design[:, 1], (0, 1)) == (1, 3)
    assert substitute_of(design[:, :3], 50 * design[:, 0] + 20 * design[:, 1], (0, 1)) is None
    assert substitute_of(design, design[:, 2], ()) is None


def test_a_noisy_twin_is_seen_through_its_noise():
    g = np.random.default_rng(0)
    clean = g.standard_normal((400, 3))
    clean[:, 2] = -2 * clean[:, 0]
    noise = [np.array([0.01, 0.01, 0.4]) * g.standard_normal(clean.shape) for _ in range(30)]
    G = clean + np.array([0.01, 0.01, 0.4]) * g.standard_normal(clean.shape)
    assert twin_of(G, noise, [0, 1]) == (0, 2)
    assert twin_of(G[:, :2], [E[:, :2] for E in noise], [0]) is None


def test_a_full_series_has_every_power():
    by = {term.text(("u",)): term for term in candidate_terms(1, 1)}
    assert is_full_series([by["u_xx"], by["(u**2)_xx"], by["(u**3)_xx"], by["u"]], 3)
    assert not is_full_series([by["u_xx"], by["(u**3)_xx"], by["u**2"]], 3)
    assert not is_full_series([by["u"]], 1)


BAD = {
    "u has shape": {"u": np.zeros((49, 71))},
    "must increase": {"space": X[::-1]},
    "at least 32": {"t": T[:10]},
    "constant": {"u": np.ones((49, 72))},
    "missing": {"u": np.where(np.arange(72) % 2, np.nan, burgers(T, X))},
    "one, two or three": {"space": (X, X, X, X)},
    "cannot be the name": {"u": {"u_1": burgers(T, X)}},
    "different names": {"u": {"x": burgers(T, X)}},
    "single letters": {"space": {"length": X}},
    "must have the shape": {"inputs": {"f": np.zeros(7)}},
    "periodic has 2": {"periodic": (True, False)},
    "between 1 and 4": {"order": 7},
    "2 recordings and u has 1": {"t": [T, T], "u": [burgers(T, X)]},
    "no fields": {"u": {}},
    "no array of numbers": {"u": [[1.0, 2.0], [3.0]]},
    "complex128": {"u": burgers(T, X) + 1j},
    "type object": {"u": None},
    "shape \\(1,\\)": {"t": T[:1]},
    "another order": {"u": burgers(T, X).T},
    "choose another unit": {"u": 1e200 * burgers(T, X)},
    "a mapping of names": {"inputs": burgers(T, X)},
    "no values at any time": {"u": np.where(np.arange(72) == 5, np.nan, burgers(T, X))},
    "whole numbers": {"degree": "3"},
    "must be True, False": {"periodic": "yes"},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_says_what_and_where(message):
    given = {"t": T, "u": burgers(T, X), "space": X} | BAD[message]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=message):
            discover_field(**given)


def test_time_limit_and_progress():
    events: list[Event] = []
    found = discover_field(T, burgers(T, X), X, seconds=0, clock=lambda: next(ticks), progress=events.append)
    assert found.law is None
    assert "time limit" in found.reason
    assert events


ticks = iter(range(10_000))
