"""Files: save and load networks, folders of the Hugging Face hub, networks of pykan; every file is written whole."""

from edgewise.io.files import load as load, read_header as read_header, save as save
from edgewise.io.hub import (
    Pretrained as Pretrained,
    from_pretrained as from_pretrained,
    push_to_hub as push_to_hub,
    save_pretrained as save_pretrained,
)
from edgewise.io.pykan import from_pykan as from_pykan
from edgewise.io.reading import FileFormatError as FileFormatError
from edgewise.io.whole import write_whole as write_whole

__all__ = [
    "FileFormatError",
    "Pretrained",
    "from_pretrained",
    "from_pykan",
    "load",
    "push_to_hub",
    "read_header",
    "save",
    "save_pretrained",
    "write_whole",
]
