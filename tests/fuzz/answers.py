"""Stored answers, as the JSON that `to_json` wrote: laws, models of tables, reports, figures."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sympy
import torch
from kind import Kind, any_file, change_json, keep_one

import edgewise as ew
from edgewise.discovery.dynamics.dynamics_value import Dynamics
from edgewise.discovery.fields import FieldLaw, discover_field
from edgewise.discovery.noisy.short_formula import Front
from edgewise.exporting.export_report import ExportReport
from edgewise.expressions.uncertainty import Constant
from edgewise.io.reading import read_json
from edgewise.models.kan_gpt import GPTConfig
from edgewise.pde.solution import SolutionRecord
from edgewise.tables.additive import additive_model_from_json
from edgewise.tables.additive.additive_summary import AdditiveSummary
from edgewise.tables.encode import Encoding
from edgewise.tables.estimators import KANAdditive
from edgewise.tables.prepare import prepare
from edgewise.training.result import FitReport
from edgewise.viz import diagram, svg
from edgewise.viz.diagram_data import Diagram

ROWS = np.random.default_rng(0).uniform(-1, 1, (60, 3))
FRAME = pd.DataFrame(ROWS, columns=["a", "b c", "<b>"]).assign(
    kind=list("uvw") * 20, y=2 * ROWS[:, 0] - ROWS[:, 1] ** 2
)


def make_laws(folder: Path) -> None:
    t, x = np.linspace(0, 4, 41), np.linspace(0, 2 * np.pi, 32, endpoint=False)
    path = np.stack([np.cos(3 * t), -3 * np.sin(3 * t)], 1)
    waves = np.stack([np.exp(-0.3 * k * k * t)[:, None] * np.cos(k * x) for k in (1, 2)]).sum(0)
    store(folder, "dynamics", ew.discover_dynamics(t, path, names=["x", "v <b>"]).to_json())
    store(folder, "fields", discover_field(t, waves, x, degree=1, order=2, periodic=True).to_json())
    law = ew.discover(ROWS[:, :2], 2.5 * ROWS[:, 0] ** 2, names=["a", "b c"]).formula
    store(folder, "constant", Constant(6.2807, 0.0123, 340, 2 * sympy.pi, "factor").to_json())
    finding = {"origin": "x", "error": 0.1, "uncertainty": 0.01, "formula": law.to_json(), "constants": []}
    store(folder, "front", {"front": [finding, finding], "chosen": 0, "inputs": ["a", "b c"]})


def make_models(folder: Path) -> None:
    model = KANAdditive(interactions=1).fit(FRAME[["a", "b c", "kind"]], FRAME["y"])
    store(folder, "additive", model.additive_.to_json())
    store(folder, "summary", model.summary().to_json())
    store(
        folder, "encoding", prepare(FRAME.assign(day=pd.date_range("2024-01-01", periods=60)), "y").encoding.to_json()
    )
    store(folder, "gpt", GPTConfig(11, 5, 1, 2, 8, ew.BSpline(3, 2)).to_json())


def make_reports(folder: Path) -> None:
    network = ew.KAN([2, 2, 1], generator=torch.Generator().manual_seed(0))
    x = torch.tensor(ROWS[:, :2], dtype=torch.float32)
    store(folder, "report", ew.fit(network, (x, x[:, :1]), ew.Auto(seconds=0.5)).report.to_json())
    store(folder, "diagram", diagram(network, x).to_json())
    found = ew.export(network, folder / "network.py", format="python")
    store(folder, "export", found.to_json())
    (folder / "network.py").unlink()
    stage = {"round": 1, "intervals": 4, "loss": 1e-3, "seconds": 0.1}
    record = {"converged": True, "message": "done", "error_estimate": 1e-3, "residuals": {"equation": 1e-4}}
    store(folder, "solution", record | {"unknowns": {"k": 2.0}, "history": [], "doubts": ["a"], "noise": None})
    del stage


def store(folder: Path, name: str, value: Any) -> None:
    (folder / f"{name}.json").write_text(json.dumps(value))


def damage(folder: Path, made: Any, rng: random.Random) -> str:
    path = keep_one(folder, rng)
    return any_file(folder, made, rng) if rng.random() < 0.2 else change_json(path, rng)


def read(folder: Path, _: Any) -> Any:
    """Read the values, and use them as their readers do: what does not fit is refused when it is read."""
    return [READERS[path.stem](read_json(path)) for path in sorted(folder.iterdir())]


def _law(law: Any) -> list[str]:
    return [str(law), law.latex() if law.law is not None else "", json.dumps(law.to_json())]


def _additive(value: Any) -> Any:
    model = additive_model_from_json(value)
    columns = model.read(FRAME[["a", "b c", "kind"]].head(3))
    return [model.link(columns).tolist(), json.dumps(model.to_json())]


def _shown(read_value: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def shown(value: Any) -> Any:
        found = read_value(value)
        return [str(found), json.dumps(found.to_json())]

    return shown


READERS: dict[str, Callable[[Any], Any]] = {
    "dynamics": lambda value: _law(Dynamics.from_json(value)),
    "fields": lambda value: _law(FieldLaw.from_json(value)),
    "front": lambda value: json.dumps(Front.from_json(value).to_json()),
    "constant": _shown(Constant.from_json),
    "additive": _additive,
    "summary": _shown(AdditiveSummary.from_json),
    "encoding": lambda value: Encoding.from_json(value).names,
    "gpt": lambda value: GPTConfig.from_json(value).to_json(),
    "report": _shown(FitReport.from_json),
    "diagram": lambda value: len(svg(Diagram.from_json(value))),
    "export": _shown(ExportReport.from_json),
    "solution": lambda value: json.dumps(SolutionRecord.from_json(value).to_json()),
}
KINDS = {
    "stored laws": Kind(make_laws, read, damage),
    "stored models": Kind(make_models, read, damage),
    "stored reports": Kind(make_reports, read, damage),
}
