"""Models and inputs that tests share."""

import torch
from torch import Tensor

import edgewise as ew
from edgewise.bases import Basis, registered_bases
from edgewise.nn import Affine

# Hinges are continuous alone: laws about derivatives and about fits to smooth curves are not theirs.
BASES: list[Basis] = [cls() for name, cls in registered_bases().items() if name != "hinge"]
SEEDS = (0, 1, 2)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def samples(n: int, features: int, *, seed: int = 0, spread: float = 2.0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Uniform over [-spread, spread]: by default half of every feature lies outside the first grid."""
    return ((2 * torch.rand(n, features, generator=rng(seed), dtype=torch.float64) - 1) * spread).to(dtype)


def network(widths, *, seed: int = 0, dtype: torch.dtype = torch.float64, **settings) -> ew.KAN:
    """A KAN with random biases."""
    model = ew.KAN(widths, generator=rng(seed), dtype=dtype, **settings)
    generator = rng(seed + 1000)
    for module in model.modules():
        if isinstance(module, ew.KANLinear) and module.bias is not None:
            module.bias.data.normal_(generator=generator)
    return model


def mixed(*, seed: int = 0, dtype: torch.dtype = torch.float64) -> ew.KAN:
    """Everything at once: products, absent edges, symbols, units, names, frozen parameters, adapted grids."""
    model = network([3, (4, [2, 3]), 2], seed=seed, dtype=dtype, input_names="abc", output_names="uv")
    ew.adapt_grid_(model, samples(200, 3, seed=seed, dtype=dtype), adaptive=0.5)
    for j, i, fn in ((0, 0, "sin"), (1, 0, "gaussian"), (2, 3, "sin"), (1, 8, "x^2")):
        model = ew.fix(model, (0, j, i), fn, (0.7, 0.2, 1.3, -0.4))
    model = ew.fix(model, (1, 4, 1), "tanh")
    for layer, j, i in ((0, 0, 1), (0, 1, 1), (0, 2, 1), (1, 2, 0), (1, 2, 1)):
        model = ew.remove_edge(model, (layer, j, i))
    scale = torch.tensor([0.5, 2.0, 1.0], dtype=dtype)
    model.input_affine = Affine(scale, scale - 1)
    model.output_affine = Affine(scale[:2] * 3, scale[:2])
    model.layers[2].bias.requires_grad_(False)
    return model.eval()


def tensors(model: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of everything that the model stores."""
    return {name: t.detach().clone() for name, t in model.state_dict(keep_vars=True).items()}


def same_tensors(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
