r"""Taylor mode: derivatives of networks in their inputs, of any order, by one forward sweep of truncated Taylor series.

| operator | equation |
|---|---|
| `gradient(model, x)` | $\partial_j u_i$ |
| `directional(model, x, v, n)` | $\frac{d^n}{ds^n} u(x + s v)$ at $s = 0$ |
| `hessian_vector(model, x, v)` | $\sum_k v_k \partial_k \partial_j u_i$ |
| `laplacian(model, x)` | $\sum_j \partial_j^2 u_i$ |
| `bilaplacian(model, x)` | $\sum_{jk} \partial_j^2 \partial_k^2 u_i$ |
| `partial(model, x, alpha, ...)` | $D^\alpha u_i$ |

All of them can be differentiated in the parameters. Below them: `seed` makes a `Jet` of the inputs in an `Algebra`
(`taylor`, `laplace`), `push` applies a module to it, and a `Tape` records what the Jacobian in the parameters needs.

>>> import torch
>>> model = torch.nn.Sequential(torch.nn.Linear(2, 4), Sine(), torch.nn.Linear(4, 1))
>>> laplacian(model, torch.rand(10, 2)).shape
torch.Size([10, 1])
"""

from edgewise.jets.algebra import (
    Algebra as Algebra,
    Index as Index,
    laplace as laplace,
    plus as plus,
    taylor as taylor,
    unit as unit,
)
from edgewise.jets.curve_rules import Record as Record, Tape as Tape
from edgewise.jets.derivatives import (
    along_axes as along_axes,
    bilaplacian as bilaplacian,
    directional as directional,
    gradient as gradient,
    hessian_vector as hessian_vector,
    laplacian as laplacian,
    partial as partial,
)
from edgewise.jets.jet import Jet as Jet, seed as seed
from edgewise.jets.rules import Sine as Sine, push as push

__all__ = [
    "Algebra",
    "Index",
    "Jet",
    "Record",
    "Sine",
    "Tape",
    "along_axes",
    "bilaplacian",
    "directional",
    "gradient",
    "hessian_vector",
    "laplace",
    "laplacian",
    "partial",
    "plus",
    "push",
    "seed",
    "taylor",
    "unit",
]
