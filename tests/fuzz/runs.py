"""Whole runs: `fit` on hostile tables, and `fit`, `discover` and `solve` killed at a random time and started again."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
QUICK = [sys.executable, str(HERE / "quick.py")]
PROBLEM = '''
from edgewise.pde import Box, GaussNewton, Problem, dirichlet

problem = Problem("u", lambda u, p: u.dxx + 1, Box(x=(0, 1)), [dirichlet(lambda p: 0 * p.x)])
settings = {"method": GaussNewton(starts=1, steps=40, rounds=2, intervals=(4,)), "seconds": 4}
'''


def ran(arguments: list[str], folder: Path, seconds: float) -> tuple[str, str]:
    """The outcome and the last line of a command: done, refused in words, or what it should not do."""
    try:
        done = subprocess.run(
            [*QUICK, *arguments], cwd=folder, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"slow: not ended after {seconds:.0f} s", " ".join(arguments)
    lines = done.stderr.strip().splitlines() or [""]
    if done.returncode in (0, 1) and "Traceback" not in done.stderr:
        return "done", ""
    if done.returncode == 2 and "Traceback" not in done.stderr:
        return "refused", lines[-1][:200]
    if done.returncode < 0:
        return f"crash: {signal.Signals(-done.returncode).name}", lines[-1][:200]
    return f"foreign: {lines[-1].split(':')[0][:60]}", lines[-1][:200]


# ------------------------------------------------------------------------------------------------ hostile tables

CELLS: list[Callable[[random.Random, int], str]] = [
    lambda rng, n: f"{rng.gauss(0, 1):.4g}",
    lambda rng, n: str(rng.randrange(5)),
    lambda rng, n: str(n),
    lambda rng, n: "1",
    lambda rng, n: "",
    lambda rng, n: rng.choice(["nan", "inf", "-inf", "NA", "None", "1e400", "1e308", "-1e308", "1e-320"]),
    lambda rng, n: rng.choice(["a", "b"]),
    lambda rng, n: f"name {n}",
    lambda rng, n: f"2024-01-{1 + n % 28:02d}",
    lambda rng, n: rng.choice(["1,5", "2,25", "3,0"]),
    lambda rng, n: rng.choice(["5%", "$5", "(3)", "1_000", "0x1f", "1,234.5", "−2", "½"]),
    lambda rng, n: rng.choice(["True", "False"]),
    lambda rng, n: str(rng.randrange(10**18, 10**20)),
    lambda rng, n: f"{1e9 + rng.random() * 1e-3:.12f}",
    lambda rng, n: rng.choice(["é", "\u202e", "<b>", "=1+1", "'", "a\tb", "x" * 500]),
    lambda rng, n: f"{rng.gauss(0, 1):.4g}" if rng.random() < 0.97 else rng.choice(["", "?", "-"]),
]
NAMES = ["a", "x-1", "a b", "2", "", "pi", "E", "a=b", "k", "lambda", "<script>", "y", "target", "é", "x" * 200, "sin(x)", "a,b"]
NAMES += ["Unnamed: 0", "temp_%", "`", "\\", "\u200b", "CON", "index", "mu_imag", "x_hat"]


def hostile_table(path: Path, rng: random.Random) -> None:
    """A CSV that someone may have: odd cells, odd names, few or no rows, ragged lines, other separators."""
    columns = [rng.choice(CELLS if rng.random() < 0.5 else CELLS[:3]) for _ in range(rng.choice([1, 2, 3, 3, 4, 8]))]
    rows = rng.choice([0, 1, 5, 9, 10, 11, 15, 25, 40, 40, 60])
    separator = rng.choice([",", ",", ",", ";", "\t", "|"])
    header = [rng.choice(NAMES) if rng.random() < 0.4 else f"c{n}" for n in range(len(columns))]
    lines = [[*header, "y"]]
    for n in range(rows):
        lines.append([*(cell(rng, n) for cell in columns), rng.choice([CELLS[0], columns[0], CELLS[1]])(rng, n)])
    if rng.random() < 0.1 and rows:
        rng.choice(lines).append("more")
    text = "\n".join(separator.join(_quoted(cell, separator) for cell in line) for line in lines) + "\n"
    path.write_bytes(text.encode(rng.choice(["utf-8", "utf-8", "utf-8", "utf-16", "utf-8-sig"])))


def _quoted(cell: str, separator: str) -> str:
    return f'"{cell}"' if separator in cell or "\n" in cell else cell


def hostile_fit(folder: Path, rng: random.Random) -> tuple[str, str]:
    """`edgewise fit` on a hostile table, then `explain` and `predict` where it ended well."""
    hostile_table(folder / "t.csv", rng)
    more = rng.choice([[], [], ["--missing", "drop"], ["--task", "classification"], ["--task", "regression"], ["--hidden", "2"]])
    command = ["fit", "t.csv", "--target", "y", "--out", "run", "--seconds", "0.5", "--hidden", "0", *more]
    outcome, line = ran(command, folder, 90)
    if outcome != "done":
        return outcome, line
    for again in (["explain", "run"], ["predict", "run", "t.csv", "--out", "p.csv"], ["predict", "run", "t.csv", "--formula"]):
        outcome, line = ran(again, folder, 60)
        if outcome != "done" and not (outcome == "refused" and ("no formula" in line or again[0] == "predict")):
            return f"{again[0]}: {outcome}", line
    return "done", ""


# ------------------------------------------------------------------------------------------------ kills


def killed(folder: Path, rng: random.Random) -> tuple[str, str]:
    """A command killed at a random time, as by a power failure, then started again: it ends as if nothing had been."""
    name = rng.choice(["fit", "discover", "solve", "checkpoint"])
    rows = [f"{a:.3f},{b:.3f},{2 * a + b * b:.6f}" for a, b in ((rng.random(), rng.random()) for _ in range(60))]
    (folder / "t.csv").write_text("a,b,y\n" + "\n".join(rows) + "\n")
    (folder / "problem.py").write_text(PROBLEM)
    (folder / "train.py").write_text(TRAIN)
    command = [*QUICK, *COMMANDS[name]] if name != "checkpoint" else [sys.executable, "train.py"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(rng.uniform(0, 1) * LONGEST[name])
    process.kill()
    process.wait()
    if name == "checkpoint":
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
        return f"{name}: {'done' if done.returncode == 0 else 'foreign'}", done.stderr[-200:]
    again = COMMANDS[name] + (["--force"] if name != "discover" and (folder / "out").exists() else [])
    outcome, line = ran(again, folder, 120)
    if outcome == "done" and name == "fit":
        outcome, line = ran(["explain", "out"], folder, 60)
    return f"{name}: {outcome}", line


COMMANDS = {
    "fit": ["fit", "t.csv", "--target", "y", "--out", "out", "--seconds", "1", "--hidden", "0"],
    "discover": ["discover", "t.csv", "--target", "y", "--out", "law.json", "--seconds", "3"],
    "solve": ["solve", "problem.py", "--out", "out", "--seconds", "4"],
}
LONGEST = {"fit": 20.0, "discover": 12.0, "solve": 12.0, "checkpoint": 8.0}
TRAIN = """
import torch, edgewise as ew
x = torch.linspace(-1, 1, 400, dtype=torch.float64).reshape(200, 2)
method = ew.FirstOrder("adam", steps=400, batch_size=50, checkpoint=ew.training.Checkpoint("state", every=1))
model = ew.KAN([2, 3, 1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
found = ew.fit(model, (x, x[:, :1].sin()), method)
through = ew.fit(model, (x, x[:, :1].sin()), ew.FirstOrder("adam", steps=400, batch_size=50))
assert found.history == through.history, "it resumed to another result"
"""
RUNS = {"fit, hostile table": hostile_fit, "killed": killed}
