"""A solution that is written, tabulated or animated has the values of the solution."""

import numpy as np
import pytest
import torch

from edgewise.nn import KAN
from edgewise.pde import Box, Mesh, Problem, Slab, Solution, annulus, ball, dirichlet, initial
from tests.pde.test_domains import ring

meshio = pytest.importorskip("meshio")
pytest.importorskip("xarray")


def solution_on(domain, fields=("u",)):
    """A solution that is some network: what is written does not depend on how good it is."""
    equations = {"u": lambda u: u.laplacian - 1, "uv": lambda u, v: (u.laplacian - v, v.laplacian)}
    conditions = [initial(0.0, field=f) for f in fields] if "t" in domain.coordinates else [dirichlet(0.0)]
    problem = Problem(domain, equations["".join(fields)], conditions, fields=fields)
    torch.manual_seed(0)
    model = KAN([len(domain.coordinates), 3, len(fields)]).double()
    return Solution(problem, (model,), (), {}, (), True, "done", None)


def test_a_dataset_has_the_values_and_gaps_of_the_domain():
    solution = solution_on(Slab(annulus(), t=(0, 2)), ("u", "v"))
    data = solution.to_xarray({"x": 21, "y": 11, "t": [0.0, 1.5]})
    assert dict(data.sizes) == {"x": 21, "y": 11, "t": 2}
    assert data["u"].dims == ("x", "y", "t")
    spot = data.sel(t=1.5).isel(x=19, y=5)
    expected = solution(torch.tensor([[0.9, 0.0, 1.5]], dtype=torch.float64))[0]
    np.testing.assert_allclose([float(spot["u"]), float(spot["v"])], expected, rtol=1e-12)
    assert np.isnan(data["u"].isel(x=10, y=5)).all()
    assert np.isnan(data["u"].isel(x=0, y=0)).all()


@pytest.mark.parametrize(
    ("domain", "kind", "measure"),
    [
        (annulus(), "quad", np.pi * 0.75),
        (ball(), "hexahedron", 4 / 3 * np.pi),
        (Slab(Box(x=(0, 1), y=(0, 2)), t=(0, 1)), "quad", 2.0),
    ],
)
def test_a_file_of_a_grid_holds_the_values_at_its_points(domain, kind, measure, tmp_path):
    solution = solution_on(domain)
    written = meshio.read(solution.write(tmp_path / "u.vtu", points=33))
    (block,) = written.cells
    assert block.type == kind
    space = len([c for c in domain.coordinates if c != "t"])
    corners = written.points[block.data][..., :space]
    cell = (corners.max(1) - corners.min(1)).prod(-1)
    assert cell.sum() == pytest.approx(measure, rel=0.25)
    assert cell.sum() <= measure * 1.01
    x = torch.tensor(written.points[:, :space])
    x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], -1) if "t" in domain.coordinates else x
    np.testing.assert_allclose(written.point_data["u"], solution(x)[:, 0], rtol=1e-9, atol=1e-12)


def test_a_file_of_a_mesh_has_its_points_and_cells(tmp_path):
    points, cells, _ = ring()
    solution = solution_on(Slab(Mesh(points, cells), t=(0, 1)))
    written = meshio.read(solution.write(tmp_path / "u.vtu", time=0.25))
    np.testing.assert_array_equal(written.cells_dict["triangle"], cells)
    at = np.column_stack([points, np.full(len(points), 0.25)])
    np.testing.assert_allclose(written.point_data["u"], solution(torch.tensor(at))[:, 0], rtol=1e-9, atol=1e-12)


def test_a_movie_shows_every_time():
    solution = solution_on(Box(x=(-1, 1), t=(0, 2)))
    movie = solution.animate(frames=3, points=5)
    axes = movie._fig.axes[0]
    movie._func(2)
    assert axes.get_title() == "u at t = 2"
    x = torch.stack([torch.linspace(-1, 1, 5), torch.full((5,), 2.0)], -1).double()
    np.testing.assert_allclose(axes.lines[0].get_ydata(), solution(x)[:, 0])
    movie._draw_was_started = True  # it is never shown


def test_what_cannot_be_written_is_told(tmp_path):
    flat, still = solution_on(Box(x=(0, 1), t=(0, 1))), solution_on(annulus())
    with pytest.raises(ValueError, match="two or three coordinates of space"):
        flat.write(tmp_path / "u.vtu")
    with pytest.raises(ValueError, match=r"writes no \.txt"):
        still.write(tmp_path / "u.txt")
    with pytest.raises(ValueError, match="has no time"):
        still.write(tmp_path / "u.vtu", time=1.0)
    with pytest.raises(ValueError, match="outside the domain"):
        solution_on(Slab(annulus(), t=(0, 1))).write(tmp_path / "u.vtu", time=2.0)
    with pytest.raises(ValueError, match="needs a time"):
        still.animate()
    with pytest.raises(ValueError, match="'z' is no coordinate"):
        still.to_xarray({"z": 3})
    with pytest.raises(ValueError, match="too large"):
        still.to_xarray(10_000)
    assert list(tmp_path.iterdir()) == []
