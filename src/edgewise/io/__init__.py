"""Files: save and load networks, folders of the Hugging Face hub, networks of other libraries."""

from edgewise.io.files import (
    FORMAT as FORMAT,
    FileFormatError as FileFormatError,
    as_format_error as as_format_error,
    load as load,
    read_file as read_file,
    read_header as read_header,
    save as save,
    write_file as write_file,
)
from edgewise.io.whole import write_whole as write_whole

__all__ = [
    "FORMAT",
    "FileFormatError",
    "as_format_error",
    "load",
    "read_file",
    "read_header",
    "save",
    "write_file",
    "write_whole",
]
