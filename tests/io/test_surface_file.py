"""A saved surface is read as it was; a file whose settings and tensors disagree is refused."""

import pytest
import torch

import edgewise as ew
from edgewise.io import FileFormatError
from edgewise.io.container import read_file, write_file
from edgewise.nn import Surface


def made() -> Surface:
    surface = Surface([torch.linspace(0, 1, 9), torch.linspace(-1, 1, 5) ** 3], 2, degree=4, periodic=[0])
    with torch.no_grad():
        surface.coef.normal_(generator=torch.Generator().manual_seed(0))
    return surface


def test_a_surface_is_read_as_it_was_saved(tmp_path):
    surface = made()
    ew.save(surface, tmp_path / "s.safetensors")
    again = ew.load(tmp_path / "s.safetensors")
    x = torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert isinstance(again, Surface)
    assert again.periodic == (0,)
    assert torch.equal(again(x), surface(x))


@pytest.mark.parametrize(
    "change",
    [
        {"degree": 5},
        {"degree": "4"},
        {"degree": 99},
        {"periodic": [7]},
        {"outputs": 3},
        {"variables": 10**9},
        {"variables": -1},
        {"more": 1},
    ],
)
def test_settings_that_do_not_fit_the_tensors_are_refused(tmp_path, change):
    ew.save(made(), tmp_path / "s.safetensors")
    header, tensors = read_file(tmp_path / "s.safetensors")
    header["surface"] |= change
    write_file(tmp_path / "bad.safetensors", header, tensors)
    with pytest.raises(FileFormatError):
        ew.load(tmp_path / "bad.safetensors")


@pytest.mark.parametrize("name", ["grid_1", "coef"])
def test_tensors_that_are_no_surface_are_refused(tmp_path, name):
    ew.save(made(), tmp_path / "s.safetensors")
    header, tensors = read_file(tmp_path / "s.safetensors")
    for bad in (tensors[name].float(), tensors[name][:2], tensors[name] * torch.nan):
        write_file(tmp_path / "bad.safetensors", header, tensors | {name: bad})
        if name == "coef" and bool(bad.isnan().any()):
            continue  # numbers of a network may be anything
        with pytest.raises(FileFormatError):
            ew.load(tmp_path / "bad.safetensors")
