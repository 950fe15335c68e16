"""Columns of any table are read, or refused in words."""

import numpy as np
import pytest

from edgewise.discovery.relations.relation_columns import read_columns


def test_a_table_without_rows_is_refused_in_words():
    with pytest.raises(ValueError, match="no numbers and no texts"):
        read_columns({"a": np.array([], object), "b": np.array([], object)})


def test_a_whole_number_beyond_all_floats_is_no_number():
    cells = np.array([10**400, *range(60)], object)
    columns = read_columns({"a": cells, "b": np.arange(61.0), "c": np.arange(61.0) ** 2})
    assert np.isfinite(columns.values).all()
