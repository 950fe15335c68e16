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
    model = ew.surgery.fix(ew.surgery.remove_edge(ew.KAN([2, 2, 1]), (0, 1, 0)), (0, 0, 0), "sin")
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
    for path in ("os.system", "edgewise.io.load", "torch.nn.Linear", "edgewise.models.none.A", "edgewise.io.hub."):
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


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("change", [
    {"width": 10**9}, {"width": 10**30}, {"width": 6}, {"width": -1}, {"width": "5"}, {"width": [5]}, {"width": None},
    {},
    {"width": 5, "more": 1}, {"width": 5, "basis": {"basis": {"name": "bspline", "degree": 3, "intervals": 10**8}}},
    {"width": 5, "basis": {"basis": {"name": "evil"}}}, {"width": 5, "basis": {}}, [5], 7,
])  # fmt: skip
def test_settings_that_the_weights_do_not_fit_are_refused_before_anything_is_built(
    change, tmp_path, monkeypatch
) -> None:
    Small(5).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | {"settings": change}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(FileFormatError, match=r"config\.json cannot be loaded"):
        Small.from_pretrained(tmp_path)


class Deep(Pretrained):
    """Built on no device but the CPU."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        assert torch.zeros(1).sum().item() == 0
        self.layers = nn.Sequential(*(nn.Linear(2, 2) for _ in range(depth)))


def test_a_class_that_needs_memory_is_bounded_while_it_is_built(tmp_path) -> None:
    Deep(2).save_pretrained(tmp_path)
    assert len(Deep.from_pretrained(tmp_path).layers) == 2
    config = (tmp_path / "config.json").read_text().replace('"depth": 2', '"depth": 1000000000')
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(FileFormatError, match="more than the weights hold"):
        Deep.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"[" * 99_999, b"\xff" * 8 + b"{}"])
def test_a_damaged_folder_is_refused(name, content, tmp_path) -> None:
    for model in (Small(2), ew.KANLinear(1, 1)):
        save_pretrained(model, tmp_path)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileFormatError, match=r"config\.json|model\.safetensors"):
            from_pretrained(tmp_path, kind=type(model))
