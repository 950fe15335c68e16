"""How a sum over edges is computed; the only place that knows about devices."""

from edgewise.kernels.dispatch import Backend as Backend
from edgewise.kernels.dispatch import edge_sum as edge_sum
from edgewise.kernels.dispatch import refusals as refusals
from edgewise.kernels.dispatch import register_kernel as register_kernel
from edgewise.kernels.dispatch import select as select
from edgewise.kernels.dispatch import use_backend as use_backend
from edgewise.kernels.reference import EdgeSpec as EdgeSpec
from edgewise.kernels.reference import design as design

__all__ = ["Backend", "EdgeSpec", "design", "edge_sum", "refusals", "register_kernel", "select", "use_backend"]
