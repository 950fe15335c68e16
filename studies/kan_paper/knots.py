"""The signature of a knot from the geometry of its cusp: the formula found against the slope rule, on the same knots.

Davies et al. (Nature 600, 2021) found signature = -Re(lambda / mu) / 2, to the nearest even number. The search gets
every column of numbers of the shipped table and no hint; what it announces is tested on knots that it never saw.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sympy

from edgewise.discovery.noisy import Finding, search_formula
from edgewise.expressions import Formula
from edgewise.tables.shipped import KNOTS, load_knots
from edgewise.viz.charts import new_figure
from studies import timing

SEEDS = (1000, 1001, 1002, 1003, 1004)

SHARES = 0.7, 0.85
"""Rows up to the first share are fitted to, up to the second they choose, and the rest tests."""

Array = np.ndarray
Row = dict[str, Any]


def main(arguments: Sequence[str] = ()) -> None:
    """`edgewise reproduce knots`: a formula of the signature for several splits of the shipped table."""
    parser = argparse.ArgumentParser(prog="edgewise reproduce knots", description=main.__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--seconds", type=float, default=30.0, help="of processor time for the ratios of each seed")
    parser.add_argument("--out", type=Path, default=timing.RESULTS / "knots.json")
    options = parser.parse_args(arguments)
    machine = timing.environment()
    rows: list[Row] = []
    for seed in options.seeds:
        rows.append(study(seed, options.seconds))
        row = rows[-1]
        print(f"seed {seed}: {row['accuracy']:.1%} (slope rule {row['rule']:.1%}): {row['text']}", flush=True)
        result = {"seconds": options.seconds, "machine": machine, "summary": summary(rows), "rows": rows}
        timing.write(result, options.out)
    draw(rows, options.out.with_suffix(".png"))
    print(table(summary(rows)))


def study(seed: int, seconds: float) -> Row:
    """One split of the table, the formulas found and the rule."""
    frame = load_knots()
    target = KNOTS.references[0].target
    names = [c for c in frame.columns if c != target and frame[c].dtype.kind in "iufb"]
    x, y = frame[names].to_numpy(float), frame[target].to_numpy(float)
    order = np.random.default_rng(seed).permutation(len(y))
    train, held, test = np.split(order, [int(share * len(y)) for share in SHARES])
    began = time.process_time()
    found = search_formula((x[train], y[train]), (x[held], y[held]), names, target, seconds=seconds, seed=seed)
    seconds = time.process_time() - began
    symbols = tuple(sympy.Symbol(name, real=True) for name in names)
    rule = sympy.parse_expr(KNOTS.references[0].expression, local_dict=dict(zip(names, symbols, strict=True)))

    def scored(finding: Finding) -> dict[str, Any]:
        return {
            "law": str(finding.formula.rounded()[0]),
            "complexity": finding.complexity,
            "accuracy": accuracy(finding.formula, x[test], y[test]),
        }

    known = Formula((rule,), symbols, (target,))
    return {
        "seed": seed,
        "text": str(found.chosen.formula),
        "law": str(found.chosen.formula.expressions[0]),
        "same_form": same_form(found.chosen.formula.expressions[0], rule),
        "accuracy": accuracy(found.chosen.formula, x[test], y[test]),
        "rule": accuracy(known, x[test], y[test]),
        "r2": r2(found.chosen.formula, x[test], y[test]),
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
    """Whether the formula is the rule but for one number in front."""
    ratio = sympy.simplify(expression / rule)
    return bool(ratio.is_number)


def summary(rows: Sequence[Row]) -> Row:
    """Means over the seeds, and the worst of them."""
    return {
        "seeds": len(rows),
        "same_form": sum(row["same_form"] for row in rows),
        **{key: statistics.mean(row[key] for row in rows) for key in ("accuracy", "rule", "r2", "rule_r2")},
        "worst": min(row["accuracy"] for row in rows),
        "cpu_seconds": statistics.median(row["cpu_seconds"] for row in rows),
    }


def table(found: Mapping[str, Any]) -> str:
    """The summary as text."""
    return "\n".join(
        [
            f"{'':14s}accuracy   worst      R2",
            f"formula found {found['accuracy']:8.1%}{found['worst']:8.1%}{found['r2']:8.3f}",
            f"slope rule    {found['rule']:8.1%}{'':8s}{found['rule_r2']:8.3f}",
            f"the rule but for a number in front: {found['same_form']} of {found['seeds']} seeds",
        ]
    )


def draw(rows: Sequence[Row], path: Path) -> None:
    """The front of every seed, accuracy over length, beside the slope rule."""
    figure = new_figure(5.5, 3.6)
    ax = figure.subplots()
    for row in rows:
        front = row["front"]
        ax.plot(
            [f["complexity"] for f in front], [f["accuracy"] for f in front], "o-", color="C0", ms=3, lw=0.6, alpha=0.5
        )
        chosen = next(f for f in front if f["law"] in row["text"])
        ax.plot(chosen["complexity"], chosen["accuracy"], "o", color="C3", ms=6)
    rule = statistics.mean(row["rule"] for row in rows)
    ax.axhline(rule, color="black", lw=0.8, ls="--")
    ax.text(0.98, rule - 0.005, "slope rule", fontsize=8, ha="right", va="top", transform=ax.get_yaxis_transform())
    ax.plot([], [], "o", color="C3", label="announced")
    ax.plot([], [], "o-", color="C0", ms=3, label="front of a seed")
    ax.set(xlabel="length of the formula (operations and numbers)", ylabel="accuracy on unseen knots")
    ax.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
