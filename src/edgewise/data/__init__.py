"""Problems used in papers: tables that ship with the package and their known answers, and files to download."""

from edgewise.data.download import data_folder as data_folder, fetch as fetch
from edgewise.data.series import Series as Series, load_etth1 as load_etth1
from edgewise.data.shipped import (
    Reference as Reference,
    ShippedTable as ShippedTable,
    load_knots as load_knots,
    shipped_tables as shipped_tables,
)
from edgewise.data.text import (
    Characters as Characters,
    load_characters as load_characters,
    load_shakespeare as load_shakespeare,
)

__all__ = [
    "Characters",
    "Reference",
    "Series",
    "ShippedTable",
    "data_folder",
    "fetch",
    "load_characters",
    "load_etth1",
    "load_knots",
    "load_shakespeare",
    "shipped_tables",
]
