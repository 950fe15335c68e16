"""Run the real libraries once and write what they store and compute, small enough to ship with the tests.

    pip install inkan==0.5.2 flashkan==0.2.0 jaxkan==0.3.7 "jax[cpu]" flax
    PYTHONPATH=EFFICIENT-KAN/src:FAST-KAN:src python tests/io/peers/make_oracles.py

efficient-kan (commit 7b6ce1c) and fast-kan (17b6540) are no packages on PyPI; clone them. Every file holds the state,
inputs on knots, at both ends and outside, and the outputs in float64. The live networks are converted too, and their
errors printed.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from edgewise import io

HERE = Path(__file__).parent / "oracles"


def inputs(features):
    """Rows inside the grid, on its knots, at its ends, outside and far outside."""
    g = torch.Generator().manual_seed(1)
    inside = torch.rand(24, features, generator=g, dtype=torch.float64) * 2 - 1
    knots = (torch.linspace(-1, 1, 6, dtype=torch.float64)[:, None] + torch.zeros(features)).double()
    outside = torch.randn(16, features, generator=g, dtype=torch.float64) * 2
    far = torch.full((1, features), 40.0)
    return torch.cat([inside, knots, outside, far, -far]).double()


def write(name, peer, model, state, x, y, extra, settings):
    tensors = {f"state.{key}": t.clone().contiguous() for key, t in state.items()}
    tensors |= {f"extra.{key}": t.clone().contiguous() for key, t in extra.items()}
    save_file(
        tensors | {"x": x, "y": y.clone().contiguous()},
        HERE / f"{name}.safetensors",
        {"oracle": json.dumps({"peer": peer, "settings": settings})},
    )
    error = float((io.PEERS[peer.split()[0]](model)(x).detach() - y).abs().max())
    print(f"{name:32} {peer:24} largest output {float(y.abs().max()):8.3f}, live model: error {error:.1e}")


def randomised(model, seed):
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        if "grid" not in name:
            p.data = torch.randn(p.shape, generator=g, dtype=torch.float64) / 2
    return model.double()


@torch.no_grad()
def of_torch():
    import efficient_kan
    import fastkan
    import flashkan
    import inkan
    from efficient_kan.kan import KANLinear
    from flashkan import layer as flash_layer

    flash_layer.bspline_basis = flashkan.basis.bspline_basis_eager  # the compiled one is for float32
    identity = {"spline_order": 2, "enable_standalone_scale_spline": False, "base_activation": torch.nn.Identity}
    adapted = randomised(efficient_kan.KAN([2, 3, 2], grid_size=4), 3)
    adapted(torch.randn(200, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64), update_grid=True)
    wide = fastkan.FastKANLayer(3, 2, -1.5, 2.0, 12, use_layernorm=False)
    cases = [
        ("efficient_kan", "efficient-kan 7b6ce1c", randomised(efficient_kan.KAN([2, 3, 1]), 0), {}),
        (
            "efficient_kan_layer",
            "efficient-kan 7b6ce1c",
            randomised(KANLinear(3, 2, 4, **identity), 1),
            {"residual": "identity"},
        ),
        ("efficient_kan_adapted", "efficient-kan 7b6ce1c", adapted, {}),
        ("fastkan", "fast-kan 17b6540", randomised(fastkan.FastKAN([3, 4, 2]), 4), {}),
        ("fastkan_layer", "fast-kan 17b6540", randomised(wide, 5), {}),
        ("fastkan_bumps", "fast-kan 17b6540", randomised(fastkan.FastKANLayer(3, 2, use_base_update=False), 6), {}),
        ("inkan", "inkan 0.5.2", randomised(inkan.KANNetwork([2, 3, 1], compile_basis=False), 7), {}),
        ("inkan_direct", "inkan 0.5.2", randomised(inkan.KANLayer(2, 2, 40, compile_basis=False), 8), {}),
        ("flashkan", "flashkan 0.2.0", randomised(flashkan.KANNetwork([2, 3, 1]), 9), {}),
    ]
    for name, peer, model, settings in cases:
        layer = model.layers[0] if hasattr(model, "layers") else model
        x = inputs(layer.input_dim if hasattr(layer, "input_dim") else layer.in_features)
        if peer.startswith("flashkan"):
            x = x[:-2]  # far outside it is not finite in digits: the truncated powers cancel
        write(name, peer, model, model.state_dict(), x, model(x), {}, settings)


def of_jax():
    import jax

    jax.config.update("jax_enable_x64", True)
    import numpy as np
    from flax import nnx
    from jaxkan.models.KAN import KAN

    cases = {
        "base": {"k": 3, "G": 5},
        "spline": {"k": 2, "G": 6, "external_weights": False},
        "rbf": {"D": 6, "residual": nnx.silu},
        "fourier": {"D": 3},
        "chebyshev": {"D": 4},
        "legendre": {"D": 4, "add_bias": False},
    }
    for n, (kind, settings) in enumerate(cases.items()):
        model = KAN([2, 3, 1], layer_type=kind, required_parameters=settings, seed=n)
        rng = np.random.default_rng(n)
        for layer in model.layers:
            for name in ("c_basis", "c_res", "c_spl", "c_cos", "c_sin", "bias"):
                if getattr(layer, name, None) is not None:
                    old = getattr(layer, name)
                    setattr(layer, name, nnx.Param(jax.numpy.array(rng.standard_normal(np.asarray(old).shape) / 2)))
        if kind in ("base", "spline"):
            model.update_grids(jax.numpy.array(rng.standard_normal((200, 2))), 5)
        x = inputs(2)
        y = torch.from_numpy(np.array(model(jax.numpy.array(x.numpy()))))
        state = {
            f"layers.{l}.{name}": torch.from_numpy(np.array(getattr(layer, name)))
            for l, layer in enumerate(model.layers)
            for name in ("c_basis", "c_res", "c_spl", "c_cos", "c_sin", "bias")
            if getattr(layer, name, None) is not None
        }
        grids = {
            f"{l}": torch.from_numpy(np.array(layer.grid.item))
            for l, layer in enumerate(model.layers)
            if hasattr(layer, "grid")
        }
        told = {"layer_type": kind} if kind in ("spline", "chebyshev", "legendre", "rbf") else {}
        write(f"jaxkan_{kind}", "jaxkan 0.3.7", model, state, x, y, grids, told)
        if kind in ("base", "spline"):
            again = io.from_jaxkan(nnx.state(model), grids=[layer.grid.item for layer in model.layers], **told)
            print(f"{'':32} from nnx.state: error {float((again(x).detach() - y).abs().max()):.1e}")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    of_torch()
    of_jax()
