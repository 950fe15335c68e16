"""Names: one basis each, and an error that helps."""

import pytest

from edgewise.bases import Basis, BSpline, basis_from_json, registered_bases


def test_a_taken_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'bspline' is taken by edgewise\.bases\.bspline\.BSpline"):
        type("Other", (Basis,), {"name": "bspline"})
    assert registered_bases()["bspline"] is BSpline


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown basis 'bezier'; registered are bspline, chebyshev"):
        basis_from_json({"name": "bezier"})
    with pytest.raises(ValueError, match="unknown basis None"):
        basis_from_json({"degree": 3})


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ValueError, match="basis 'bspline' does not take the settings"):
        basis_from_json({"name": "bspline", "order": 3})


def test_the_registry_is_a_copy() -> None:
    registered_bases().clear()
    assert "bspline" in registered_bases()
