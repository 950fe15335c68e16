"""How a sum over edges is computed; the only place that knows about devices."""

from edgewise.kernels import cpu as cpu, triton as triton
from edgewise.kernels.cpu.network import Adam as Adam
from edgewise.kernels.dispatch import (
    Backend as Backend,
    edge_sum as edge_sum,
    edge_sums as edge_sums,
    network_kernel as network_kernel,
    network_refusals as network_refusals,
    network_sum as network_sum,
    refusals as refusals,
    register_kernel as register_kernel,
    select as select,
    use_backend as use_backend,
    whole_networks_up_to as whole_networks_up_to,
)
from edgewise.kernels.reference import (
    CurveLayer as CurveLayer,
    EdgeSpec as EdgeSpec,
    design as design,
    design_maps as design_maps,
)

__all__ = [
    "Adam",
    "Backend",
    "CurveLayer",
    "EdgeSpec",
    "design",
    "design_maps",
    "edge_sum",
    "edge_sums",
    "network_kernel",
    "network_refusals",
    "network_sum",
    "refusals",
    "register_kernel",
    "select",
    "use_backend",
    "whole_networks_up_to",
]
