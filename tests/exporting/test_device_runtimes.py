"""Files of runtimes for devices and of torch itself: `pytest -m "compile and slow"`, where their packages are."""

import pytest
import torch
from zoo import mixed, network, rng

import edgewise as ew
from edgewise.bases import BSpline
from edgewise.exporting import find_format
from edgewise.nn import KANConv2d

pytestmark = [pytest.mark.compile, pytest.mark.slow]


def needs(name: str):
    for _, module in find_format(name).packages:
        pytest.importorskip(module)


@pytest.mark.parametrize("name", ["litert", "executorch"])
def test_every_kind_of_layer(name, tmp_path):
    needs(name)
    path = tmp_path / f"model{find_format(name).suffix}"
    conv = KANConv2d(2, 4, 3, padding=1, generator=rng())
    for model, example in (
        (mixed(), None),
        (network([2, 1], basis=BSpline(24, 3)), None),
        (conv, torch.randn(2, 2, 5, 5, generator=rng())),
    ):
        report = ew.export(model, path, format=name, example=example)
        assert report.error <= 1e-5
        assert report.rows == ("1 to 64" if name == "executorch" else str(4 if example is None else 2))
        assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_core_ml_is_written_and_not_run(tmp_path):
    needs("coreml")
    report = ew.export(mixed(), tmp_path / "model.mlpackage", format="coreml")
    assert (report.error, report.inputs, report.runtime) == (None, 0, "")
    assert (tmp_path / "model.mlpackage" / "Manifest.json").is_file()


def test_torch_package(tmp_path):
    report = ew.export(mixed(), tmp_path / "model.pt2", format="torch")
    assert report.error <= 1e-5
    assert report.rows == "any"
