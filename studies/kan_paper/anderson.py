"""Mobility edges of three quasi-periodic chains, found as laws from nothing but which states are extended.

Every eigenstate of a chain with random parameters is extended or localised, and the energy that separates the two is a
law of the parameters (see `studies.problems.anderson`). `discover_threshold` gets the parameters and the classes. The
accuracy is that of the KAN paper: the share of states on the right side, here on held-out chains.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sympy
import torch

from edgewise.discovery import Threshold, discover_threshold
from studies.figures import canvas, save
from studies.problems.anderson import CHAINS, Chain, States, eigenstates
from studies.result import StudyResult
from studies.study import Case, Row, Run, Settings, Study, grid, option
from studies.table import grouped

LAWS = {"GAAM": "2*(1 - lam)/alpha", "mosaic": "1/lam", "MAAM": "lam*cosh(p) - exp(p)"}
"""The mobility edges that theory knows."""

PAPER = {"GAAM": 0.990, "MAAM": 0.971}
"""What the KAN paper's automatic formulas reach; its own labels agree with theory for 99.2 % and 98.6 %."""


@dataclass(frozen=True)
class ChainSettings(Settings):
    """Settings of the study of chains."""

    models: tuple[str, ...] = option(tuple(CHAINS), "some", subset=True)
    chains: int = option(100, "number of training chains; half as many test the law")
    sites: int = option(610, "sites of a chain")


def cases(settings: ChainSettings, seeds: Sequence[int]) -> list[Case]:
    """Chains of every model and seed."""
    return grid(model=settings.models, seed=seeds)


def measure(case: Case, run: Run[ChainSettings]) -> Row:
    """One law, and its accuracy on other chains."""
    chain, seed = CHAINS[case["model"]], case["seed"]
    states, others = sampled(chain, seed, run.settings.chains, run.settings.sites)
    begun = time.process_time()
    found = discover_threshold(
        states.parameters,
        states.energy,
        states.extended == chain.extended_below,
        groups=states.chain,
        names=list(chain.parameters),
        output="E",
        seed=seed,
    )
    seconds = time.process_time() - begun
    return {
        "law": str(found.formula.expressions[0]),
        "text": str(found.formula),
        "exact": is_law(found, chain),
        "accuracy": accuracy(found.formula(others.parameters)[:, 0], others, chain),
        "theory": accuracy(chain.edge(*others.parameters.T), others, chain),
        "paper": PAPER.get(chain.name),
        "cpu_seconds": round(seconds, 1),
        "alternatives": [{"law": str(a.formula.rounded()[0]), "accuracy": a.accuracy} for a in found.alternatives],
    }


def sampled(chain: Chain, seed: int, chains: int, sites: int) -> tuple[States, States]:
    """The states of so many chains, and of half as many others."""
    generator = torch.Generator().manual_seed(seed)
    states, others = (eigenstates(chain, count, generator, sites=sites) for count in (chains, chains // 2))
    return states, others


def accuracy(edge: np.ndarray, states: States, chain: Chain) -> float:
    """The share of states on the side of the edge where they belong."""
    return float(((states.energy < edge) == (states.extended == chain.extended_below)).mean())


def is_law(found: Threshold, chain: Chain) -> bool:
    """Whether the formula is the one of theory, with exact constants."""
    symbols = {str(s): s for s in found.formula.inputs}
    expression = found.formula.expressions[0]
    same = sympy.simplify(expression - sympy.parse_expr(LAWS[chain.name], local_dict=symbols)) == 0
    return bool(same) and not expression.atoms(sympy.Float)


def summarise(rows: list[Row]) -> list[Row]:
    """Every model over its seeds."""
    return [
        {
            "model": some[0]["model"],
            "seeds": len(some),
            "exact": sum(row["exact"] for row in some),
            "accuracy": statistics.mean(row["accuracy"] for row in some),
            "worst": min(row["accuracy"] for row in some),
            "theory": statistics.mean(row["theory"] for row in some),
            "paper": PAPER.get(some[0]["model"]),
            "cpu_seconds": statistics.median(row["cpu_seconds"] for row in some),
        }
        for some in grouped(rows, ("model",))
    ]


def draw(result: StudyResult, folder: Path) -> None:
    """States of the test chains of the first seed, by energy and by the law found: the diagonal separates them."""
    firsts = [group[0] for group in grouped(result.rows, ("model",))]
    figure = canvas(4.0 * len(firsts), 3.8)
    for ax, row in zip(figure.subplots(1, len(firsts), squeeze=False)[0], firsts, strict=True):
        chain = CHAINS[row["model"]]
        _, states = sampled(chain, row["seed"], result.settings["chains"], result.settings["sites"])
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
    save(figure, folder / f"{result.study}.png")


STUDY = Study(
    name="anderson",
    title="Mobility edges of quasi-periodic chains: accuracy of the law found and of theory",
    cases=cases,
    measure=measure,
    summarise=summarise,
    draw=draw,
    settings=ChainSettings(),
    seeds=(1000, 1001, 1002, 1003, 1004),
    tiny=ChainSettings(("mosaic",), 12, 89),
)
