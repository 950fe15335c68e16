"""The studio: work on a network in its picture, in the browser or from Python, by one set of messages.

`edgewise studio RUN` serves the page from the command line, `edgewise.studio.open(model, x, y)` from a thread of a
script, and `edgewise.studio.widget(model, x, y)` shows it in a notebook. `Workspace` is the same without a page.
"""

from edgewise.studio.branches import Branch as Branch, History as History
from edgewise.studio.opening import open_archive as open_archive, open_run as open_run, open_table as open_table
from edgewise.studio.serving import OpenStudio as OpenStudio, open_studio as open, serve as serve, widget as widget
from edgewise.studio.steps import ActionError as ActionError, SessionStep as SessionStep
from edgewise.studio.workspace import Workspace as Workspace

__all__ = [
    "ActionError",
    "Branch",
    "History",
    "OpenStudio",
    "SessionStep",
    "Workspace",
    "open",
    "open_archive",
    "open_run",
    "open_table",
    "serve",
    "widget",
]
