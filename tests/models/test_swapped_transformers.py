"""A transformers model with swapped layers comes back from its folder to the last bit, or is refused."""

import pytest
import torch
from later import later

import edgewise as ew

transformers = later("transformers")
pytestmark = pytest.mark.usefixtures("as_a_user")


@pytest.fixture
def swapped():
    torch.manual_seed(0)
    sizes = {
        "hidden_size": 8,
        "intermediate_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 20,
    }
    model = ew.swap_linear(transformers.BertModel(transformers.BertConfig(**sizes)).eval(), where="*.dense")
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.01 * torch.randn_like(p))
    return model


def hidden(model):
    return model(torch.tensor([[1, 2, 3]])).last_hidden_state


def test_a_folder_brings_back_the_layers(swapped, tmp_path):
    import edgewise.models.swapped_transformers  # noqa: F401  (registers the layers)

    for place in ("first", "second"):  # a model that was read is written as well
        swapped.save_pretrained(tmp_path / place)
        back = transformers.AutoModel.from_pretrained(tmp_path / place)
        assert torch.equal(hidden(back), hidden(swapped))
        assert not back.is_quantized
        assert [type(m).__name__ for name, m in back.named_modules() if name.endswith("dense")] == ["KANLinear"] * 4
        swapped.load_state_dict(back.state_dict())
        swapped = back


def test_a_loader_that_knows_linear_layers_alone_is_refused(swapped, tmp_path, monkeypatch):
    from transformers.quantizers import auto

    monkeypatch.delitem(auto.AUTO_QUANTIZATION_CONFIG_MAPPING, "edgewise", raising=False)
    swapped.save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match="mismatch"):
        transformers.BertModel.from_pretrained(tmp_path)
    plain = transformers.BertModel(transformers.BertConfig.from_pretrained(tmp_path))
    with pytest.raises(RuntimeError, match=r"dense\.weight"):
        plain.load_state_dict(swapped.state_dict(), strict=False)


def test_a_config_that_names_other_layers_is_refused(swapped, tmp_path):
    import edgewise.models.swapped_transformers  # noqa: F401

    swapped.config.quantization_config["layers"]["encoder.more"] = ew.BSpline().to_json()
    swapped.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"'encoder\.more', which BertModel does not have"):
        transformers.BertModel.from_pretrained(tmp_path)
