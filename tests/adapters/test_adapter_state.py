"""Laws of saved adapters: loaded == saved, small, refused where they do not belong."""

import os

import pytest
import torch
from lotra_zoo import FORM_NAMES, adapted, inputs, network, same, shaken, state

import edgewise as ew
from edgewise.adapters import (
    AdapterState,
    adapter_names,
    adapter_state,
    add_lotra,
    load_adapter,
    merge,
    read_adapter,
    save_adapter,
    unmerge,
)
from edgewise.bases import BSpline
from edgewise.io import FileFormatError, load, read_header, save


@pytest.mark.parametrize("form", FORM_NAMES)
def test_loaded_is_saved(form, tmp_path):
    model, x = adapted(form), inputs()
    save_adapter(model, tmp_path / "a", extra={"task": "near"})
    loaded = load_adapter(network(), tmp_path / "a")
    assert torch.equal(loaded(x), model(x))
    assert {n for n, p in loaded.named_parameters() if p.requires_grad} == {
        n for n, p in model.named_parameters() if p.requires_grad
    }
    assert read_header(tmp_path / "a")["extra"] == {"task": "near"}
    assert os.listdir(tmp_path) == ["a"]


def test_two_files_make_two_adapters(tmp_path):
    base, x = network(), inputs()
    first, second = shaken(add_lotra(base), seed=1), shaken(add_lotra(base, 2, form="lora"), seed=2)
    save_adapter(first, tmp_path / "1")
    save_adapter(second, tmp_path / "2")
    both = load_adapter(load_adapter(base, tmp_path / "1", "one"), tmp_path / "2", "two")
    assert adapter_names(both) == ("one", "two")
    expected = base.layers[1].coef + first.layers[1].adapter() + second.layers[1].adapter()
    torch.testing.assert_close(both.layers[1].curves(), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ew.adapters.use_adapters_(both, "two")(x), second(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", FORM_NAMES)
def test_unmerge_undoes_merge(form):
    model, x = adapted(form), inputs()
    merged = merge(model)
    before = state(merged)
    again = unmerge(merged, adapter_state(model))
    assert same(state(merged), before)
    torch.testing.assert_close(again(x), model(x), rtol=1e-10, atol=1e-10)
    for layer, original in zip(again.layers, model.layers, strict=True):
        torch.testing.assert_close(layer.coef, original.coef, rtol=1e-12, atol=1e-12)


def test_a_file_of_the_standard_layer_is_below_8_kb(tmp_path):
    layer = ew.KANLinear(64, 64, BSpline(8, 3))  # 64 x 64 x (11 + 1)
    model = add_lotra(layer, (8, 4, 8))
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 1328
    save_adapter(model, tmp_path / "a")
    assert (tmp_path / "a").stat().st_size < 8000


def test_the_state_is_a_copy():
    model = adapted()
    snapshot = adapter_state(model)
    before = {name: t.clone() for name, t in snapshot.tensors.items()}
    shaken(model, seed=8)
    assert same(dict(snapshot.tensors), before)


OTHERS = {
    "shape": network((3, 5, 2)),
    "basis": network(basis=BSpline(5, 3, "uniform")),
    "residual": network(residual="identity"),
    "grid": network(grid_range=(-2.0, 1.0)),
    "KANLinear 'layers.1'": network((3, 6)),
}


@pytest.mark.parametrize("what", OTHERS)
def test_an_adapter_is_refused_where_it_does_not_belong(what, tmp_path):
    save_adapter(adapted(), tmp_path / "a")
    other = OTHERS[what]
    before = state(other)
    with pytest.raises(ValueError, match=what):
        load_adapter(other, tmp_path / "a")
    assert same(state(other), before)


def test_an_adapter_of_another_network_is_no_damaged_file(tmp_path):
    save_adapter(adapted(), tmp_path / "a")
    for other in (ew.KAN([2, 1]), ew.KAN([3, 3, 3, 3])):
        with pytest.raises(ValueError, match=r"a is the adapter of another network: ") as raised:
            load_adapter(other, tmp_path / "a")
        assert not isinstance(raised.value, FileFormatError)


def test_damaged_and_foreign_files_are_refused(tmp_path):
    model = adapted()
    save_adapter(model, tmp_path / "a")
    save(network(), tmp_path / "kan")
    with pytest.raises(FileFormatError, match="holds a KAN, not an adapter"):
        read_adapter(tmp_path / "kan")
    with pytest.raises(FileFormatError, match="load_adapter"):
        load(tmp_path / "a")
    data = bytearray((tmp_path / "a").read_bytes())
    data[-3] ^= 1
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(FileFormatError):
        load_adapter(network(), tmp_path / "a")
    with pytest.raises(ValueError, match="there is no adapter 'x'"):
        save_adapter(model, tmp_path / "b", "x")
    assert not (tmp_path / "b").exists()


def test_wrong_tensors_are_refused():
    good = adapter_state(adapted())
    wrong = {
        "got the shape None": None,
        "entries along 'j'": torch.zeros(2, 2),
        "finite": torch.full((3, 3), torch.nan),
    }
    for message, value in wrong.items():
        tensors = dict(good.tensors)
        tensors.pop("layers.0/source")
        if value is not None:
            tensors["layers.0/source"] = value
        with pytest.raises(ValueError, match=message):
            load_adapter(network(), AdapterState(good.name, good.layers, tensors))
