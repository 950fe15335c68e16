"""From rows of numbers to a short formula: several ways to find candidates, one rule to choose."""

from edgewise.discovery.noisy.classes import search_class_formula as search_class_formula
from edgewise.discovery.noisy.curves import (
    formulas_of_networks as formulas_of_networks,
    pruned as pruned,
    trained as trained,
)
from edgewise.discovery.noisy.front import Finding as Finding, Front as Front
from edgewise.discovery.noisy.search import search_formula as search_formula

__all__ = ["Finding", "Front", "formulas_of_networks", "pruned", "search_class_formula", "search_formula", "trained"]
