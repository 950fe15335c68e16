"""From curves to symbols: search functions for edges, read a network as a formula, write a formula as a network."""

from edgewise.symbolic.edges import (
    Candidate as Candidate,
    search_edge as search_edge,
    search_layer as search_layer,
    suggest as suggest,
)
from edgewise.symbolic.network import EdgeReport as EdgeReport, Report as Report, symbolify as symbolify
from edgewise.symbolic.read import formula as formula
from edgewise.symbolic.session import Session as Session
from edgewise.symbolic.write import compile as compile

__all__ = [
    "Candidate",
    "EdgeReport",
    "Report",
    "Session",
    "compile",
    "formula",
    "search_edge",
    "search_layer",
    "suggest",
    "symbolify",
]
