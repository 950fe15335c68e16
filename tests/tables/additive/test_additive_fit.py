"""The fit of additive models, against dense formulas, finite differences and other optimisers."""

import numpy as np
import pytest
from scipy.optimize import lsq_linear, minimize
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from edgewise.tables.additive import Column, Family, Input, LevelAxis, SplineAxis
from edgewise.tables.additive.axis_choice import TermSettings, main_blocks
from edgewise.tables.additive.blocks import curve_block, group_of, surface_block
from edgewise.tables.additive.classes import fit_classes
from edgewise.tables.additive.fit_additive import AdditiveSettings, fit_additive
from edgewise.tables.additive.penalised_fit import FamilyObjective, fit_output
from edgewise.tables.additive.shape_constraints import shape_matrix
from edgewise.tables.additive.stacked_blocks import Stack
from edgewise.tables.additive.strengths import WorkingModel, best_strengths
from edgewise.tables.additive.survival import CoxObjective, concordance, signed_times

pytestmark = pytest.mark.usefixtures("module_as_a_user")


def numbers(x: np.ndarray) -> list[Column]:
    return [Column(f"x{j}", "number", column) for j, column in enumerate(x.T)]


def blocks_of(x: np.ndarray, intervals: int = 5, weights: np.ndarray | None = None, **settings):
    weights = np.ones(len(x)) if weights is None else weights
    return main_blocks(numbers(x), weights, TermSettings(intervals=intervals, **settings))[0]


def working(seed: int, known_scale: bool) -> tuple[WorkingModel, np.ndarray, np.ndarray]:
    """A working model of three curves, with its design and its target."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (60, 3))
    y = np.sin(3 * x[:, 0]) + x[:, 1] + 0.3 * rng.normal(size=60)
    blocks = blocks_of(x)
    design = Stack(blocks, True, 60).matrix(slice(None))
    groups, names = group_of(blocks)
    groups = np.append(-1, groups)
    model = WorkingModel(design.T @ design, design.T @ y, float(y @ y), groups, len(names), 60.0, known_scale)
    return model, design, y


def negative_log_evidence(rho, model, design, y):
    """Twice minus the log of the integral of the likelihood over all parameters, from the covariance of y."""
    ridge = model.ridge(rho)
    prior = ridge > 0
    z = design[:, prior]
    covariance = np.eye(len(y)) + z / ridge[prior] @ z.T
    inverse, ones = np.linalg.inv(covariance), design[:, ~prior]
    normal = ones.T @ inverse @ ones
    centred = inverse - inverse @ ones @ np.linalg.solve(normal, ones.T @ inverse)
    squares = y @ centred @ y
    noise = squares if model.known_scale else (len(y) - 1) * np.log(squares)
    return noise + np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(normal)[1]


@pytest.mark.parametrize("known_scale", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_evidence_is_that_of_the_marginal_likelihood(seed, known_scale):
    model, design, y = working(seed, known_scale)
    rng = np.random.default_rng(seed)
    rhos = rng.normal(size=(4, model.count))
    ours = np.array([model.solve(rho).value for rho in rhos])
    theirs = np.array([negative_log_evidence(rho, model, design, y) for rho in rhos])
    np.testing.assert_allclose(ours - ours[0], theirs - theirs[0], atol=1e-7)


@pytest.mark.parametrize("known_scale", [True, False])
def test_both_derivatives_of_the_evidence_are_those_of_finite_differences(known_scale):
    model, _, _ = working(0, known_scale)
    rho, h = np.random.default_rng(1).normal(size=model.count), 1e-4
    gradient, hessian, _ = model.derivatives(model.solve(rho))
    steps = h * np.eye(model.count)
    values = [(model.solve(rho + s).value - model.solve(rho - s).value) / (2 * h) for s in steps]
    np.testing.assert_allclose(gradient, values, atol=1e-6)
    slopes = [
        (model.derivatives(model.solve(rho + s))[0] - model.derivatives(model.solve(rho - s))[0]) / (2 * h)
        for s in steps
    ]
    np.testing.assert_allclose(hessian, slopes, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_strengths_are_an_optimum_of_the_marginal_likelihood(seed):
    model, design, y = working(seed, False)
    low, high = np.full(model.count, -20.0), np.full(model.count, 20.0)
    best = best_strengths(model, np.zeros(model.count), low, high)
    other = minimize(
        negative_log_evidence, np.zeros(model.count), args=(model, design, y), bounds=[(-20, 20)] * model.count
    )
    assert negative_log_evidence(best.log_strengths, model, design, y) <= other.fun + 1e-4


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_without_bending_it_is_the_generalised_linear_model(family):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    eta = 0.3 + x @ [0.5, -0.4, 0.0]
    y = (
        1.0 * (rng.uniform(size=300) < 1 / (1 + np.exp(-eta)))
        if family == "binomial"
        else 1.0 * rng.poisson(np.exp(eta))
    )
    blocks = blocks_of(x)
    fixed = np.array([-18.0 if name == "slope" else 25.0 for _, name in group_of(blocks)[1]])
    fit = fit_output(blocks, FamilyObjective(Family(family), y, np.ones(300)), 300, fixed=fixed)
    found = Stack(blocks, True, 300).eta(fit.theta)
    if family == "binomial":
        expected = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x, y).decision_function(x)
    else:
        expected = np.log(PoissonRegressor(alpha=0, tol=1e-10, max_iter=1000).fit(x, y).predict(x))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("family", [Family("binomial"), Family("poisson"), Family("gamma"), Family("tweedie", 1.4)])
def test_the_fit_is_an_optimum_of_the_penalised_loss(family):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (200, 2))
    mean = np.exp(np.sin(3 * x[:, 0]))
    y = 1.0 * (rng.uniform(size=200) < mean / (1 + mean)) if family.name == "binomial" else rng.gamma(2, mean / 2)
    weights, offset = rng.integers(0, 3, 200).astype(float), 0.3 * x[:, 1]
    blocks = blocks_of(x, weights=weights)
    objective = FamilyObjective(family, y, weights, offset)
    fit = fit_output(blocks, objective, 200)
    design = Stack(blocks, True, 200).matrix(slice(None))
    groups = np.append(-1, group_of(blocks)[0])
    ridge = np.where(groups >= 0, np.exp(np.append(fit.log_strengths, 0.0))[groups], 0.0)

    def penalised(theta):
        return objective.value(design @ theta) + 0.5 * ridge @ theta**2

    steps = 1e-5 * np.eye(len(fit.theta))
    gradient = [(penalised(fit.theta + s) - penalised(fit.theta - s)) / 2e-5 for s in steps]
    np.testing.assert_allclose(gradient, 0, atol=2e-3)


@pytest.mark.parametrize(
    "family",
    ["gaussian", "huber", "poisson", "gamma", ("tweedie", 1.5), ("quantile", 0.8), ("expectile", 0.8)],
    ids=str,
)
def test_every_family_finds_its_curves(family):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (800, 3))
    f = np.sin(3 * x[:, 0]) + x[:, 1] ** 2
    family = Family(family) if isinstance(family, str) else Family(*family)
    y = {
        "poisson": lambda: rng.poisson(3 * np.exp(f)),
        "gamma": lambda: rng.gamma(2, np.exp(f) / 2),
        "tweedie": lambda: np.array([rng.gamma(1, 0.3, k).sum() for k in rng.poisson(np.exp(f) / 0.3)]),
    }.get(family.name, lambda: f + 0.3 * rng.normal(size=800))()
    model = fit_additive(numbers(x), 1.0 * y[:, None], np.ones(800), AdditiveSettings(family))
    error = model.link(numbers(x))[:, 0] - f
    assert error.std() < 0.2 * f.std()
    assert model.terms[2].edf[0] < 2
    if family.name == "quantile":
        assert np.mean(y < model.link(numbers(x))[:, 0]) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", [0.05, 0.9])
def test_the_share_below_a_quantile_is_its_level_however_small_the_noise(level, seed):
    """The intercept has no prior: the mean slope of the loss vanishes at its minimum."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (400, 3))
    y = np.sin(3 * x[:, 0]) + (x[:, 1] > 0) + 0.01 * rng.normal(size=400)
    family = Family("quantile", level)
    for columns in (numbers(x), numbers(x[:, :1])):
        model = fit_additive(columns, y[:, None], np.ones(400), AdditiveSettings(family))
        slope, _ = family.slope_and_curvature(model.link(columns)[:, 0], y, np.ones(400), y.std())
        assert abs(slope.mean()) < 2e-3


@pytest.mark.parametrize(
    "family", ["gaussian", "gamma", ("tweedie", 1.5), ("quantile", 0.2), ("expectile", 0.2)], ids=str
)
@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_the_target_does_not_matter(family, unit):
    rng = np.random.default_rng(0)
    x = numbers(rng.uniform(-1, 1, (150, 2)))
    y = np.exp(np.sin(3 * x[0].values) + 0.3 * rng.normal(size=150))[:, None]
    family = Family(family) if isinstance(family, str) else Family(*family)
    means = [
        family.mean(fit_additive(x, scale * y, np.ones(150), AdditiveSettings(family)).link(x)) / scale
        for scale in (1.0, unit)
    ]
    np.testing.assert_allclose(means[1], means[0], rtol=1e-5)


def brute_partial_likelihood(eta, y):
    """The cost of Cox with Breslow's ties, written as its definition."""
    time = abs(y)
    return sum(np.log(np.exp(eta[time >= time[i]]).sum()) - eta[i] for i in np.flatnonzero(y >= 0))


def survival_table(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (rows, 2))
    time = np.ceil(10 * rng.exponential(np.exp(-np.sin(3 * x[:, 0])))) / 10  # with ties
    end = rng.exponential(2.0, rows)
    return x, np.where(time <= end, time, -end)


def test_cox_has_the_gradient_and_the_hessian_of_its_partial_likelihood():
    x, y = survival_table(50, 0)
    blocks = blocks_of(x, 2)
    objective, stack = CoxObjective(Family("cox"), y, np.ones(50)), Stack(blocks, False, 50)
    theta = 0.3 * np.random.default_rng(0).normal(size=stack.parameters)
    design = stack.matrix(slice(None))
    eta, h = design @ theta, 1e-4
    assert objective.value(eta) == pytest.approx(brute_partial_likelihood(eta, y))

    def gradient(theta):
        return stack.sums(objective.derivatives(design @ theta)[0])

    steps = h * np.eye(len(theta))
    values = [
        (brute_partial_likelihood(design @ (theta + s), y) - brute_partial_likelihood(design @ (theta - s), y))
        / (2 * h)
        for s in steps
    ]
    np.testing.assert_allclose(gradient(theta), values, atol=1e-5)
    slopes = [(gradient(theta + s) - gradient(theta - s)) / (2 * h) for s in steps]
    hessian = stack.gram(objective.derivatives(eta)[1]) - objective.correction(stack, eta)
    np.testing.assert_allclose(hessian, slopes, atol=1e-5)


def test_cox_finds_the_hazard_and_orders_the_times():
    x, y = survival_table(400, 1)
    model = fit_additive(numbers(x), y[:, None], np.ones(400), AdditiveSettings(Family("cox")))
    eta = model.link(numbers(x))[:, 0]
    assert np.std(eta - np.sin(3 * x[:, 0])) < 0.25
    pairs = [
        (eta[i] > eta[j]) + 0.5 * (eta[i] == eta[j])
        for i in np.flatnonzero(y >= 0)
        for j in range(400)
        if abs(y[j]) > abs(y[i]) or (abs(y[j]) == abs(y[i]) and y[j] < 0)
    ]
    assert concordance(y, eta) == pytest.approx(np.mean(pairs))


def test_survival_times_are_read_or_refused():
    y = np.array([(True, 2.0), (False, 3.0)], dtype=[("seen", bool), ("days", float)])
    np.testing.assert_array_equal(signed_times(y), [2.0, -3.0])
    np.testing.assert_array_equal(signed_times(y[["days", "seen"]]), [2.0, -3.0])
    for bad, message in (
        (np.ones(3), "structured array"),
        (np.array([(False, 1.0)], y.dtype), "no event"),
        (np.array([(True, -1.0)], y.dtype), "not negative"),
    ):
        with pytest.raises(ValueError, match=message):
            signed_times(bad)


def test_scores_of_classes_are_an_optimum_of_the_softmax_likelihood():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 2))
    eta = np.stack([x[:, 0], -x[:, 0] + x[:, 1], np.zeros(240)], axis=1)
    labels = np.eye(3)[(eta + rng.gumbel(size=eta.shape)).argmax(1)]
    blocks = blocks_of(x)
    fits = fit_classes(blocks, labels, np.ones(240), np.zeros((240, 3)))
    stack = Stack(blocks, True, 240)
    scores = np.stack([stack.eta(fit.theta) for fit in fits], axis=1)
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    groups = np.append(-1, group_of(blocks)[0])
    for k, fit in enumerate(fits):
        ridge = np.where(groups >= 0, np.exp(np.append(fit.log_strengths, 0.0))[groups], 0.0)
        gradient = stack.matrix(slice(None)).T @ (p[:, k] - labels[:, k]) + ridge * fit.theta
        np.testing.assert_allclose(gradient, 0, atol=0.01)
    assert (scores.argmax(1) == labels.argmax(1)).mean() > 0.6


def test_levels_are_shrunk_to_their_mean_as_in_a_mixed_model():
    rng = np.random.default_rng(0)
    names = np.array(list("abcde"), object)[rng.integers(0, 5, 200)]
    y = np.where(names == "a", 1.0, 0.0) + 0.3 * rng.normal(size=200)
    weights = np.ones(200)
    axis = LevelAxis(False, tuple("abcde"))
    block = curve_block(Input(0, "c", "level"), axis, names, weights)
    fit = fit_output([block], FamilyObjective(Family(), y, weights), 200)
    strength = np.exp(fit.log_strengths[0])
    counts = np.array([(names == level).sum() for level in axis.levels])
    means = np.array([y[names == level].mean() for level in axis.levels])
    np.testing.assert_allclose(fit.theta[1:], counts / (counts + strength) * (means - fit.theta[0]), atol=1e-8)


@pytest.mark.parametrize("shape", ["increasing", "decreasing", "convex", "concave"])
@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_shapes_hold_at_ten_thousand_points(shape, family):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (200, 2))
    f = np.sin(4 * x[:, 0])
    y = f + 0.4 * rng.normal(size=200) if family == "gaussian" else 1.0 * rng.poisson(np.exp(f))
    terms = TermSettings(shapes={"x0": shape})
    model = fit_additive(numbers(x), y[:, None], np.ones(200), AdditiveSettings(Family(family), terms))
    points = numbers(np.stack([np.linspace(-1.5, 1.5, 10_000)] * 2, axis=1))
    order = 1 if shape in ("increasing", "decreasing") else 2
    sign = 1 if shape in ("increasing", "convex") else -1
    derivative = sign * model.terms[0].values(points, (order, 0))
    assert derivative.min() >= -1e-11 * abs(derivative).max() - 1e-11
    assert np.ptp(model.terms[0].values(points)) > 0.1


def test_a_shape_is_the_constrained_optimum():
    """Against a bounded least squares of the increments, at the same strengths."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (100, 1))
    y = np.sin(4 * x[:, 0]) + 0.2 * rng.normal(size=100)
    blocks = blocks_of(x, shapes={"x0": "increasing"})
    model = fit_additive(
        numbers(x),
        y[:, None],
        np.ones(100),
        AdditiveSettings(terms=TermSettings(intervals=5, shapes={"x0": "increasing"})),
    )
    (block,) = blocks
    rho = np.log([numbers[0] for numbers in model.terms[0].strengths.values()])
    root = np.sqrt(np.exp(rho))[group_of(blocks)[0]]
    steps = np.linalg.inv(np.vstack([shape_matrix(block) @ block.transform]))  # parameters of unit increments
    design = np.hstack([np.ones((100, 1)), block.rows(slice(None)) @ steps])
    penalty = np.hstack([np.zeros((len(root), 1)), root[:, None] * steps])
    low = np.r_[-np.inf, np.zeros(len(steps))]
    other = lsq_linear(np.vstack([design, penalty]), np.r_[y, np.zeros(len(root))], (low, np.inf), tol=1e-14)
    np.testing.assert_allclose(model.link(numbers_of(x))[:, 0], design @ other.x, atol=1e-6)


numbers_of = numbers


def test_a_surface_is_a_pure_interaction():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (300, 2))
    names = np.array(list("abc"), object)[rng.integers(0, 3, 300)]
    weights = rng.integers(0, 3, 300).astype(float)
    curve = curve_block(Input(0, "x", "number"), SplineAxis(False, (-1.0, 0.0, 1.0)), x[:, 0], weights)
    levels = curve_block(Input(1, "c", "level"), LevelAxis(False, tuple("abc")), names, weights)
    block = surface_block(curve, levels, weights)
    coef = (block.transform @ rng.normal(size=block.parameters)).reshape(5, 3)
    a = np.average(curve.axes[0].matrix(x[:, 0]).toarray(), weights=weights, axis=0)
    b = np.average(levels.axes[0].matrix(names).toarray(), weights=weights, axis=0)
    np.testing.assert_allclose(a @ coef, 0, atol=1e-10)
    np.testing.assert_allclose(coef @ b, 0, atol=1e-10)


@pytest.mark.parametrize("seed", range(2))
def test_pairs_are_found_and_noise_has_none(seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (600, 5))
    f = np.sin(3 * x[:, 0]) + 2 * x[:, 1] * x[:, 3]
    y = (f + 0.3 * rng.normal(size=600))[:, None]
    model = fit_additive(numbers(x), y, np.ones(600), AdditiveSettings(interactions="auto"))
    surfaces = [term for term in model.terms if term.kind == "surface"]
    assert surfaces[0].name == "x1 × x3"
    assert len(surfaces) <= 3
    assert np.std(model.link(numbers(x))[:, 0] - f) < 0.1
    alone = fit_additive(numbers(x), y - f[:, None], np.ones(600), AdditiveSettings(interactions="auto"))
    assert len([term for term in alone.terms if term.kind == "surface"]) <= 1
    named = fit_additive(numbers(x), y, np.ones(600), AdditiveSettings(interactions=[("x1", "x3")]))
    assert [term.name for term in named.terms][-1] == "x1 × x3"


def test_bins_change_the_gram_matrix_little_and_the_optimum_not_at_all():
    rng = np.random.default_rng(0)
    rows = 30_000
    x = rng.normal(size=(rows, 3))
    x[:, 1] += x[:, 0]
    y = np.sin(x[:, 0]) + 0.5 * rng.normal(size=rows)
    blocks, weights = blocks_of(x, 10), rng.uniform(0.5, 1.5, rows)
    stack = Stack(blocks, True, rows)
    design = stack.matrix(slice(None))
    exact, binned = design.T @ (design * weights[:, None]), stack.gram(weights)
    size = np.sqrt(np.diag(exact))
    np.testing.assert_allclose(binned / size / size[:, None], exact / size / size[:, None], atol=5e-3)
    assert np.linalg.eigvalsh(binned).min() > -1e-9 * np.linalg.eigvalsh(binned).max()
    fit = fit_output(blocks, FamilyObjective(Family(), y, weights), rows)
    ridge = np.append(0.0, np.exp(fit.log_strengths)[group_of(blocks)[0]])
    gradient = design.T @ (weights * (design @ fit.theta - y)) + ridge * fit.theta
    assert abs(gradient / size).max() < 1e-4 * abs(design.T @ (weights * y) / size).max()


def test_several_targets_are_several_fits():
    rng = np.random.default_rng(0)
    x, weights = rng.uniform(-1, 1, (80, 2)), np.ones(80)
    y = np.stack([np.sin(3 * x[:, 0]), x[:, 1] ** 2], axis=1) + 0.1 * rng.normal(size=(80, 2))
    both = fit_additive(numbers(x), y, weights, AdditiveSettings(), outputs=["a", "b"])
    for i in range(2):
        one = fit_additive(numbers(x), y[:, i : i + 1], weights, AdditiveSettings())
        np.testing.assert_allclose(both.link(numbers(x))[:, i], one.link(numbers(x))[:, 0], atol=1e-6)
