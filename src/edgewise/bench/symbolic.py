"""How often a law is found: the 27 Feynman equations of the KAN paper, from samples alone, with and without noise.

A law counts as recovered when every number in it is exact and it agrees with the equation to 25 digits at eight random
points, which for expressions of this kind means that the two are the same. A false claim is a law announced as exact
that is not.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sympy
import torch

from edgewise._version import __version__
from edgewise.data.functions import FUNCTIONS, TargetFunction
from edgewise.symbolic import Discovery, discover

log = logging.getLogger(__name__)

RESULTS = Path("benchmarks/results/symbolic.json")

EQUATIONS = {
    "I.6.2": "exp(-x1**2/(2*x2**2))/sqrt(2*pi*x2**2)",
    "I.6.2b": "exp(-(x1-x2)**2/(2*x3**2))/sqrt(2*pi*x3**2)",
    "I.9.18": "x1/((x2-1)**2+(x3-x4)**2+(x5-x6)**2)",
    "I.12.11": "1+x1*sin(x2)",
    "I.13.12": "x1*(1/x2-1)",
    "I.15.3x": "(1-x1)/sqrt(1-x2**2)",
    "I.16.6": "(x1+x2)/(1+x1*x2)",
    "I.18.4": "(1+x1*x2)/(1+x1)",
    "I.26.2": "asin(x1*sin(x2))",
    "I.27.6": "1/(1+x1*x2)",
    "I.29.16": "sqrt(1+x1**2-2*x1*cos(x2-x3))",
    "I.30.3": "sin(x1*x2/2)**2/sin(x2/2)**2",
    "I.30.5": "asin(x1/x2)",
    "I.37.4": "1+x1+2*sqrt(x1)*cos(x2)",
    "I.40.1": "x1*exp(-x2)",
    "I.44.4": "x1*log(x2)",
    "I.50.26": "cos(x1)+x2*cos(x1)**2",
    "II.2.42": "(x1-1)*x2",
    "II.6.15a": "x3*sqrt(x1**2+x2**2)/(4*pi)",
    "II.11.7": "x1*(1+x2*cos(x3))",
    "II.11.27": "x1*x2/(1-x1*x2/3)",
    "II.35.18": "x1/(exp(x2)+exp(-x2))",
    "II.36.38": "x1+x2*x3",
    "II.38.3": "x1/x2",
    "III.9.52": "x1*sin((x2-x3)/2)**2/((x2-x3)/2)**2",
    "III.10.19": "sqrt(1+x1**2+x2**2)",
    "III.17.37": "x1*(1+x2*cos(x3))",
}
"""The equations in the variables of `edgewise.data.functions`."""


def main() -> None:
    """`edgewise reproduce symbolic`: five seeds, noise-free and with 1 % noise, into benchmarks/results/."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    study(range(5), (0.0, 0.01), out=RESULTS)


def study(
    seeds: Iterable[int],
    noises: Sequence[float],
    *,
    names: Iterable[str] | None = None,
    samples: int = 2000,
    max_seconds: float = 60.0,
    out: Path | None = None,
) -> dict[str, Any]:
    """Every equation for every seed and noise; the table so far is written to `out` after each round of equations.

    Args:
        seeds: of the samples, the noise and the search.
        noises: standard deviations of the noise in units of that of y.
        names: of the equations; all by default.
        samples: per equation.
        max_seconds: per equation, see `discover`.
        out: JSON file.
    """
    names = list(EQUATIONS) if names is None else list(names)
    rows: list[dict[str, Any]] = []
    result: dict[str, Any] = {}
    for noise in noises:
        for seed in seeds:
            rows += [_row(FUNCTIONS[name], seed, noise, samples, max_seconds) for name in names]
            result = {"machine": _machine(), "samples": samples, "summary": _summary(rows), "rows": rows}
            if out is not None:
                _write(out, result)
    return result


def _row(target: TargetFunction, seed: int, noise: float, samples: int, max_seconds: float) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    x, y = target.sample(samples, generator)
    y = y + noise * y.std() * torch.randn(samples, generator=generator, dtype=torch.float64)
    began = time.process_time()
    found = discover(x, y, max_seconds=max_seconds, seed=seed)
    row = {
        "equation": target.name,
        "seed": seed,
        "noise": noise,
        "recovered": _recovered(found, target),
        "announced_exact": found.exact,
        "law": str(found.formula.expressions[0]) if found.law else None,
        "error": found.law.error if found.law else None,
        "extrapolation_error": found.law.extrapolation_error if found.law else None,
        "reason": found.reason,
        "cpu_seconds": round(time.process_time() - began, 2),
    }
    log.info("%s", {k: row[k] for k in ("equation", "seed", "noise", "recovered", "law", "cpu_seconds")})
    return row


def _recovered(found: Discovery, target: TargetFunction) -> bool:
    """Whether the announced law is the equation, as expressions with exact numbers."""
    if found.law is None or found.formula.expressions[0].atoms(sympy.Float):
        return False
    inputs = found.formula.inputs
    names = {str(s): s for s in inputs}
    difference = found.formula.expressions[0] - sympy.parse_expr(EQUATIONS[target.name], local_dict=names)
    x, _ = target.sample(8, torch.Generator().manual_seed(0))
    points = [dict(zip(inputs, map(sympy.Rational, row), strict=True)) for row in x.tolist()]
    return all(abs(sympy.N(difference.subs(p), 30, chop=False)) < 1e-25 for p in points)


def _summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per noise: equations recovered in each seed, false claims, CPU seconds."""
    table = []
    for noise in sorted({row["noise"] for row in rows}):
        some = [row for row in rows if row["noise"] == noise]
        per_seed = [sum(r["recovered"] for r in some if r["seed"] == s) for s in sorted({r["seed"] for r in some})]
        seconds = [row["cpu_seconds"] for row in some]
        table.append(
            {
                "noise": noise,
                "equations": len({row["equation"] for row in some}),
                "recovered_per_seed": per_seed,
                "false_claims": sum(row["announced_exact"] and not row["recovered"] for row in some),
                "wrong_laws": sum(row["law"] is not None and not row["recovered"] for row in some),
                "refused": sum(row["law"] is None for row in some),
                "median_cpu_seconds": statistics.median(seconds),
                "max_cpu_seconds": max(seconds),
            }
        )
    return table


def _machine() -> dict[str, Any]:
    return {
        "edgewise": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _write(path: Path, result: dict[str, Any]) -> None:
    """Aside first, so that no half file is ever in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".new")
    aside.write_text(json.dumps(result, indent=1) + "\n")
    os.replace(aside, path)
