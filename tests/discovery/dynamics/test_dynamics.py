"""Laws of trajectories: known systems integrated by scipy come back, and what has no law is refused."""

import json
import time
from functools import partial

import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp

from edgewise.discovery.dynamics import Dynamics, discover_dynamics as discover_by_the_clock

discover_dynamics = partial(discover_by_the_clock, clock=time.process_time)

pytestmark = pytest.mark.usefixtures("module_as_a_user")


def integrated(f, start, duration, interval):
    t = np.arange(0, duration, interval)
    return t, solve_ivp(f, (0, duration), start, t_eval=t, rtol=1e-10, atol=1e-12).y.T


def noisy(x, share, seed):
    return x + share * x.std(0) * np.random.default_rng(seed).normal(size=x.shape)


def constants(found):
    """The constants by what they do: "factor of x2 in x1'"."""
    return {c.place: c for c in found.constants}


def oscillator(seed):
    """A damped oscillator with random constants."""
    k, d = np.random.default_rng(seed).uniform([1.0, 0.1], [4.0, 0.4])
    t, x = integrated(lambda t, x: [x[1], -k * x[0] - d * x[1]], [1.0, 0.0], 12, 0.06)
    return t, x, {"factor of x2 in x1'": 1.0, "factor of x1 in x2'": -k, "factor of x2 in x2'": -d}


def lorenz(t, x):
    return [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]]


@pytest.fixture(scope="module")
def predators():
    t, x = integrated(lambda t, x: [x[0] - 0.5 * x[0] * x[1], 0.25 * x[0] * x[1] - 0.75 * x[1]], [2.0, 1.0], 24, 0.12)
    return t, x, discover_dynamics(t, noisy(x, 0.01, 0), names=["prey", "hunter"])


@pytest.mark.parametrize(("seed", "noise"), [(0, 0.0), (1, 0.03)])
def test_random_constants_come_back(seed, noise):
    t, x, law = oscillator(seed)
    found = constants(discover_dynamics(t, noisy(x, noise, seed)))
    assert set(found) == set(law)
    for key, value in law.items():
        assert abs(found[key].value - value) <= 4 * found[key].error


def test_intervals_hold_the_truth_as_often_as_they_say():
    inside = []
    t, x, law = oscillator(5)
    t, x = t[::3], x[::3]
    for seed in range(5):
        for key, c in constants(discover_dynamics(t, noisy(x, 0.03, 100 + seed))).items():
            inside.append(key in law and c.holds(law[key], 0.95))
    assert len(inside) >= 9
    assert np.mean(inside) >= 0.75  # of 9 to 15 draws of 0.95: below with a chance of 1 %


def test_a_law_says_what_the_data_single_out(predators):
    _, _, found = predators
    assert str(found).splitlines()[0] == "prey' = -hunter*prey/2 + prey"
    assert "predicts all" in found.reason
    assert found.lyapunov is None


def test_simulation_and_jacobian_agree_with_scipy(predators):
    t, x, found = predators
    assert np.abs(found.simulate(x[0], t) - x).max() < 0.05 * x.std()
    prey, hunter = found.formula.inputs[:2]
    point = {prey: 1.3, hunter: 0.7}
    expected = sympy.Matrix(found.formula.expressions).jacobian([prey, hunter]).subs(point)
    assert np.allclose(found.jacobian([1.3, 0.7]), np.array(expected, dtype=float))


def test_json_keeps_the_law(predators):
    _, x, found = predators
    again = Dynamics.from_json(json.loads(json.dumps(found.to_json())))
    assert str(again) == str(found)
    assert np.array_equal(again.simulate(x[0], [0, 1, 2]), found.simulate(x[0], [0, 1, 2]))
    with pytest.raises(ValueError, match="file"):
        again.plot()
    with pytest.raises(ValueError, match="stored dynamics"):
        Dynamics.from_json({})


def test_latex_and_plot(predators):
    *_, found = predators
    assert r"\dot{\mathrm{prey}}" in found.latex()
    assert len(found.plot().axes) == 3


def test_units_of_time_and_order_of_columns_do_not_matter():
    t, x, law = oscillator(2)
    x = noisy(x, 0.01, 3)
    plain, slow = discover_dynamics(t, x), discover_dynamics(1000 * t, x[:, ::-1], names=["x2", "x1"])
    for key, c in constants(plain).items():
        assert key in law
        assert np.isclose(constants(slow)[key].value * 1000, c.value, rtol=1e-2)


def test_a_map_is_told_from_a_flow():
    x = [0.4]
    for _ in range(149):
        x.append(3.7 * x[-1] * (1 - x[-1]))
    found = discover_dynamics(np.arange(150), np.array(x))
    assert found.kind == "map"
    assert found.reason.startswith("t counts steps and x jumps: a map")
    assert str(found.formula) == "`x[n+1]` = -37*x**2/10 + 37*x/10"
    assert 0.2 < found.lyapunov < 0.5


def test_controls_of_several_trajectories_at_irregular_times():
    generator, paths = np.random.default_rng(0), []
    for start in (0.0, 2.0):
        t = np.sort(generator.uniform(0, 6, 60))
        u = np.sin(1.3 * t)
        f = lambda s, x, t=t, u=u: [-0.8 * x[0] + 1.5 * np.interp(s, t, u)]
        x = solve_ivp(f, (t[0], t[-1]), [start], t_eval=t, rtol=1e-9, atol=1e-9, max_step=0.1).y[0]
        paths.append((t, x, u))
    t, x, u = (np.concatenate(parts) for parts in zip(*paths, strict=True))
    found = discover_dynamics(t, x, controls=u, trajectory=np.repeat(["a", "b"], 60))
    got = {place: c.value for place, c in constants(found).items()}
    assert got == pytest.approx({"factor of x in x'": -0.8, "factor of u in x'": 1.5}, rel=1e-2)


def test_saturation_is_found_with_its_constant():
    starts = [integrated(lambda t, x: [-2 * x[0] / (0.5 + x[0])], [s], 2, 0.02) for s in (1.0, 3.0)]
    found = discover_dynamics([t for t, _ in starts], [x for _, x in starts])
    assert (
        sympy.simplify(found.formula.expressions[0] + sympy.sympify("2*x/(x + 1/2)", {"x": found.formula.inputs[0]}))
        == 0
    )


def test_a_conservation_law_leaves_the_shortest_form():
    f = lambda t, x: [-0.7 * x[0] * x[1] + 0.05 * x[2], 0.7 * x[0] * x[1] - 0.25 * x[1], 0.25 * x[1] - 0.05 * x[2]]
    t, x = integrated(f, [0.95, 0.05, 0.0], 60, 0.4)
    found = constants(discover_dynamics(t, noisy(x, 0.01, 0), names=["S", "I", "R"]))
    terms = {"S": ("I*S", "R"), "I": ("I*S", "I"), "R": ("I", "R")}
    assert set(found) == {f"factor of {term} in {name}'" for name, own in terms.items() for term in own}


def test_noise_and_hidden_components_are_refused():
    generator = np.random.default_rng(4)
    t = np.arange(150) * 0.1
    assert discover_dynamics(t, generator.normal(size=150)).law is None
    assert discover_dynamics(t, np.cumsum(generator.normal(size=150)), seconds=0.5).law is None
    s, x = integrated(lorenz, [-8.0, 7.0, 27.0], 3, 0.02)
    found = discover_dynamics(s, x[:, :2], seconds=0.5)
    assert found.law is None
    assert "not announced" in found.reason or "time" in found.reason
    assert "no law" in str(found)
    assert found.equations == ()
    with pytest.raises(ValueError, match="no law"):
        found.simulate([1, 2], [0, 1])


def test_noise_that_acts_on_a_map_is_told_from_noise_of_its_observation():
    generator, x = np.random.default_rng(0), [0.5]
    for _ in range(99):
        x.append(x[-1] * np.exp(1.8 * (1 - x[-1]) + 0.02 * generator.normal()))
    found = discover_dynamics(np.arange(100), np.array(x))
    assert found.law is None
    assert "the noise acts on the system" in found.reason or "leave" in found.reason


def test_terms_that_cancel_are_no_law():
    t, x, _ = oscillator(0)
    found = discover_dynamics(t[::2], x[::2] + 1e6, seconds=1)
    assert found.law is None or all(e.is_polynomial() for e in found.law.expressions)


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_time_limit_is_kept_in_every_stage(seconds):
    """The regressions on terms with a constant inside take longer than this."""
    f = lambda t, x: [x[0] - x[0] * x[1] / (1 + x[0] ** 1.5), x[0] * x[1] / (1 + x[0] ** 1.5) - 0.6 * x[1]]
    t, x = integrated(f, [1.0, 0.5], 30, 0.2)
    begun = time.process_time()
    found = discover_dynamics(t, x, seconds=seconds)
    assert time.process_time() - begun < seconds + 1.5
    assert found.law is None
    assert "time" in found.reason


def test_a_clean_system_of_two_species_takes_seconds():
    f = lambda t, x: [x[0] * (1.2 - x[0] - 0.4 * x[1]), x[1] * (0.9 - 0.5 * x[0] - x[1])]
    t, x = integrated(f, [0.1, 0.2], 15, 0.15)
    found = discover_dynamics(t, x, seconds=5)
    assert len(found.constants) == 6
    assert found.seconds < 3


def test_equations_are_those_of_the_law(predators):
    *_, found = predators
    prey, hunter = (sympy.Function(name)(sympy.Symbol("t", real=True)) for name in ("prey", "hunter"))
    assert found.equations[0].lhs == prey.diff(prey.args[0])
    assert sympy.simplify(found.equations[0].rhs - (prey - hunter * prey / 2)) == 0


def test_the_prediction_is_drawn_from_the_begin_of_the_held_out_part(predators):
    *_, found = predators
    _, fitted, predicted = found.plot().axes[0].lines
    held = found.held_out.paths[0]
    assert predicted.get_xdata()[0] == fitted.get_xdata()[-1] == held.t[0]
    assert np.abs(predicted.get_ydata() - held.x[:, 0]).max() < 5 * found.noise["prey"]
    assert abs(predicted.get_ydata()[0] - fitted.get_ydata()[-1]) < found.noise["prey"]


def test_a_field_is_handed_over_to_its_own_search():
    t, x = np.linspace(0, 2, 40), np.linspace(0, 2 * np.pi, 48, endpoint=False)
    u = sum(np.exp(-0.1 * k**2 * t[:, None]) * np.cos(k * x + k) for k in (1, 2, 3))
    found = discover_dynamics(t, {"heat": u}, space=x)
    assert constants(found)["factor of heat_xx in heat_t"].name == sympy.Rational(1, 10)
    for answer in (found, discover_dynamics(*oscillator(0)[:2], seconds=0)):
        for name in ("law", "equations", "reason", "constants", "noise", "to_json", "latex", "plot", "simulate"):
            assert hasattr(answer, name)
    with pytest.raises(ValueError, match="`trajectory`, `kind` does not apply"):
        discover_dynamics(t, u, space=x, trajectory=t, kind="flow")
