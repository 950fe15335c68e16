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
from edgewise.tables.additive import AdditiveModel
from edgewise.workbench.additive_steps import AdditiveSession
from edgewise.workbench.additive_workspace import AdditiveWorkspace
from edgewise.workbench.notebook import widget_of
from edgewise.workbench.opening import open_additive, open_archive, open_run, open_table
from edgewise.workbench.serving import served
from edgewise.workbench.workspace import Workspace

if TYPE_CHECKING:
    from anywidget import AnyWidget


class Studio:
    """A studio: shown at the end of a cell it is a widget, and `open` shows it in the browser.

    Args:
        work: the workspace, which Python and every page see alike: a `Workspace`, or of an additive model an
            `AdditiveWorkspace`.
    """

    def __init__(self, work: Workspace | AdditiveWorkspace) -> None:
        self.work = work
        self.url: str | None = None
        self._widget: Any = None
        self._close: Callable[[], None] = lambda: None

    @property
    def session(self) -> Session | AdditiveSession:
        """The state that is worked on."""
        return self.work.session

    @property
    def model(self) -> KAN | AdditiveModel:
        """The network, or the additive model, of the state that is worked on."""
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
        of_network = isinstance(self.work, Workspace)
        score = f"error {branch.error:.3g}" if of_network else f"deviance explained {1 - branch.error:.3g}"
        return f"Studio of {self.work.name}: {states}, {score}; {place}"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        try:
            bundle = self.widget._repr_mimebundle_(**options)
            data = bundle[0] if isinstance(bundle, tuple) else bundle
            if data is not None:
                data["text/plain"] = repr(self)
            return bundle
        except ImportError:
            link = "" if self.url is None else f'<a href="{escape(self.url)}" target="_blank" rel="noopener">'
            html = f"{link}Open the studio</a>" if link else f"<pre>{escape(repr(self))}</pre>"
            return {"text/plain": repr(self), "text/html": html}


def studio(source: Any, x: Any = None, y: Any = None, *, target: str | None = None, **settings: Any) -> Studio:
    """The studio of a network and its data, of a fitted additive estimator, of a table, a run, or an exported session.

    >>> import torch, edgewise as ew
    >>> x = torch.linspace(-1, 1, 50, dtype=torch.float64)[:, None]
    >>> shown = studio(ew.KAN([1, 1], dtype=torch.float64), x, torch.sin(2 * x))
    >>> shown.work.act({"do": "fit", "steps": 20})["ok"]
    True

    Args:
        source: a network, which is not changed; a fitted `KANAdditive` or `KANAdditiveClassifier`; a CSV or Parquet
            file or the name of a shipped table, for which a small network is trained first; the folder of a run of
            `edgewise fit`; or the ZIP archive of a session.
        x: inputs of the network, as tensor, array or frame.
        y: targets, of the shape of the network's output; (n,) stands for (n, 1).
        target: the column of the table to predict.
        settings: further arguments of `Workspace`, `AdditiveWorkspace`, `open_table` or `open_run`; of a table
            `additive=True` fits an additive model.
    """
    if isinstance(source, KAN):
        if x is None or y is None or target is not None:
            raise TypeError("a network is shown with its data: studio(model, x, y)")
        return Studio(workspace_of(source, x, y, **settings))
    if hasattr(source, "additive_") and hasattr(source, "rows_"):
        return Studio(AdditiveWorkspace(source.additive_, source.rows_, **settings))
    if not isinstance(source, str | Path):
        raise TypeError(
            "a studio opens on a KAN with its data, a fitted additive estimator, a table, a run or a session, "
            f"not {type(source).__name__}"
        )
    if x is not None or y is not None:
        raise TypeError(f"x and y belong to a network; of a table name the column: studio({str(source)!r}, target=...)")
    if target is not None:
        opened = open_additive if settings.pop("additive", False) else open_table
        return Studio(opened(str(source), target, **settings))
    if Path(source).is_dir():
        return Studio(open_run(Path(source), **settings))
    if Path(source).suffix == ".zip":
        return Studio(open_archive(Path(source), **settings))
    raise ValueError(f"{source} is no folder of a run; of a table name the column to predict: target=...")


def workspace_of(model: KAN, x: Any, y: Any, **settings: Any) -> Workspace:
    """The workspace of a network and data of any kind, in the network's own dtype."""
    inputs, targets = (as_tensor(value).to(next(model.parameters())) for value in (x, y))
    return Workspace(model, inputs, targets[:, None] if targets.ndim == 1 else targets, **settings)
