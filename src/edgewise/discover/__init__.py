"""From rows of numbers to a short formula: several ways to find candidates, one rule to choose."""

from edgewise.discover.curves import formulas_of_networks as formulas_of_networks, pruned as pruned, trained as trained
from edgewise.discover.front import Discovery as Discovery, Finding as Finding
from edgewise.discover.search import discover as discover

__all__ = ["Discovery", "Finding", "discover", "formulas_of_networks", "pruned", "trained"]
