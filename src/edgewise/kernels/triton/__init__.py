"""GPU kernels for B-splines in Triton: checked in Triton's interpreter, unmeasured on a GPU."""

from edgewise.kernels.dispatch import Backend, register_kernel
from edgewise.kernels.triton import launch as layer

register_kernel(Backend("triton", layer, layer.refuses))
