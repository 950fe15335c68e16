"""One self-contained page about a run: no script, no network, readable in print and in the dark."""

from edgewise.tables.report.page import Report as Report, page as page

__all__ = ["Report", "page"]
