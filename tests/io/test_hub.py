"""What a folder holds comes back to the last bit, without a network."""

import json

import pytest
import torch
from torch import nn

import edgewise as ew
from edgewise.bases import BSpline, Chebyshev
from edgewise.io import FileFormatError, Pretrained, from_pretrained, save_pretrained
from edgewise.io.hub import model_card
from edgewise.models.kan_nerf import KANNeRF


class Small(Pretrained):
    def __init__(self, width: int, basis=None, *, dropout: float = 0.0, generator=None) -> None:
        super().__init__()
        self.first = ew.KANLinear(3, width, basis, generator=generator)
        self.last = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, 2))


def equal(a: nn.Module, b: nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    "build",
    [
        lambda: ew.KAN([2, (3, 2), 1], Chebyshev(4)),
        lambda: ew.KANLinear(3, 4),
        lambda: Small(5, BSpline(7, 2), dropout=0.5, generator=torch.Generator().manual_seed(1)),
        lambda: KANNeRF(2, 3, 3, 4),
    ],
)
def test_a_model_comes_back_to_the_last_bit(build, dtype, tmp_path) -> None:
    model = build().to(dtype)
    save_pretrained(model, tmp_path / "new" / "folder")
    back = from_pretrained(tmp_path / "new" / "folder", kind=type(model))
    assert type(back) is type(model)
    assert equal(back, model)
    assert not back.training
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_a_symbolic_and_pruned_network_keeps_its_structure(tmp_path) -> None:
    model = ew.fix(ew.remove_edge(ew.KAN([2, 2, 1]), (0, 1, 0)), (0, 0, 0), "sin")
    save_pretrained(model, tmp_path)
    x = torch.randn(20, 2)
    assert torch.equal(from_pretrained(tmp_path)(x), model(x))


def test_settings_are_readable_and_methods_are_there(tmp_path) -> None:
    Small(5, BSpline(7, 2)).save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())["settings"]
    assert settings == {"width": 5, "basis": {"basis": BSpline(7, 2).to_json()}, "dropout": 0.0}
    assert isinstance(Small.from_pretrained(tmp_path), Small)
    with pytest.raises(FileFormatError, match="import that class"):
        KANNeRF.from_pretrained(tmp_path)


def test_a_folder_never_names_code_to_import(tmp_path) -> None:
    Small(5).save_pretrained(tmp_path)
    for path in ("os.system", "edgewise.io.load", "torch.nn.Linear"):
        config = json.loads((tmp_path / "config.json").read_text()) | {"class": path, "settings": {}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(FileFormatError, match=r"import that class|not a model"):
            from_pretrained(tmp_path)


def test_the_card_shows_the_baseline_beside_the_model() -> None:
    rows = [{"name": "MLP", "parameters": 50, "mean": 0.25}, {"name": "KAN", "parameters": 48, "mean": 0.125}]
    card = model_card(ew.KAN([1, 1]), rows, "Adds.")
    assert "| MLP | 50 | 0.25 |" in card
    assert "| KAN | 48 | 0.125 |" in card
    assert "Adds." in card
    assert "compare" in model_card(ew.KAN([1, 1]))


def test_what_cannot_be_saved_says_why(tmp_path) -> None:
    with pytest.raises(TypeError, match="derive it from"):
        save_pretrained(nn.Linear(2, 2), tmp_path)
    with pytest.raises(TypeError, match="the setting 'dropout'"):
        Small(5, dropout=torch.zeros(2).sum()).save_pretrained(tmp_path)
    with pytest.raises((ImportError, ValueError, OSError)):
        from_pretrained(str(tmp_path / "missing" / "folder"))
