"""A studio whose process is killed goes on where it was, in the session that it kept."""

import json
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

import edgewise as ew
from edgewise.workbench import keep

from .conftest import small

pytest.importorskip("uvicorn")
client = pytest.importorskip("websockets.sync.client")
pytestmark = pytest.mark.slow  # starts the command four times


@contextmanager
def command(kept):
    """The command on a kept session: its process, and what sends messages to it."""
    program = "import sys, edgewise.cli; sys.exit(edgewise.cli.main())"
    line = [sys.executable, "-c", program, "studio", str(kept), "--keep", str(kept), "--no-browser"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            origin = url.split("/?")[0]
            address = f"{origin}/socket?{url.split('?')[1]}".replace("http", "ws", 1)
            with client.connect(address, origin=origin, max_size=None) as socket:
                yield process, lambda message: answer(socket, message)
        finally:
            process.kill()


def answer(socket, message):
    socket.send(json.dumps({**message, "id": 1}))
    while True:
        heard = json.loads(socket.recv(timeout=60))
        if heard.get("id") == 1 and "progress" not in heard:
            return heard


def network():
    model, x, y = small(("a", "b"))
    return ew.studio(model, x, y).work, {"do": "fix", "edge": [0, 0, 0], "name": "sin"}


def additive():
    x = np.random.default_rng(0).uniform(-1, 1, (80, 2))
    return ew.studio(ew.KANAdditive().fit(x, x[:, 0] * x[:, 1])).work, {"do": "add_pair", "first": "x1", "second": "x2"}


@pytest.mark.parametrize("kind", [network, additive])
def test_a_killed_server_that_is_started_again_goes_on(kind, tmp_path):
    work, step = kind()
    keep(work, tmp_path / "kept.zip")
    with command(tmp_path / "kept.zip") as (process, ask):
        assert ask(step)["ok"]
        assert ask({"do": "name", "state": 1, "name": "mine"})["ok"]
        before = ask({"do": "state"})
        process.send_signal(signal.SIGKILL)
        process.wait()
    with command(tmp_path / "kept.zip") as (process, ask):
        after = ask({"do": "state"})
        assert ask({"do": "undo"})["current"] == 0
    before.pop("moment"), after.pop("moment")
    assert after == before
    assert after["history"][1]["name"] == "mine"
