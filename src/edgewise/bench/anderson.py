"""Mobility edges of quasi-periodic chains as laws: found from eigenstates, beside theory and the KAN paper's numbers.

In every chain that has both kinds of states the edge is where a cut in energy parts them best. Where the spectrum has a
gap there, the edge is known to the gap only; such chains are left out. The table of edges goes into `discover`, and the
law that comes back labels the states of fresh chains.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgewise.bench import timing
from edgewise.data.anderson import CHAINS, Chain, States, eigenstates
from edgewise.symbolic import Discovery, discover

log = logging.getLogger(__name__)

PAPER = {"GAAM": 0.990, "MAAM": 0.971, "mosaic": None}
"""Accuracy of the KAN paper's automatic formulas (table 5); for the mosaic model it prints none."""

WIDEST_GAP = 0.02


def main(arguments: Sequence[str] = ()) -> None:
    """`edgewise reproduce anderson`: mobility edges from eigenstates, a table and benchmarks/results/anderson.json."""
    parser = argparse.ArgumentParser(prog="edgewise reproduce anderson", description=main.__doc__)
    parser.add_argument("--models", nargs="+", choices=CHAINS, default=list(CHAINS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--chains", type=int, default=250, help="to find the law in; a fifth as many judge it")
    parser.add_argument("--sites", type=int, default=610)
    parser.add_argument("--seconds", type=float, default=60.0, help="of CPU time per search")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/anderson.json"))
    options = parser.parse_args(arguments)
    rows = []
    for seed in options.seeds:
        for name in options.models:
            rows.append(_row(CHAINS[name], seed, options.chains, options.sites, options.seconds))
            timing.write(
                {"machine": timing.environment(), "settings": vars(options) | {"out": None}, "rows": rows}, options.out
            )
    print("model   seed  theory   law  paper  edges  law of the edge")
    for row in rows:
        paper = "-" if row["paper"] is None else f"{row['paper']:.1%}"
        law = "-" if row["law_accuracy"] is None else f"{row['law_accuracy']:.1%}"
        print(
            f"{row['model']:7} {row['seed']:4d}  {row['theory_accuracy']:6.1%} {law:>6} {paper:>6}  {row['edges']:5d}  "
            f"{row['law'] or row['reason']}"
        )


def edges(chain: Chain, states: States) -> tuple[np.ndarray, np.ndarray]:
    """Parameters and mobility edge of the chains that have both kinds of states and no wide gap between them."""
    parameters, found = [], []
    for n in np.unique(states.chain):
        here = states.chain == n
        order = states.energy[here].argsort()
        energy, below = states.energy[here][order], states.extended[here][order] == chain.extended_below
        right = np.r_[0, below.cumsum()] + (~below).sum() - np.r_[0, (~below).cumsum()]
        best = np.flatnonzero(right == right.max())
        first, last = best[0], best[-1]
        if first > 0 and last < len(energy) and energy[last] - energy[first - 1] < WIDEST_GAP:
            parameters.append(states.parameters[here][0])
            found.append((energy[first - 1] + energy[last]) / 2)
    return np.array(parameters), np.array(found)


def accuracy(chain: Chain, states: States, edge: np.ndarray) -> float:
    """The share of the states that are on the right side of the edge."""
    return float(((states.energy < edge) == (states.extended == chain.extended_below)).mean())


def _row(chain: Chain, seed: int, chains: int, sites: int, seconds: float) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    x, y = edges(chain, eigenstates(chain, chains, generator, sites=sites))
    fresh = eigenstates(chain, max(chains // 5, 1), generator, sites=sites)
    found: Discovery = discover(
        x, y, names=list(chain.parameters), output="E", max_seconds=seconds, seed=seed, clock=time.process_time
    )
    law = None if found.law is None else found.formula
    theory = chain.edge(*fresh.parameters.T)
    return {
        "model": chain.name,
        "seed": seed,
        "edges": len(y),
        "law": None if law is None else str(law),
        "reason": found.reason,
        "spread_about_theory": float(np.std(y - chain.edge(*x.T)) / np.std(y)),
        "law_accuracy": None if law is None else accuracy(chain, fresh, law(fresh.parameters)[:, 0]),
        "theory_accuracy": accuracy(chain, fresh, theory),
        "paper": PAPER[chain.name],
        "alternatives": [{"law": str(a.formula), "error": a.error} for a in found.alternatives],
        "cpu_seconds": found.seconds,
    }
