"""Draw networks, edges and training curves: `diagram(model, x)` is data, and `svg`, `html` and `plot` render it.

`charts` is the module of all matplotlib charts; `charts.new_figure` makes a figure without any global state, for charts
of your own.
"""

from edgewise.viz.charts import (
    plot_edge as plot_edge,
    plot_edges as plot_edges,
    plot_history as plot_history,
    plot_importance as plot_importance,
)
from edgewise.viz.diagram_data import NOTEBOOK_RENDERERS, Diagram as Diagram, Edge as Edge, Node as Node
from edgewise.viz.from_model import diagram as diagram
from edgewise.viz.render_html import html as html
from edgewise.viz.render_mpl import plot as plot
from edgewise.viz.render_svg import svg as svg

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

NOTEBOOK_RENDERERS.update(svg=svg, html=html)
