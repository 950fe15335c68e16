"""Laws of the search: `fit(model, data)` by `Auto`."""

import copy
import json
import math
from dataclasses import replace

import pytest
import torch

import edgewise as ew
from edgewise import Auto, FirstOrder, LevenbergMarquardt
from edgewise.bases import Chebyshev, Gaussian
from edgewise.nn import KANLinear
from edgewise.optim import get_loss


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def samples(n, features, seed=0):
    return 2 * torch.rand(n, features, generator=generator(seed), dtype=torch.float64) - 1


def target(x):
    return torch.exp(torch.sin(math.pi * x[:, 0]) + x[:, 1] ** 2)


def kan(widths=(2, 1, 1), **options):
    return ew.KAN(widths, generator=generator(1), **options)


QUICK = Auto(starts=3, degrees=(3,), steps=15)
SEARCH_ONLY = {"starts": 2, "extend": False}  # the search draws and scales; the extension does neither


def quick(model, data, settings=None, **options):
    """A short search of three starts that stays cubic: what is under test here does not need the last digits."""
    return ew.fit(model, data, replace(QUICK, **(settings or {})), **options)


def rmse(model, x, y):
    with torch.no_grad():
        return float((model(x)[:, 0] - y).square().mean().sqrt())


@pytest.mark.usefixtures("as_a_user")
def test_it_reaches_far_below_what_first_order_methods_reach():
    x, fresh = samples(600, 2), samples(2000, 2, 99)
    result = ew.fit(kan(), (x, target(x)), seed=0)
    assert rmse(result.model, fresh, target(fresh)) < 1e-9


def test_units_stay_outside():
    """The law is between two equal searches: coarse grids show it."""
    x, short = samples(150, 2), {"max_parameters": 60}
    result = quick(kan(), (x, target(x)), short, seed=3)
    moved = quick(kan(), (300 + 50 * x, 1e6 * target(x) - 7e5), short, seed=3)
    fresh = 0.9 * samples(300, 2, 5)
    a = 1e6 * result.model(fresh) - 7e5
    torch.testing.assert_close(moved.model(300 + 50 * fresh), a, rtol=0, atol=1e3)  # of 1.3e6
    assert moved.report.loss == pytest.approx(1e12 * result.report.loss, rel=1, abs=1e-6)


def test_nothing_else_changes(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, state, threads = kan(), torch.get_rng_state(), torch.get_num_threads()
    before = copy.deepcopy(model.state_dict())
    x = samples(80, 2)
    data = x.clone(), target(x)
    result = quick(model, data, SEARCH_ONLY)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), before.values(), strict=True))
    assert torch.equal(data[0], x)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())
    json.dumps(result.to_json(), allow_nan=False)


def test_same_seed_same_parameters():
    x = samples(60, 2)
    a, b, c = (quick(kan(), (x, target(x)), SEARCH_ONLY, seed=s) for s in (1, 1, 2))
    assert a.history == b.history
    assert all(
        torch.equal(p, q) for p, q in zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    )
    assert a.history != c.history


@pytest.mark.parametrize(
    ("model_dtype", "data_dtype", "expected"),
    [
        (torch.float32, torch.float32, torch.float32),
        (torch.float32, torch.float64, torch.float64),
        (torch.float64, torch.float32, torch.float64),
    ],
)
def test_the_result_has_the_wider_dtype(model_dtype, data_dtype, expected):
    x = samples(60, 2).to(data_dtype)
    model = quick(kan(dtype=model_dtype), (x, target(x)), SEARCH_ONLY).model
    assert {t.dtype for t in model.state_dict().values() if t.is_floating_point()} == {expected}
    assert model(x).dtype == expected


@pytest.mark.parametrize("basis", [ew.BSpline(6, 2), ew.BSpline(4, 3, "uniform"), Chebyshev(8), Gaussian(9)])
def test_without_extension_the_basis_stays(basis):
    x = samples(150, 2)
    result = quick(kan(basis=basis), (x, target(x)), {"extend": False})
    assert all(layer.basis == basis for layer in result.model.layers)
    assert result.report.loss < 0.01 * float(target(x).var())


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.usefixtures("as_a_user")
def test_noise_is_averaged_not_fitted(seed):
    x, fresh = samples(300, 2, 4 + seed), samples(2000, 2, 99)
    noise = 0.1 * float(target(fresh).std())
    y = target(x) + noise * torch.randn(300, generator=generator(6 + seed), dtype=torch.float64)
    result = quick(kan((2, 3, 1)), (x, y), seed=seed)
    assert rmse(result.model, fresh, target(fresh)) < 0.6 * noise
    assert result.report.loss > 0.5 * noise**2


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("cross_entropy", lambda x: (x[:, 0] * x[:, 1] > 0).long() + (x[:, 0] > 0.5).long()),
        ("bce", lambda x: (x[:, 0] * x[:, 1] > 0).long()),
        ("poisson", lambda x: torch.poisson(torch.exp(1 + x[:, 0]), generator=generator(2))),
        ("huber", lambda x: x[:, 0] + 5 * (torch.arange(len(x)) % 20 == 0)),
    ],
)
@pytest.mark.usefixtures("as_a_user")
def test_other_losses(loss, y):
    x, fresh = samples(200, 2), samples(2000, 2, 9)
    model = kan((2, 3, 3 if loss == "cross_entropy" else 1))
    result = quick(model, (x, y(x)), loss=loss)
    assert result.report.method == "auto"
    plain = ew.fit(model, (x, y(x)), FirstOrder("lbfgs", steps=5), loss=loss).model.double()
    criterion = get_loss(loss)
    truth = y(fresh) if loss == "cross_entropy" else y(fresh)[:, None].double()
    with torch.no_grad():
        assert float(criterion(result.model(fresh), truth)) < float(criterion(plain(fresh), truth))


@pytest.mark.usefixtures("as_a_user")
def test_several_outputs_of_different_units():
    x = samples(150, 2)
    y = torch.stack([1e-3 * x[:, 0] * x[:, 1], 1e3 * torch.sin(x[:, 0])], 1)
    model = quick(kan((2, 3, 2)), (x, y)).model
    error = (model(x).detach() - y).square().mean(0).sqrt() / y.std(0)
    assert float(error.max()) < 1e-3


@pytest.mark.parametrize("n", [1, 5, 30])
def test_few_rows(n):
    x = samples(n, 2)
    result = quick(kan((2, 3, 1)), (x, target(x)))
    assert math.isfinite(result.report.loss)
    assert bool(result.model(samples(100, 2, 3)).isfinite().all())


def test_odd_columns():
    x = samples(100, 3)
    x[:, 1] = 4.0  # constant
    x[:, 2] = x[:, 0]  # a copy
    result = quick(kan((3, 2, 1)), (x, torch.sin(2 * x[:, 0])))
    assert result.report.loss < 1e-10
    constant = quick(kan((3, 2, 1)), (x, torch.full((100,), 2.5)), {"starts": 2})  # any start finds a constant
    torch.testing.assert_close(constant.model(x), torch.full((100, 1), 2.5, dtype=torch.float64))


@pytest.mark.usefixtures("as_a_user")
def test_a_pruned_model_keeps_its_structure_and_starts_from_its_parameters():
    x = samples(120, 2)
    y = torch.sin(2 * x[:, 0])
    first = quick(kan((2, 2, 1)), (x, y))
    pruned = ew.surgery.remove_edge(first.model, ("layers.0", 1, 0))
    again = quick(pruned, (x, y), {"starts": None})  # cubic grids reach the bound at a fifth of the cost
    assert again.history[0]["stage"] == "given parameters"
    assert not bool(again.model.layers[0].mask[1, 0])
    assert again.report.loss < 1e-8


def test_symbols_are_trained_too():
    x = samples(300, 1)
    y = 1.7 * torch.sin(2.3 * x[:, 0] + 0.4) - 0.2
    model = ew.surgery.fix(kan((1, 1), dtype=torch.float64), (0, 0, 0), "sin", affine=(2.0, 0.3, 1.0, 0.0))
    result = ew.fit(model, (x, y))
    assert len(result.model.layers[0].symbolic) == 1
    assert result.report.loss < 1e-20


def test_products_are_found():
    x = samples(300, 2)
    result = quick(kan((2, (0, 1), 1)), (x, x[:, 0] * x[:, 1]), {"starts": 6})
    assert result.report.loss < 1e-24


def test_lm_from_an_exact_network_leaves_it_exact():
    """Smoothing, which is tried first, takes it 2e-8 away."""
    x = samples(400, 2)
    y = x[:, 0] * x[:, 1]
    exact = quick(kan((2, 2, 1)), (x, y), {"starts": 6}).model
    result = ew.fit(ew.refine(exact, 10), (x, y), "lm")
    assert result.report.loss < 1e-28


def test_lm_keeps_grids_and_units():
    x = samples(200, 2)
    model = kan(dtype=torch.float64)
    result = ew.fit(model, (x, target(x)), LevenbergMarquardt(steps=60))
    assert result.report.method == "lm"
    assert result.model.input_affine is None
    for a, b in zip(model.layers, result.model.layers, strict=True):
        assert isinstance(b, KANLinear)
        assert a.basis == b.basis
        assert a.residual == b.residual
        assert torch.equal(a.grid, b.grid)
    assert result.report.loss < 1e-4


def test_the_clock_a_callback_and_ctrl_c_end_it():
    x = samples(300, 2)
    late = quick(kan((2, 4, 4, 1)), (x, target(x)), {"seconds": 0.0})
    assert late.report.stopped == "time"
    assert len(late.history) <= 3
    seen = []
    ended = quick(kan((2, 2, 1)), (x, target(x)), callbacks=[lambda s: seen.append(s) or len(seen) == 3])
    assert ended.report.stopped == "callback"
    assert len(ended.history) == 3
    assert seen[0].model(x).shape == (300, 1)

    def interrupt(state):
        if state.step > 40:
            raise KeyboardInterrupt

    broken = quick(kan((2, 2, 1)), (x, target(x)), callbacks=[interrupt])
    assert broken.report.stopped == "interrupted"
    assert math.isfinite(broken.report.loss)


def test_a_smoothing_of_ones_own_is_kept():
    x = samples(60, 2)
    y = target(x)
    stiff = quick(kan((2, 1)), (x, y), {"smoothing": 1e4, "extend": False})
    line = torch.linalg.lstsq(torch.cat([x, torch.ones(60, 1).to(x)], 1), y[:, None]).solution
    expected = torch.cat([x, torch.ones(60, 1).to(x)], 1) @ line
    torch.testing.assert_close(stiff.model(x), expected, rtol=0, atol=1e-4)
    assert rmse(quick(kan((2, 1)), (x, y), {"smoothing": 1e-9, "extend": False}).model, x, y) < 0.5 * rmse(
        stiff.model, x, y
    )


@pytest.mark.usefixtures("as_a_user")
def test_it_grows_no_further_than_allowed():
    x = samples(400, 2)
    result = quick(kan(), (x, target(x)), {"max_parameters": 60})
    assert result.report.parameters <= 60
    assert max(record["parameters"] for record in result.history) <= 60


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("as_a_user")
def test_what_a_coarse_grid_cannot_see_is_not_taken_for_noise(seed):
    x, fresh = samples(100, 1, seed), 0.95 * samples(2000, 1, 99)
    y, truth = (torch.special.bessel_j0(20 * t[:, 0]) for t in (x, fresh))
    result = ew.fit(kan((1, 1)), (x, y), Auto(starts=4), seed=seed)
    assert rmse(result.model, fresh, truth) < 0.03 * float(truth.std())


def oscillating(x):
    return torch.sin(60 * math.pi * x[:, 0])


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("widths", [(1, 1), (1, 2, 1)])
def test_thirty_periods_are_found(widths):
    x, fresh = samples(1000, 1), 0.99 * samples(500, 1, 9)
    result = quick(kan(widths), (x, oscillating(x)), {"steps": 10})
    assert rmse(result.model, fresh, oscillating(fresh)) < 0.05
    assert result.report.notes == ()


@pytest.mark.usefixtures("as_a_user")
def test_an_oscillation_inside_a_function_and_a_square_wave():
    x, fresh = samples(1000, 2), 0.98 * samples(500, 2, 9)
    inner = lambda x: torch.exp(torch.sin(30 * x[:, 0]) + x[:, 1] ** 2)
    result = quick(kan(), (x, inner(x)), {"steps": 5})
    assert rmse(result.model, fresh, inner(fresh)) < 0.1 * float(inner(fresh).std())
    square = lambda x: torch.sin(12 * math.pi * x[:, 0]).sign()
    result = quick(kan((2, 1)), (x, square(x)), {"steps": 5})
    assert rmse(result.model, fresh, square(fresh)) < 0.5


def gap_error(jump, jumps, samples, spread):
    """The relative error of lines between even draws of a function that jumps: $2/3$ of a gap of $2/n$ for each."""
    return jump / 2 * math.sqrt(jumps * 2 / samples * 2 / 3) / spread


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize(
    ("wave", "spread", "jumps"),
    [
        (lambda t: torch.sin(2 * math.pi * t).sign(), 1.0, 30),
        (lambda t: 2 * (t - t.floor()) - 1, 3**-0.5, 15),
    ],
    ids=["square wave", "sawtooth"],
)
def test_fifteen_periods_with_jumps_are_fitted_as_well_as_the_samples_tell(wave, spread, jumps):
    x, fresh = (samples(n, 1, seed)[:, 0].add(1).div(2) for n, seed in ((900, 4), (4000, 5)))
    result = ew.fit(kan((1, 3, 1)), (x[:, None], wave(15 * x)), Auto(starts=4, steps=10))
    error = rmse(result.model, fresh[:, None], wave(15 * fresh)) / spread
    assert error < 1.5 * gap_error(2, jumps, 900, spread)


@pytest.mark.usefixtures("as_a_user")
def test_a_sum_of_curves_that_is_the_answer_is_told_and_can_be_trained_on():
    x = samples(400, 1)
    y = torch.sin(40 * math.pi * x[:, 0])
    result = ew.fit(kan((1, 5, 1)), (x, y), Auto(starts=4, steps=10))
    (note,) = result.report.notes
    assert "a sum of curves on" in note
    assert result.report.validation is not None
    assert result.report.validation < 0.1 * float(y.var())
    again = ew.fit(result.model, (x, y), FirstOrder("adam", lr=1e-4, steps=20))
    assert again.report.loss < 2 * result.report.loss + 1e-4


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("method", [LevenbergMarquardt(steps=5), Auto(starts=2, steps=5, max_parameters=20)])
def test_what_the_network_cannot_follow_is_noted(method):
    x = samples(1000, 1)
    (note,) = ew.fit(kan((1, 1)), (x, oscillating(x)), method).report.notes
    assert "the network misses what the data show" in note
    assert ew.fit(kan((1, 1)), (x, torch.randn(1000, generator=generator()).double()), method).report.notes == ()
