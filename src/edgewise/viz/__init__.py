"""Pictures of networks and of their training. A `Diagram` is data; the other functions draw it."""

from edgewise.viz.charts import (
    plot_edge as plot_edge,
    plot_edges as plot_edges,
    plot_history as plot_history,
    plot_importance as plot_importance,
)
from edgewise.viz.diagram import Diagram as Diagram, Edge as Edge, Node as Node
from edgewise.viz.from_model import diagram as diagram
from edgewise.viz.html import html as html
from edgewise.viz.mpl import plot as plot
from edgewise.viz.svg import svg as svg

__all__ = [
    "Diagram",
    "Edge",
    "Node",
    "diagram",
    "html",
    "plot",
    "plot_edge",
    "plot_edges",
    "plot_history",
    "plot_importance",
    "svg",
]
