"""From rows of numbers to a short formula: several ways to find candidates, one rule to choose."""

from edgewise.discovery.noisy.class_formula import search_class_formula as search_class_formula
from edgewise.discovery.noisy.short_formula import (
    Finding as Finding,
    Front as Front,
    search_formula as search_formula,
    search_ratio as search_ratio,
)
from edgewise.discovery.noisy.small_networks import (
    formulas_of_networks as formulas_of_networks,
    prune_network as prune_network,
    train_network as train_network,
)

__all__ = [
    "Finding",
    "Front",
    "formulas_of_networks",
    "prune_network",
    "search_class_formula",
    "search_formula",
    "search_ratio",
    "train_network",
]
