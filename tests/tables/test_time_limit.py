"""One time limit bounds the whole job: its stages share it, and what does not fit is left out and told."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from edgewise.compare import fit_baselines
from edgewise.discovery.noisy import train_network
from edgewise.discovery.noisy.thinned_ratio import forward_selection
from edgewise.progress import Budget
from edgewise.tables.job import JobSettings, fit_table
from edgewise.tables.job.table_run import STAGES
from edgewise.training import Auto, fit

pytestmark = pytest.mark.usefixtures("as_a_user")


def table(path, rows: int, columns: int) -> str:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(rows, columns)), columns=[f"c{n}" for n in range(columns)])
    frame.assign(y=np.sin(frame["c0"]) + frame["c1"] ** 2).to_parquet(path)
    return str(path)


BASELINES = ["linear model", "gradient boosting", "MLP"]
SEARCH = "the search for a formula"
LATE = {
    "train the network": ["the training of the network", "pruning", *BASELINES, SEARCH],
    "prune": ["pruning", *BASELINES, SEARCH],
    "train the baselines": [*BASELINES, SEARCH],
    "search for the formula": [SEARCH],
}


@pytest.mark.parametrize("slow", LATE)
def test_a_stage_that_takes_too_long_leaves_no_time_for_the_others(tmp_path, slow, monkeypatch):
    """The clock jumps when a stage begins; the search is not the subject."""
    now = [0.0]
    seen: list[str] = []

    def listen(event):
        if event.stage == slow and slow not in seen:
            now[0] += 1000
        seen.append(event.stage)

    monkeypatch.setattr("edgewise.tables.job.table_run.search_formula", lambda *_, **__: None)
    settings = JobSettings("y", hidden=0, seconds=100.0)
    source = table(tmp_path / "t.parquet", 40, 2)
    budget = Budget(100.0, lambda: now[0])
    result = fit_table(source, settings, tmp_path / "run", progress=listen, budget=budget)
    assert tuple(dict.fromkeys(seen)) == STAGES
    (told,) = (text for text in result.record.warnings if "time limit" in text)
    assert told == f"the time limit of 100 s ended or left out {', '.join(LATE[slow])}; --seconds sets it"
    trained = [score.name.split(" [")[0] for score in result.record.scores if score.kind == "baseline"]
    assert trained == ["constant", *(name for name in BASELINES if name not in LATE[slow])]
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["formula"] is None
    assert "No formula was found" in (tmp_path / "run" / "report.html").read_text()


def test_a_wide_table_ends_in_time(tmp_path):
    """With room for busy machines: without the limit it takes minutes."""
    clock = Budget()
    settings = JobSettings("y", seconds=2.0)
    fit_table(table(tmp_path / "t.parquet", 4000, 60), settings, tmp_path / "run")
    assert clock.spent < 60


def test_selection_and_baselines_begin_nothing_after_the_limit():
    over = Budget(0.0)
    x = np.random.default_rng(0).normal(size=(50, 3))
    assert forward_selection(x, x[:, 0], range(3), seed=0, budget=over) == []
    found = fit_baselines((x, x[:, 0]), (x, x[:, 0]), "regression", parameters=20, budget=over)
    assert [baseline.name for baseline in found] == ["constant"]


def test_an_exact_network_can_be_trained_further_in_no_time():
    x = torch.linspace(-1, 1, 60, dtype=torch.float64)[:, None]
    data = (x, 2 * x)
    model = train_network([1, 1], data, data, seconds=10.0)
    again = fit(model, data, Auto(extend=False, seconds=0.0), validation=data)
    assert again.report.loss < 1e-20
