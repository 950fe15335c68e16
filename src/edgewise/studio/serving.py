"""Start the studio: in this process until Ctrl-C, or in a thread beside a notebook."""

from __future__ import annotations

import asyncio
import socket
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from edgewise._columns import as_tensor
from edgewise.nn import KAN
from edgewise.studio.notebook import widget_of
from edgewise.studio.server import ADDRESS, MAX_MESSAGE, StudioServer
from edgewise.studio.workspace import Workspace

if TYPE_CHECKING:
    from anywidget import AnyWidget


@dataclass(frozen=True)
class OpenStudio:
    """A studio that runs in a thread of this process; its state is `work.session`.

    Attributes:
        work: the workspace, which Python and the page see alike.
        url: the address of the page.
    """

    work: Workspace
    url: str
    _close: Callable[[], None]

    @property
    def model(self) -> KAN:
        """The network of the current state."""
        return self.work.session.model

    def close(self) -> None:
        """End the server; the workspace stays."""
        self._close()

    def _repr_html_(self) -> str:
        return f'<a href="{escape(self.url)}" target="_blank" rel="noopener">Open the studio</a>'


def open_studio(model: KAN, x: Any, y: Any, *, port: int = 0, browser: bool = True, **settings: Any) -> OpenStudio:
    """The studio for a network and its data, served by a thread of this process.

    Args:
        model: the network; it is not changed.
        x: inputs, as tensor, array or frame.
        y: targets, of the shape of the model's output; (n,) stands for (n, 1).
        port: where to listen; a free port by default.
        browser: open the page.
        settings: further arguments of `Workspace`.
    """
    work = workspace_of(model, x, y, **settings)
    listening = _listening(port)
    server = StudioServer(work, listening.getsockname()[1])
    running = _uvicorn(server)
    thread = threading.Thread(target=_in_own_loop, args=(running, listening), name="edgewise studio", daemon=True)
    thread.start()

    def close() -> None:
        running.should_exit = True
        work.stop()
        thread.join(10)

    if browser:
        webbrowser.open(server.url)
    return OpenStudio(work, server.url, close)


def widget(model: KAN, x: Any, y: Any, **settings: Any) -> AnyWidget:
    """The studio as a widget of a notebook, for any that shows anywidget; its session is `widget.work.session`.

    Args:
        model: the network; it is not changed.
        x: inputs, as tensor, array or frame.
        y: targets, of the shape of the model's output; (n,) stands for (n, 1).
        settings: further arguments of `Workspace`.
    """
    return widget_of(workspace_of(model, x, y, **settings))


def workspace_of(model: KAN, x: Any, y: Any, **settings: Any) -> Workspace:
    """The workspace of a network and data of any kind, in the network's own dtype."""
    inputs, targets = (as_tensor(value).to(next(model.parameters())) for value in (x, y))
    return Workspace(model, inputs, targets[:, None] if targets.ndim == 1 else targets, **settings)


def serve(work: Workspace, *, port: int = 0, browser: bool = True, announce: Callable[[str], None] = print) -> None:
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
