"""The widget, the display of progress and short tracebacks in a real kernel, spoken to as a front end does."""

import queue

import pytest

manager = pytest.importorskip("jupyter_client.manager", reason="needs jupyter_client and ipykernel")
pytest.importorskip("ipykernel")
pytest.importorskip("anywidget")
pytestmark = pytest.mark.slow  # starts a kernel

VIEW = "application/vnd.jupyter.widget-view+json"
SETUP = """
import torch, edgewise as ew
from edgewise.tracebacks import short_tracebacks
x = torch.linspace(-1, 1, 50, dtype=torch.float64)[:, None]
model = ew.KAN([1, 1], dtype=torch.float64)
shown = ew.studio(model, x, torch.sin(2 * x))
shown
"""


@pytest.fixture(scope="module")
def kernel():
    running, client = manager.start_new_kernel()
    yield client
    client.stop_channels()
    running.shutdown_kernel(now=True)


def heard(kernel, until):
    """Messages that the kernel publishes, to the first one that `until` accepts."""
    found = []
    while True:
        try:
            found.append(kernel.get_iopub_msg(timeout=60))
        except queue.Empty:
            pytest.fail(f"the kernel fell silent after {[m['msg_type'] for m in found]}")
        if until(found[-1]):
            return found


def run(kernel, code):
    """All messages of a cell."""
    number = kernel.execute(code)
    idle = lambda m: m["parent_header"].get("msg_id") == number and m["content"].get("execution_state") == "idle"
    return heard(kernel, idle)


def test_a_cell_shows_the_widget_and_its_messages_reach_the_session(kernel):
    messages = run(kernel, SETUP)
    opened = [m["content"] for m in messages if m["msg_type"] == "comm_open"]
    states = {content["comm_id"]: content["data"]["state"] for content in opened}
    shown = next(m["content"]["data"] for m in messages if m["msg_type"] == "execute_result")
    comm = shown[VIEW]["model_id"]
    assert states[comm]["_model_module"] == "anywidget"
    assert ".studio" in states[comm]["style_sheet"]
    sent = {"comm_id": comm, "data": {"method": "custom", "content": {"do": "fit", "steps": 30, "id": 7}}}
    kernel.session.send(kernel.shell_channel.socket, "comm_msg", sent)

    def answers(message):
        content = message["content"].get("data", {}).get("content", {})
        return content.get("id") == 7 and "progress" not in content

    said = [m["content"]["data"]["content"] for m in heard(kernel, answers) if m["msg_type"] == "comm_msg"]
    assert said[-1] == {"id": 7, "ok": True, "current": 1}
    assert any("progress" in content for content in said)
    assert any("state" in content for content in said)
    told = run(kernel, "print(len(shown.work.tree.branches), shown.model is not model)")
    assert "2 True" in "".join(m["content"].get("text", "") for m in told)


def test_progress_is_one_bar_that_is_drawn_again(kernel):
    messages = run(kernel, "result = ew.fit(model, (x, torch.sin(2 * x)), ew.Auto(starts=1), progress=True)")
    kinds = [m["msg_type"] for m in messages]
    assert kinds.count("display_data") == 1
    assert "update_display_data" in kinds
    assert "stream" not in kinds
    drawn = [m["content"]["data"]["text/html"] for m in messages if "display_data" in m["msg_type"]]
    assert "<progress" in drawn[0]
    assert "<progress" not in drawn[-1]


def test_a_mistake_is_shown_without_our_frames(kernel):
    messages = run(kernel, "short_tracebacks()\new.KAN([1])")
    (error,) = [m["content"] for m in messages if m["msg_type"] == "error"]
    assert error["ename"] == "ValueError"
    assert not any("edgewise/nn" in line for line in error["traceback"])
