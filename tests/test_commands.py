"""The commands of the documentation are run, page by page, on files of the names that they give."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(?:console|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    lines = "\n".join(FENCE.findall(page.read_text())).replace("\\\n", " ").splitlines()
    return [line.partition(" #")[0].strip() for line in lines if line.startswith("edgewise ")]


def write_tables(folder: Path) -> None:
    """A table of every name in the documentation, with the columns that its command names."""
    import pandas as pd

    draw = np.random.default_rng(0)
    m, v, r = draw.uniform(1, 3, (3, 120))
    pd.DataFrame({"m": m, "v": v, "r": r, "F": m * v**2 / r}).to_csv(folder / "orbits.csv", index=False)
    measured = pd.DataFrame({"heat": m, "time": v, "yield": np.sin(2 * m) + v})
    measured.to_csv(folder / "measurements.csv", index=False)
    measured[["heat", "time"]].to_csv(folder / "new.csv", index=False)
    pd.DataFrame({"id": range(120), "a": m, "b": m**2, "c": v}).to_csv(folder / "table.csv", index=False)
    runs = []
    for run, start in enumerate((1.0, 2.0, 3.0)):
        seconds = np.linspace(0, 3, 40)
        heat = start * np.exp(-seconds) + 0.5 * (1 - np.exp(-seconds))
        runs.append(pd.DataFrame({"run": run, "seconds": seconds, "heater": 0.5, "heat": heat}))
    pd.concat(runs).to_csv(folder / "reactor.csv", index=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(page, tmp_path):
    write_tables(tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(sys.path)}
    for command in commands(page):
        if command.startswith("edgewise studio"):
            continue  # serves until it is stopped; tests/workbench starts, uses and stops it
        done = subprocess.run(
            ["bash", "-c", f"{sys.executable} -m {command}" if not shutil.which("edgewise", path=path) else command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
