"""Predictions beside the rows of a table: none is made up where a formula is undefined."""

import numpy as np
import pandas as pd
import pytest

from edgewise.tables.encode import Encoding
from edgewise.tables.job.answers import _append


@pytest.mark.parametrize(
    ("encoding", "values", "predicted"),
    [
        (Encoding((), "y", "regression", values=(0.0, 2.0)), np.array([1.9, np.nan]), [2.0, None]),
        (Encoding((), "y", "regression", values=(0.0, 2.0)), np.array([1.9, 0.3]), [2, 0]),
        (
            Encoding((), "y", "classification", classes=("a", "b")),
            np.array([[0.1, 0.9], [np.nan, np.nan]]),
            ["b", None],
        ),
    ],
)
def test_where_a_formula_is_undefined_there_is_no_prediction(encoding, values, predicted):
    frame = pd.DataFrame(index=range(2))
    _append(frame, encoding, values)
    assert [None if pd.isna(value) else value for value in frame["y_predicted"]] == predicted
