"""Networks of other KAN libraries as networks of this one: equal outputs, or an error that names what cannot be held.

Every function takes a live network, what the library stores of one, or a file of that. The libraries themselves are not
imported.
"""

from collections.abc import Callable
from typing import Any

from edgewise.io.peers.efficient_kan import from_efficient_kan as from_efficient_kan
from edgewise.io.peers.fastkan import from_fastkan as from_fastkan
from edgewise.io.peers.jaxkan import from_jaxkan as from_jaxkan
from edgewise.io.peers.uniform_cubics import from_flashkan as from_flashkan, from_inkan as from_inkan
from edgewise.io.pykan import from_pykan as from_pykan

PEERS: dict[str, Callable[..., Any]] = {
    "efficient-kan": from_efficient_kan,
    "fast-kan": from_fastkan,
    "flashkan": from_flashkan,
    "inkan": from_inkan,
    "jaxkan": from_jaxkan,
    "pykan": from_pykan,
}
"""The function of every library, by the name of the library."""

__all__ = [
    "PEERS",
    "from_efficient_kan",
    "from_fastkan",
    "from_flashkan",
    "from_inkan",
    "from_jaxkan",
    "from_pykan",
]
