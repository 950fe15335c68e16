"""Computes sums over edges, networks and optimiser steps; the only package that knows about devices.

A `Backend` supplies kernels for some of the capabilities "layer", "network", "jets", "rational", "adam" and
"gauss_newton"; `find` returns the kernel that serves given inputs, and `refusals` why others do not.
"""

from edgewise.kernels import triton as triton  # noqa: I001  (what is registered last is asked first)
from edgewise.kernels import cpu as cpu
from edgewise.kernels.capabilities import FEW_SAMPLES as FEW_SAMPLES, AdamSettings as AdamSettings
from edgewise.kernels.devices import (
    accelerators as accelerators,
    autocast as autocast,
    threads_for as threads_for,
    under_autocast as under_autocast,
)
from edgewise.kernels.dispatch import (
    edge_sum as edge_sum,
    edge_sums as edge_sums,
    few_samples_sum as few_samples_sum,
    network_sum as network_sum,
    whole_networks_up_to as whole_networks_up_to,
)
from edgewise.kernels.plain import foreign as foreign
from edgewise.kernels.reference import (
    CurveLayer as CurveLayer,
    EdgeSpec as EdgeSpec,
    design as design,
    design_maps as design_maps,
)
from edgewise.kernels.registry import (
    CAPABILITIES as CAPABILITIES,
    Backend as Backend,
    find as find,
    refusals as refusals,
    register_backend as register_backend,
    registered_backends as registered_backends,
    use_backend as use_backend,
)

__all__ = [
    "CAPABILITIES",
    "FEW_SAMPLES",
    "AdamSettings",
    "Backend",
    "CurveLayer",
    "EdgeSpec",
    "accelerators",
    "autocast",
    "design",
    "design_maps",
    "edge_sum",
    "edge_sums",
    "few_samples_sum",
    "find",
    "foreign",
    "network_sum",
    "refusals",
    "register_backend",
    "registered_backends",
    "threads_for",
    "under_autocast",
    "use_backend",
    "whole_networks_up_to",
]
