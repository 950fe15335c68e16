"""The parts of the studies against what can be computed by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from edgewise.models.kan_nerf import KANNeRF, MLPNeRF, positional_encoding, render
from studies import runner
from studies.applications import continual, nerf, tabular
from studies.races import race_cases


class Fog(nn.Module):
    """The same density and colour everywhere."""

    def forward(self, points):
        return torch.tensor([0.7, 0.1, 0.5, 0.9]).expand(*points.shape[:-1], 4)


@pytest.mark.parametrize("generator", [None, torch.Generator().manual_seed(0)])
def test_fog_is_as_thick_as_the_way_through_it(generator) -> None:
    o, d = torch.zeros(5, 3), nn.functional.normalize(torch.randn(5, 3), dim=1)
    seen = render(Fog(), o, d, near=1.0, far=3.0, samples=64, generator=generator)
    clear = math.exp(-0.7 * 2.0)
    expected = (1 - clear) * torch.tensor([0.1, 0.5, 0.9]) + clear
    assert torch.allclose(seen, expected.expand(5, 3), atol=0.02 if generator else 0.01)


def test_the_encoding_is_the_one_of_the_paper() -> None:
    x = torch.tensor([[0.3, -0.2, 0.7]], dtype=torch.float64)
    angles = np.array([np.pi * 2**level * v for v in (0.3, -0.2, 0.7) for level in range(3)])
    expected = np.concatenate([[0.3, -0.2, 0.7], np.sin(angles), np.cos(angles)])
    assert np.allclose(positional_encoding(x, 3)[0], expected)


def test_the_scene_is_where_it_should_be() -> None:
    above = nerf.CENTERS[0] + torch.tensor([0.0, 0.0, 2.0])
    o = torch.stack([above, torch.tensor([0.0, 0.0, 2.0]), torch.tensor([0.7, 0.7, 2.0])])
    d = torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    ball, sky, floor = nerf.trace_scene(o, d)
    assert torch.allclose(ball, nerf.COLOURS[0] * (0.35 + 0.65 * nerf.LIGHT[2]), atol=1e-5)
    assert torch.equal(sky, torch.ones(3))
    assert floor[0] == floor[1] == floor[2]
    assert nerf.psnr(torch.full((4, 3), 0.6), torch.full((4, 3), 0.5)) == pytest.approx(20.0, abs=1e-3)


def test_both_fields_are_of_one_size_and_learn_from_rays() -> None:
    sizes = [sum(p.numel() for p in model.parameters()) for model in (KANNeRF(), MLPNeRF())]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)
    rays = nerf.views(2, 0.0)
    assert torch.allclose(rays.directions.norm(dim=1), torch.ones(len(rays.directions)), atol=1e-5)
    assert torch.allclose(rays.origins.norm(dim=1), torch.full((len(rays.origins),), 3.0), atol=1e-5)
    loss = nerf.task_of(rays, rays).loss(KANNeRF(), torch.Generator().manual_seed(0))
    loss.backward()
    assert 0 < loss.item() < 1


def test_five_bumps_are_learned_one_by_one() -> None:
    for seed in range(3):
        layer = continual._zero(1, 1, continual.BSpline(200, 7))
        learn = continual._absorb(layer, keep=True)
        for x, y in continual.five_tasks(seed):
            learn(x, y)
        assert (layer(continual.GRID) - continual.target(continual.GRID)).square().mean().sqrt() < 1e-6


def test_ranks_fill_the_interval_and_ties_share_their_middle() -> None:
    x = np.stack([np.exp(np.linspace(0, 9, 1001)), np.repeat([0.0, 1.0], [500, 501])], axis=1)
    scaled = tabular._Quantiles(x)(x).numpy()
    assert np.allclose(scaled[:, 0], np.linspace(-1, 1, 1001), atol=0.01)
    assert np.allclose([scaled[0, 1], scaled[-1, 1]], [-0.5, 0.5], atol=0.02)


def test_the_summary_counts_means() -> None:
    scores = {
        "one": {"KAN": [91.0, 93.0], "MLP": [90.0, 93.0], "boosting": [93.5, 92.0], "linear": [80.0, 80.0]},
        "two": {"KAN": [70.0, 70.0], "MLP": [71.0, 71.0], "boosting": [90.0, 90.0], "linear": [80.0, 80.0]},
    }
    common = {"samples": 10, "features": 2, "classes": 2}
    rows = [
        {"table": table, "model": model, "seed": seed, "score": score, **common}
        for table, models in scores.items()
        for model, values in models.items()
        for seed, score in enumerate(values)
    ]
    one, _, found = tabular.summarise(rows)
    assert (one["KAN_mean"], one["KAN_worst"]) == (92.0, 91.0)
    assert found["above_the_MLP"] == 1
    assert found["within_1_point_of_boosting"] == 1
    assert found["mean_rank_of_the_KAN"] == (2 + 4) / 2


@pytest.mark.parametrize("name", tabular.SKLEARN)
def test_the_tables_of_scikit_learn_are_split_without_overlap(name) -> None:
    table = tabular.shipped(name, 2)
    for folds in table.folds:
        for fold in folds:
            assert len(fold.x) + len(fold.test_x) == len(table.folds[0][0].x) + len(table.folds[0][0].test_x)
            assert not table.classes or set(np.unique(fold.y)) == set(range(table.classes))


def test_seeds_beyond_the_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="choose them from 0 to 9"):
        tabular.cases(tabular.TableSettings(), (3, 10))


def test_a_field_is_drawn_from_what_its_row_keeps(tmp_path) -> None:
    study = replace(nerf.STUDY, cases=lambda settings, seeds: race_cases([nerf.MLP], seeds))
    result = runner.run(study, nerf.FieldSettings(1, (1e-2,), (1e-2,)), (0, 1), folder=tmp_path)
    assert ["kept" in row for row in result.rows] == [True, False]
    assert (tmp_path / "nerf.png").stat().st_size > 5000


def test_another_file_is_not_taken_for_the_wheel(tmp_path) -> None:
    (tmp_path / tabular.WHEEL).write_bytes(b"not a wheel")
    with pytest.raises(ValueError, match="sha256 digest"):
        tabular.keel_wheel(tmp_path)
