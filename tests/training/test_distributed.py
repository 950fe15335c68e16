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


@pytest.mark.parametrize("shard", [False, True], ids=["replicated", "sharded"])
def test_two_processes_are_one(shard, tmp_path) -> None:
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this build of torch has no gloo")
    saved = tmp_path / "state.pt"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(ROOT / "examples" / "ddp.py"), *(["--shard"] if shard else [])]
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"STEPS": str(STEPS), "SAVE": str(saved), "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 processes" in done.stdout
    example = load("ddp")
    alone = example.network()
    example.train(alone, STEPS)
    together = torch.load(saved, weights_only=True)
    for name, value in alone.state_dict().items():
        assert torch.allclose(together[name], value, rtol=0, atol=1e-10), name
