"""The studies measure what they say: exact fields, Laplacians by Taylor mode, and a run of the small ones."""

import torch

import edgewise as ew
from edgewise.compare import count_parameters
from studies import runner
from studies.lotra import common, equations, images, transfer
from studies.registry import load


def test_the_jet_of_a_network_is_that_of_nested_autograd():
    model = ew.KAN([2, 4, 3, 1], generator=common.rng(0))
    x = common.uniform(6, 2, common.rng(1)) * 0.9
    u, *derivatives = equations.jet_of(model, x)
    torch.testing.assert_close(u, model(x))
    for n, point in enumerate(x):
        slope = torch.func.jacrev(lambda p: model(p)[0])(point)
        hessian = torch.func.hessian(lambda p: model(p)[0])(point)
        found = torch.cat([d[n] for d in derivatives])
        torch.testing.assert_close(found, torch.cat([slope, hessian.diagonal()]), rtol=1e-3, atol=1e-4)


def test_the_exact_fields_have_the_jets_that_they_say():
    target = equations.Target(equations.poisson, {(1, 1): 1.0, (2, 1): 0.5}, 0.3)
    x = common.uniform(5, 2, common.rng(0)).double()
    at = lambda p: equations.field(p[None], target)[0][0, 0]
    for n, point in enumerate(x):
        found = torch.cat([part[n] for part in equations.field(x, target)])
        slope, hessian = torch.func.jacrev(at)(point), torch.func.hessian(at)(point)
        torch.testing.assert_close(found, torch.cat([at(point)[None], slope, hessian.diagonal()]))


def test_images_are_split_by_the_seed_and_learned(tmp_path, monkeypatch):
    pixels = torch.randint(256, (5000, 28, 28), dtype=torch.uint8, generator=common.rng(0))
    monkeypatch.setattr(images, "load_mnist_5000", lambda: (pixels, torch.arange(5000) % 10))
    images._mnist_split.cache_clear()
    study = load("lotra-mnist")
    result = runner.run(study, images.ImageSettings((784, 2, 10), 1, 1, 3500), (0,), folder=tmp_path)
    images._mnist_split.cache_clear()
    assert len(result.rows) == len(result.summary) == 9
    assert all(0 <= row["score"] <= 100 for row in result.rows)
    assert (tmp_path / "lotra-mnist.png").stat().st_size > 1000


def test_what_every_seed_measures_comes_first():
    study = load("lotra-transfer")
    cases = study.cases(study.settings, (0, 1))
    assert len(cases) == len({tuple(case.values()) for case in cases}) == 6 * 4 * 2 + (6 * 6 + 2 * 10)
    assert {case["method"] for case in cases[:48]} == set(transfer.EVERY_SEED)
    assert {case["seed"] for case in cases[48:]} == {0}


def test_full_tuning_sets_the_time_of_the_others(tmp_path):
    study = load("lotra-transfer")
    settings = transfer.TransferSettings(("Burgers",), (2, 12, 12, 1), 1, 1)
    result = runner.run(study, settings, (0,), folder=tmp_path)
    rows = {row["method"]: row for row in result.rows}
    assert list(result.shared) == ["full tuning, Burgers, near, coefficient, seed 0"]
    assert rows["full"]["error"] == rows["full"]["error_in_equal_time"]
    assert rows["untouched"]["parameters"] == 0
    shown = {row["method"]: row for row in result.summary}
    assert shown["full"]["error_over_full_worst"] == 1
    assert rows["LoTRA (2, 2, 2)"]["bytes"] > 4 * rows["LoTRA (2, 2, 2)"]["parameters"]


def test_optimisers_without_rates_are_measured_where_they_take_seconds():
    study = load("lotra-rates")
    cases = study.cases(study.settings, (0,))
    assert {case["width"] for case in cases if case["rule"] == "LM"} == {16, 64}
    assert {case["lr"] for case in cases if case["rule"] == "mup"} == {0.1, 0.3, 1.0}
    assert {case["lr"] for case in cases if case["rule"] == "L-BFGS"} == {0.0}


def test_the_mlps_have_the_size_asked_for():
    for make in (images.mlp, images.low_rank_mlp):
        size = count_parameters(make([64, 64, 10], 4000, 0))
        assert 3500 < size <= 4000
