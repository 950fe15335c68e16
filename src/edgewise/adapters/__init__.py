"""Fine-tunes a network by few parameters (LoTRA), or stores it in few (slim layers)."""

from edgewise.adapters._slot import Adapters as Adapters, adapter_names as adapter_names
from edgewise.adapters.lotra import (
    add_lotra as add_lotra,
    merge as merge,
    remove_adapter as remove_adapter,
    use_adapters_ as use_adapters_,
)
from edgewise.adapters.rates import (
    lotra_groups as lotra_groups,
    lotra_ratios as lotra_ratios,
    reparametrised as reparametrised,
)
from edgewise.adapters.slimming import expand as expand, slim as slim
from edgewise.adapters.state import (
    AdapterState as AdapterState,
    adapter_state as adapter_state,
    load_adapter as load_adapter,
    read_adapter as read_adapter,
    save_adapter as save_adapter,
    unmerge as unmerge,
)

__all__ = [
    "AdapterState",
    "Adapters",
    "adapter_names",
    "adapter_state",
    "add_lotra",
    "expand",
    "load_adapter",
    "lotra_groups",
    "lotra_ratios",
    "merge",
    "read_adapter",
    "remove_adapter",
    "reparametrised",
    "save_adapter",
    "slim",
    "unmerge",
    "use_adapters_",
]
