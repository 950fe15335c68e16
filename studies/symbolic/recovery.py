"""How often a law is found from samples alone: the equations of the KAN paper and of AI Feynman, clean and noisy.

A law counts as recovered when every number in it is exact and it agrees with the equation to 25 digits at eight random
points, which for expressions of this kind means that the two are the same. A false claim is a law announced as exact
that is wrong in a box a quarter wider, at either end, than the one that the samples were drawn from.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sympy
import torch

from edgewise.discovery import Discovery, discover
from studies import timing
from studies.problems.feynman import EQUATIONS, KAN_PAPER, TUTORIALS, Equation

log = logging.getLogger(__name__)

SETS: Mapping[str, Mapping[str, Equation]] = {"kan-paper": KAN_PAPER, "feynman": EQUATIONS, "tutorials": TUTORIALS}

FILES = {"kan-paper": "symbolic.json", "feynman": "feynman.json", "tutorials": "tutorials.json"}

SEEDS = (1000, 1001, 1002, 1003, 1004)
"""Seeds that no decision about the method was taken with."""

Row = dict[str, Any]


def main(arguments: Sequence[str] = ()) -> None:
    """`edgewise reproduce symbolic`: samples of every equation into `discover`, a table and a file of results."""
    parser = argparse.ArgumentParser(prog="edgewise reproduce symbolic", description=main.__doc__)
    parser.add_argument("--set", choices=SETS, default="kan-paper", help="which equations")
    parser.add_argument("--names", nargs="+", help="only these of them")
    parser.add_argument("--every", type=int, default=1, help="only every n-th of them")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--noise", nargs="+", type=float, default=[0.0, 0.01], help="in standard deviations of y")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=60.0, help="of CPU time per equation")
    parser.add_argument("--total", type=float, default=3600.0, help="begin no equation after so many seconds")
    parser.add_argument("--out", type=Path, help="the file of results; what it holds already is not run again")
    options = parser.parse_args(arguments)
    equations = SETS[options.set]
    unknown = set(options.names or ()) - set(equations)
    if unknown:
        parser.error(f"no equation {', '.join(sorted(unknown))} in {options.set}; it has {', '.join(equations)}")
    chosen = [equations[name] for name in options.names or list(equations)[:: options.every]]
    out = options.out or timing.RESULTS / FILES[options.set]
    result = study(
        chosen,
        options.seeds,
        options.noise,
        samples=options.samples,
        max_seconds=options.seconds,
        total_seconds=options.total,
        out=out,
    )
    print(table(result))


def study(
    equations: Iterable[Equation],
    seeds: Iterable[int],
    noises: Sequence[float],
    *,
    samples: int = 2000,
    max_seconds: float = 60.0,
    total_seconds: float = float("inf"),
    out: Path | None = None,
) -> dict[str, Any]:
    """Every equation for every seed and noise.

    Args:
        equations: what to look for.
        seeds: of the samples, the noise and the search.
        noises: standard deviations of the noise in units of that of y.
        samples: per equation.
        max_seconds: of CPU time per equation, see `discover`.
        total_seconds: begin no equation after this time.
        out: JSON file, written after every equation. Rows that it holds already, of the same settings, are kept.
    """
    settings = {"samples": samples, "max_seconds": max_seconds}
    machine = timing.environment()
    rows = _kept(out, settings)
    done = {(row["equation"], row["noise"], row["seed"]) for row in rows}
    equations = list(equations)
    wanted = [(e, noise, seed) for seed in seeds for noise in noises for e in equations]
    total = len(done | {(e.name, noise, seed) for e, noise, seed in wanted})
    began = time.monotonic()
    for equation, noise, seed in wanted:
        if (equation.name, noise, seed) in done:
            continue
        if time.monotonic() - began > total_seconds:
            log.warning("%d seconds are over: the table is not complete", total_seconds)
            break
        row = _row(equation, seed, noise, samples, max_seconds)
        log.info("%(equation)s, noise %(noise)g, seed %(seed)d: %(outcome)s in %(cpu_seconds)g s: %(law)s", row)
        rows.append(row | {"commit": machine["commit"]})
        if out is not None:
            timing.write(_result(settings, machine, rows, total), out)
    result = _result(settings, machine, rows, total)
    if out is not None:
        timing.write(result, out)
    return result


def table(result: Mapping[str, Any]) -> str:
    """The summary as text, and what was not recovered."""
    lines = ["noise  seed  recovered      law  refused  false claims  median CPU s  longest"]
    for part in result["summary"]:
        for seed, count in part["per_seed"].items():
            lines.append(
                f"{part['noise']:5g}  {seed:>4}  {count['recovered']:3d} of {count['run']:3d}  "
                f"{count['law']:7d}  {count['refused']:7d}  {count['false_claims']:12d}  "
                f"{count['median_cpu_seconds']:12.1f}  {count['longest_cpu_seconds']:7.1f}"
            )
    lines += ["", "not recovered:"]
    for row in result["rows"]:
        if row["outcome"] != "recovered":
            shown = f"y = {row['text']}" if row["law"] else row["reason"]
            lines.append(f"  {row['equation']}, noise {row['noise']:g}, seed {row['seed']}: {shown}")
    if result["run"] < result["wanted"]:
        lines.append(f"{result['wanted'] - result['run']} of {result['wanted']} were not run")
    return "\n".join(lines)


def _row(equation: Equation, seed: int, noise: float, samples: int, max_seconds: float) -> Row:
    generator = torch.Generator().manual_seed(seed)
    x, y = equation.sample(samples, generator)
    y = y + noise * y.std() * torch.randn(len(y), generator=generator, dtype=torch.float64)
    began = time.process_time()
    found = discover(x, y, names=list(equation.ranges), max_seconds=max_seconds, seed=seed, clock=time.process_time)
    seconds = time.process_time() - began
    recovered = is_recovered(found, equation)
    outside = _error_outside(found, equation)
    return {
        "equation": equation.name,
        "seed": seed,
        "noise": noise,
        "outcome": "recovered" if recovered else "refused" if found.law is None else "law",
        "announced_exact": found.exact,
        "false_claim": found.exact and not outside < 1e-6,
        "law": None if found.law is None else str(found.formula.expressions[0]),
        "text": None if found.law is None else str(found.formula.rounded()[0]),
        "error": None if found.law is None else found.law.error,
        "extrapolation_error": None if found.law is None else found.law.extrapolation_error,
        "wider_box_error": None if found.law is None else outside,
        "curves_error": found.curves_error,
        "reason": found.reason,
        "cpu_seconds": round(seconds, 2),
    }


def is_recovered(found: Discovery, equation: Equation) -> bool:
    """Whether the announced law is the equation, as expressions with exact numbers."""
    if found.law is None or found.formula.expressions[0].atoms(sympy.Float):
        return False
    difference = found.formula.expressions[0] - equation.expression
    x, _ = equation.sample(8, torch.Generator().manual_seed(0))
    points = [dict(zip(equation.variables, map(sympy.Rational, row), strict=True)) for row in x.tolist()]
    return all(abs(sympy.N(difference.subs(p), 30, chop=False)) < 1e-25 for p in points)


def _error_outside(found: Discovery, equation: Equation) -> float:
    """The law against the equation in the wider box, noise-free, in standard deviations of y there."""
    if found.law is None:
        return float("nan")
    x, y = equation.sample(2000, torch.Generator().manual_seed(1), wider=0.25)
    return ((found.formula(x)[:, 0] - y).square().mean().sqrt() / y.std()).item()


def _kept(out: Path | None, settings: Mapping[str, Any]) -> list[Row]:
    if out is None or not out.exists():
        return []
    old = json.loads(out.read_text())
    if old.get("settings") != settings:
        raise ValueError(f"{out} holds results of other settings ({old.get('settings')}); give another --out")
    return old["rows"]


def _result(settings: Mapping[str, Any], machine: Mapping[str, Any], rows: list[Row], wanted: int) -> dict[str, Any]:
    return {
        "settings": dict(settings),
        "machine": dict(machine),
        "wanted": wanted,
        "run": len(rows),
        "summary": [_summary(rows, noise) for noise in sorted({row["noise"] for row in rows})],
        "rows": rows,
    }


def _summary(rows: list[Row], noise: float) -> dict[str, Any]:
    """What came of every seed, by outcome, and over the seeds."""
    per_seed = {}
    for seed in sorted({row["seed"] for row in rows if row["noise"] == noise}):
        some = [row for row in rows if row["noise"] == noise and row["seed"] == seed]
        seconds = [row["cpu_seconds"] for row in some]
        per_seed[str(seed)] = {
            "run": len(some),
            **{outcome: sum(r["outcome"] == outcome for r in some) for outcome in ("recovered", "law", "refused")},
            "false_claims": sum(r["false_claim"] for r in some),
            "median_cpu_seconds": statistics.median(seconds),
            "longest_cpu_seconds": max(seconds),
        }
    recovered = [count["recovered"] for count in per_seed.values()]
    return {
        "noise": noise,
        "median_recovered": statistics.median(recovered),
        "worst_recovered": min(recovered),
        "false_claims": sum(count["false_claims"] for count in per_seed.values()),
        "per_seed": per_seed,
    }
