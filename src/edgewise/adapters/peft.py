"""Registers LoTRA with PEFT: `get_peft_model(model, LotraConfig(...))`, on networks with KAN layers among others.

Importing this module registers the method, so that `PeftModel.from_pretrained` can load a saved adapter. The adapters
of `edgewise` itself do not need PEFT.
"""

# PEFT is not installed where types are checked, and the checker takes this file for it.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

try:
    from peft import PeftConfig, mapping
    from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, check_adapters_to_merge
except ImportError as error:
    raise ImportError("edgewise.adapters.peft needs PEFT: pip install edgewise[peft]") from error

from edgewise import functional
from edgewise.adapters.lotra import form_and_ranks
from edgewise.nn import KANLinear
from edgewise.nn.factors import Factors


class LotraType(str, Enum):  # noqa: UP042  PEFT shows what follows the dot of "LotraType.LOTRA", which StrEnum lacks
    """The name of the method; a member of PEFT's own enum cannot be added from outside."""

    LOTRA = "LOTRA"


@dataclass
class LotraConfig(PeftConfig):
    """The settings of `edgewise.add_lotra`, for PEFT.

    Attributes:
        target_modules: names or a pattern of KAN layers, as for other methods; all KAN layers by default.
        ranks: one per axis of `coef` (in, basis, out), or one for all; None is the default of `add_lotra`.
        form: "tucker", "tucker2", "cp", "tt", "lora" or "full".
        zero: the factor that starts at zero, "core" or "target".
        seed: the random seed of the initial factors.
    """

    target_modules: list[str] | str | None = field(default=None)
    ranks: list[int | float] | tuple[int | float, ...] | int | float | None = field(default=None)
    form: str = field(default="tucker")
    zero: str = field(default="core")
    seed: int = field(default=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = LotraType.LOTRA
        if isinstance(self.ranks, tuple):
            self.ranks = list(self.ranks)
        if isinstance(self.target_modules, list):
            self.target_modules = sorted(set(self.target_modules))


class LotraLayer(nn.Module, BaseTunerLayer):
    r"""A KAN layer and its adapters: $y + \sum_a \Delta^{(a)} \phi(x)$ over the active ones."""

    adapter_layer_names = ("lotra_updates",)
    other_param_names = ()

    def __init__(self, base_layer: KANLinear) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.lotra_updates = nn.ModuleDict()
        self._disable_adapters = False
        self.merged_adapters: list[str] = []

    @property
    def in_features(self) -> int:
        return self.base_layer.in_features

    @property
    def out_features(self) -> int:
        return self.base_layer.out_features

    def update_layer(self, adapter_name: str, config: LotraConfig, key: str) -> None:
        """Add an adapter."""
        layer = self.base_layer
        self.lotra_updates[adapter_name] = Factors(
            (layer.in_features, layer.coef.shape[1], layer.out_features),
            *form_and_ranks(layer, config.form, config.ranks),
            zero=config.zero,  # pyright: ignore[reportArgumentType]
            generator=torch.Generator().manual_seed(config.seed + zlib.crc32(key.encode())),
            device=layer.coef.device,
            dtype=torch.promote_types(layer.coef.dtype, torch.float32),
        )
        self.set_adapter(self.active_adapters)

    def update(self, adapter_name: str) -> Tensor:
        """The update of the coefficients by one adapter: zero on edges that are not curves."""
        layer = self.base_layer
        return torch.where(layer.mask[:, None], self.lotra_updates[adapter_name](), 0).to(layer.coef.dtype)

    def forward(self, x: Tensor) -> Tensor:
        y = self.base_layer(x)
        if self.disable_adapters or self.merged:
            return y
        active = [name for name in self.active_adapters if name in self.lotra_updates]
        if not active:
            return y
        update = torch.stack([self.update(name) for name in active]).sum(0)
        layer = self.base_layer
        return y + functional.edge_sum(x, update, layer.grid, layer.basis, layer.residual).to(y.dtype)

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add the adapters to the coefficients."""
        for name in check_adapters_to_merge(self, adapter_names):
            if name not in self.lotra_updates:
                continue
            update = self.update(name)
            if safe_merge and not torch.isfinite(update).all():
                raise ValueError(f"adapter {name!r} is not finite; nothing was merged")
            self.base_layer.coef.add_(update)
            self.merged_adapters.append(name)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Subtract merged adapters from the coefficients."""
        while self.merged_adapters:
            self.base_layer.coef.sub_(self.update(self.merged_adapters.pop()))


class LotraModel(BaseTuner):
    """The tuner: wraps every KAN layer that the configuration names in a `LotraLayer`."""

    prefix = "lotra_"
    tuner_layer_cls = LotraLayer
    target_module_mapping: dict[str, list[str]] = {}  # noqa: RUF012  (as PEFT declares it)

    def _prepare_adapter_config(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, peft_config: LotraConfig, model_config: dict[str, Any]
    ) -> LotraConfig:
        if peft_config.target_modules is None:
            modules = ((name.replace(".base_layer", ""), module) for name, module in self.model.named_modules())
            peft_config.target_modules = sorted({name for name, module in modules if isinstance(module, KANLinear)})
        return peft_config

    def _create_and_replace(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        config: LotraConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **_: Any,
    ) -> None:
        if isinstance(target, LotraLayer):
            target.update_layer(adapter_name, config, current_key)
            return
        if not isinstance(target, KANLinear):
            raise ValueError(
                f"module {current_key!r} is a {type(target).__name__}; LoTRA adapts KANLinear layers, which "
                "replace Linear ones by `edgewise.swap_linear`"
            )
        layer = LotraLayer(target)
        layer.update_layer(adapter_name, config, current_key)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        setattr(parent, child_name, new_module)  # PEFT's own method copies `weight`, which a KAN layer does not have


def _register() -> None:
    """PEFT's `register_peft_method` refuses names that are not in its enum, so its tables are filled here."""
    tables: list[tuple[Any, Any]] = [
        (mapping.PEFT_TYPE_TO_CONFIG_MAPPING, LotraConfig),
        (mapping.PEFT_TYPE_TO_TUNER_MAPPING, LotraModel),
        (mapping.PEFT_TYPE_TO_PREFIX_MAPPING, LotraModel.prefix),
    ]
    for table, entry in tables:
        table.update({LotraType.LOTRA.value: entry})


_register()
