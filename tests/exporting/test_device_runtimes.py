"""Files of runtimes for devices and of torch itself: `pytest -m "compile and slow"`, where their packages are."""

import json

import pytest
import torch
from zoo import mixed, network, rng

import edgewise as ew
from edgewise.bases import BSpline
from edgewise.exporting import find_format
from edgewise.nn import KANConv2d, KANFeedForward

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


def test_metadata_travels(tmp_path):
    from edgewise.exporting.executorch_file import read_executorch_metadata
    from edgewise.exporting.litert_file import read_litert_metadata

    model = network([2, 3, 1])
    for name, read in (("litert", read_litert_metadata), ("executorch", read_executorch_metadata)):
        if find_format(name).missing():
            continue
        path = tmp_path / f"model{find_format(name).suffix}"
        ew.export(model, path, format=name, input_names=["größe", "b"], units={"b": "m"}, metadata={"who": "me"})
        found = read(path)
        assert json.loads(found["input_names"]) == ["größe", "b"]
        assert json.loads(found["units"]) == {"b": "m"}
        assert (found["who"], len(found["model_sha256"])) == ("me", 64)


@pytest.mark.parametrize("name", ["litert", "executorch"])
def test_compensated_sums_survive_the_converter(name, tmp_path):
    """Far outside the grids plain sums lose digits; no converter may take the additions that keep them for nothing."""
    needs(name)
    model = network([4, 8, 1], seed=2).float()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.3 * torch.randn(p.shape, generator=rng(3))
    for block, example in ((model, None), (KANFeedForward(8, 16, groups=4, generator=rng()), torch.randn(4, 8))):
        path = tmp_path / f"model{find_format(name).suffix}"
        errors = [
            ew.export(block, path, format=name, example=example, sums=sums, tolerance=1e-3).forward_error
            for sums in ("plain", "compensated")
        ]
        assert errors[1] < min(2e-6, errors[0])


@pytest.mark.parametrize("norm", [torch.nn.LayerNorm(6), torch.nn.GroupNorm(2, 6)], ids=lambda n: type(n).__name__)
def test_a_normalisation_keeps_what_varies_little_around_a_large_mean(norm, tmp_path):
    """ExecuTorch's own kernels subtract the square of the mean from the mean of the squares."""
    needs("executorch")
    for p in norm.parameters():
        torch.nn.init.normal_(p, generator=rng())
    layer = ew.KANLinear(6, 6, generator=rng())
    model = torch.nn.Sequential(layer, norm)
    with torch.no_grad():
        layer.coef *= 0.3
        layer.bias += 1.0
    report = ew.export(model, tmp_path / "model.pte", format="executorch", example=torch.randn(4, 6, generator=rng()))
    assert report.forward_error <= 1e-5


def test_core_ml_is_written_and_not_run(tmp_path):
    needs("coreml")
    report = ew.export(mixed(), tmp_path / "model.mlpackage", format="coreml")
    assert (report.error, report.inputs, report.runtime) == (None, 0, "")
    assert (tmp_path / "model.mlpackage" / "Manifest.json").is_file()


def test_torch_package(tmp_path):
    report = ew.export(mixed(), tmp_path / "model.pt2", format="torch")
    assert report.error <= 1e-5
    assert report.rows == "any"
