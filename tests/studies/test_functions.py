"""The studies of functions: what they write, and the exponent that they read off."""

import json

import pytest

from studies.kan_paper import functions, scaling
from studies.problems.functions import FUNCTIONS


def test_the_exponent_of_a_power_is_its_exponent():
    grids = (5, 10, 20, 40)
    assert scaling.exponent(grids, [3.0 * g**-4.0 for g in grids]) == 4.0
    assert scaling.exponent(grids, [g**-6.0 if g < 20 else 1e-15 for g in grids]) == 6.0
    assert scaling.exponent(grids, [1e-15] * 4) is None
    assert (
        scaling.exponent(grids, [0.5, 0.4, 1e-2, 1e-2 / 2**4]) == 4.0
    )  # coarse grids that see nothing of it are left out


def test_a_small_run_is_written_and_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(functions, "FUNCTIONS", {"bessel": FUNCTIONS["bessel"]})
    monkeypatch.setattr(functions, "MLP_STEPS", 5)
    monkeypatch.setattr(functions, "DEGREES", (3,))
    monkeypatch.setattr(scaling, "INTERVALS", (20, 40))
    toy, scaled = functions.run(["toy", "scaling"], seeds=[0, 1], out=tmp_path)
    (row,) = json.loads(toy.read_text())["rows"]
    assert row["median"] <= row["worst"] < 1e-10
    assert row["mlp median"] > row["median"]
    assert len(row["runs"]) == 2
    (row,) = json.loads(scaled.read_text())["rows"]
    assert row["exponent"] > 3.5
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".png"}


def test_an_unknown_group_is_named():
    with pytest.raises(ValueError, match=r"no functions nonsense; choose among toy"):
        functions.run(["nonsense"])
