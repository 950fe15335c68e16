"""Laws of the small GPT."""

import json

import pytest
import torch
from torch.nn.functional import cross_entropy
from zoo import rng

from edgewise.bases import BSpline, Chebyshev
from edgewise.models.kan_gpt import KANGPT, GPTConfig

KINDS = ["mlp", "rational", Chebyshev(3), BSpline(5, 3)]
kinds = pytest.mark.parametrize("kind", KINDS, ids=str)


def gpt(kind="rational", **settings) -> KANGPT:
    sizes = {"symbols": 7, "context": 12, "layers": 2, "heads": 2, "features": 16, **settings}
    return KANGPT(GPTConfig(feed_forward=kind, **sizes), generator=rng()).double().eval()


def text(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(7, shape, generator=rng(seed))


@kinds
def test_the_future_is_not_seen(kind):
    model, a = gpt(kind, attention=Chebyshev(2)), text(3, 12)
    b = a.clone()
    b[:, 8:] = (b[:, 8:] + 1) % 7
    assert torch.equal(model(a)[:, :8], model(b)[:, :8])


@kinds
@pytest.mark.parametrize(("temperature", "top_k"), [(0.0, None), (1.0, None), (0.7, 3)])
def test_generation_with_a_cache_is_generation_without(kind, temperature, top_k):
    model, start = gpt(kind), text(2, 5)
    draw = lambda cache: model.generate(start, 20, temperature=temperature, top_k=top_k, cache=cache, generator=rng(1))
    assert torch.equal(draw(True), draw(False))
    assert draw(True).shape == (2, 25)
    assert torch.equal(draw(True)[:, :5], start)


def test_the_past_gives_the_logits_of_the_whole():
    model, a = gpt(Chebyshev(3)), text(2, 10)
    _, past = model.extend(a[:, :4], None)
    torch.testing.assert_close(model.extend(a[:, 4:], past)[0], model(a)[:, 4:])


def test_top_1_is_the_most_likely_and_samples_follow_the_distribution():
    model, start = gpt(), text(4)
    greedy = model.generate(start, 9, temperature=0)
    assert torch.equal(model.generate(start, 9, top_k=1, generator=rng()), greedy)
    assert torch.equal(model(greedy[:-1])[3:].argmax(-1), greedy[4:])
    p = model(start)[-1].softmax(-1)
    many = model.generate(start.expand(4000, -1), 1, generator=rng())[:, -1]
    torch.testing.assert_close(many.bincount(minlength=7) / 4000, p.float(), atol=0.03, rtol=0)


def test_the_embedding_is_the_output_matrix_and_the_seed_decides():
    model = gpt()
    assert "embedding" in dict(model.named_parameters())
    assert all(name != "output" for name, _ in model.named_children())
    assert torch.equal(gpt()(text(3)), model(text(3)))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_all_kinds_are_of_one_size(kind):
    numbers = lambda kind: sum(p.numel() for p in KANGPT(GPTConfig(65, feed_forward=kind)).parameters())
    assert numbers(kind) == pytest.approx(numbers("mlp"), rel=0.02)


@kinds
def test_the_settings_go_through_json(kind):
    config = GPTConfig(7, feed_forward=kind, attention=BSpline(3, 2))
    assert GPTConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@kinds
def test_learns_to_count(kind):
    model = gpt(kind).float().train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    x = (torch.arange(12) + torch.arange(7)[:, None]) % 7
    for _ in range(40):
        optimizer.zero_grad()
        loss = cross_entropy(model(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
        loss.backward()
        optimizer.step()
    assert loss < 0.05
    assert model.generate(torch.tensor([3]), 6, temperature=0).tolist() == [3, 4, 5, 6, 0, 1, 2]
    assert model.training


@pytest.mark.usefixtures("as_a_user")
def test_errors_name_what_to_give():
    with pytest.raises(ValueError, match="'rational', 'mlp' or a basis, got 'spline'"):
        GPTConfig(7, feed_forward="spline")
    with pytest.raises(ValueError, match="13 does not fit the context of 12"):
        gpt()(text(13))
    with pytest.raises(ValueError, match="needs a prompt"):
        gpt().generate(text(0), 3)
