"""The layers of a network as C structs, kept from call to call with what must be unchanged for them to be valid."""

from __future__ import annotations

import struct
import weakref
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from edgewise.kernels.cpu import layer as single
from edgewise.kernels.reference import CurveLayer

# Above these a layer is faster by itself: its outputs fill vectors, and sorting pays (csrc/walk.h).
MAX_FEATURES = 32
MAX_SIZE = 64

# What csrc/few.h and `evaluate_few` of csrc/network.h serve on one thread, whatever the widths of a single layer are.
FEW_HIDDEN, FEW_EDGES = 64, 1 << 15

Network = Sequence[CurveLayer]

# The C structs of csrc/network.h: NetworkArgs and, right behind it, a NetworkLayer per layer. Packing takes a fifth
# of the time of ctypes.
HEAD, _LAYER = struct.Struct("@P2q7P"), struct.Struct("@3P2q3i4x")


def parameters(network: Network) -> list[Tensor]:
    """The parameters in the order of the columns of the Jacobian."""
    return [t for part in network for t in (part.coef, part.bias) if t is not None]


def too_large(coef: Tensor) -> str | None:
    """Why a layer is faster by itself for many samples; None where it is not."""
    features, size, out = coef.shape
    if max(features, out) > MAX_FEATURES or size > MAX_SIZE:
        return f"it has more than {MAX_FEATURES} features or {MAX_SIZE} coefficients per edge"
    return None


def too_large_for_few(coef: Tensor) -> str | None:
    """Why a layer is not served on one thread for a few samples; None where it may be."""
    return "it deserves more than one thread" if len(coef) * coef.shape[-1] > FEW_EDGES else None


class Packed:
    """The layers as C structs, with what must be unchanged for the structs to be valid."""

    def __init__(self, network: Network) -> None:
        self.dtype = network[0].coef.dtype
        self.features, self.out = len(network[0].coef), network[-1].coef.shape[-1]
        self.parameters = sum(t.numel() for t in parameters(network))
        self.small = all(too_large(part.coef) is None for part in network)
        self.few = all(too_large_for_few(part.coef) is None for part in network)
        self.few &= all(part.coef.shape[-1] <= FEW_HIDDEN for part in network[:-1])
        self.layers, self._seen, self._kept = b"", [], []
        for coef, bias, grid, spec in network:
            basis: Any = spec.basis
            dense, plan = coef.contiguous(), single.grid_plan(grid, basis)
            self._kept += [dense, plan] if dense is not coef else [plan]
            self.layers += _LAYER.pack(
                plan.data_ptr(),
                dense.data_ptr(),
                0 if bias is None else bias.data_ptr(),
                coef.shape[0],
                coef.shape[2],
                basis.intervals,
                basis.degree,
                single.RESIDUAL[spec.residual],
            )
            self._seen.append((
                weakref.ref(coef),
                coef.data_ptr() if dense is coef else -1,
                coef.shape,
                0 if bias is None else bias.data_ptr(),
                0 if bias is None else bias.numel(),
                weakref.ref(grid),
                grid.data_ptr(),
                -1 if grid.is_inference() else grid._version,
                spec,
            ))  # fmt: skip

    def serves(self, network: Network, x: Tensor) -> bool:
        """Whether these are the structs of the network, and x are inputs that it takes."""
        fits = x.dtype is self.dtype and x.is_cpu and x.ndim > 0 and x.shape[-1] == self.features
        return fits and self.holds(network)

    def holds(self, network: Network) -> bool:
        """Whether these still are the structs of the network."""
        if len(network) != len(self._seen):
            return False
        # Every look at a tensor takes 50 ns to 100 ns, a fiftieth of a call on one sample.
        for (coef, bias, grid, spec), seen in zip(network, self._seen):  # noqa: B905  (of one length)
            same_coef, address, shape, bias_address, numel, same_grid, points, version, same_spec = seen
            if (
                same_coef() is not coef
                or coef.data_ptr() != address
                or coef.shape != shape
                or not coef.is_contiguous()
                or (0 if bias is None else bias.data_ptr()) != bias_address
                or (bias is not None and bias.numel() != numel)
                or same_grid() is not grid
                or grid.data_ptr() != points
                or version < 0
                or grid._version != version
                or spec != same_spec
            ):
                return False
        return True

    def args(
        self, x: Tensor, *, g: Tensor | None = None, target: Tensor | None = None, y: Tensor | None = None,
        dx: Tensor | None = None, jacobian: Tensor | None = None, gradient: Tensor | None = None,
    ) -> bytes:  # fmt: skip
        """The arguments of a native call: addresses of the tensors, then the layers."""
        head = HEAD.pack(
            0,
            len(self._seen),
            x.numel() // x.shape[-1],
            x.data_ptr(),
            0 if g is None else g.data_ptr(),
            0 if target is None else target.data_ptr(),
            0 if y is None else y.data_ptr(),
            0 if dx is None else dx.data_ptr(),
            0 if jacobian is None else jacobian.data_ptr(),
            0 if gradient is None else gradient.data_ptr(),
        )
        return head + self.layers


packed_networks: dict[int, Packed] = {}


def packed(network: Network) -> Packed:
    """The structs of a network, kept while its first coefficients live."""
    coef = network[0].coef
    kept = packed_networks.get(id(coef))
    if kept is None or not kept.holds(network):
        if kept is None:
            weakref.finalize(coef, packed_networks.pop, id(coef), None)
        kept = packed_networks[id(coef)] = Packed(network)
    return kept
