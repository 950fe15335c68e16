"""The widget of a notebook: the page's bundle and messages, through the kernel."""

import time

import pytest

import edgewise as ew
from edgewise.workbench.server import static_text

from .conftest import small

pytest.importorskip("anywidget")


@pytest.fixture
def shown(monkeypatch):
    """A widget, and what it sends to its front end."""
    model, x, y = small()
    made = ew.studio(model, x, y, title="beams").widget
    sent: list[dict] = []
    monkeypatch.setattr(made, "send", sent.append)
    return made, sent


def answered(made, sent, message) -> dict:
    """The answer to a message, as the front end sends it."""
    made._handle_custom_msg(message, [])
    for _ in range(2000):
        done = [m for m in sent if isinstance(m, dict) and m.get("id") == message.get("id") and "progress" not in m]
        if done:
            return done[-1]
        time.sleep(0.005)
    raise AssertionError("no answer")


def test_the_widget_has_the_bundle_of_the_page(shown):
    made, _ = shown
    assert made._esm == static_text("studio.js")
    assert made.style_sheet == static_text("studio.css")
    assert "export{" in static_text("studio.js")


def test_messages_change_the_session_that_python_sees(shown):
    made, sent = shown
    assert answered(made, sent, {"id": 1, "do": "fit", "steps": 20})["ok"]
    assert any(m.get("progress", {}).get("stage") == "fit" for m in sent)
    assert answered(made, sent, {"id": 2, "do": "fix", "edge": [0, 0, 0], "name": "sin"})["ok"]
    assert made.work.tree.current.id == 2
    assert [m["state"]["current"] for m in sent if "state" in m] == [0, 1, 2]
    made.work.act({"do": "undo"})
    assert sent[-1]["state"]["current"] == 1
    assert "error" in answered(made, sent, {"id": 3, "do": "fix", "edge": [0, 9, 0], "name": "sin"})
    made._handle_custom_msg(["nonsense"], [])
    assert answered(made, sent, {"id": 4, "do": "script"})["ok"]
