"""Laws of swap_linear: the same function at the start, in training and inference; errors that name the layers."""

import pytest
import torch
from torch import nn

import edgewise as ew
from edgewise.adapters import add_lotra, merge
from edgewise.bases import Chebyshev
from edgewise.surgery import swap_linear


class Conv1D(nn.Module):
    """GPT-2's layer: the weight is (in, out)."""

    def __init__(self, nf, nx):
        super().__init__()
        self.nf = nf
        self.weight = nn.Parameter(torch.randn(nx, nf) * 0.1)
        self.bias = nn.Parameter(torch.randn(nf))

    def forward(self, x):
        return x @ self.weight + self.bias


class Tied(nn.Module):
    """A language model whose last layer is its embedding."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.up, self.down, self.head = nn.Linear(6, 9), Conv1D(6, 9), nn.Linear(6, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        h = self.embed(tokens)
        return self.head(h + self.down(torch.tanh(self.up(h))))


def encoder(**options) -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0, **options)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=not options)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.Linear(7, 2))


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def x(*shape) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)) * 3


MODELS = {
    "linear": (lambda: nn.Linear(5, 3), (x(4, 5),), 1),
    "no bias": (lambda: nn.Linear(5, 3, bias=False), (x(4, 5),), 1),
    "mlp": (mlp, (x(4, 5),), 2),
    "encoder": (encoder, (x(3, 6, 8),), 4),
    "norm first": (lambda: encoder(norm_first=True, activation="gelu"), (x(3, 6, 8),), 4),
    "decoder": (
        lambda: nn.TransformerDecoderLayer(8, 2, 16, batch_first=True, dropout=0.0),
        (x(3, 6, 8), x(3, 5, 8)),
        2,
    ),
    "tied": (Tied, (torch.arange(10).reshape(2, 5),), 2),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_the_copy_computes_the_same_function(name, training, dtype):
    build, inputs, count = MODELS[name]
    model = build().to(dtype).train(training)
    inputs = tuple(t.to(dtype) if t.is_floating_point() else t for t in inputs)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    swapped = swap_linear(model)
    assert sum(isinstance(module, ew.KANLinear) for module in swapped.modules()) == count
    with torch.no_grad():
        assert relative(swapped(*inputs), model(*inputs)) <= (1e-6 if dtype == torch.float32 else 1e-14)
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert swapped.training == training


def test_inference_with_a_padding_mask_calls_the_new_layers():
    model = encoder().eval()
    swapped = swap_linear(model)
    padding = torch.tensor([[False] * 6, [False] * 4 + [True] * 2])
    with torch.no_grad():
        theirs = swapped(x(2, 6, 8), src_key_padding_mask=padding)[~padding]
        assert relative(theirs, model.train()(x(2, 6, 8), src_key_padding_mask=padding)[~padding]) < 1e-6
        for module in swapped.modules():
            if isinstance(module, ew.KANLinear):
                module.coef[:, 0] += 1
        assert relative(swapped(x(2, 6, 8), src_key_padding_mask=padding)[~padding], theirs) > 0.01


def test_the_curves_learn_what_a_linear_layer_cannot():
    t = torch.linspace(-3, 3, 200)[:, None]
    tuned = add_lotra(swap_linear(nn.Linear(1, 1)), generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.LBFGS([p for p in tuned.parameters() if p.requires_grad], max_iter=300)

    def closure():
        optimizer.zero_grad()
        loss = (tuned(t) - torch.sin(t)).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert closure() < 1e-3
    torch.testing.assert_close(merge(tuned)(t), tuned(t), rtol=1e-4, atol=1e-5)


def test_where_chooses():
    chosen = swap_linear(mlp(), where="2", basis=Chebyshev(4))
    assert isinstance(chosen[0], nn.Linear)
    assert chosen[2].basis == Chebyshev(4)
    by_size = swap_linear(mlp(), where=lambda name, layer: layer.in_features == 5)
    assert isinstance(by_size[0], ew.KANLinear)
    assert isinstance(by_size[2], nn.Linear)


def test_random_layers_are_new():
    model = mlp()
    first, second = (swap_linear(model, init="random", generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first(x(4, 5)), second(x(4, 5)))
    assert relative(first(x(4, 5)), model(x(4, 5))) > 0.1


def test_grids_can_be_fitted_to_data():
    model = mlp()
    swapped = swap_linear(model)
    ew.adapt_grid_(swapped, x(100, 5))
    assert relative(swapped(x(9, 5)), model(x(9, 5))) < 1e-6


def test_bad_requests_name_the_candidates():
    with pytest.raises(ValueError, match=r"no linear layer is named 'enc\.\*'; there are '0', '2'"):
        swap_linear(mlp(), where="enc.*")
    with pytest.raises(ValueError, match="there are '0', '2'"):
        swap_linear(mlp(), where=lambda name, layer: False)
    with pytest.raises(ValueError, match="has no linear layer"):
        swap_linear(nn.ReLU())
    with pytest.raises(ValueError, match="'head' shares its weight with 'embed'"):
        swap_linear(Tied(), where="head")
