"""Restores folders of transformers models whose linear layers were swapped: import it before `from_pretrained`.

transformers rebuilds a model from its config, which knows linear layers alone. `swap_linear` therefore notes the
swapped layers in the config, where transformers has a place for layers of another kind: as a quantisation by the method
"edgewise", which this module registers. Without it loading ends in a size mismatch of `weight`.
"""

# transformers may be absent where types are checked, and declares quantisations of its own alone.
# pyright: reportMissingImports=false, reportPrivateImportUsage=false, reportAttributeAccessIssue=false
# pyright: reportArgumentType=false, reportIncompatibleMethodOverride=false
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import nn

try:
    from transformers.quantizers import HfQuantizer
    from transformers.quantizers.auto import register_quantization_config, register_quantizer
    from transformers.utils.quantization_config import QuantizationConfigMixin
except ImportError as error:
    raise ImportError("swapped models of transformers need edgewise[transformers]") from error

from edgewise.bases import basis_from_json
from edgewise.nn import KANLinear
from edgewise.surgery.swap import METHOD, note_swapped, swapped_layer


@register_quantization_config(METHOD)
class SwappedConfig(QuantizationConfigMixin):
    """The swapped layers by name, each with its basis."""

    def __init__(self, layers: Mapping[str, Mapping[str, Any]], **_: Any) -> None:
        self.quant_method, self.layers = METHOD, dict(layers)


@register_quantizer(METHOD)
class SwappedLayers(HfQuantizer):
    """Puts KAN layers where they were before the weights are read; afterwards nothing is left of a quantisation."""

    is_trainable = property(lambda _: True)

    def is_serializable(self) -> bool:
        return True

    def _process_model_before_weight_loading(self, model: nn.Module, **_: Any) -> None:
        known, layers = dict(model.named_modules()), self.quantization_config.layers
        for name, settings in layers.items():
            if not isinstance(known.get(name), nn.Module):
                raise ValueError(
                    f"the config names a swapped layer {name!r}, which {type(model).__name__} does not have"
                )
            model.set_submodule(name, swapped_layer(known[name], basis_from_json(settings), "random"))
        ignored: Any = model._keys_to_ignore_on_load_unexpected
        ours = (rf"{re.escape(name)}\.weight$" for name in layers)  # empty, see `note_swapped`
        model._keys_to_ignore_on_load_unexpected = {*(ignored or ()), *ours}

    def _process_model_after_weight_loading(self, model: Any, **_: Any) -> None:
        layers = self.quantization_config.layers
        self.remove_quantization_config(model)
        for module in model.modules():
            if isinstance(module, KANLinear):
                module._dense = bool(module.mask.all())
        note_swapped(model, layers)
