"""Problems used in papers: functions, equations, and files to download."""

from studies.problems.download import data_folder as data_folder, fetch as fetch
from studies.problems.series import Series as Series, load_etth1 as load_etth1
from studies.problems.text import (
    Characters as Characters,
    load_characters as load_characters,
    load_shakespeare as load_shakespeare,
)

__all__ = [
    "Characters",
    "Series",
    "data_folder",
    "fetch",
    "load_characters",
    "load_etth1",
    "load_shakespeare",
]
