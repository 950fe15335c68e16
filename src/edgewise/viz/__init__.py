"""Pictures of networks and of their training. A `Diagram` is data; the other functions draw it."""

from edgewise.viz.build import diagram as diagram
from edgewise.viz.diagram import Diagram as Diagram, Edge as Edge, Node as Node
from edgewise.viz.mpl import plot as plot
from edgewise.viz.svg import svg as svg

__all__ = ["Diagram", "Edge", "Node", "diagram", "plot", "svg"]
