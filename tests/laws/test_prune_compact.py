"""Removing edges and nodes: prune, compact, select_inputs, widen."""

import itertools

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn
from zoo import SEEDS, mixed, network, rng, same_tensors, samples, tensors

import edgewise as ew
from edgewise import KAN, KANLinear
from edgewise.nn.layers import replaced, with_layers

close = torch.testing.assert_close


def describe(model):
    """All settings of a network that do not depend on its widths."""
    layers = [layer for layer in model.modules() if isinstance(layer, KANLinear)]
    return (
        model.training,
        [(layer.basis, layer.residual, layer.training, layer.coef.dtype, layer.grid.dtype) for layer in layers],
        {name: p.requires_grad for name, p in model.named_parameters()},
        model.output_names,
        model.output_affine and tensors(model.output_affine)["scale"].tolist(),
    )


def thinned(model, *, share: float, seed: int):
    """The model with a random share of its edges removed."""
    generator, layers = rng(seed), {}
    for name, layer in model.named_modules():
        if isinstance(layer, KANLinear):
            layers[name] = torch.rand(layer.mask.shape, generator=generator) > share
    for name, keep in layers.items():
        for j, i in (~keep).nonzero().tolist():
            model = ew.remove_edge(model, (name, j, i))
    return model


@pytest.mark.parametrize("seed", SEEDS)
def test_prune_removes_what_scores_low_and_nothing_else(seed):
    model, x = network([3, (4, [2, 3]), 2], seed=seed), samples(60, 3, seed=seed)
    scores = ew.edge_scores(ew.trace(model, x))
    before = tensors(model)
    pruned = ew.prune(model, scores, edge=0.2, node=0.3)
    assert same_tensors(before, tensors(model))
    first, second = (scores[name] > 0.2 for name in ("layers.0", "layers.2"))
    kept = scores["layers.2"].sum(1) > 0.3
    second &= kept[:, None]
    first &= torch.stack([*kept[:4], kept[4], kept[4], kept[5], kept[5], kept[5]])
    assert 0 < int(first.sum()) < first.numel()
    for layer, keep in ((pruned.layers[0], first), (pruned.layers[2], second)):
        assert torch.equal(layer.mask, keep)
    hidden = model.layers[1](torch.where(first, model.layers[0].edge_values(x), 0).sum(1) + model.layers[0].bias)
    close(pruned(x), torch.where(second, model.layers[2].edge_values(hidden), 0).sum(1) + model.layers[2].bias)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_prune_carries_every_setting_and_leaves_its_input(seed, dtype):
    model = mixed(seed=seed, dtype=torch.float64).to(dtype)
    before, settings_before = tensors(model), describe(model)
    scores = ew.edge_scores(ew.trace(model, samples(40, 3, seed=seed, dtype=dtype)))
    pruned = ew.prune(model, scores, edge=-1.0, node=-1.0)
    assert same_tensors(before, tensors(pruned))
    assert describe(pruned) == settings_before
    assert pruned.input_names == model.input_names
    pruned = ew.prune(model, scores)
    assert describe(pruned)[0] == settings_before[0]
    assert pruned.layers[2].bias.requires_grad is False
    with torch.no_grad():
        for p in pruned.parameters():
            p.add_(1)
    assert same_tensors(before, tensors(model))
    assert describe(model) == settings_before


def test_symbols_are_pruned_like_curves():
    model = ew.fix(ew.fix(network([2, 1]), (0, 0, 0), "sin"), (0, 1, 0), "exp")
    pruned = ew.prune(model, {"layers.0": torch.tensor([[0.0], [1.0]])})
    assert [fn.name for fn in pruned.layers[0].symbolic.functions] == ["exp"]
    assert len(ew.prune(model, {"layers.0": torch.zeros(2, 1)}).layers[0].symbolic) == 0


def test_prune_tells_what_is_wrong_with_the_scores():
    model = network([2, 3, 1])
    with pytest.raises(ValueError, match=r"scores have shape \(3, 2\), its edges \(2, 3\)"):
        ew.prune(model, {"layers.0": torch.ones(3, 2)})
    with pytest.raises(ValueError, match="no KANLinear is named"):
        ew.prune(model, {"layers.7": torch.ones(3, 2)})
    with pytest.raises(ValueError, match="not finite"):
        ew.prune(model, {"layers.0": torch.full((2, 3), torch.nan)})


def test_edges_are_pruned_inside_any_module():
    net = nn.Sequential(KANLinear(3, 4, generator=rng()), nn.Tanh(), KANLinear(4, 2, generator=rng(1)))
    x = samples(50, 3, dtype=torch.float32)
    pruned = ew.prune(net, ew.edge_scores(ew.trace(net, x)), edge=0.5)
    assert 0 < int(pruned[0].mask.sum()) < 12
    assert net[0].mask.all()
    with pytest.raises(TypeError, match="defined for a KAN alone, not for Sequential"):
        ew.compact(net)


widths = st.sampled_from(
    [[2, 3, 2], [3, (2, [2, 3]), 1], [2, (0, 2), (1, [3]), 2], [1, 4, 4, 1], [2, (1, 1), 3, (0, 1)]]
)


@settings(max_examples=60)
@given(widths=widths, share=st.floats(0, 1), seed=st.integers(0, 10**6), bias=st.booleans())
def test_compact_keeps_the_function(widths, share, seed, bias):
    model = thinned(network(widths, seed=seed, bias=bias), share=share, seed=seed)
    before = tensors(model)
    small, x = ew.compact(model), samples(30, widths[0], seed=seed)
    close(small(x), model(x), rtol=1e-10, atol=1e-10)
    assert same_tensors(before, tensors(model))
    assert (small.in_features, small.out_features) == (model.in_features, model.out_features)
    again = ew.compact(small)
    assert again.widths == small.widths
    assert not {id(p) for p in small.parameters()} & {id(p) for p in model.parameters()}


@settings(max_examples=30)
@given(share=st.floats(0.2, 0.95), seed=st.integers(0, 10**6))
def test_compact_leaves_no_dead_node(share, seed):
    small = ew.compact(thinned(network([3, 5, 4, 2], seed=seed), share=share, seed=seed))
    layers = list(small.layers)
    for layer, following in itertools.pairwise(layers):
        if layer.out_features > 1:
            assert layer.mask.any(0).all()
            assert following.mask.any(1).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_compact_of_everything_at_once(seed):
    model, x = mixed(seed=seed), samples(30, 3, seed=seed)
    small = ew.compact(model)
    assert small.widths == [3, (2, (2, 3)), 2]  # one sum reads nothing, another is read by nothing
    close(small(x), model(x), rtol=1e-12, atol=1e-12)
    assert describe(small) == describe(model)
    assert small.input_names == model.input_names
    half = thinned(model, share=0.5, seed=seed)
    close(ew.compact(half)(x), half(x), rtol=1e-12, atol=1e-12)


def test_a_constant_stays_where_no_bias_can_take_it():
    model = network([1, 2, 1], bias=False)
    model = ew.remove_edge(model, (0, 0, 1))
    model = with_layers(model, {"layers.0": replaced(model.layers[0], bias=torch.tensor([0.3, 0.8]).double())})
    small, x = ew.compact(model), samples(10, 1)
    assert small.widths == [1, 2, 1]
    close(small(x), model(x))


@pytest.mark.parametrize("constant", [0.0, 0.7])
def test_a_factor_that_is_constant(constant):
    model = ew.remove_edge(network([1, (0, 1), 1]), (0, 0, 1))
    model.layers[0].bias.data[1] = constant
    small, x = ew.compact(model), samples(10, 1)
    close(small(x), model(x))
    assert small.layers[-1].mask.any() == (constant != 0)  # the product is constant only where the factor is zero


@settings(max_examples=25)
@given(gone=st.sets(st.integers(0, 3)), seed=st.integers(0, 1000))
def test_select_inputs_drops_those_that_nothing_reads(gone, seed):
    model = network([4, 3, 1], seed=seed, input_names="abcd")
    model.input_affine = ew.nn.Affine(
        torch.tensor([1.0, 2, 3, 4]).double(), torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    )
    for j in gone:
        for i in range(3):
            model = ew.remove_edge(model, (0, j, i))
    small, kept = ew.select_inputs(model)
    assert kept == ([j for j in range(4) if j not in gone] or [0])
    assert small.input_names == tuple("abcd"[j] for j in kept)
    x = samples(20, 4, seed=seed)
    close(small(x[:, kept]), model(x))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([2, 3, 1], [2, 5, 1]),
        ([2, 3, 2, 1], [2, 3, 4, 1]),
        ([2, (1, 1), 1], [2, (3, [2, 3]), 1]),
        ([2, 2, 2, 2], [2, 4, (2, 1), 2]),
    ],
)
def test_widen_keeps_the_function_and_can_learn(seed, old, new):
    model, x = network(old, seed=seed), samples(30, 2, seed=seed)
    wide = ew.widen(model, new, generator=rng(seed))
    close(wide(x), model(x), rtol=1e-12, atol=1e-12)
    assert KAN(new).widths == wide.widths
    wide(x).square().sum().backward()
    last = wide.layers[-1] if isinstance(wide.layers[-1], KANLinear) else wide.layers[-2]
    assert (last.coef.grad.abs().amax((1, 2)) > 0).all()


def test_widen_of_everything_at_once_and_its_refusals():
    model, x = mixed(), samples(30, 3)
    wide = ew.widen(model, [3, (6, [2, 3, 2]), 2], generator=rng())
    close(wide(x), model(x), rtol=1e-12, atol=1e-12)
    assert describe(wide) == describe(model)
    for widths in ([3, (3, [2, 3]), 2], [3, (6, [3, 2]), 2], [3, (4, [2, 3]), 3], [2, (4, [2, 3]), 2], [3, 4, 4, 2]):
        with pytest.raises(ValueError, match="widths"):
            ew.widen(model, widths)


@pytest.mark.parametrize(
    ("what", "learns"),
    [
        ("none", {"coef", "bias", "affine"}),
        ("all", set()),
        ("curves", {"bias", "affine"}),
        (["symbols", "bias"], {"coef"}),
    ],
)
def test_freeze_freezes_exactly_these(what, learns):
    model = mixed()
    assert ew.freeze_(model, what) is model
    assert {name.rsplit(".")[-1] for name, p in model.named_parameters() if p.requires_grad} == learns
    assert all(p.requires_grad == (name.rsplit(".")[-1] in learns) for name, p in model.named_parameters())
    with pytest.raises(ValueError, match="cannot freeze 'grids'"):
        ew.freeze_(model, "grids")
