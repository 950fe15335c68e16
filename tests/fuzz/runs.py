"""Runs that are killed at a random time, as by a power failure, and started again: commands and a training."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
QUICK = [sys.executable, str(HERE / "quick.py")]
PROBLEM = """
from edgewise.pde import Box, GaussNewton, Problem, dirichlet

problem = Problem(Box(x=(0, 1)), lambda u: u.dxx + 1.0, [dirichlet(0.0)])
settings = {"method": GaussNewton(starts=1, steps=40, rounds=2, intervals=(4,)), "seconds": 4}
"""


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


# ------------------------------------------------------------------------------------------------ kills


def killed(folder: Path, rng: random.Random, n: int) -> tuple[str, str]:
    """A command killed at a random time, as by a power failure, then started again: it ends as if nothing had been."""
    name = KILLED[n % len(KILLED)]
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
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
        return f"{name}: {'done' if done.returncode == 0 else 'foreign'}", done.stderr[-200:]
    again = COMMANDS[name] + (["--force"] if name != "discover" and (folder / "out").exists() else [])
    outcome, line = ran(again, folder, 600)
    if outcome == "done" and name == "fit":
        outcome, line = ran(["explain", "out"], folder, 300)
    return f"{name}: {outcome}", line


KILLED = ("fit", "solve", "discover", "checkpoint")
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
RUNS = {"killed": killed}
