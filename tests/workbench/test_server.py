"""The server answers its own page and nobody else."""

import json

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx2")

from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from edgewise.workbench.server import MAX_MESSAGE, StudioServer

HERE = "http://127.0.0.1:8123"
SOCKETS = "ws://127.0.0.1:8123/socket"
SOCKET = f"{SOCKETS}?token=secret"
PAGE = {"origin": HERE}


@pytest.fixture
def client(work):
    with TestClient(StudioServer(work, 8123, token="secret").app(), base_url=HERE) as client:
        yield client


def test_the_page_and_its_bundle_load_nothing_from_elsewhere(client):
    page = client.get("/?token=secret")
    assert page.status_code == 200
    assert "&lt;b&gt;" not in page.text  # the title is that of the output
    for name in ("studio.js", "studio.css"):
        assert f"/{name}?" in page.text
        assert client.get(f"/{name}").status_code == 200
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert client.get("/absent.js").status_code == 404
    assert client.get("/..%2f__init__.py").status_code == 404


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("/", {}),
        ("/?token=", {}),
        ("/?token=secre", {}),
        ("/?token=sécret", {}),
        ("/?token=secret", {"host": "evil.example:8123"}),
        ("/?token=secret", {"host": "127.0.0.1"}),
        ("/studio.js", {"host": "evil.example:8123"}),
    ],
)
def test_pages_need_the_token_and_this_host(client, address, headers):
    assert client.get(address, headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        (SOCKETS, PAGE),
        (f"{SOCKETS}?token=wrong", PAGE),
        (SOCKET, {}),
        (SOCKET, {"origin": "http://evil.example"}),
        (SOCKET, {"origin": "null"}),
        (SOCKET, {"origin": "https://127.0.0.1:8123"}),
        (SOCKET, {"origin": "http://evil.example:8123", "host": "evil.example:8123"}),
        (SOCKET, {"origin": "http://localhost:8123"}),
    ],
)
def test_sockets_need_token_host_and_origin(client, address, headers):
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(address, headers=headers):
        pass


def ask(socket, **message) -> dict:
    """The answer to one message; states and progress that come before it are dropped."""
    socket.send_text(json.dumps({"id": 1, **message}))
    while True:
        answer = json.loads(socket.receive_text())
        if answer.get("id") == 1 and "progress" not in answer:
            return answer


def test_a_session_over_the_socket(client):
    with client.websocket_connect(SOCKET, headers=PAGE) as socket:
        assert ask(socket, do="fit", steps=20)["ok"]
        assert ask(socket, do="fix", edge=[0, 0, 0], name="sin")["ok"]
        assert ask(socket, do="undo")["ok"]
        state = ask(socket, do="state")
        assert [branch["step"].split()[0] for branch in state["history"]] == ["start", "fit,", "sin"]
        assert state["current"] == 1
        assert "no edge" in ask(socket, do="remove", edge=[0, 5, 0])["error"]


def test_progress_and_new_states_come_by_themselves_to_every_page(client):
    with (
        client.websocket_connect(SOCKET, headers=PAGE) as first,
        client.websocket_connect(SOCKET, headers=PAGE) as second,
    ):
        assert ask(second, do="state")["ok"]
        first.send_text(json.dumps({"id": 5, "do": "fit", "steps": 10}))
        kinds = [json.loads(first.receive_text()) for _ in range(4)]
        assert any(message.get("progress", {}).get("stage") == "fit" for message in kinds)
        seen = [json.loads(second.receive_text())["state"] for _ in range(2)]
        assert [(state["busy"], state["current"]) for state in seen] == [(True, 0), (False, 1)]


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 50_000, '{"do": NaN}', '"' + "x" * MAX_MESSAGE + '"', "9" * 60_000, "null", '{"do": "fit"}']
)
def test_hostile_texts_give_errors_and_the_socket_lives(client, text):
    with client.websocket_connect(SOCKET, headers=PAGE) as socket:
        socket.send_text(text)
        answers = (json.loads(socket.receive_text()) for _ in range(2))
        assert "error" in next(answer for answer in answers if "state" not in answer)
        assert ask(socket, do="script")["ok"]


def test_a_binary_frame_ends_only_its_own_socket(client):
    with client.websocket_connect(SOCKET, headers=PAGE) as socket:
        socket.send_bytes(b"\x00")
    with client.websocket_connect(SOCKET, headers=PAGE) as socket:
        assert ask(socket, do="script")["ok"]
