"""Mobility edges of three quasi-periodic chains, found as laws from nothing but which states are extended.

Every eigenstate of a chain with random parameters is extended or localised, and the energy at which one becomes the
other is a law of the parameters (see `studies.problems.anderson`). `discover_threshold` gets those and the classes.
The accuracy is that of the KAN paper: the share of states on the right side, here on chains that were never seen.
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
import torch

from edgewise.discovery import Threshold, discover_threshold
from edgewise.viz.charts import new_figure
from studies import timing
from studies.problems.anderson import CHAINS, Chain, States, eigenstates

LAWS = {"GAAM": "2*(1 - lam)/alpha", "mosaic": "1/lam", "MAAM": "lam*cosh(p) - exp(p)"}
"""The mobility edges that theory knows."""

PAPER = {"GAAM": 0.990, "MAAM": 0.971}
"""What the KAN paper's automatic formulas reach; its own labels agree with theory for 99.2 % and 98.6 %."""

SEEDS = (1000, 1001, 1002, 1003, 1004)

Row = dict[str, Any]


def main(arguments: Sequence[str] = ()) -> None:
    """`edgewise reproduce anderson`: chains of every model, a law from some of them, its accuracy on the others."""
    parser = argparse.ArgumentParser(prog="edgewise reproduce anderson", description=main.__doc__)
    parser.add_argument("--models", nargs="+", choices=list(CHAINS), default=list(CHAINS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--chains", type=int, default=100, help="to learn from; half as many are tested on")
    parser.add_argument("--sites", type=int, default=610)
    parser.add_argument("--out", type=Path, default=timing.RESULTS / "anderson.json")
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    machine = timing.environment()
    pictures = []
    for name in options.models:
        for seed in options.seeds:
            row, states = study(CHAINS[name], seed, options.chains, options.sites)
            print(f"{name}, seed {seed}: {row['text']}, {row['accuracy']:.2%} (theory {row['theory']:.2%})", flush=True)
            rows.append(row)
            if seed == options.seeds[0]:
                pictures.append((CHAINS[name], states, row))
            settings = {"chains": options.chains, "sites": options.sites}
            timing.write(
                {"settings": settings, "machine": machine, "summary": summary(rows), "rows": rows}, options.out
            )
    draw(pictures, options.out.with_suffix(".png"))
    print(table(summary(rows)))


def study(chain: Chain, seed: int, chains: int, sites: int) -> tuple[Row, States]:
    """One law from so many chains, and the states of half as many others that it is tested on."""
    generator = torch.Generator().manual_seed(seed)
    states, others = (eigenstates(chain, count, generator, sites=sites) for count in (chains, chains // 2))
    began = time.process_time()
    found = discover_threshold(
        states.parameters,
        states.energy,
        states.extended == chain.extended_below,
        groups=states.chain,
        names=list(chain.parameters),
        output="E",
        seed=seed,
    )
    seconds = time.process_time() - began
    row = {
        "model": chain.name,
        "seed": seed,
        "law": str(found.formula.expressions[0]),
        "text": str(found.formula),
        "exact": is_law(found, chain),
        "accuracy": accuracy(found.formula(others.parameters)[:, 0], others, chain),
        "theory": accuracy(chain.edge(*others.parameters.T), others, chain),
        "paper": PAPER.get(chain.name),
        "cpu_seconds": round(seconds, 1),
        "alternatives": [{"law": str(a.formula.rounded()[0]), "accuracy": a.accuracy} for a in found.alternatives],
    }
    return row, others


def accuracy(edge: np.ndarray, states: States, chain: Chain) -> float:
    """The share of states on the side of the edge where they belong."""
    return float(((states.energy < edge) == (states.extended == chain.extended_below)).mean())


def is_law(found: Threshold, chain: Chain) -> bool:
    """Whether the formula is the one of theory, with exact numbers."""
    symbols = {str(s): s for s in found.formula.inputs}
    expression = found.formula.expressions[0]
    same = sympy.simplify(expression - sympy.parse_expr(LAWS[chain.name], local_dict=symbols)) == 0
    return bool(same) and not expression.atoms(sympy.Float)


def summary(rows: Sequence[Row]) -> list[Row]:
    """Every model over its seeds."""
    found = []
    for name in dict.fromkeys(row["model"] for row in rows):
        some = [row for row in rows if row["model"] == name]
        found.append(
            {
                "model": name,
                "seeds": len(some),
                "exact": sum(row["exact"] for row in some),
                "accuracy": statistics.mean(row["accuracy"] for row in some),
                "worst": min(row["accuracy"] for row in some),
                "theory": statistics.mean(row["theory"] for row in some),
                "paper": PAPER.get(name),
                "cpu_seconds": statistics.median(row["cpu_seconds"] for row in some),
            }
        )
    return found


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """The summary as text."""
    lines = ["model    exact  accuracy  worst   theory  paper (automatic)  median CPU s"]
    for s in found:
        paper = f"{s['paper']:.1%}" if s["paper"] else "-"
        lines.append(
            f"{s['model']:7s}  {s['exact']}/{s['seeds']}    {s['accuracy']:.2%}    {s['worst']:.2%}  {s['theory']:.2%}"
            f"{paper:>19s}  {s['cpu_seconds']:12.1f}"
        )
    return "\n".join(lines)


def draw(pictures: Sequence[tuple[Chain, States, Row]], path: Path) -> None:
    """States of the chains that were tested on, by energy and by the law found: the diagonal parts them."""
    figure = new_figure(4.0 * len(pictures), 3.8)
    for ax, (chain, states, row) in zip(figure.subplots(1, len(pictures), squeeze=False)[0], pictures, strict=True):
        symbols = sympy.symbols(list(chain.parameters), real=True)
        law = sympy.parse_expr(row["law"], local_dict={str(s): s for s in symbols})
        edge = sympy.lambdify(symbols, law, "numpy")(*states.parameters.T)
        low, high = np.quantile(states.energy, [0.005, 0.96])  # localised states reach far up where alpha is near one
        for extended, color, label in ((True, "C0", "extended"), (False, "C3", "localised")):
            some = states.extended == extended
            ax.plot(edge[some], states.energy[some], ",", color=color)
            ax.plot([], [], "s", color=color, ms=4, label=label)
        ax.plot([low, high], [low, high], "k-", lw=0.8)
        ax.set(xlim=(low, high), ylim=(low, high), xlabel=row["text"].replace("E = ", "law: "))
        ax.set_ylabel("energy" if chain.name != "mosaic" else "|energy|")
        ax.set_title(f"{chain.name}: {row['accuracy']:.2%}, theory {row['theory']:.2%}", fontsize=9)
        ax.legend(fontsize=7, loc="upper left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
