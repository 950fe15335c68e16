"""Two processes end where one does: the recipe of examples/ddp.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_examples import load

ROOT = Path(__file__).parents[2]
STEPS = 5
WAYS = {"replicated": "--replicate", "sharded": "--shard"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder where two processes, whose start takes most of the time, saved what they trained in both ways."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this build of torch has no gloo")
    folder = tmp_path_factory.mktemp("distributed")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(ROOT / "examples" / "ddp.py"), *WAYS.values()]
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"STEPS": str(STEPS), "SAVE": str(folder), "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
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
