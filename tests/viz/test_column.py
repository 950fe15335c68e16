"""Figures of many parts fit the column of a notebook: none is shrunk until its labels cannot be read."""

import numpy as np
import pytest
import torch

import edgewise as ew
from edgewise.viz.charts import COLUMN
from edgewise.viz.relations_figure import Bond, relations_figure
from edgewise.viz.term_panels import TermPanel, draw_panels

STEPS = np.linspace(0, 1, 5)
BOND = Bond(("a", "b"), "a", 0.9, True, "a = b", np.stack([STEPS, STEPS], 1))


def panel():
    return TermPanel("a", "curve", ("a",), STEPS, STEPS, STEPS, STEPS)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_figures_of_many_parts_fit_a_column(count):
    drawn = [
        draw_panels([panel() for _ in range(count)]),
        relations_figure(["a", "b"], [BOND] * count),
        ew.viz.plot_edges(ew.KAN([count, 1]), torch.rand(9, count)),
    ]
    assert all(figure.get_figwidth() <= COLUMN for figure in drawn)
    assert all(figure.get_figheight() < 12 for figure in drawn)
