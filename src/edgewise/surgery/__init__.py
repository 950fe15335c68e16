"""Change the structure of a model: every function returns a new one and leaves the given model as it was.

Functions whose name ends in an underscore change values in place and keep every Parameter, so that an optimiser
stays valid.
"""

from edgewise.surgery.compact import compact as compact, select_inputs as select_inputs
from edgewise.surgery.freeze import freeze_ as freeze_
from edgewise.surgery.grids import adapt_grid_ as adapt_grid_, change_basis as change_basis, refine as refine
from edgewise.surgery.more_inputs import add_input as add_input
from edgewise.surgery.nodes import (
    multiply_node as multiply_node,
    remove_node as remove_node,
    split_node as split_node,
)
from edgewise.surgery.prune import prune as prune, remove_edge as remove_edge
from edgewise.surgery.quantize import Quantized as Quantized, quantize as quantize
from edgewise.surgery.swap import swap_linear as swap_linear
from edgewise.surgery.symbols import fix as fix, release as release
from edgewise.surgery.widen import widen as widen

__all__ = [
    "Quantized",
    "adapt_grid_",
    "add_input",
    "change_basis",
    "compact",
    "fix",
    "freeze_",
    "multiply_node",
    "prune",
    "quantize",
    "refine",
    "release",
    "remove_edge",
    "remove_node",
    "select_inputs",
    "split_node",
    "swap_linear",
    "widen",
]
