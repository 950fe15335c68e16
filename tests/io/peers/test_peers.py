"""Networks of other libraries: the outputs that the real releases gave, and refusals that name what cannot be held."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from scipy.interpolate import BSpline as ScipySpline

import edgewise as ew
from edgewise import io

ORACLES = sorted((Path(__file__).parent / "oracles").glob("*.safetensors"))
FROM_MODEL_ALONE = {"jaxkan_rbf"}  # the width of the bumps is in no state


class Oracle:
    """What `make_oracles.py` wrote of a real network."""

    def __init__(self, path):
        with safe_open(path, framework="pt") as file:
            told = json.loads(file.metadata()["oracle"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        self.x, self.y = tensors["x"], tensors["y"]
        self.state = {key.removeprefix("state."): t for key, t in tensors.items() if key.startswith("state.")}
        grids = [tensors[key] for key in sorted(tensors) if key.startswith("extra.")]
        self.peer = told["peer"].split()[0]
        self.settings = told["settings"] | ({"grids": grids} if grids else {})

    def converted(self, source):
        return io.PEERS[self.peer](source, **self.settings)

    def check(self, model, exact=1e-6):
        error = (model(self.x) - self.y).abs().max()
        assert error <= exact * max(1, float(self.y.abs().max()))


@pytest.fixture(params=[path for path in ORACLES if path.stem not in FROM_MODEL_ALONE], ids=lambda path: path.stem)
def oracle(request):
    return Oracle(request.param)


def of(name):
    return Oracle(Path(__file__).parent / "oracles" / f"{name}.safetensors")


def test_every_library_has_an_oracle():
    assert {Oracle(path).peer for path in ORACLES} | {"pykan"} == set(io.PEERS)  # pykan's are in test_pykan


@torch.no_grad()
def test_the_outputs_are_those_of_the_library(oracle, tmp_path):
    """Inside, on knots, at both ends, outside and far outside."""
    model = oracle.converted(oracle.state)
    oracle.check(model)
    if isinstance(model, ew.KAN):
        ew.save(model, tmp_path / "new.safetensors")
        assert torch.equal(ew.load(tmp_path / "new.safetensors")(oracle.x), model(oracle.x))


@torch.no_grad()
def test_files_give_the_same_network(oracle, tmp_path):
    model = oracle.converted(oracle.state)
    if oracle.peer == "jaxkan":
        np.savez(tmp_path / "a.npz", **{key.replace(".", "/"): t.numpy() for key, t in oracle.state.items()})
        files = [tmp_path / "a.npz"]
    else:
        torch.save(oracle.state, tmp_path / "a.pt")
        save_file(oracle.state, tmp_path / "a.safetensors")
        files = [tmp_path / "a.pt", tmp_path / "a.safetensors"]
    for file in files:
        assert torch.equal(oracle.converted(file)(oracle.x), model(oracle.x))
        damaged = bytearray(file.read_bytes())
        damaged[len(damaged) // 2] ^= 255
        (tmp_path / "damaged").write_bytes(damaged[: 2 * len(damaged) // 3])
        with pytest.raises(io.FileFormatError, match="damaged cannot be loaded"):
            oracle.converted(tmp_path / "damaged")


def test_wrappers_of_torch_are_looked_through():
    oracle = of("efficient_kan")
    wrapped = {f"module._orig_mod.{key}": t for key, t in oracle.state.items()}
    oracle.check(io.from_efficient_kan(wrapped))


# ------------------------------------------------------------------------------------------------ live networks


def live(state, **attributes):
    """A module with these tensors and, in every layer, these attributes."""
    root = torch.nn.Module()
    for key, tensor in state.items():
        *path, name = key.split(".")
        module = root
        for part in path:
            if part not in module._modules:
                module.add_module(part, torch.nn.Module())
            module = module._modules[part]
        module.register_buffer(name, tensor)
    layers = root.layers.children() if hasattr(root, "layers") else [root]
    for layer in layers:
        for name, value in attributes.items():
            *path, last = name.split("__")
            setattr(layer.get_submodule(".".join(path)), last, value)
    return root


SILU = torch.nn.SiLU()
LIVE = {
    "efficient_kan": {"base_activation": SILU},
    "efficient_kan_layer": {"base_activation": torch.nn.Identity()},
    "inkan": {"base_activation": SILU, "inv_h": 2.5},
    "flashkan": {"base_activation": SILU, "inv_h": 2.5},
    "fastkan": {"base_activation": torch.nn.functional.silu, "rbf__denominator": 4 / 7, "layernorm__eps": 1e-5},
    "fastkan_layer": {"base_activation": torch.nn.functional.silu, "rbf__denominator": 3.5 / 11},
}


@pytest.mark.parametrize("name", LIVE)
def test_a_module_says_what_its_state_does_not(name):
    oracle = of(name)
    oracle.check(io.PEERS[oracle.peer](live(oracle.state, **LIVE[name])))
    with pytest.raises(ValueError, match=r"base_activation is GELU.*silu and identity"):
        io.PEERS[oracle.peer](live(oracle.state, **LIVE[name] | {"base_activation": torch.nn.GELU()}))


@torch.no_grad()
def test_a_wider_bump_of_fastkan_keeps_its_width():
    oracle = of("fastkan_bumps")
    model = io.from_fastkan(live(oracle.state, rbf__denominator=1.25, layernorm__eps=1e-5))
    centers, coef = oracle.state["rbf.grid"], oracle.state["spline_linear.weight"]
    layer = model[0]
    normed = torch.nn.functional.layer_norm(
        oracle.x, (3,), oracle.state["layernorm.weight"], oracle.state["layernorm.bias"]
    )
    bumps = torch.exp(-(((normed[..., None] - centers) / 1.25) ** 2)).flatten(1)
    torch.testing.assert_close(layer(oracle.x), bumps @ coef.T, atol=1e-6, rtol=1e-6)


@torch.no_grad()
def test_what_works_on_layers_works_behind_a_layer_norm():
    """A network of fast-kan is no KAN, but its curves are traced, pruned and refined like others."""
    oracle = of("fastkan")
    model = io.from_fastkan(oracle.state)
    trace = ew.trace(model, oracle.x)
    assert list(trace) == ["0.curves", "1.curves"]
    assert torch.equal(trace.output, model(oracle.x))
    scores = ew.edge_scores(trace)
    pruned = ew.prune(model, scores, edge=float(scores["1.curves"].median()))
    assert 0 < int(pruned[1].curves.mask.sum()) < pruned[1].curves.mask.numel()
    fine, inside = ew.refine(model, 40), oracle.x.clamp(-1, 1)
    torch.testing.assert_close(fine(inside), model(inside), atol=0.05, rtol=0.05)
    assert fine[0].curves.basis.centers == 40


def jax_layer(kind, oracle, l, **attributes):
    tensors = {key.split(".")[-1]: t.numpy() for key, t in oracle.state.items() if key.startswith(f"layers.{l}.")}
    grid = oracle.settings.get("grids")
    shape = {"grid": SimpleNamespace(item=grid[l].numpy())} if grid else {}
    return type(kind, (), {**tensors, **shape, **attributes})()


def silu(x):
    return x


@pytest.mark.parametrize(
    ("name", "kind", "attributes"),
    [
        ("jaxkan_base", "BaseLayer", {"residual": silu}),
        ("jaxkan_spline", "SplineLayer", {"residual": silu}),
        ("jaxkan_rbf", "RBFLayer", {"residual": silu, "kernel": {"type": "gaussian"}}),
        ("jaxkan_fourier", "FourierLayer", {}),
        ("jaxkan_legendre", "LegendreLayer", {"residual": None}),
    ],
)
def test_a_live_network_of_jaxkan(name, kind, attributes):
    oracle = of(name)
    oracle.check(io.from_jaxkan(SimpleNamespace(layers=[jax_layer(kind, oracle, l, **attributes) for l in (0, 1)])))


def test_a_nested_state_of_jaxkan_with_its_random_keys():
    oracle = of("jaxkan_base")
    nested = {"layers": {l: {"rngs": {"default": {"key": object()}}} for l in (0, 1)}}
    for key, t in oracle.state.items():
        _, l, name = key.split(".")
        nested["layers"][int(l)][name] = t.numpy()
    oracle.check(io.from_jaxkan(nested, grids=[g.numpy() for g in oracle.settings["grids"]]))


# ------------------------------------------------------------------------------------------------ the peer is wrong


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("intervals", [5, 50, 200])
def test_flashkan_is_converted_from_its_coefficients(intervals, dtype):
    """Compared with scipy: flashkan's own values in float32 are wrong by up to the size of the curve.

    A knot that is rounded moves the curve by its slope, which is its size over the distance of the knots.
    """
    g = torch.Generator().manual_seed(intervals)
    size, step = intervals + 3, 2 / intervals
    coef = torch.randn(1, 1, size, generator=g, dtype=dtype)
    starts = ((torch.arange(size, dtype=torch.float64) - 3) * step - 1).to(dtype)
    state = {"grid_starts": starts, "spline_weight": coef, "base_weight": torch.zeros(1, 1, dtype=dtype)}
    model = io.from_flashkan(state)
    x = torch.linspace(-1, 1, 501, dtype=dtype)
    knots = (np.arange(size + 4) - 3) * step - 1
    true = ScipySpline(knots, coef[0, 0].double().numpy(), 3)(x.double().numpy())
    atol = 2 * torch.finfo(dtype).eps * intervals * np.abs(true).max()
    np.testing.assert_allclose(model(x[:, None])[:, 0].numpy(), true, atol=atol)


# ------------------------------------------------------------------------------------------------ refusals


def changed(name, **tensors):
    return of(name).state | {key.replace("__", "."): t for key, t in tensors.items()}


REFUSED = {
    "another module around it": ("efficient-kan", changed("efficient_kan", norm__weight=torch.ones(2)), "norm.weight"),
    "a tensor of another shape": (
        "efficient-kan",
        changed("efficient_kan", layers__0__spline_scaler=torch.ones(2, 2)),
        r"layers\.0\.spline_scaler is .* \(2, 2\)",
    ),
    "not a number": (
        "efficient-kan",
        changed("efficient_kan", layers__1__base_weight=torch.full((1, 3), torch.nan).double()),
        "finite",
    ),
    "a knot twice": ("efficient-kan", changed("efficient_kan_layer", grid=torch.zeros(3, 9).double()), "coincide"),
    "a lost tensor": ("inkan", {"grid_starts": torch.arange(8.0)}, "lacks weight"),
    "a surface": ("inkan", {"grid_starts": torch.arange(8.0), "weight": torch.ones(1, 66)}, "surface of two inputs"),
    "widths": ("flashkan", changed("flashkan", layers__1__base_weight=torch.ones(1, 2).double()), "spline_weight is"),
    "uneven centres": (
        "fast-kan",
        changed("fastkan_layer", rbf__grid=torch.linspace(-1, 1, 12).double() ** 3),
        "evenly spaced",
    ),
    "no grids": ("jaxkan", of("jaxkan_base").state, "in no variable of nnx.state"),
    "sines": ("jaxkan", {"layers.0.omega": np.ones((2, 1))}, "omega"),
    "which polynomials": ("jaxkan", of("jaxkan_chebyshev").state, "layer_type"),
    "a residual beside tanh": (
        "jaxkan",
        {"0.c_basis": np.ones((1, 2, 3)), "0.c_ext": np.ones((1, 2)), "0.c_res": np.ones((1, 2))},
        "layer_type",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_counterpart_is_named(case):
    peer, source, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        io.PEERS[peer](source)


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("name", ["efficient_kan", "fastkan_layer", "inkan", "flashkan", "jaxkan_base"])
def test_no_weights_are_lost_without_a_residual_function(name):
    oracle = of(name)
    oracle.settings["residual"] = None
    with pytest.raises(ValueError, match="say 'silu' or 'identity'"):
        oracle.converted(oracle.state)


def test_other_objects_are_refused_in_words():
    for peer, convert in io.PEERS.items():
        with pytest.raises(TypeError, match=peer.split("-")[0]):
            convert(3)
    with pytest.raises(TypeError, match=r"more than tensors, under 'epoch'"):
        io.from_inkan({"epoch": 3, "model": {}})
    with pytest.raises(ValueError, match="SineLayer"):
        io.from_jaxkan(SimpleNamespace(layers=[type("SineLayer", (), {})()]))
    with pytest.raises(ValueError, match="kernel"):
        io.from_jaxkan(of("jaxkan_rbf").state, layer_type="rbf")
    with pytest.raises(ValueError, match="beside polynomials of tanh"):
        io.from_jaxkan(REFUSED["a residual beside tanh"][1], layer_type="legendre")


def test_nothing_in_a_file_is_executed(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pt")
    with pytest.raises(io.FileFormatError, match=r"whole\.pt"):
        io.from_inkan(tmp_path / "whole.pt")
    torch.save(of("efficient_kan").state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(io.FileFormatError, match=r"old\.pt.*before 1\.6"):
        io.from_efficient_kan(tmp_path / "old.pt")
    np.savez(tmp_path / "objects.npz", **{"layers.0.c_basis": np.array([{}], dtype=object)})
    with pytest.raises(io.FileFormatError, match=r"objects\.npz"):
        io.from_jaxkan(tmp_path / "objects.npz")


@pytest.mark.parametrize("name", ["from_efficient_kan", "from_fastkan", "from_flashkan", "from_inkan", "from_jaxkan"])
def test_the_package_has_every_peer_at_its_top(name):
    assert getattr(ew, name) is getattr(io, name)
