"""load(save(m)) == m, and whatever is not such a file is refused with a reason."""

import stat
import struct

import pytest
import sympy
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from safetensors.torch import save_file
from zoo import BASES, SEEDS, mixed, network, rng, same_tensors, samples, tensors

import edgewise as ew
from edgewise import KANLinear, SymbolicFn
from edgewise.io import container as io
from edgewise.nn import Affine


def resaved(path, change, *, rehash=True):
    """Rewrite a file with its header (and tensors) changed, the digest made right again: a deliberate forgery."""
    header, numbers = io.read_file(path)
    change(header, numbers)
    header["tensors"] = {name: [str(t.dtype).removeprefix("torch."), list(t.shape)] for name, t in numbers.items()}
    digest = io._digest(io._canonical(header), numbers) if rehash else "0" * 64
    save_file(numbers, path, {"edgewise": io._canonical(header | {"sha256": digest})})


def settings_of(model):
    layers = [m for m in model.modules() if isinstance(m, KANLinear)]
    return (
        [(m.basis, m.residual, m.training, tuple(fn.name for fn in m.symbolic.functions)) for m in layers],
        {name: (p.requires_grad, p.dtype) for name, p in model.named_parameters()},
        getattr(model, "widths", None),
        (getattr(model, "input_names", None), getattr(model, "output_names", None)),
        model.training,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_network_comes_back_bit_by_bit(tmp_path, seed, dtype):
    model = mixed(seed=seed).to(dtype)
    path = tmp_path / "model.safetensors"
    ew.save(model, path, extra={"target": "signature", "scores": [0.5, None]})
    twin = ew.load(path)
    assert same_tensors(tensors(model), tensors(twin))
    assert settings_of(twin) == settings_of(model)
    x = samples(20, 3, seed=seed, dtype=dtype)
    assert torch.equal(twin(x), model(x))
    assert ew.io.read_header(path)["extra"] == {"target": "signature", "scores": [0.5, None]}
    first = path.read_bytes()
    ew.save(twin, path, extra={"target": "signature", "scores": [0.5, None]})
    assert path.read_bytes() == first


@pytest.mark.parametrize("basis", BASES, ids=lambda basis: basis.name)
@pytest.mark.parametrize("residual", [None, "identity"])
def test_every_basis_comes_back(tmp_path, basis, residual):
    layer = KANLinear(2, 3, basis, residual=residual, bias=residual is None, generator=rng())
    ew.save(layer, tmp_path / "layer")
    twin = ew.load(tmp_path / "layer")
    assert isinstance(twin, KANLinear)
    assert settings_of(twin) == settings_of(layer)
    assert same_tensors(tensors(layer), tensors(twin))


def test_own_functions_need_their_library(tmp_path):
    bessel = SymbolicFn("J0", torch.special.bessel_j0, lambda x: sympy.besselj(0, x))
    model = ew.surgery.fix(network([1, 1]), (0, 0, 0), bessel)
    ew.save(model, tmp_path / "m")
    with pytest.raises(ValueError, match="the library has no function 'J0'; pass `library=`"):
        ew.load(tmp_path / "m")
    twin = ew.load(tmp_path / "m", library=ew.nn.DEFAULT_LIBRARY | bessel)
    assert twin.layers[0].symbolic.functions == (bessel,)
    other = SymbolicFn("J0", torch.special.bessel_y0, lambda x: sympy.bessely(0, x))
    two = ew.surgery.fix(ew.surgery.fix(network([2, 1]), (0, 0, 0), bessel), (0, 1, 0), other)
    with pytest.raises(ValueError, match="two different functions of one name"):
        ew.save(two, tmp_path / "two")
    assert not (tmp_path / "two").exists()


@pytest.mark.usefixtures("as_a_user")
def test_what_cannot_be_saved_is_told(tmp_path):
    with pytest.raises(TypeError, match="not a Linear; save its state_dict"):
        ew.save(torch.nn.Linear(2, 2), tmp_path / "m")
    for extra in ({"x": torch.zeros(2)}, {"x": float("nan")}, {"x": {1, 2}}):
        with pytest.raises(ValueError, match="`extra`"):
            ew.save(network([1, 1]), tmp_path / "m", extra=extra)
    with pytest.raises(FileNotFoundError):
        ew.save(network([1, 1]), tmp_path / "no" / "where")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        ew.load(tmp_path / "m")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m"
    ew.save(network([1, 1]), path)
    old = path.read_bytes()

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(io.os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        ew.save(network([2, 1]), path)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_files_have_the_usual_mode(tmp_path):
    ew.save(network([1, 1]), tmp_path / "m")
    (tmp_path / "plain").write_bytes(b"")
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("io") / "model"
    ew.save(mixed(dtype=torch.float32), path, extra={"note": "x"})
    return path


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unseen(saved, tmp_path, place, bit):
    data = bytearray(saved.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    (tmp_path / "flipped").write_bytes(data)
    with pytest.raises(ew.io.FileFormatError):
        ew.load(tmp_path / "flipped")


def test_no_flipped_bit_of_the_header_goes_unseen(saved, tmp_path):
    data = saved.read_bytes()
    size = 8 + struct.unpack("<Q", data[:8])[0]
    for n in [*range(8), *range(8, size, 13)]:
        flipped = bytearray(data)
        flipped[n] ^= 1 << (n % 7)
        (tmp_path / "flipped").write_bytes(flipped)
        with pytest.raises(ew.io.FileFormatError):
            ew.load(tmp_path / "flipped")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(saved, tmp_path, share):
    data = saved.read_bytes()
    (tmp_path / "short").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ew.io.FileFormatError):
        ew.load(tmp_path / "short")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_any_other_file_is_refused(tmp_path, data):
    (tmp_path / "other").write_bytes(data)
    with pytest.raises(ew.io.FileFormatError, match="other"):
        ew.load(tmp_path / "other")


def test_foreign_safetensors_and_pickles_are_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "foreign")
    with pytest.raises(ew.io.FileFormatError, match=r"it was not written by edgewise\.save"):
        ew.load(tmp_path / "foreign")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "pickle")
    with pytest.raises(ew.io.FileFormatError, match="is not a safetensors file"):
        ew.load(tmp_path / "pickle")


def _set(*keys, value):
    def change(header, _):
        place = header
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


def _drop(*keys):
    def change(header, _):
        place = header
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]

    return change


def _tensor(name, value):
    def change(_, numbers):
        if value is None:
            del numbers[name]
        else:
            numbers[name] = value

    return change


FORGERIES = {
    "format": (_set("format", value=99), "has format 99; this version reads 1"),
    "kind": (_set("kind", value="GPT"), "unknown kind of model 'GPT'"),
    "one layer": (_set("kind", value="KANLinear"), "a KANLinear is one layer"),
    "no layers": (_set("layers", value=[]), "begins with a layer of curves|unexpected"),
    "layers": (_set("layers", value=7), "TypeError"),
    "layer": (_set("layers", 0, value=None), "TypeError"),
    "no basis": (_drop("layers", 0, "basis"), "KeyError: 'basis'"),
    "unknown basis": (_set("layers", 0, "basis", "name", value="evil"), "unknown basis 'evil'"),
    "basis settings": (_set("layers", 0, "basis", "evil", value=1), "does not take the settings"),
    "basis value": (_set("layers", 0, "basis", "degree", value=77), "degree must be 0 to 9"),
    "basis text": (_set("layers", 0, "basis", "degree", value="3"), "cannot be loaded"),
    "basis float": (_set("layers", 0, "basis", "intervals", value=5.0), "cannot be loaded"),
    "huge basis": (_set("layers", 0, "basis", "intervals", value=10**12), "coef has shape"),
    "another size": (_set("layers", 0, "basis", "intervals", value=6), "coef has shape"),
    "residual": (_set("layers", 0, "residual", value="relu"), "unknown residual function 'relu'"),
    "no residual": (_set("layers", 0, "residual", value=None), "coef has shape"),
    "bias": (_set("layers", 0, "bias", value=False), "needs the tensors"),
    "function": (_set("layers", 0, "functions", 0, value="os.system"), "no function 'os.system'"),
    "fewer functions": (_set("layers", 0, "functions", value=["sin"]), "has shape"),
    "frozen": (_set("layers", 0, "frozen", value=["grid"]), "no 'grid' to freeze"),
    "products": (_set("layers", 1, "arities", value=[2, 2]), "layer 0 has 9 outputs, layer 1 reads 8"),
    "arities": (_set("layers", 1, "arities", value=[1, 4]), "malformed product nodes"),
    "names": (_set("input_names", value=["a"]), "input_names must be 3 different names"),
    "training": (_set("training", value="yes"), "cannot be loaded"),
    "extra": (_set("extra", value=[1]), "`extra` is not an object"),
    "units": (_set("input_affine", value=False), "unexpected tensors"),
    "missing": (_tensor("layers.0.coef", None), "needs the tensors"),
    "additional": (_tensor("layers.0.evil", torch.zeros(1)), "needs the tensors"),
    "stray": (_tensor("evil", torch.zeros(1)), "unexpected tensors"),
    "shape": (_tensor("layers.0.coef", torch.zeros(3, 9, 8)), "coef has shape"),
    "integers": (_tensor("layers.0.coef", torch.zeros(3, 9, 9, dtype=torch.int64)), "coef has the dtype"),
    "mask": (_tensor("layers.0.mask", torch.zeros(3, 9)), "matrix of booleans"),
    "two owners": (_tensor("layers.0.mask", torch.ones(3, 9, dtype=torch.bool)), "both a curve and a symbol"),
    "grid": (_tensor("layers.0.grid", torch.zeros(3, 7)), "needs 6 grid points"),
    "flat grid": (_tensor("layers.0.grid", torch.zeros(6)), "grid has shape"),
    "places": (_tensor("layers.0.sources", torch.tensor([0, 1, 2, 3])), "sources out of range"),
    "negative places": (_tensor("layers.0.targets", torch.tensor([0, 0, 3, -1])), "targets out of range"),
    "same place": (_tensor("layers.0.sources", torch.tensor([0, 0, 2, 1])), "an edge has one owner"),
    "scale": (_tensor("input_affine.scale", torch.zeros(2)), "malformed input_affine"),
}


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_file_with_a_right_digest_is_refused(saved, tmp_path, name):
    change, message = FORGERIES[name]
    path = tmp_path / "forged"
    path.write_bytes(saved.read_bytes())
    resaved(path, lambda header, numbers: None)
    ew.load(path)
    resaved(path, change)
    with pytest.raises(ew.io.FileFormatError, match=message):
        ew.load(path)


def test_a_wrong_digest_and_wrong_units_are_refused(saved, tmp_path):
    path = tmp_path / "m"
    path.write_bytes(saved.read_bytes())
    resaved(path, lambda header, numbers: None, rehash=False)
    with pytest.raises(ew.io.FileFormatError, match="SHA-256"):
        ew.io.read_header(path)
    model = network([2, 1])
    model.input_affine = Affine(torch.ones(3), torch.zeros(3))
    ew.save(model, path)
    with pytest.raises(ew.io.FileFormatError, match="does not fit the number of features"):
        ew.load(path)
