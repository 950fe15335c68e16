"""Problems used in papers: tables that ship with the package, and their known answers."""

from edgewise.data.shipped import (
    Reference as Reference,
    ShippedTable as ShippedTable,
    load_knots as load_knots,
    shipped_tables as shipped_tables,
)

__all__ = ["Reference", "ShippedTable", "load_knots", "shipped_tables"]
