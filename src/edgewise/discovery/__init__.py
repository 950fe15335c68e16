"""From tables to laws: `discover` and what it knows of the structure of functions."""

from edgewise.discovery.discover import discover as discover
from edgewise.discovery.dynamics import Dynamics as Dynamics, discover_dynamics as discover_dynamics
from edgewise.discovery.grouped_laws import GroupedLaw as GroupedLaw, discover_groups as discover_groups
from edgewise.discovery.law import Discovery as Discovery, Law as Law
from edgewise.discovery.threshold import Threshold as Threshold, discover_threshold as discover_threshold
from edgewise.discovery.tree import Anatomy as Anatomy, Tree as Tree, anatomy as anatomy, tree as tree

__all__ = [
    "Anatomy",
    "Discovery",
    "Dynamics",
    "GroupedLaw",
    "Law",
    "Threshold",
    "Tree",
    "anatomy",
    "discover",
    "discover_dynamics",
    "discover_groups",
    "discover_threshold",
    "tree",
]
