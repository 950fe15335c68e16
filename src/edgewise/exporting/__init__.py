"""Writes models as files of other runtimes, runs every file there and reports how far it is from the model."""

from edgewise.exporting.export import export as export
from edgewise.exporting.export_report import ExportError as ExportError, ExportReport as ExportReport
from edgewise.exporting.export_run import export_run as export_run
from edgewise.exporting.file_format import Format as Format
from edgewise.exporting.formats import find_format as find_format, formats as formats
from edgewise.exporting.subject import Subject as Subject

__all__ = ["ExportError", "ExportReport", "Format", "Subject", "export", "export_run", "find_format", "formats"]
