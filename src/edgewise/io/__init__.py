"""Files: networks, folders of the Hugging Face hub, networks of other libraries; every file is written whole."""

from edgewise.io.files import load as load, read_header as read_header, save as save
from edgewise.io.hub import (
    Pretrained as Pretrained,
    from_pretrained as from_pretrained,
    push_to_hub as push_to_hub,
    save_pretrained as save_pretrained,
)
from edgewise.io.peers import (
    PEERS as PEERS,
    from_efficient_kan as from_efficient_kan,
    from_fastkan as from_fastkan,
    from_flashkan as from_flashkan,
    from_inkan as from_inkan,
    from_jaxkan as from_jaxkan,
    from_pykan as from_pykan,
)
from edgewise.io.reading import FileFormatError as FileFormatError
from edgewise.io.whole import write_whole as write_whole

__all__ = [
    "PEERS",
    "FileFormatError",
    "Pretrained",
    "from_efficient_kan",
    "from_fastkan",
    "from_flashkan",
    "from_inkan",
    "from_jaxkan",
    "from_pretrained",
    "from_pykan",
    "load",
    "push_to_hub",
    "read_header",
    "save",
    "save_pretrained",
    "write_whole",
]
