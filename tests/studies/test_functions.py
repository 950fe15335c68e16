"""The studies of functions: small runs, and the exponent of a power law."""

import math
from dataclasses import replace

import pytest

from studies import runner
from studies.kan_paper import functions, scaling
from studies.registry import load


def test_the_exponent_of_a_power_is_its_exponent():
    grids = (5, 10, 20, 40)
    assert scaling.exponent(grids, [3.0 * g**-4.0 for g in grids]) == 4.0
    assert scaling.exponent(grids, [g**-6.0 if g < 20 else 1e-15 for g in grids]) == 6.0
    assert scaling.exponent(grids, [1e-15] * 4) is None
    # coarse grids that do not resolve the function are left out
    assert scaling.exponent(grids, [0.5, 0.4, 1e-2, 1e-2 / 2**4]) == 4.0


@pytest.mark.slow
def test_a_small_run_of_a_toy_finds_the_function(tmp_path):
    study = load("kan-functions-toy")
    settings = replace(study.settings, functions=("bessel",), mlp_steps=5, controls=1)
    result = runner.run(study, settings, (0, 1), folder=tmp_path)
    (row,) = result.summary
    assert row["rmse_median"] <= row["rmse_worst"] < 1e-10
    assert row["mlp_rmse_median"] > row["rmse_median"]
    assert len(result.rows) == 2
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".png"}


def test_the_error_falls_with_the_grid(tmp_path):
    study = load("kan-functions-scaling")
    settings = replace(study.settings, functions=("bessel",), degrees=(3,), intervals=(20, 40), train=4000)
    (row,) = runner.run(study, settings, (0, 1), folder=tmp_path).summary
    assert row["exponent"] > 3.5
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".png"}


def test_the_paper_shape_and_the_mlp_are_for_the_first_seeds():
    study = load("kan-functions-special")
    cases = study.cases(replace(study.settings, functions=("ellipj",), controls=1), (5, 6))
    assert [(case["shape"], case["mlp"], case["seed"]) for case in cases] == [
        ([2, 8, 1], True, 5),
        ([2, 8, 1], False, 6),
        ([2, 3, 2, 1, 1], False, 5),
    ]
    rows = [case | {"rmse": 10.0**-n} for n, case in enumerate(cases)]
    (row,) = functions.summarise([rows[0] | {"mlp_rmse": 3.0}, *rows[1:]])
    assert (row["rmse_worst"], row["mlp_rmse_worst"], row["median_at_paper_shape"]) == (1.0, 3.0, 0.01)
    assert math.isclose(row["rmse_median"], 0.55)
