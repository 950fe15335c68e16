"""From curves to symbols: search functions for edges, read a network as a formula, write a formula as a network."""

from edgewise.symbolic.edges import (
    Candidate as Candidate,
    search_edge as search_edge,
    search_layer as search_layer,
    suggest as suggest,
)
from edgewise.symbolic.read import formula as formula
from edgewise.symbolic.session import Session as Session
from edgewise.symbolic.symbolify import (
    EdgeReport as EdgeReport,
    SymbolifyReport as SymbolifyReport,
    symbolify as symbolify,
)
from edgewise.symbolic.write import from_formula as from_formula

__all__ = [
    "Candidate",
    "EdgeReport",
    "Session",
    "SymbolifyReport",
    "formula",
    "from_formula",
    "search_edge",
    "search_layer",
    "suggest",
    "symbolify",
]
