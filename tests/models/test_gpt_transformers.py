"""The small GPT under the calls of transformers. Runs where it is installed: pip install edgewise[transformers]."""

import pytest
import torch
from later import later
from zoo import rng

from edgewise.bases import Chebyshev
from edgewise.models.kan_gpt import KANGPT, GPTConfig

transformers, wrapper = later("transformers"), later("edgewise.models.kan_gpt_transformers")

KINDS = pytest.mark.parametrize("kind", ["rational", Chebyshev(3)], ids=str)


def gpt(kind="rational") -> KANGPT:
    config = GPTConfig(7, context=16, features=16, heads=2, feed_forward=kind, attention=Chebyshev(2))
    return KANGPT(config, generator=rng()).eval()


def text(*shape: int) -> torch.Tensor:
    return torch.randint(7, shape, generator=rng(1))


@KINDS
def test_generate_writes_what_the_model_itself_writes(kind):
    model, start = gpt(kind), text(3, 4)
    wrapped = wrapper.KANGPTForCausalLM.of(model).eval()
    expected = model.generate(start, 10, temperature=0)
    for cache in (True, False):
        found = wrapped.generate(start, max_new_tokens=10, do_sample=False, use_cache=cache)
        assert torch.equal(found, expected)


@KINDS
def test_a_folder_gives_the_model_back(kind, tmp_path):
    model = wrapper.KANGPTForCausalLM.of(gpt(kind)).eval()
    model.save_pretrained(tmp_path)
    found = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert isinstance(found, wrapper.KANGPTForCausalLM)
    assert found.config.as_gpt() == model.gpt.config
    assert found.config.vocab_size == 7
    assert torch.equal(found(text(2, 9)).logits, model.gpt(text(2, 9)))


def test_the_loss_is_that_of_the_next_index():
    model, a = wrapper.KANGPTForCausalLM(wrapper.KANGPTConfig(symbols=7, context=16, features=16, heads=2)), text(2, 9)
    expected = -model(a).logits.log_softmax(-1)[:, :-1].gather(-1, a[:, 1:, None]).mean()
    torch.testing.assert_close(model(a, labels=a).loss, expected)


def test_padding_is_refused():
    with pytest.raises(ValueError, match="no padding mask"):
        wrapper.KANGPTForCausalLM.of(gpt())(text(1, 3), attention_mask=torch.tensor([[0, 1, 1]]))
