"""The studio inside a notebook: a widget with the page's own bundle, whose messages go through the kernel.

It needs no address of its own, so that it works where the browser cannot reach the machine of the kernel.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from edgewise.progress import Event
from edgewise.workbench.desk import Desk
from edgewise.workbench.server import static_text

if TYPE_CHECKING:
    from anywidget import AnyWidget


def widget_of(work: Desk) -> AnyWidget:
    """The widget of a workspace, which is its attribute `work`; it needs anywidget."""
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ImportError("the widget needs anywidget: pip install edgewise[viz]") from error

    class StudioWidget(anywidget.AnyWidget):  # type: ignore[misc]
        _esm = static_text("studio.js")
        style_sheet = traitlets.Unicode(static_text("studio.css")).tag(sync=True)

    widget = StudioWidget()
    widget.work = work  # type: ignore[attr-defined]
    widget.on_msg(lambda sender, message, buffers: _in_thread(widget, work, message))
    work.listeners.append(lambda: widget.send({"state": work.state()}))
    return widget


def _in_thread(widget: Any, work: Desk, message: Any) -> None:
    """Answer a message in a thread, so that the kernel hears "stop" during a fit."""
    threading.Thread(target=_answer, args=(widget, work, message), daemon=True).start()


def _answer(widget: Any, work: Desk, message: Any) -> None:
    number = message.get("id") if isinstance(message, dict) else None

    def tell(event: Event) -> None:
        record = {"stage": event.stage, "fraction": event.fraction, "text": event.text}
        widget.send({"id": number, "progress": record})

    widget.send({"id": number, **work.act(message, tell)})
