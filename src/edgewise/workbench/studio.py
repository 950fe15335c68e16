"""`studio`: the place where a network is worked on in its picture, as a widget of a notebook or a page of this machine.

Both homes, and Python, see one workspace.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewise._columns import as_tensor
from edgewise.nn import KAN
from edgewise.symbolic import Session
from edgewise.workbench.notebook import widget_of
from edgewise.workbench.opening import open_archive, open_run, open_table
from edgewise.workbench.serving import served
from edgewise.workbench.workspace import Workspace

if TYPE_CHECKING:
    from anywidget import AnyWidget


class Studio:
    """A studio: shown at the end of a cell it is a widget, and `open` shows it in the browser.

    Args:
        work: the workspace, which Python and every page see alike.
    """

    def __init__(self, work: Workspace) -> None:
        self.work = work
        self.url: str | None = None
        self._widget: Any = None
        self._close: Callable[[], None] = lambda: None

    @property
    def session(self) -> Session:
        """The state that is worked on."""
        return self.work.session

    @property
    def model(self) -> KAN:
        """The network of the state that is worked on."""
        return self.session.model

    def open(self, *, port: int = 0, browser: bool = True) -> Studio:
        """Serve the page on this machine by a thread of this process; its address is `url`.

        Args:
            port: where to listen; a free port by default.
            browser: open the page.
        """
        if self.url is None:
            self.url, self._close = served(self.work, port)
        if browser:
            import webbrowser

            webbrowser.open(self.url)
        return self

    def close(self) -> None:
        """End the server; the workspace stays."""
        self._close()
        self.url, self._close = None, lambda: None

    @property
    def widget(self) -> AnyWidget:
        """The widget for a notebook, which needs `edgewise[viz]`; always the same one."""
        if self._widget is None:
            self._widget = widget_of(self.work)
        return self._widget

    def __repr__(self) -> str:
        branch, count = self.work.tree.current, len(self.work.tree.branches)
        place = f"at {self.url}" if self.url else "`.open()` shows it in the browser"
        states = "1 state" if count == 1 else f"{count} states"
        return f"Studio of {self.work.name}: {states}, error {branch.error:.3g}; {place}"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        try:
            return self.widget._repr_mimebundle_(**options)
        except ImportError:
            link = "" if self.url is None else f'<a href="{escape(self.url)}" target="_blank" rel="noopener">'
            html = f"{link}Open the studio</a>" if link else f"<pre>{escape(repr(self))}</pre>"
            return {"text/plain": repr(self), "text/html": html}


def studio(
    source: KAN | str | Path, x: Any = None, y: Any = None, *, target: str | None = None, **settings: Any
) -> Studio:
    """The studio of a network and its data, of a table, of the folder of a run, or of an exported session.

    >>> import torch, edgewise as ew
    >>> x = torch.linspace(-1, 1, 50, dtype=torch.float64)[:, None]
    >>> shown = studio(ew.KAN([1, 1], dtype=torch.float64), x, torch.sin(2 * x))
    >>> shown.work.act({"do": "fit", "steps": 20})["ok"]
    True

    Args:
        source: a network, which is not changed; a CSV or Parquet file or the name of a shipped table, for which a small
            network is trained first; the folder of a run of `edgewise fit`; or the ZIP archive of a session.
        x: inputs of the network, as tensor, array or frame.
        y: targets, of the shape of the network's output; (n,) stands for (n, 1).
        target: the column of the table to predict.
        settings: further arguments of `Workspace`, `open_table` or `open_run`.
    """
    if isinstance(source, KAN):
        if x is None or y is None or target is not None:
            raise TypeError("a network is shown with its data: studio(model, x, y)")
        return Studio(workspace_of(source, x, y, **settings))
    if not isinstance(source, str | Path):
        raise TypeError(
            f"a studio opens on a KAN with its data, a table, a run or a session, not {type(source).__name__}"
        )
    if x is not None or y is not None:
        raise TypeError(f"x and y belong to a network; of a table name the column: studio({str(source)!r}, target=...)")
    if target is not None:
        return Studio(open_table(str(source), target, **settings))
    if Path(source).is_dir():
        return Studio(open_run(Path(source), **settings))
    if Path(source).suffix == ".zip":
        return Studio(open_archive(Path(source), **settings))
    raise ValueError(f"{source} is no folder of a run; of a table name the column to predict: target=...")


def workspace_of(model: KAN, x: Any, y: Any, **settings: Any) -> Workspace:
    """The workspace of a network and data of any kind, in the network's own dtype."""
    inputs, targets = (as_tensor(value).to(next(model.parameters())) for value in (x, y))
    return Workspace(model, inputs, targets[:, None] if targets.ndim == 1 else targets, **settings)
