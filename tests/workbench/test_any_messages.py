"""Whatever messages come, in whatever order, on whatever network: each is done, or refused in words."""

import json
import random

import pytest
import torch

import edgewise as ew
from edgewise.symbolic.shapes import SHAPES
from edgewise.workbench import Workspace

NETWORKS = (
    ([2, 2, 1], ew.BSpline(4, 3), torch.float64),
    ([2, (1, 1), 2], ew.BSpline(4, 3), torch.float32),
    ([1, 2, 1], ew.bases.Chebyshev(4), torch.float64),
)


def message(rng: random.Random, work: Workspace) -> dict:
    """A message that is mostly sensible: about edges, functions and states that mostly exist."""
    keys = [edge["key"] for edge in work.state()["network"]["edges"]]
    edge = rng.choice([*keys, *keys, [0, 0, 0]])
    name = rng.choice([*work.session.library, "furlong"])
    step = rng.choice(
        [
            {"do": "fix", "edge": edge, "name": name},
            {"do": "release", "edge": edge},
            {"do": "remove", "edge": edge},
            {"do": "lock", "edges": [edge]},
            {"do": "unlock", "edges": [edge]},
            {"do": "share", "edges": [edge, rng.choice(keys)]},
            {"do": "forbid", "names": rng.sample(list(work.session.library), min(9, len(work.session.library)))},
            {"do": "shape", "edge": edge, "shape": rng.choice(SHAPES)},
            {"do": "constrain", "shape": "increasing", "inputs": []},
            {"do": "symmetric", "inputs": [0, 1]},
            {"do": "prune", "least": 0.5 * rng.random()},
            {"do": "refine", "intervals": rng.choice([3, 8])},
        ]
    )
    other = [
        {"do": "fit", "steps": 5},
        {"do": rng.choice(["undo", "redo", "constants", "script", "report"])},
        {"do": rng.choice(["goto", "compare"]), "state": rng.randrange(6)},
        {"do": "suggest", "edge": edge},
        {"do": "predict", "x": [rng.gauss(0, 3) for _ in work.state()["inputs"]]},
        {"do": "preview", "step": step},
    ]
    return step if rng.random() < 0.6 else rng.choice(other)


@pytest.mark.parametrize(("widths", "basis", "dtype"), NETWORKS, ids=str)
def test_every_message_is_done_or_refused_in_words(widths, basis, dtype):
    rng, generator = random.Random(0), torch.Generator().manual_seed(0)
    model = ew.KAN(widths, basis, generator=generator, dtype=dtype)
    x = torch.rand(40, model.in_features, generator=generator, dtype=dtype) * 2 - 1
    y = torch.stack([(i + 1) * x.sin().sum(1) for i in range(model.out_features)], 1)
    work = Workspace(model, x, y)
    for _ in range(16):
        sent = message(rng, work)
        answer = work.act(sent)
        assert "inside edgewise" not in answer.get("error", ""), sent
        json.dumps([answer, work.state()], allow_nan=False)
    assert len(work.tree.branches) > 5
