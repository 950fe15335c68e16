"""Two processes end where one does: the recipe of examples/ddp.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_examples import load

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "ddp.py"
STEPS = 5
WAYS = {"replicated": [], "sharded": ["--shard"]}

# Both ways in the same two processes, whose start takes most of the time; the count keeps their groups apart.
PROGRAM = f"""
import os, runpy, sys
for count, (way, options) in enumerate({WAYS}.items()):
    os.environ["SAVE"], os.environ["TORCHELASTIC_RESTART_COUNT"] = way + ".pt", str(count)
    sys.argv = [{str(EXAMPLE)!r}, *options]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder with the parameters that two processes saved."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this build of torch has no gloo")
    folder = tmp_path_factory.mktemp("distributed")
    (folder / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "program.py"]
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"STEPS": str(STEPS), "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("2 processes") == len(WAYS)
    return folder


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_are_one(way, finished) -> None:
    example = load("ddp")
    alone = example.network()
    example.train(alone, STEPS)
    together = torch.load(finished / f"{way}.pt", weights_only=True)
    for name, value in alone.state_dict().items():
        assert torch.allclose(together[name], value, rtol=0, atol=1e-10), name
