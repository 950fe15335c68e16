"""Rows that are on disk, or in several processes, give the model of a table in memory."""

import multiprocessing
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch.distributed as dist

from edgewise.tables.additive import SplineAxis, over_processes
from edgewise.tables.estimators import KANAdditive, KANAdditiveClassifier

pa = pytest.importorskip("pyarrow")
datasets = pytest.importorskip("pyarrow.dataset")


def mixed(rows: int, seed: int = 0) -> Any:
    """Numbers, whole numbers, truth values, levels, dates and missing cells, with an outcome, counts and labels."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=rows), rng.integers(0, 9, rows)
    level = rng.choice(["low", "middle", "high"], rows, p=[0.6, 0.3, 0.1])
    signal = np.sin(2 * a) + 0.1 * b + (level == "high")
    return pd.DataFrame(
        {
            "a": np.where(rng.uniform(size=rows) < 0.1, np.nan, a),
            "b": b,
            "flag": rng.uniform(size=rows) < 0.3,
            "level": level,
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), "D"),
            "weight": rng.integers(1, 4, rows),
            "y": signal + 0.3 * rng.normal(size=rows),
            "count": rng.poisson(np.exp(0.5 * signal)),
            "label": np.where(signal + rng.normal(size=rows) > 0.5, "yes", "no"),
            "kind": rng.choice(["p", "q", "r"], rows),
        }
    )


INPUTS = ["a", "b", "flag", "level", "day"]


def written(table: Any, folder: Path) -> Any:
    """The table as a folder of three Parquet files, in order."""
    folder.mkdir()
    for n, part in enumerate(np.array_split(np.arange(len(table)), 3)):
        table.iloc[part].to_parquet(folder / f"{n}.parquet", index=False)
    return datasets.dataset(folder)


def same(one, other, x: Any, digits: float = 0.0) -> None:
    a, b = (model.additive_ for model in (one, other))
    np.testing.assert_allclose(a.link(a.read(x)), b.link(b.read(x)), rtol=0, atol=digits)
    np.testing.assert_allclose(a.covariance, b.covariance, rtol=0, atol=digits * abs(b.covariance).max())
    assert [t.name for t in a.terms] == [t.name for t in b.terms]
    for axis, known in ((t.axes[0], u.axes[0]) for t, u in zip(a.terms, b.terms, strict=True)):
        assert type(axis) is type(known)
        if isinstance(axis, SplineAxis):
            assert axis.knots == pytest.approx(known.knots, rel=digits, abs=0)
        else:
            assert axis == known


def test_a_dataset_gives_the_model_of_its_table(tmp_path: Path) -> None:
    table = mixed(600)
    stored = written(table, tmp_path / "rows")
    inputs = stored.scanner(columns=[*INPUTS, "y", "weight"]).to_table()
    known = KANAdditive().fit(table[INPUTS], table["y"], table["weight"])
    found = KANAdditive().fit(datasets.dataset(inputs), "y", "weight")
    same(found, known, table[INPUTS])
    assert np.array_equal(found.predict(stored), known.predict(table[INPUTS]))  # other columns are not read
    assert str(found.summary()) == str(known.summary())


def test_labels_of_a_dataset(tmp_path: Path) -> None:
    table = mixed(400)
    stored = written(table[[*INPUTS, "label"]], tmp_path / "rows")
    found = KANAdditiveClassifier(class_weight="balanced").fit(stored, "label")
    same(found, KANAdditiveClassifier(class_weight="balanced").fit(table[INPUTS], table["label"]), table[INPUTS])


def test_more_distinct_numbers_than_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quantile bins of the arguments are those that the distinct values and their counts give."""
    from edgewise.tables.additive import axes, blocks

    values = np.append(np.repeat(np.arange(40.0), np.arange(40) + 1), [np.nan, 3.0])
    distinct, codes = blocks.distinct_values(values, axes.SplineAxis(True, (0.0, 39.0)), most=7)
    assert len(distinct) == 8
    assert np.isnan(distinct[-1])
    for k in range(7):
        members = values[codes == k]
        assert distinct[k] == pytest.approx(members.mean(), rel=1e-14)
        assert members.max() < (values[codes == k + 1].min() if k < 6 else np.inf)
    assert np.isnan(values[codes == 7]).all()


def test_a_dataset_that_lacks_a_column_or_holds_an_infinite_cell(tmp_path: Path) -> None:
    table = mixed(60)[["a", "b", "y"]]
    stored = written(table, tmp_path / "rows")
    with pytest.raises(ValueError, match="no column 'z'; its columns are a, b, y"):
        KANAdditive().fit(stored, "z")
    model = KANAdditive().fit(stored, "y")
    with pytest.raises(ValueError, match="no column 'a'"):
        model.predict(datasets.dataset(pa.table({"b": [1.0]})))
    table.loc[40, "a"] = np.inf
    with pytest.raises(ValueError, match=r"column 'a' is infinite \(inf\) in row 40"):
        KANAdditive().fit(written(table, tmp_path / "bad"), "y")


def fits(table: Any, weights: np.ndarray) -> list:
    x = table[INPUTS]
    return [
        KANAdditive().fit(x, table["y"], weights),
        KANAdditive(family="poisson", shapes={"a": "increasing"}).fit(x, table["count"]),
        KANAdditiveClassifier(class_weight="balanced").fit(x, table["label"]),
        KANAdditiveClassifier().fit(x[["a", "level"]], table["kind"]),
    ]


def in_a_process(rank: int, store: str, table: Any, weights: np.ndarray, results) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    own = slice(0, 250) if rank == 0 else slice(250, None)
    with over_processes():
        models = fits(table[own], weights[own])
    results.put((rank, models))


@pytest.mark.skipif(sys.platform != "linux", reason="forks, so that nothing is imported twice")
def test_two_processes_find_the_model_of_one(tmp_path: Path) -> None:
    table = mixed(700)
    weights = np.random.default_rng(1).uniform(0.5, 2, 700)
    processes = multiprocessing.get_context("fork")
    results = processes.Queue()
    store, both = str(tmp_path / "store"), []
    for rank in range(2):
        both.append(processes.Process(target=in_a_process, args=(rank, store, table, weights, results), daemon=True))
        both[-1].start()
    found = dict(results.get(timeout=120) for _ in both)
    for process in both:
        process.join(30)
    for known, first, second in zip(fits(table, weights), found[0], found[1], strict=True):
        inputs = table[list(known.feature_names_in_)]
        same(first, second, inputs)
        same(first, known, inputs, digits=1e-10)
        assert first.rows_.total == known.rows_.total
        assert np.array_equal(first.rows_.targets, known.rows_.targets)


def test_processes_are_asked_for_where_there_are_none() -> None:
    with pytest.raises(RuntimeError, match="init_process_group"), over_processes():
        pass
