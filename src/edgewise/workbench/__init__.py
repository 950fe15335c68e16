"""The studio: work on a network in its picture, in the browser, in a notebook or from Python, by one set of messages.

`edgewise studio RUN|TABLE` serves the page from the command line; `edgewise.studio(model, x, y)` is a widget at the end
of a cell, and its `open()` serves the page beside a script. `Workspace` is the same without a page.
"""

from edgewise.workbench.additive_workspace import AdditiveWorkspace as AdditiveWorkspace
from edgewise.workbench.branches import Branch as Branch, History as History
from edgewise.workbench.keeping import keep as keep
from edgewise.workbench.opening import (
    open_additive as open_additive,
    open_archive as open_archive,
    open_run as open_run,
    open_table as open_table,
)
from edgewise.workbench.serving import serve as serve
from edgewise.workbench.steps import ActionError as ActionError, SessionStep as SessionStep
from edgewise.workbench.studio import Studio as Studio, studio as studio
from edgewise.workbench.workspace import Workspace as Workspace

__all__ = [
    "ActionError",
    "AdditiveWorkspace",
    "Branch",
    "History",
    "SessionStep",
    "Studio",
    "Workspace",
    "keep",
    "open_additive",
    "open_archive",
    "open_run",
    "open_table",
    "serve",
    "studio",
]
