"""The page of all terms: what its panels hold, and that it is drawn."""

import numpy as np
import pandas as pd
import pytest

from edgewise.tables.additive.drawn_terms import panels_of
from edgewise.tables.estimators import KANAdditive
from edgewise.viz.term_panels import draw_panels

pytestmark = pytest.mark.usefixtures("module_as_a_user")


@pytest.fixture(scope="module")
def model() -> KANAdditive:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (300, 2))
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": rng.choice(list("uvw"), 300)})
    y = np.sin(3 * x[:, 0]) + x[:, 0] * x[:, 1] + (frame["c"] == "u") + 0.1 * rng.normal(size=300)
    frame.loc[:30, "a"] = np.nan
    frame.loc[30:60, "c"] = None
    return KANAdditive(interactions=[("a", "b"), ("a", "c")]).fit(frame, y)


def test_panels_hold_what_the_terms_say(model):
    panels = panels_of(model.additive_, model.rows_.columns, simultaneous=False)
    assert [p.kind for p in panels] == ["curve", "curve", "levels", "surface", "surface"]
    curve, _, levels, surface, mixed = panels
    band = model.band("a")
    np.testing.assert_array_equal(curve.low, band.low)
    assert curve.missing is not None
    assert curve.missing[1] < curve.missing[0] < curve.missing[2]
    assert sum(levels.seen) == 300 - 31
    at = {"a": [surface.x[0][7]], "b": [surface.x[1][30]], "c": ["u"]}
    parts = model.contributions(pd.DataFrame(at))[0]
    assert surface.y[7][30] == pytest.approx(parts[3])
    assert sorted(mixed.x[1]) == ["u", "v", "w"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_has_a_panel_per_term_and_one_height(model, theme):
    figure = model.plot(theme=theme)
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == ["a", "b", "c", "a × b", "a × c"]
    assert len({ax.get_ylim() for ax in figure.axes[:3]}) == 1
    figure.canvas.draw()
    with pytest.raises(ValueError, match="no terms"):
        draw_panels([])
