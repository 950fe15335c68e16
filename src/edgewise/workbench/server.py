"""The studio over HTTP, for one person on one machine: the page, its bundle, and a WebSocket that carries messages.

The server listens on 127.0.0.1 only. Page and socket ask for a random token, which is in the URL that is printed; Host
must be this address, so that no other name leads here (DNS rebinding), and the Origin of a socket must be this page.
Nothing is loaded from elsewhere: the Content-Security-Policy allows the page's own script and style sheet only.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from edgewise.progress import Event
from edgewise.workbench.desk import Desk

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

ADDRESS = "127.0.0.1"
MAX_MESSAGE = 1 << 16
"""Letters of a message; no honest one comes near."""

BUNDLE = {"studio.js": "text/javascript", "studio.css": "text/css"}
REFUSED = 1008  # the WebSocket code for a policy that is broken


class StudioServer:
    """One workspace behind one token on one port.

    Args:
        work: what the page shows.
        port: where the server listens.
        token: the secret of the URL; a random one by default.
    """

    def __init__(self, work: Desk, port: int, token: str | None = None) -> None:
        self.work, self.port = work, port
        self.token = secrets.token_urlsafe(24) if token is None else token
        self._clients: set[_Client] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """The address of the page, token included."""
        return f"http://{ADDRESS}:{self.port}/?token={self.token}"

    def app(self) -> Starlette:
        """The ASGI application."""
        try:
            from starlette.applications import Starlette
            from starlette.routing import Route, WebSocketRoute
        except ImportError as error:
            raise ImportError("the studio needs its extra: pip install edgewise[studio]") from error
        routes = [
            Route("/", self._page),
            Route("/{name:str}", self._static),
            WebSocketRoute("/socket", self._socket),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Any) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        self.work.listeners.append(self._changed)
        try:
            yield
        finally:
            self.work.listeners.remove(self._changed)
            self.work.stop()

    async def _page(self, request: Request) -> Response:
        if not self._is_here(request) or not self._knows_token(request):
            return self._plain("this address needs the token that `edgewise studio` printed", 403)
        return self._response(_page(self.work), "text/html")

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if not self._is_here(request):
            return self._plain("this server is only for this machine", 403)
        if name not in BUNDLE:
            return self._plain("there is no such file", 404)
        return self._response(static_text(name), BUNDLE[name])

    async def _socket(self, socket: WebSocket) -> None:
        if not (self._is_here(socket) and self._knows_token(socket) and self._comes_from_page(socket)):
            await socket.close(REFUSED)
            return
        await socket.accept()
        client = _Client(socket, self.work)
        self._clients.add(client)
        try:
            await client.run()
        finally:
            self._clients.discard(client)

    def _changed(self) -> None:
        """Send the new state to every page; called in the thread of the step."""
        if self._loop is not None:
            text = json.dumps({"state": self.work.state()}, allow_nan=False)
            for client in list(self._clients):
                self._loop.call_soon_threadsafe(client.outgoing.put_nowait, text)

    def _is_here(self, connection: HTTPConnection) -> bool:
        return connection.headers.get("host", "") in (f"{ADDRESS}:{self.port}", f"localhost:{self.port}")

    def _knows_token(self, connection: HTTPConnection) -> bool:
        given = connection.query_params.get("token", "")
        return hmac.compare_digest(given.encode(), self.token.encode())

    def _comes_from_page(self, connection: HTTPConnection) -> bool:
        host = connection.headers.get("host", "")
        return connection.headers.get("origin", "") == f"http://{host}"

    def _plain(self, text: str, status: int) -> Response:
        return self._response(text, "text/plain", status)

    def _response(self, content: str, kind: str, status: int = 200) -> Response:
        from starlette.responses import Response

        sockets = f"ws://{ADDRESS}:{self.port} ws://localhost:{self.port}"
        return Response(
            content,
            status,
            media_type=kind,
            headers={
                "Content-Security-Policy": (
                    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
                    f"connect-src 'self' {sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
                ),
                "X-Content-Type-Options": "nosniff",
                "X-Frame-Options": "DENY",
                "Referrer-Policy": "no-referrer",
                "Cross-Origin-Opener-Policy": "same-origin",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Cache-Control": "no-store",
            },
        )


class _Client:
    """One open page: its messages are answered in threads, so that a question is answered during a fit."""

    def __init__(self, socket: WebSocket, work: Desk) -> None:
        self.socket, self.work = socket, work
        self.outgoing: asyncio.Queue[str] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the page closes."""
        from starlette.websockets import WebSocketDisconnect

        sender = asyncio.create_task(self._send())
        try:
            while True:
                text = await self.socket.receive_text()
                task = asyncio.create_task(self._answer(text))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except (WebSocketDisconnect, KeyError):  # a page that left, or a binary frame
            pass
        finally:
            sender.cancel()

    async def _send(self) -> None:
        while True:
            await self.socket.send_text(await self.outgoing.get())

    async def _answer(self, text: str) -> None:
        message = parsed(text)
        number = message.get("id") if isinstance(message, dict) and type(message.get("id")) is int else None
        loop = asyncio.get_running_loop()

        def tell(event: Event) -> None:
            record = {"stage": event.stage, "fraction": event.fraction, "text": event.text}
            loop.call_soon_threadsafe(self.outgoing.put_nowait, json.dumps({"id": number, "progress": record}))

        if isinstance(message, _Unreadable):
            answer: dict[str, Any] = {"error": str(message)}
        else:
            answer = await asyncio.to_thread(self.work.act, message, tell)
        self.outgoing.put_nowait(json.dumps({"id": number, **answer}, allow_nan=False))


class _Unreadable(ValueError):
    """A message that is no JSON."""


def parsed(text: str) -> Any:
    """The JSON value of a message, or an `_Unreadable` that says why there is none."""
    if len(text) > MAX_MESSAGE:
        return _Unreadable(f"a message has at most {MAX_MESSAGE} letters")
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return _Unreadable("a message is a JSON object")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _page(work: Desk) -> str:
    """The document around the bundle, whose digests are in the addresses, so that no browser keeps an old one."""
    marks = {name: hashlib.sha256(static_text(name).encode()).hexdigest()[:12] for name in BUNDLE}
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(work.state()['title'])} · edgewise studio</title>\n"
        f'<link rel="stylesheet" href="/studio.css?{marks["studio.css"]}">\n'
        f'<script type="module" src="/studio.js?{marks["studio.js"]}"></script>\n'
        '</head>\n<body>\n<div id="edgewise-studio"></div>\n'
        "<noscript>The studio is a page of scripts: please allow them for this address.</noscript>\n</body>\n</html>\n"
    )


def static_text(name: str) -> str:
    """A file of the page's bundle."""
    return files("edgewise.workbench").joinpath("static", name).read_text(encoding="utf-8")
