"""Relations among the columns of a table, without a target; `ew.discover_relations` reads files too."""

from edgewise.discovery.relations.relations_found import Relation as Relation, Relations as Relations
from edgewise.discovery.relations.search_relations import search_relations as search_relations

__all__ = ["Relation", "Relations", "search_relations"]
