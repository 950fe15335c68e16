"""Native CPU kernels for B-splines: a plain C ABI without torch headers, loaded through ctypes.

The arithmetic is in csrc: plan.h (a grid, once), sort.h and local.h (one input column), walk.h (the inner loops),
layer.h (a layer over its threads); curves.h and network.h (small networks whole, one sample per lane); windows.h and
gram.h (the Gauss-Newton matrix).
"""

from edgewise.kernels.cpu import adamw, gauss_newton, grouped_rational, layer, network, taylor
from edgewise.kernels.cpu.ops import CompiledOps
from edgewise.kernels.registry import Backend, register_backend

register_backend(Backend("cpu", layer, network, taylor, grouped_rational, adamw, gauss_newton, CompiledOps))
