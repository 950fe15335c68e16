"""Damaged observations are told by place, and what is held out is never fitted to."""

import numpy as np
import pandas as pd
import pytest

from edgewise.discovery.dynamics import discover_dynamics
from edgewise.discovery.dynamics.trajectories import read_trajectories

T = np.arange(20) * 0.5
X = np.stack([np.sin(T), np.cos(T)], 1)


def read(t, x, **given):
    names = ("controls", "trajectory", "names", "control_names")
    return read_trajectories(t, x, *(given.get(name) for name in names))


def changed(x, place, value):
    x = x.copy()
    x[place] = value
    return x


@pytest.mark.parametrize(
    ("t", "x", "given", "message"),
    [
        (T, changed(X, (3, 1), np.nan), {}, "row 3, component x2"),
        (changed(T, 5, 1.0), X, {}, "t does not increase at row 5"),
        (changed(T, 5, np.inf), X, {}, "t is not finite in row 5"),
        (T[:5], X[:5], {}, "at least 12"),
        (T[:-1], X, {}, "one time for every row"),
        (T, changed(X, (slice(None), 0), 2.0), {}, "x1: constant"),
        (T, X[:, :, None], {}, "shape"),
        (T, X, {"names": ["a", "a"]}, "2 different names"),
        (T, X, {"controls": T[1:]}, "one row for every row"),
        (T, X, {"names": ["a", "b"], "controls": T, "control_names": ["a"]}, "rename"),
        (T, X, {"trajectory": [1, 2]}, "one label for each of 20 rows"),
        ([T, T], [X, X[:, :1]], {}, "different numbers of components"),
        ([T, T], [X, X], {"trajectory": [1]}, "already a list"),
    ],
)
def test_faults_are_told_by_place(t, x, given, message):
    with pytest.raises(ValueError, match=message):
        read(t, x, **given)


@pytest.mark.usefixtures("as_a_user")
def test_kinds_are_checked():
    with pytest.raises(ValueError, match="'auto', 'flow' or 'map'"):
        discover_dynamics(T, X, kind="ode")


def test_labels_and_lists_give_the_same_paths():
    twice = read(np.concatenate([T, T]), np.concatenate([X, 2 * X]), trajectory=["a"] * 20 + ["b"] * 20)
    listed = read([T, T], [X, 2 * X])
    for a, b in zip(twice.paths, listed.paths, strict=True):
        assert np.array_equal(a.t, b.t)
        assert np.array_equal(a.x, b.x)
    assert [p.label for p in twice.paths] == ["trajectory a", "trajectory b"]


def test_frames_give_the_names():
    found = read(pd.Series(T), pd.DataFrame(X, columns=["angle", "t"]), controls=pd.DataFrame({"force": T}))
    assert [s.name for s in (*found.states, *found.controls, found.time)] == ["angle", "t", "force", "time"]


@pytest.mark.parametrize("count", [1, 3, 6])
def test_what_is_held_out_is_not_fitted_to(count):
    fitted, held = read([T + n for n in range(count)], [X] * count).split()
    own = {t for p in fitted.paths for t in p.t} if count < 5 else {p.label for p in fitted.paths}
    other = {t for p in held.paths for t in p.t[1:]} if count < 5 else {p.label for p in held.paths}
    if count in (1, 6):
        assert not own & other
    assert sum(map(len, held.paths)) >= 0.15 * 20 * count
