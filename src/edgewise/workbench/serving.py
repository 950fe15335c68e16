"""Start the studio: in this process until Ctrl-C, or in a thread beside a notebook."""

from __future__ import annotations

import asyncio
import socket
import threading
import webbrowser
from collections.abc import Callable
from typing import Any

from edgewise.workbench.desk import Desk
from edgewise.workbench.server import ADDRESS, MAX_MESSAGE, StudioServer


def served(work: Desk, port: int = 0, token: str | None = None) -> tuple[str, Callable[[], None]]:
    """Serve a workspace by a thread of this process; the address of the page, and what ends the server."""
    listening = _listening(port)
    server = StudioServer(work, listening.getsockname()[1], token)
    running = _uvicorn(server)
    thread = threading.Thread(target=_in_own_loop, args=(running, listening), name="edgewise studio", daemon=True)
    thread.start()

    def close() -> None:
        running.should_exit = True
        work.stop()
        thread.join(10)

    return server.url, close


def serve(work: Desk, *, port: int = 0, browser: bool = True, announce: Callable[[str], None] = print) -> None:
    """Serve a workspace until Ctrl-C; `announce` is given the address."""
    listening = _listening(port)
    server = StudioServer(work, listening.getsockname()[1])
    running = _uvicorn(server)
    announce(server.url)
    if browser:
        webbrowser.open(server.url)
    try:
        running.run(sockets=[listening])
    except KeyboardInterrupt:  # the way that a server is meant to end
        return


def _listening(port: int) -> socket.socket:
    """A socket of this machine alone."""
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((ADDRESS, port))
        listening.listen()  # so that a page that is opened at once waits for the server
    except OSError as error:
        listening.close()
        raise OSError(f"port {port} of {ADDRESS} cannot be used ({error}); choose another --port") from error
    return listening


def _uvicorn(server: StudioServer) -> Any:
    try:
        import uvicorn
    except ImportError as error:
        raise ImportError("the studio needs its extra: pip install edgewise[studio]") from error
    settings = uvicorn.Config(
        server.app(), log_level="warning", ws_max_size=MAX_MESSAGE, ws="websockets-sansio", server_header=False
    )
    return uvicorn.Server(settings)


def _in_own_loop(running: Any, listening: socket.socket) -> None:
    asyncio.run(running.serve(sockets=[listening]))
