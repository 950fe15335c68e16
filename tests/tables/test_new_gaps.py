"""Cells that are missing in new tables alone, in estimators of both kinds."""

import numpy as np
import pandas as pd
import pytest

import edgewise as ew


def table(rows=60):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"kind": np.resize(["a", "b"], rows), "size": rng.normal(size=rows)})
    return frame, frame["size"].to_numpy() + (frame["kind"] == "b") + 0.1 * rng.normal(size=rows)


@pytest.mark.parametrize(
    "model", [ew.KANAdditive(), ew.KANRegressor((1,), steps=2, random_state=0)], ids=["one", "deep"]
)
def test_a_new_gap_stands_for_the_mean_and_a_warning_names_the_column(model):
    x, y = table()
    model.fit(x, y)
    new = x.assign(size=x["size"].where(np.arange(60) != 3))
    with pytest.warns(UserWarning, match=r"'size' \(1\)"):
        found = model.predict(new)
    others = np.arange(60) != 3
    np.testing.assert_array_equal(found[others], model.predict(x)[others])
    like = model.predict(x[x["kind"] == x["kind"][3]].assign(size=x["size"].mean()))
    assert found[3] == pytest.approx(like[0], abs=0.05)


def test_an_error_names_the_column_and_no_option_of_the_command_line():
    x, y = table()
    model = ew.KANRegressor((1,), steps=2, random_state=0).fit(x, y)
    with pytest.raises(ValueError, match="column 'kind' holds 'c', where training saw 'a' and 'b' only") as caught:
        model.predict(x.assign(kind="c"))
    assert "--missing" not in str(caught.value)
