"""Fine-tune a network by few numbers, or store it in few: LoTRA and slim layers."""

from edgewise.adapters._slot import Adapters as Adapters, adapter_names as adapter_names
from edgewise.adapters.lotra import (
    add_lotra as add_lotra,
    merge as merge,
    remove_adapter as remove_adapter,
    use_adapters_ as use_adapters_,
)

__all__ = ["Adapters", "adapter_names", "add_lotra", "merge", "remove_adapter", "use_adapters_"]
