"""Wraps `KANGPT` as a model of the package transformers, with its configuration, `generate` and folders.

Importing this module registers the model for `AutoModelForCausalLM`. Its parameters have the names of those of `KANGPT`
with the prefix "gpt.".
"""

# transformers may be absent where types are checked.
# pyright: reportMissingImports=false, reportIncompatibleMethodOverride=false
from __future__ import annotations

import contextlib
from dataclasses import fields
from typing import Any, ClassVar

import torch
from torch import Tensor

try:
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        DynamicCache,
        GenerationMixin,
        PreTrainedConfig,
        PreTrainedModel,
    )
    from transformers.modeling_outputs import CausalLMOutputWithPast
except ImportError as error:
    raise ImportError(
        "edgewise.models.kan_gpt_transformers needs transformers: pip install edgewise[transformers]"
    ) from error

from edgewise.models.kan_gpt import KANGPT, GPTConfig
from edgewise.nn.blocks.attention import Past


class KANGPTConfig(PreTrainedConfig):
    """The settings of `GPTConfig` under its names and those of transformers, with bases as JSON (`basis.to_json()`)."""

    model_type: ClassVar[str] = "kan_gpt"
    attribute_map: ClassVar[dict[str, str]] = {
        "vocab_size": "symbols",
        "max_position_embeddings": "context",
        "num_hidden_layers": "layers",
        "num_attention_heads": "heads",
        "hidden_size": "features",
    }

    def __init__(self, symbols: int = 65, **settings: Any) -> None:
        self.symbols = symbols
        for field in fields(GPTConfig)[1:]:
            setattr(self, field.name, settings.pop(field.name, field.default))
        self.use_cache = settings.pop("use_cache", True)
        super().__init__(**settings)

    @classmethod
    def of(cls, config: GPTConfig, **more: Any) -> KANGPTConfig:
        """The settings of a `KANGPT`, and any setting of transformers."""
        return cls(**config.to_json(), **more)

    def as_gpt(self) -> GPTConfig:
        """The settings of the `KANGPT`."""
        return GPTConfig.from_json({field.name: getattr(self, field.name) for field in fields(GPTConfig)})


class KANGPTForCausalLM(PreTrainedModel, GenerationMixin):
    """The `KANGPT` in the attribute `gpt`, with the interface of transformers.

    All sequences of a batch have one length: there is no padding mask. `generate` raises beyond the context; the
    `generate` of `KANGPT` moves the window instead.
    """

    config_class = KANGPTConfig
    base_model_prefix = "gpt"
    main_input_name = "input_ids"

    def __init__(self, config: KANGPTConfig) -> None:
        super().__init__(config)
        # `from_pretrained` builds on the meta device, where the values that place the curves do not exist
        within = torch.device("cpu") if torch.get_default_device().type == "meta" else contextlib.nullcontext()
        with within:
            self.gpt = KANGPT(config.as_gpt())
        self.post_init()

    @classmethod
    def of(cls, model: KANGPT) -> KANGPTForCausalLM:
        """The same network; the parameters are shared."""
        found = cls(KANGPTConfig.of(model.config))
        found.gpt = model
        return found

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: DynamicCache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """Logits of the next index at every position; with labels as in transformers, also the mean cross-entropy."""
        if attention_mask is not None and not bool(attention_mask.all()):
            raise ValueError("KANGPT has no padding mask; give sequences of equal length, or one at a time")
        cache = past_key_values
        if cache is None and (self.config.use_cache if use_cache is None else use_cache):
            cache = DynamicCache()
        begin = 0 if cache is None else cache.get_seq_length()
        logits, seen = self.gpt.extend(input_ids, _pasts(cache) if begin else None)
        if cache is not None:
            for n, past in enumerate(seen):
                cache.update(past.keys[..., begin:, :], past.values[..., begin:, :], n)
        loss = None
        if labels is not None:
            loss = torch.nn.functional.cross_entropy(logits[..., :-1, :].flatten(0, -2), labels[..., 1:].flatten())
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=cache)

    def _init_weights(self, module: torch.nn.Module) -> None:
        """Nothing: `KANGPT` has initialised its parameters."""


def _pasts(cache: Any) -> list[Past]:
    return [Past(layer.keys, layer.values) for layer in cache.layers]


AutoConfig.register(KANGPTConfig.model_type, KANGPTConfig)
AutoModelForCausalLM.register(KANGPTConfig, KANGPTForCausalLM)
