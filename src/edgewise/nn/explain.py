"""Which kernel computes what, and why the others do not."""

from __future__ import annotations

from torch import Tensor, nn

from edgewise.kernels import EdgeSpec, network_refusals, refusals, select
from edgewise.nn.kan import KAN
from edgewise.nn.linear import KANLinear


def explain(model: nn.Module, x: Tensor) -> str:
    """What would compute the model at inputs like x: for every KAN layer its kernel, with the reason for each refusal.

    >>> import torch, edgewise as ew
    >>> print(ew.explain(ew.KANLinear(2, 3, ew.BSpline(5, 7)), torch.zeros(1, 2)))
    KANLinear: reference
      ...
      cpu: degree 7 is not between 1 and 5
    """
    lines = []
    if isinstance(model, KAN):
        network = model.curve_layers()
        if network is None:
            lines.append("whole network: layer by layer, because it has more than curves and biases")
        else:
            for name, reason in network_refusals(network, x).items():
                lines.append(f"whole network: {f'one call of {name}' if reason is None else f'not {name}, {reason}'}")
    for name, layer in model.named_modules():
        if isinstance(layer, KANLinear):
            spec = EdgeSpec(layer.basis, layer.residual)
            like = x.new_empty(0, layer.in_features)
            backend = select(spec, like)
            lines.append(f"{name or type(layer).__name__}: {'reference' if backend is None else backend.name}")
            lines += [f"  {other}: {why}" for other, why in refusals(spec, like).items() if why is not None]
    if not lines:
        raise ValueError(f"{type(model).__name__} has no KAN layer to explain")
    return "\n".join(lines)
