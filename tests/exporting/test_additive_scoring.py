"""Scoring functions of additive models in SQL and plain Python equal the model, on tables of every kind."""

import sqlite3

import numpy as np
import pandas as pd
import pytest

import edgewise as ew
from edgewise.exporting import ExportError
from edgewise.exporting.additive_pieces import pieces_of
from edgewise.tables.additive import CircleAxis, LevelAxis, SplineAxis
from edgewise.tables.estimators import KANAdditive, KANAdditiveClassifier

pytestmark = pytest.mark.usefixtures("module_as_a_user")

EXACT = 1e-12


def table(rows: int = 200, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2))
    frame = pd.DataFrame(
        {
            "a": x[:, 0],
            'b "quoted" -- x': x[:, 1],
            "c": rng.choice(["u'v", "w\\n", "été"], rows),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), unit="D"),
        }
    )
    y = np.sin(2 * x[:, 0]) + x[:, 0] * x[:, 1] + (frame["c"] == "été") + 0.1 * rng.normal(size=rows)
    frame.loc[:20, "a"] = np.nan
    frame.loc[20:40, "c"] = None
    return frame, np.asarray(y)


@pytest.fixture(scope="module")
def models() -> dict[str, object]:
    frame, y = table()
    pairs = [("a", 'b "quoted" -- x'), ("a", "c"), ("a", "day (season)")]
    return {
        "gaussian": KANAdditive(interactions=pairs).fit(frame, y),
        "poisson": KANAdditive(family="poisson").fit(frame, np.floor(abs(y))),
        "two outputs": KANAdditive(cyclic={"a": (-3.0, 3.0)}).fit(frame, np.stack([y, -y], axis=1)),
        "two classes": KANAdditiveClassifier().fit(frame, y > 0),
        "three classes": KANAdditiveClassifier(interactions=pairs[:1]).fit(frame, np.digitize(y, [-0.5, 0.5])),
    }


@pytest.mark.parametrize("format", ["sql", "python"])
@pytest.mark.parametrize("name", ["gaussian", "poisson", "two outputs", "two classes", "three classes"])
def test_the_file_equals_the_model(models, name, format, tmp_path):
    report = ew.export(models[name], tmp_path / "my score", format=format, tolerance=EXACT)
    assert report.error is not None
    assert report.error <= EXACT
    assert report.inputs == 800
    assert (tmp_path / "my score").stat().st_size == report.size


def test_the_statement_scores_a_table_of_a_database(models, tmp_path):
    frame, _ = table(seed=1)
    ew.export(models["three classes"], tmp_path / "score.sql", format="sql", output_names=["p", "q", "r"])
    parts = {f"day ({part})": None for part in ("year", "season", "weekday")}
    columns = models["three classes"].additive_.read(frame)
    for term in models["three classes"].additive_.terms:
        if term.inputs[0].name in parts:
            frame[term.inputs[0].name] = term.inputs[0].read(columns)
    with sqlite3.connect(":memory:") as base:
        frame.drop(columns="day").to_sql("score", base)
        found = pd.read_sql((tmp_path / "score.sql").read_text(), base)
    assert list(found.columns) == ["p", "q", "r"]
    expected = models["three classes"].predict_proba(table(seed=1)[0])
    np.testing.assert_allclose(found.to_numpy(), expected, atol=EXACT)


@pytest.mark.parametrize(
    "axis",
    [
        SplineAxis(True, (0.0, 0.5, 0.6, 2.0)),
        SplineAxis(False, (0.0, 1.0), 1),
        CircleAxis(True, 0.0, 1.0, 5),
        CircleAxis(False, 0.0, 1.0, 12),
        LevelAxis(True, ("u", "v")),
    ],
)
def test_pieces_are_the_functions_of_the_axis(axis):
    for piece in pieces_of(axis):
        if piece.kind in ("level", "missing"):
            x = np.array([piece.at or None], object) if isinstance(axis, LevelAxis) else np.array([np.nan])
            d = np.zeros(1)
        else:
            ends = {"below": (-3.0, 0.0), "above": (0.0, 3.0), "inside": (piece.start, piece.end)}[piece.kind]
            d = np.linspace(*ends, 9) - (float(piece.at) if piece.kind == "inside" else 0.0)
            x = float(piece.at) + d
        powers = d[:, None] ** np.arange(len(piece.powers))
        np.testing.assert_allclose(powers @ piece.powers, axis.matrix(x).toarray(), atol=1e-12)


def test_other_formats_are_refused_and_a_missed_tolerance_leaves_no_file(models, tmp_path):
    with pytest.raises(ValueError, match="'js' takes networks; this model has levels"):
        ew.export(models["gaussian"], tmp_path / "score.js", format="js")
    with pytest.raises(ExportError, match="nothing was written"):
        ew.export(models["gaussian"], tmp_path / "score.sql", format="sql", tolerance=0.0)
    assert list(tmp_path.iterdir()) == []
