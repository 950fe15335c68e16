"""Networks of pykan: equal outputs, against its formulas written with scipy; nothing in its files is executed."""

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline as ScipySpline

import edgewise as ew

FUNCTIONS = {"sin": np.sin, "x^2": np.square, "sgn": np.sign, "x^0.5": np.sqrt, "0": np.zeros_like}


class Model:
    """A network as pykan stores it, with random parameters."""

    def __init__(self, width, *, arity=2, base="silu", degree=3, intervals=4, names=None, seed=0):
        g = torch.Generator().manual_seed(seed)
        self.width = [[w, 0] if isinstance(w, int) else list(w) for w in width]
        self.mult_arity, self.base_fun_name, self.symbolic_enabled = arity, base, True
        self.degree, self.names = degree, names or {}
        self.nodes = [sum(w) for w in self.width]
        self.subnodes = [w[0] + sum(self.arities(l)) for l, w in enumerate(self.width)]
        self.input_id = torch.arange(self.nodes[0])
        self.state, self.symbolic_fun = {}, []
        for l in range(len(self.width) - 1):
            n, m = self.nodes[l], self.subnodes[l + 1]
            steps = torch.rand(n, intervals + 2 * degree, generator=g, dtype=torch.float64) + 0.3
            grid = torch.cat([torch.zeros(n, 1), steps.cumsum(-1)], -1).double()
            self.state[f"act_fun.{l}.grid"] = grid - grid.mean(-1, keepdim=True)
            mask = torch.ones(n, m)
            sym_mask, affine = torch.zeros(m, n), torch.zeros(m, n, 4, dtype=torch.float64)
            names_here = [["0"] * n for _ in range(m)]
            for (layer, j, i), name in self.names.items():
                if layer == l:
                    mask[j, i], sym_mask[i, j], names_here[i][j] = 0, 1, name
                    affine[i, j] = torch.randn(4, generator=g, dtype=torch.float64)
            self.state |= {
                f"act_fun.{l}.coef": torch.randn(n, m, intervals + degree, generator=g, dtype=torch.float64),
                f"act_fun.{l}.mask": mask,
                f"act_fun.{l}.scale_base": torch.randn(n, m, generator=g, dtype=torch.float64),
                f"act_fun.{l}.scale_sp": torch.randn(n, m, generator=g, dtype=torch.float64),
                f"symbolic_fun.{l}.mask": sym_mask,
                f"symbolic_fun.{l}.affine": affine,
            }
            for kind, size in (("subnode", m), ("node", self.nodes[l + 1])):
                for part in ("scale", "bias"):
                    self.state[f"{kind}_{part}_{l}"] = torch.randn(size, generator=g, dtype=torch.float64)
            self.symbolic_fun.append(type("Layer", (), {"funs_name": names_here})())

    def arities(self, l):
        count = self.width[l][1]
        return [self.mult_arity] * count if isinstance(self.mult_arity, int) else list(self.mult_arity[l])

    def state_dict(self):
        return self.state

    def __call__(self, x):
        """The outputs, with scipy for the splines and numpy for all else."""
        s = {name: tensor.double().numpy() for name, tensor in self.state.items()}
        h = x[:, self.input_id.numpy()]
        for l in range(len(self.width) - 1):
            total = np.zeros((len(x), self.subnodes[l + 1]))
            for j in range(self.nodes[l]):
                for i in range(self.subnodes[l + 1]):
                    u = h[:, j]
                    knots, coef = s[f"act_fun.{l}.grid"][j], s[f"act_fun.{l}.coef"][j, i]
                    inside = (u >= knots[0]) & (u < knots[-1])
                    padded = np.r_[[knots[0]] * self.degree, knots, [knots[-1]] * self.degree]
                    zeros = np.zeros(self.degree)
                    curve = ScipySpline(padded, np.r_[zeros, coef, zeros], self.degree)(np.where(inside, u, 0))
                    base = {"silu": u / (1 + np.exp(-u)), "identity": u, "zero": 0 * u}[self.base_fun_name]
                    value = s[f"act_fun.{l}.scale_base"][j, i] * base
                    value = value + s[f"act_fun.{l}.scale_sp"][j, i] * np.where(inside, curve, 0)
                    total[:, i] += s[f"act_fun.{l}.mask"][j, i] * value
                    a, b, c, d = s[f"symbolic_fun.{l}.affine"][i, j]
                    f = FUNCTIONS[self.symbolic_fun[l].funs_name[i][j]]
                    total[:, i] += s[f"symbolic_fun.{l}.mask"][i, j] * (c * f(a * u + b) + d)
            total = s[f"subnode_scale_{l}"] * total + s[f"subnode_bias_{l}"]
            columns = [total[:, i] for i in range(self.width[l + 1][0])]
            start = self.width[l + 1][0]
            for arity in self.arities(l + 1):
                columns.append(total[:, start : start + arity].prod(-1))
                start += arity
            h = s[f"node_scale_{l}"] * np.stack(columns, -1) + s[f"node_bias_{l}"]
        return h

    def save(self, path, residual=None):
        import yaml

        config = {
            "width": self.width,
            "mult_arity": self.mult_arity,
            "base_fun_name": self.base_fun_name,
            "symbolic_enabled": True,
        }
        config |= {f"symbolic.funs_name.{l}": layer.funs_name for l, layer in enumerate(self.symbolic_fun)}
        text = yaml.safe_dump(config)
        if residual is not None:
            text = text.replace(f"base_fun_name: {self.base_fun_name}", f"base_fun_name: !!python/{residual}")
        (path.parent / f"{path.name}_config.yml").write_text(text)
        torch.save(self.state, path.parent / f"{path.name}_state")


MODELS = {
    "plain": {"width": [2, 3, 1]},
    "identity, degree 2": {"width": [2, 2], "base": "identity", "degree": 2},
    "no residual": {"width": [3, 1], "base": "zero", "degree": 1, "intervals": 7},
    "products": {"width": [2, [2, 2], 1]},
    "products of three": {"width": [2, [1, 2], [0, 1]], "arity": 3},
    "products of several": {"width": [2, [1, 2], 1], "arity": [[], [2, 3], []]},
    "symbols": {"width": [2, 2, 1], "names": {(0, 0, 1): "sin", (0, 1, 0): "sgn", (1, 0, 0): "x^2", (1, 1, 0): "0"}},
}


@pytest.fixture
def x():
    return np.random.default_rng(0).uniform(-4, 4, (300, 4))  # the knots end near 2.5: far outside as well


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_equal_everywhere(name, x, tmp_path):
    old = Model(**MODELS[name])
    x = x[:, : old.nodes[0]]
    wanted = old(x)
    tolerance = 1e-12 * np.abs(wanted).max()
    for source in (old, tmp_path / "old"):
        if source is not old:
            old.save(source)
        new = ew.from_pykan(source)
        np.testing.assert_allclose(new(torch.tensor(x)).detach().numpy(), wanted, atol=tolerance, rtol=1e-11)
    ew.save(new, tmp_path / "new.safetensors")
    torch.testing.assert_close(ew.load(tmp_path / "new.safetensors")(torch.tensor(x)), new(torch.tensor(x)))


def test_pruned_inputs_stay_columns_of_the_data(x):
    old = Model([2, 1], names={(0, 1, 0): "sin"})
    old.input_id = torch.tensor([0, 2])
    new = ew.from_pykan(old, inputs=4)
    np.testing.assert_allclose(new(torch.tensor(x)).detach().numpy(), old(x), rtol=1e-10, atol=1e-10)
    assert ew.from_pykan(old).in_features == 3
    with pytest.raises(ValueError, match="too few"):
        ew.from_pykan(old, inputs=2)


def test_what_has_no_counterpart_is_named(tmp_path):
    with pytest.raises(TypeError, match="MultKAN"):
        ew.from_pykan(torch.nn.Linear(1, 1))
    old = Model([2, 1], names={(0, 0, 0): "sin"})
    old.state["act_fun.0.mask"][0, 0] = 1
    with pytest.raises(ValueError, match=r"edge \(in=0, out=0\) is a curve and a symbol at once"):
        ew.from_pykan(old)
    with pytest.raises(ValueError, match="no function 'mine'"):
        ew.from_pykan(Model([1, 1], names={(0, 0, 0): "mine"}))
    old = Model([1, 1], base="zero")
    old.base_fun_name = "relu"
    with pytest.raises(ValueError, match="'relu' has no counterpart"):
        ew.from_pykan(old)
    old = Model([1, 1])
    old.state["act_fun.0.grid"][0, 3] = old.state["act_fun.0.grid"][0, 2]
    with pytest.raises(ValueError, match="coincide"):
        ew.from_pykan(old)


def test_files_are_never_executed(tmp_path):
    import os
    import pickle

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "hacked"),)

    Model([1, 1]).save(tmp_path / "old")
    (tmp_path / "old_state").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match="not a safetensors file"):
        ew.from_pykan(tmp_path / "old")
    Model([1, 1]).save(tmp_path / "old")
    (tmp_path / "old_config.yml").write_text(f"width: !!python/object/apply:os.mkdir ['{tmp_path / 'hacked'}']")
    with pytest.raises(ValueError, match=r"old_config\.yml cannot be loaded.*python/object/apply"):
        ew.from_pykan(tmp_path / "old")
    assert not (tmp_path / "hacked").exists()
    with pytest.raises(FileNotFoundError):
        ew.from_pykan(tmp_path / "missing")


OBJECTS = {
    "object:torch.nn.modules.activation.SiLU\n  _a: !!python/object/apply:collections.OrderedDict\n  - []": "silu",
    "name:torch.nn.functional.silu ''": "silu",
    "object:torch.nn.modules.linear.Identity\n  training: true": "identity",
    "name:kan.MultKAN.%3Clambda%3E ''": "zero",
}


@pytest.mark.parametrize("text", OBJECTS)
def test_the_class_of_an_object_names_the_residual_function(text, x, tmp_path):
    """As pykan writes them after `prune_input`, which keeps the function itself, and where `base_fun` was a module."""
    old = Model([2, 1], base=OBJECTS[text])
    old.save(tmp_path / "old", residual=text)
    new = ew.from_pykan(tmp_path / "old")
    np.testing.assert_allclose(new(torch.tensor(x[:, :2])).detach().numpy(), old(x[:, :2]), rtol=1e-10, atol=1e-10)


def test_live_functions_name_themselves(x):
    for base in (torch.nn.SiLU(), torch.nn.functional.silu):
        old = Model([2, 1])
        expected = old(x[:, :2])
        old.base_fun_name = base
        np.testing.assert_allclose(ew.from_pykan(old)(torch.tensor(x[:, :2])).detach().numpy(), expected, rtol=1e-10)
    old.base_fun_name = type("SiLU", (torch.nn.Module,), {})()
    with pytest.raises(ValueError, match=r"SiLU' has no counterpart"):
        ew.from_pykan(old)


class First(Model):
    """A network as pykan 0.0 stores it: rows of edges, the inner knots of each, and a bias of every sum."""

    def __init__(self, width, **settings):
        super().__init__(width, **settings)
        for l in range(len(width) - 1):
            grid = self.state[f"act_fun.{l}.grid"]
            inner = grid[:, self.degree : grid.shape[1] - self.degree]
            step = (inner[:, -1:] - inner[:, :1]) / (inner.shape[1] - 1) * torch.arange(1, self.degree + 1)
            self.state[f"act_fun.{l}.grid"] = torch.cat([inner[:, :1] - step.flip(1), inner, inner[:, -1:] + step], 1)
            for name in (f"{kind}_{part}_{l}" for kind in ("node", "subnode") for part in ("scale", "bias")):
                if name != f"subnode_bias_{l}":
                    self.state[name].fill_(float("scale" in name))
        self.base_fun = {"silu": torch.nn.SiLU(), "identity": torch.nn.Identity()}[self.base_fun_name]
        self.biases = True

    def state_dict(self):
        found = {name: t for name, t in self.state.items() if name.startswith("symbolic")}
        for l in range(len(self.width) - 1):
            grid = self.state[f"act_fun.{l}.grid"]
            inner = grid[:, self.degree : grid.shape[1] - self.degree]
            found[f"act_fun.{l}.grid"] = inner.repeat(self.nodes[l + 1], 1)
            for name in ("coef", "mask", "scale_base", "scale_sp"):
                found[f"act_fun.{l}.{name}"] = self.state[f"act_fun.{l}.{name}"].transpose(0, 1).flatten(0, 1)
            found[f"biases.{l}.weight"] = self.state[f"subnode_bias_{l}"][None]
        return found


@pytest.mark.parametrize("base", ["silu", "identity"])
def test_the_one_file_of_the_first_releases_is_read(base, x, tmp_path):
    old = First([3, 2, 1], base=base)
    torch.save(old.state_dict(), tmp_path / "ckpt")
    x = x[:, :3]
    for new in (ew.from_pykan(tmp_path / "ckpt", residual=base), ew.from_pykan(old)):
        np.testing.assert_allclose(new(torch.tensor(x)).detach().numpy(), old(x), rtol=1e-10, atol=1e-10)


def test_symbols_of_the_first_releases_have_their_names_in_the_network_alone(x, tmp_path):
    old = First([2, 2, 1], names={(0, 1, 0): "sin"})
    np.testing.assert_allclose(ew.from_pykan(old)(torch.tensor(x[:, :2])).detach().numpy(), old(x[:, :2]), rtol=1e-10)
    torch.save(old.state_dict(), tmp_path / "ckpt")
    with pytest.raises(ew.io.FileFormatError, match=r"layer 0 has symbols, and a file of pykan 0\.0 does not name"):
        ew.from_pykan(tmp_path / "ckpt")


def test_a_file_that_is_no_network_of_the_first_releases_is_told(tmp_path):
    state = First([2, 2, 1]).state_dict()
    moved = state["act_fun.0.grid"].clone()
    moved[3, 1] += 0.01
    for content, message in (
        ({"act_fun.0.grid": torch.zeros(2)}, r"ckpt cannot be loaded: it holds no network of pykan 0\.0"),
        (state | {"act_fun.0.grid": moved}, r"edges \(in=1, out=0\) and \(in=1, out=1\) have different knots"),
        (state | {"act_fun.0.mask": torch.ones(3)}, r"act_fun\.0\.mask is \(3,\); a tensor with 1 axes and 4 rows"),
        ({k: v for k, v in state.items() if k != "act_fun.1.coef"}, r"act_fun\.1\.coef is nothing"),
    ):
        torch.save(content, tmp_path / "ckpt")
        with pytest.raises(ew.io.FileFormatError, match=message):
            ew.from_pykan(tmp_path / "ckpt")


@pytest.mark.parametrize("ending", ["_state", "_config.yml"])
@pytest.mark.parametrize("content", [
    b"", b"width: [", b"\xff", b"width: &a [*a]", b"[" * 600, b"width: 1e99", b"- 1",
    b"!!python/tuple 1", b"PK\x05\x06" + bytes(18),
])  # fmt: skip
def test_damaged_checkpoints_are_refused(ending, content, tmp_path):
    Model([2, 1]).save(tmp_path / "old")
    (tmp_path / f"old{ending}").write_bytes(content)
    with pytest.raises(ew.io.FileFormatError, match=f"old{ending} cannot be loaded"):
        ew.from_pykan(tmp_path / "old")


def test_a_flipped_bit_of_a_tensor_is_noticed(tmp_path):
    Model([2, 1]).save(tmp_path / "old")
    data = bytearray((tmp_path / "old_state").read_bytes())
    coef = Model([2, 1]).state["act_fun.0.coef"].numpy().tobytes()
    data[data.index(coef) + 5] ^= 1
    (tmp_path / "old_state").write_bytes(data)
    with pytest.raises(ew.io.FileFormatError, match="a checksum differs"):
        ew.from_pykan(tmp_path / "old")
