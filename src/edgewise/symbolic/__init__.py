"""From curves to formulas: search for functions, put them on edges, read the network as mathematics."""

from edgewise.symbolic.anatomy import Anatomy as Anatomy, anatomy as anatomy
from edgewise.symbolic.compile import compile as compile
from edgewise.symbolic.discover import discover as discover
from edgewise.symbolic.formula import Check as Check, Formula as Formula, formula as formula
from edgewise.symbolic.law import Discovery as Discovery, Law as Law
from edgewise.symbolic.search import (
    Candidate as Candidate,
    search_edge as search_edge,
    search_layer as search_layer,
    suggest as suggest,
)
from edgewise.symbolic.session import Session as Session
from edgewise.symbolic.symbolify import EdgeReport as EdgeReport, Report as Report, symbolify as symbolify
from edgewise.symbolic.threshold import Threshold as Threshold, discover_threshold as discover_threshold
from edgewise.symbolic.tree import Tree as Tree, tree as tree

__all__ = [
    "Anatomy",
    "Candidate",
    "Check",
    "Discovery",
    "EdgeReport",
    "Formula",
    "Law",
    "Report",
    "Session",
    "Threshold",
    "Tree",
    "anatomy",
    "compile",
    "discover",
    "discover_threshold",
    "formula",
    "search_edge",
    "search_layer",
    "suggest",
    "symbolify",
    "tree",
]
