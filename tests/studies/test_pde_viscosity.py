"""The study of an unknown viscosity counts what its rows say."""

from studies.pde.viscosity import SHOWN, STUDY, summarise


def test_estimates_are_counted_in_units_of_their_bound():
    row = dict.fromkeys(SHOWN, 0.0) | {"off_in_bounds": 3.0, "covers": False, "cpu_seconds": 2.0}
    *every, total = summarise([row, row | {"off_in_bounds": -1.0, "covers": True, "cpu_seconds": 4.0}])
    assert len(every) == 2
    assert total["seed"] == "1 of 2 within 1.5 bounds, 1 covered"
    assert total["off_in_bounds"] == 5**0.5
    assert total["cpu_seconds"] == 3.0


def test_every_seed_is_one_data_set():
    assert STUDY.cases(STUDY.settings, (3, 4)) == [{"seed": 3}, {"seed": 4}]
