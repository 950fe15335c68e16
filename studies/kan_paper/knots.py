"""The signature of a knot from the geometry of its cusp: the formula found against the slope rule, on the same knots.

Davies et al. (Nature 600, 2021) found signature = -Re(lambda / mu) / 2, to the nearest even number. The search gets
every numeric column of the shipped table and no hint; the formula that it announces is tested on held-out knots.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sympy

from edgewise.discovery.noisy import Finding, search_formula
from edgewise.expressions import Formula
from edgewise.tables.shipped import KNOTS, load_knots
from studies.figures import canvas, save
from studies.result import StudyResult
from studies.study import Case, Row, Run, Settings, Study, grid, option

SHARES = 0.7, 0.85
"""Rows up to the first share are fitted, up to the second they choose the formula, and the rest tests it."""

Array = np.ndarray


@dataclass(frozen=True)
class KnotSettings(Settings):
    """Settings of the study of knots."""

    seconds: float = option(30.0, "processor time for the ratios of each seed")


def cases(settings: KnotSettings, seeds: Sequence[int]) -> list[Case]:
    """A split of the table for every seed."""
    return grid(seed=seeds)


def measure(case: Case, run: Run[KnotSettings]) -> Row:
    """The formulas found on one split of the table, and the rule."""
    seed, frame = case["seed"], load_knots()
    target = KNOTS.references[0].target
    names = [c for c in frame.columns if c != target and frame[c].dtype.kind in "iufb"]
    x, y = frame[names].to_numpy(float), frame[target].to_numpy(float)
    order = np.random.default_rng(seed).permutation(len(y))
    train, held, test = np.split(order, [int(share * len(y)) for share in SHARES])
    begun = time.process_time()
    limit = run.settings.seconds
    found = search_formula((x[train], y[train]), (x[held], y[held]), names, target, seconds=3 * limit, seed=seed)
    seconds = time.process_time() - begun
    symbols = tuple(sympy.Symbol(name, real=True) for name in names)
    rule = sympy.parse_expr(KNOTS.references[0].expression, local_dict=dict(zip(names, symbols, strict=True)))

    def scored(finding: Finding) -> dict[str, Any]:
        return {
            "law": str(finding.formula.rounded()[0]),
            "complexity": finding.complexity,
            "accuracy": accuracy(finding.formula, x[test], y[test]),
        }

    known, formula = Formula((rule,), symbols, (target,)), found.chosen.formula
    return {
        "text": str(formula),
        "law": str(formula.expressions[0]),
        "same_form": same_form(formula.expressions[0], rule),
        "accuracy": accuracy(formula, x[test], y[test]),
        "rule": accuracy(known, x[test], y[test]),
        "r2": r2(formula, x[test], y[test]),
        "rule_r2": r2(known, x[test], y[test]),
        "front": [scored(finding) for finding in found.front],
        "cpu_seconds": round(seconds, 1),
    }


def accuracy(formula: Formula, x: Array, y: Array) -> float:
    """The share of knots whose signature is the even number nearest to the formula."""
    return float((2 * np.round(formula(x)[:, 0] / 2) == y).mean())


def r2(formula: Formula, x: Array, y: Array) -> float:
    """The share of the variance that is explained."""
    return float(1 - np.mean((formula(x)[:, 0] - y) ** 2) / np.var(y))


def same_form(expression: Any, rule: Any) -> bool:
    """Whether the formula is the rule up to a constant factor."""
    ratio = sympy.simplify(expression / rule)
    return bool(ratio.is_number)


def summarise(rows: list[Row]) -> list[Row]:
    """The formula found and the rule: mean accuracy and R2 over the seeds, the worst, how often both have one form."""
    return [
        {
            "formula": name,
            "seeds": len(rows),
            "accuracy": statistics.mean(row[key] for row in rows),
            "worst": min(row[key] for row in rows),
            "r2": statistics.mean(row[r2_key] for row in rows),
            **more,
        }
        for name, key, r2_key, more in (
            ("found", "accuracy", "r2", _form_and_time(rows)),
            ("slope rule", "rule", "rule_r2", {}),
        )
    ]


def _form_and_time(rows: list[Row]) -> Row:
    seconds = statistics.median(row["cpu_seconds"] for row in rows)
    return {"same_form": sum(row["same_form"] for row in rows), "cpu_seconds": seconds}


def draw(result: StudyResult, folder: Path) -> None:
    """The front of every seed: accuracy over length, and the accuracy of the slope rule."""
    figure = canvas(5.5, 3.6)
    ax = figure.subplots()
    for row in result.rows:
        lengths, accuracies = ([f[key] for f in row["front"]] for key in ("complexity", "accuracy"))
        ax.plot(lengths, accuracies, "o-", color="C0", ms=3, lw=0.6, alpha=0.5)
        chosen = next(f for f in row["front"] if f["law"] in row["text"])
        ax.plot(chosen["complexity"], chosen["accuracy"], "o", color="C3", ms=6)
    rule = statistics.mean(row["rule"] for row in result.rows)
    ax.axhline(rule, color="black", lw=0.8, ls="--")
    ax.text(0.98, rule - 0.005, "slope rule", fontsize=8, ha="right", va="top", transform=ax.get_yaxis_transform())
    ax.plot([], [], "o", color="C3", label="announced")
    ax.plot([], [], "o-", color="C0", ms=3, label="front of a seed")
    ax.set(xlabel="length of the formula (operations and numbers)", ylabel="accuracy on held-out knots")
    ax.legend(fontsize=8, loc="lower right")
    save(figure, folder / f"{result.study}.png")


STUDY = Study(
    name="knots",
    title="The signature of hyperbolic knots: accuracy of the formula found and of the slope rule",
    cases=cases,
    measure=measure,
    summarise=summarise,
    draw=draw,
    settings=KnotSettings(),
    seeds=(1000, 1001, 1002),
)
