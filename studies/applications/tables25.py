"""Additive models on 25 public tables against other glass-box models, boosting and deep KANs, all with their defaults.

The tables are those of `studies.problems.public_tables`; tables, folds, models and settings were fixed before any of
these models saw them. A case is one table and one of five folds; the models are fitted to it in turn, on one thread.
EBM, which takes most of the time, comes last, on the first fold. The score is the accuracy, or R2, in per cent.
Glass-box models are ranked on the folds that all of them have (mean rank of ties), without EBM and with it on the
tables where it was run; whether ranks differ is the test of Friedman, and how far is the critical difference of Nemenyi
at 5 % (Demšar, Journal of Machine Learning Research 7, 2006).

A deep KAN is below (above) a part of itself where the mean difference over the rows of all folds, each of which tests a
row once, is more than two of its standard errors, those of paired rows.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from studies.problems.public_tables import NAMES, public_table
from studies.study import Case, Row, Run, Settings, Study, grid, option
from studies.table import grouped

GLASS_BOX = ("KANAdditive", "KANAdditive, pairs", "EBM", "pyGAM", "linear")
DEEP, PARTS = "deep KAN", ("linear", "KANAdditive")
MODELS = (*GLASS_BOX, "LightGBM", "scikit-learn boosting", DEEP)
SLOW = "EBM"
QUICK = tuple(model for model in MODELS if model != SLOW)
POINT = 1.0
"""A difference that counts."""
ERRORS = 2.0
"""Standard errors that are more than chance."""
LEAST_TABLES = 3
"""Fewer have no ranks."""

Fitted = Callable[[Any], np.ndarray]


@dataclass(frozen=True)
class Table25Settings(Settings):
    """What is measured."""

    tables: tuple[str, ...] = option(NAMES, "some", subset=True)
    models: tuple[str, ...] = option(MODELS, "some")


def cases(settings: Table25Settings, seeds: Sequence[int]) -> list[Case]:
    """Every table with every fold, and the slow model at the end."""
    if any(not 0 <= seed < 5 for seed in seeds):
        raise ValueError("the seeds number folds: choose them from 0 to 4")
    quick = tuple(model for model in settings.models if model in QUICK)
    found = [
        {"table": case["table"], "models": quick, "seed": case["seed"]}
        for case in grid(seed=seeds, table=settings.tables)
    ]
    slow = [{"table": name, "models": (SLOW,), "seed": seed} for seed in seeds[:1] for name in settings.tables]
    return [*found, *(slow if SLOW in settings.models else [])]


def measure(case: Case, run: Run[Table25Settings]) -> Row:
    """Score, processor seconds of fitting, and the failures of all models on one fold."""
    from threadpoolctl import threadpool_limits

    table, fold = public_table(case["table"]), case["seed"]
    train, test = _fold(case["table"], fold)
    x, y, held = table.x.iloc[train], table.y[train], table.x.iloc[test]
    row: Row = {"rows": len(table.x), "columns": table.x.shape[1], "classes": table.classes}
    values, seconds, failures = {}, {}, {}
    with threadpool_limits(1):
        for model in case["models"]:
            _warmed(model, table.classes > 0)
            begun = time.process_time()
            try:
                predict = _fit(model, x, y, table.classes)
                seconds[model] = round(time.process_time() - begun, 3)
                values[model] = _values(table.y[test], predict(held), table.classes)
            except Exception as error:
                failures[model] = f"{type(error).__name__}: {error}"[:120]
    row["score"] = {model: round(float(each.mean()), 3) for model, each in values.items()}
    if DEEP in values:
        row["differences"] = {m: _difference(values[DEEP] - values[m]) for m in PARTS if m in values}
    return row | {"seconds": seconds} | ({"failures": failures} if failures else {})


def _fold(name: str, fold: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import KFold, StratifiedKFold

    table = public_table(name)
    kind = StratifiedKFold if table.classes else KFold
    return list(kind(5, shuffle=True, random_state=0).split(table.x, table.y))[fold]


def _values(y: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """What every row contributes to the score, which is their mean."""
    if classes:
        return 100.0 * (predicted == y)
    return 100 * (1 - (y - predicted) ** 2 / y.var())


def _difference(d: np.ndarray) -> Row:
    """The number of rows, the mean of their differences and their standard deviation."""
    return {"rows": len(d), "mean": round(float(d.mean()), 4), "deviation": round(float(d.std()), 4)}


@cache
def _warmed(model: str, classes: bool) -> None:
    """Imports and what is compiled at the first call are no part of a time."""
    import pandas as pd

    x = pd.DataFrame({"a": np.linspace(0, 1, 60) ** 2, "b": np.sin(np.arange(60.0))})
    y = (x["a"].to_numpy() > 0.3).astype(int) if classes else x["a"].to_numpy() + x["b"].to_numpy() ** 2
    _fit(model, x, y, 2 * classes)(x)


def _fit(model: str, x: Any, y: np.ndarray, classes: int) -> Fitted:
    """The prediction of a fitted model: class numbers or amounts."""
    if model == "pyGAM":
        return _pygam(x, y, classes)
    fitted = _estimator(model, x, bool(classes)).fit(x, y)
    return lambda held: np.asarray(fitted.predict(held))


def _estimator(model: str, x: Any, classifies: bool) -> Any:
    if model in ("KANAdditive", "KANAdditive, pairs", DEEP):
        return _ours(model, classifies)
    return _linear(x, classifies) if model == "linear" else _boosted(model, classifies)


def _ours(model: str, classifies: bool) -> Any:
    from edgewise.tables.estimators import KANAdditive, KANAdditiveClassifier, KANClassifier, KANRegressor

    if model == DEEP:
        return (KANClassifier if classifies else KANRegressor)(random_state=0)
    kind: Any = KANAdditiveClassifier if classifies else KANAdditive
    return kind(interactions="auto" if model == "KANAdditive, pairs" else 0)


def _boosted(model: str, classifies: bool) -> Any:
    if model == "EBM":
        from interpret.glassbox import (  # pyright: ignore[reportMissingImports]
            ExplainableBoostingClassifier,
            ExplainableBoostingRegressor,
        )

        return (ExplainableBoostingClassifier if classifies else ExplainableBoostingRegressor)(n_jobs=1)
    if model == "LightGBM":
        import lightgbm  # pyright: ignore[reportMissingImports]

        return (lightgbm.LGBMClassifier if classifies else lightgbm.LGBMRegressor)(n_jobs=1, verbose=-1)
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind: Any = HistGradientBoostingClassifier if classifies else HistGradientBoostingRegressor
    return kind(categorical_features="from_dtype", random_state=0)


def _linear(x: Any, classifies: bool) -> Any:
    """Ridge or logistic regression, the strength by cross-validation; indicators of levels, medians for gaps."""
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV
    from sklearn.pipeline import make_pipeline

    last: Any = RidgeCV(np.logspace(-3, 3, 13))
    if classifies:
        last = LogisticRegressionCV(
            Cs=8, scoring="neg_log_loss", max_iter=1000, l1_ratios=(0,), use_legacy_attributes=False
        )
    return make_pipeline(_numbers(x, codes=False), last)


def _numbers(x: Any, *, codes: bool) -> Any:
    """Columns of numbers for models that read no others: levels as `codes` or as indicators."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    texts = [column for column in x if x[column].dtype == "category"]
    rest = [column for column in x if column not in texts]
    known = SimpleImputer(strategy="most_frequent")
    coder: Any = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    if codes:
        coder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    numbers = SimpleImputer(strategy="median", add_indicator=not codes)
    numeric = make_pipeline(numbers) if codes else make_pipeline(numbers, StandardScaler())
    return make_column_transformer((numeric, rest), (make_pipeline(known, coder), texts))


def _pygam(x: Any, y: np.ndarray, classes: int) -> Fitted:
    """Splines of numbers and factors of levels; of more than two classes the most probable one against the rest."""
    from pygam import GAM, f, s  # pyright: ignore[reportMissingImports]

    table = _numbers(x, codes=True)
    texts = sum(x[column].dtype == "category" for column in x)
    table.fit(x)

    def read(frame: Any) -> np.ndarray:
        found = np.asarray(table.transform(frame), float)
        return np.where(np.arange(found.shape[1]) < found.shape[1] - texts, found, np.maximum(found, 0))

    inputs = read(x)
    terms = [s(j) if j < inputs.shape[1] - texts else f(j) for j in range(inputs.shape[1])]
    total = sum(terms[1:], start=terms[0])

    def fitted(target: np.ndarray) -> Any:
        kind = {"distribution": "binomial", "link": "logit"} if classes else {}
        return GAM(total, **kind).fit(inputs, target)

    if not classes:
        model = fitted(y)
        return lambda held: model.predict(read(held))
    models = [fitted((y == k).astype(float)) for k in range(0 if classes > 2 else 1, classes)]
    if classes == 2:
        return lambda held: (models[0].predict_mu(read(held)) > 0.5).astype(int)
    return lambda held: np.stack([m.predict_mu(read(held)) for m in models], axis=1).argmax(1)


def summarise(rows: list[Row]) -> list[Row]:
    """Mean scores per table, mean ranks of the glass-box models, and counts over the tables."""
    groups = [_folds(group) for group in grouped(rows, ("table",))]
    found = [
        {**_head(group), **_rounded({**_means(group, "score", QUICK), **_beside_slow(group)}, 2)} for group in groups
    ]
    tables = [_means(group, "score", QUICK) for group in groups]
    against = [t for t in tables if "LightGBM" in t]
    if len(against) < LEAST_TABLES:
        return found
    times = [_means(group, "seconds", ("KANAdditive", m)) for group in groups for m in MODELS]
    ratios = {
        m: [t[m] / t["KANAdditive"] for t in times if m in t and (len(t) == 2 or m == "KANAdditive")] for m in MODELS
    }
    near = {m: sum(t.get(m, -math.inf) > t["LightGBM"] - POINT for t in against) for m in QUICK}
    paired = [_paired(group) for group in groups]
    paired = [of_table for of_table in paired if of_table]
    return [
        *found,
        *_ranking(groups, tuple(m for m in GLASS_BOX if m != SLOW)),
        *_ranking(groups, GLASS_BOX),
        {"table": "tables within 1 point of LightGBM", "rows": len(against), **near},
        {"table": "median of times / KANAdditive"}
        | _rounded({m: statistics.median(r) for m, r in ratios.items() if r}, 2),
        {"table": "tables below linear or additive", "rows": len(paired), DEEP: sum(min(t) < -ERRORS for t in paired)},
        {"table": "tables above linear and additive", "rows": len(paired), DEEP: sum(min(t) > ERRORS for t in paired)},
    ]


def _ranking(groups: Sequence[list[Row]], models: tuple[str, ...]) -> list[Row]:
    """The mean ranks of models on the tables that have all of them, and whether they differ; none of few tables."""
    scores = [_means(group, "score", models) for group in groups]
    scores = [of_table for of_table in scores if set(of_table) == set(models)]
    if len(scores) < LEAST_TABLES:
        return []
    ranks = np.mean([_ranks([t[m] for m in models]) for t in scores], axis=0)
    p, difference = _friedman(scores, models)
    name = f"mean rank of {len(models)} (Friedman p = {p:.2g}, Nemenyi's critical difference {difference:.2f})"
    return [{"table": name, "rows": len(scores), **_rounded(dict(zip(models, ranks, strict=True)), 2)}]


def _paired(folds: list[Row]) -> list[float]:
    """How many standard errors the deep KAN is above each of its parts, over the rows of all folds."""
    found = []
    for part in PARTS:
        each = [row["differences"][part] for row in folds if part in row.get("differences", {})]
        if each:
            rows = sum(d["rows"] for d in each)
            mean = sum(d["rows"] * d["mean"] for d in each) / rows
            error = math.sqrt(sum(d["rows"] * d["deviation"] ** 2 for d in each)) / rows
            found.append(mean / error if error else 0.0)
    return found


def _beside_slow(folds: list[Row]) -> Row:
    """The slow model and ours on the folds that it has."""
    found = _means(folds, "score", (SLOW, *GLASS_BOX[:2]))
    return {f"{m}, first fold": score for m, score in found.items()} if SLOW in found else {}


def _head(folds: list[Row]) -> Row:
    return {key: folds[0][key] for key in ("table", "rows", "columns", "classes")}


def _folds(group: list[Row]) -> list[Row]:
    """The rows of a table, those of one fold together."""
    found = []
    for rows in grouped(group, ("seed",)):
        kept = ("score", "seconds", "differences")
        merged = {what: {m: v for row in rows for m, v in row.get(what, {}).items()} for what in kept}
        found.append({**rows[0], **merged})
    return found


def _means(folds: list[Row], what: str, models: Sequence[str]) -> Row:
    """The means over the folds that all of these models have that have any."""
    there = [m for m in models if any(row[what].get(m) is not None for row in folds)]
    whole = [row[what] for row in folds if all(row[what].get(m) is not None for m in there)]
    return {m: statistics.fmean(row[m] for row in whole) for m in there} if whole else {}


def _rounded(values: Row, digits: int) -> Row:
    return {key: round(float(value), digits) for key, value in values.items()}


def _ranks(scores: Sequence[float]) -> np.ndarray:
    """1 for the best; ties share their mean rank."""
    from scipy.stats import rankdata

    return rankdata(-np.array(scores))


def _friedman(tables: Sequence[Row], models: Sequence[str]) -> tuple[float, float]:
    """The p-value of equal ranks, and the difference of mean ranks that is significant at 5 %."""
    from scipy.stats import friedmanchisquare, studentized_range

    k, n = len(models), len(tables)
    p = friedmanchisquare(*([t[m] for t in tables] for m in models)).pvalue
    q = studentized_range.ppf(0.95, k, np.inf) / math.sqrt(2)
    return float(p), float(q * math.sqrt(k * (k + 1) / (6 * n)))


STUDY = Study(
    name="tables25",
    title="25 public tables: accuracy or R2 in % of additive models, boosting, linear models and deep KANs",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=Table25Settings(),
    seeds=(0, 1),
    tiny=Table25Settings(tables=("wine",), models=("KANAdditive", "linear")),
)
