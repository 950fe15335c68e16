"""The references of the published tables: spectral solutions against formulas, all against their initial values."""

import math

import numpy as np
import pytest
import torch

from studies.pde.tables import TableSettings, cases, summarise
from studies.problems.cavity import Cavity
from studies.problems.equations import burgers_exact
from studies.problems.published import SineGordon, tables
from studies.problems.spectral import Spectral, advected

ROWS = {f"{table}: {row.name}": row for table, rows in tables().items() for row in rows}


def test_a_spectral_solution_is_that_of_cole_and_hopf():
    nu = 0.05
    start = lambda x: -np.sin(math.pi * x)
    reference = Spectral((-1, 1), 1.0, lambda k: -nu * k**2, advected(1.0), start, 128, 400, stored=10)
    x = reference.grid(40)
    x = x[x[:, 1] > 0]
    expected = burgers_exact(x, nu)
    assert float((reference(x) - expected).norm() / expected.norm()) < 1e-8
    assert reference.trust < 1e-5


def test_a_spectral_solution_of_a_reaction_is_the_logistic_curve():
    reference = Spectral(
        (-1, 1), 1.0, lambda k: 5 - k**2, lambda u, k: np.fft.fft(-5 * u**3), lambda x: 0.1 + 0 * x, 16, 500, stored=10
    )
    x = reference.grid(3)
    growth = 0.01 * torch.exp(10 * x[:, 1])
    assert torch.allclose(reference(x), torch.sqrt(growth / (1 - 0.01 + growth)), atol=1e-8)


def test_small_waves_of_sine_gordon_are_those_of_klein_gordon():
    """The first mode keeps its energy, and the amplitude after a short time follows from the equation."""
    table = SineGordon().table
    assert table[0][0] == pytest.approx(1.0)
    assert abs(table[0][1:]).max() < 1e-12
    force = 2 * np.mean([math.sin(math.sin(math.pi * s)) * math.sin(math.pi * s) for s in np.linspace(0, 1, 1001)[:-1]])
    h = 1 / 200
    assert table[1][0] == pytest.approx(1 - h**2 / 2 * (math.pi**2 + force), abs=1e-8)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.spectral is None])
def test_references_have_the_initial_values_of_their_problems(name):
    row = ROWS[name]
    problem, coordinates = row.problem, row.problem.domain.coordinates
    for part in problem.conditions:
        if part.given is None or part.on is None:
            continue
        x = problem.domain.boundary(part.on, 32, torch.Generator().manual_seed(0)).points
        if "t" in coordinates:  # references are known at stored times
            x[:, coordinates.index("t")] = (x[:, coordinates.index("t")] * 200).round() / 200
        scope = problem.scope(
            x, x, lambda f, a, x=x: row.reference(x) if sum(a) == 0 else torch.zeros(len(x)).double(), {}, {}
        )
        residual = part.residual(scope)
        first = residual[0] if isinstance(residual, tuple) else residual
        assert float(first.abs().max()) < 1e-8


def test_the_cavity_is_symmetric_without_inertia_and_its_reference_converges():
    coarse, fine = Cavity(1e-6, 16), Cavity(1e-6, 24)
    x = torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mirrored = torch.stack([1 - x[:, 0], x[:, 1]], -1)
    assert torch.allclose(fine.stream(x), fine.stream(mirrored), atol=1e-9)
    assert float((fine(x) - coarse(x)).norm() / fine(x).norm()) < 1e-2
    lid = torch.tensor([[0.5, 1.0], [0.5, 1.0 - 1e-4]], dtype=torch.float64)
    on, below = fine.stream(lid).tolist()
    velocity = fine(lid)
    assert velocity[0].tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    assert (on - below) / 1e-4 == pytest.approx(1.0, abs=2e-3)


def test_a_surface_has_one_seed_and_a_baseline_all_equations():
    both = TableSettings(set="rga", networks=("surface", "jaxKAN RGAKAN"))
    made = cases(both, (0, 1))
    assert sum(case["network"] == "surface" for case in made) == len(tables()["rga"])
    assert {case["equation"] for case in made if case["network"] != "surface"} == {row.name for row in tables()["rga"]}


def test_a_baseline_is_compared_where_it_has_had_the_time_of_the_surface():
    shared = {"set": "rga", "equation": "poisson-2", "published": None, "reference_error": 0.0, "parameters": 1}
    surface = shared | {"network": "surface", "error": 1e-6, "cpu_seconds": 3.0}
    way = [[1.0, 20, 0.9], [2.0, 40, 0.8], [4.0, 80, 0.7], [5.0, 100, 0.6]]
    peer = shared | {"network": "PirateNet", "error": 0.6, "cpu_seconds": 5.0, "way": way}
    found = {row["network"]: row for row in summarise([surface, peer])}
    assert found["PirateNet"]["error_at_equal_time"] == 0.7
    assert found["PirateNet"]["error_median"] == 0.6
    assert found["surface"]["error_at_equal_time"] is None


def test_rows_of_a_table_are_chosen_by_name():
    chosen = cases(TableSettings(networks=("surface", "PirateNet"), equations=("kdv",)), (0, 1))
    assert [(c["equation"], c["network"], c["seed"]) for c in chosen] == [
        ("kdv", "surface", 0),
        ("kdv", "PirateNet", 0),
        ("kdv", "PirateNet", 1),
    ]
    with pytest.raises(ValueError, match="has no row 'stokes'"):
        cases(TableSettings(equations=("stokes",)), (0,))
