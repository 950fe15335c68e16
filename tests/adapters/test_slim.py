"""Laws of slim layers: expand == slim, the bound, the norm of random ones, structural operations."""

import copy
import pickle

import pytest
import torch
from lotra_zoo import inputs, network, same, shaken, state

import edgewise as ew
from edgewise.adapters import add_lotra, expand, lotra_ratios, merge, slim
from edgewise.adapters.decompose import tails
from edgewise.bases import BSpline, Chebyshev
from edgewise.nn import SlimKANLinear

WIDE = (12, 14, 16)


def wide(**options) -> ew.KAN:
    return network(WIDE, **options)


@pytest.mark.parametrize("basis", [BSpline(4, 3), Chebyshev(6)], ids=lambda b: b.name)
@pytest.mark.parametrize("residual", ["silu", None])
def test_slim_computes_what_its_expansion_does(basis, residual):
    model, x = wide(basis=basis, residual=residual), inputs(features=12)
    before = state(model)
    small = slim(model, (4, 3, 4))
    assert all(isinstance(layer, SlimKANLinear) for layer in small.layers)
    assert sum(p.numel() for p in small.parameters()) < 0.3 * sum(p.numel() for p in model.parameters())
    torch.testing.assert_close(expand(small)(x), small(x), rtol=1e-10, atol=1e-10)
    for layer, dense in zip(small.layers, expand(small).layers, strict=True):
        torch.testing.assert_close(dense.coef, layer.coef, rtol=0, atol=0)
    assert same(state(model), before)


def test_the_error_of_the_coefficients_keeps_the_bound():
    model = wide()
    small = slim(model, (4, 3, 4))
    for layer, old in zip(small.layers, model.layers, strict=True):
        bounds = [float(t[r]) for t, r in zip(tails(old.coef.detach()), layer.factors.ranks.values(), strict=True)]
        error = (layer.coef - old.coef).square().sum().item()
        assert max(bounds) <= error * (1 + 1e-9)
        assert error <= sum(bounds) * (1 + 1e-9)


def low_rank() -> ew.KAN:
    """A dense network whose coefficients have Tucker ranks (3, 2, 3)."""
    return expand(slim(wide(), (3, 2, 3)))


def test_a_tolerance_finds_the_ranks_and_is_exact():
    model, x = low_rank(), inputs(features=12)
    small = slim(model, tolerance=1e-6)
    assert [list(layer.factors.ranks.values()) for layer in small.layers] == [[3, 2, 3], [3, 2, 3]]
    torch.testing.assert_close(small(x), model(x), rtol=1e-9, atol=1e-9)


def test_keep_bounds_the_parameters():
    model = wide()
    small = slim(model, keep=0.1)
    for layer, old in zip(small.layers, model.layers, strict=True):
        assert layer.factors.numel() <= 0.1 * old.coef.numel()


def test_random_factors_have_the_norm_of_the_dense_layer():
    model = wide()
    fresh = slim(model, (4, 3, 4), init="random", generator=torch.Generator().manual_seed(0))
    again = slim(model, (4, 3, 4), init="random", generator=torch.Generator().manual_seed(0))
    assert same(state(fresh), state(again))
    for layer, old in zip(fresh.layers, model.layers, strict=True):
        torch.testing.assert_close(old.coef.norm(), layer.coef.norm(), rtol=1e-9, atol=0)
        assert (old.coef - layer.coef).norm() > layer.coef.norm()
    before = [layer.coef.clone() for layer in fresh.layers]
    for layer, old in zip(fresh.layers, before, strict=True):
        layer.reset_parameters(torch.Generator().manual_seed(1))
        torch.testing.assert_close(old.norm(), layer.coef.norm(), rtol=1e-9, atol=0)
        assert not torch.equal(old, layer.coef)


def test_gradients_and_hessians():
    small, x = slim(wide(), (4, 3, 4)), inputs(1, 12)[0]
    dense = expand(small)
    hessian = torch.func.hessian(lambda x: small(x).square().sum())(x)
    torch.testing.assert_close(hessian, torch.func.hessian(lambda x: dense(x).square().sum())(x), rtol=1e-8, atol=1e-8)
    small(x).sum().backward()
    assert all(p.grad is not None for p in small.parameters())


def test_copies_are_whole():
    small, x = slim(wide(), (4, 3, 4)), inputs(features=12)
    for twin in (copy.deepcopy(small), pickle.loads(pickle.dumps(small))):
        assert torch.equal(twin(x), small(x))
        shaken(twin)
        assert not torch.equal(twin(x), small(x))
    other = slim(wide(seed=5), (4, 3, 4))
    other.load_state_dict(small.state_dict())
    assert torch.equal(other(x), small(x))


def test_saved_is_loaded_and_small(tmp_path):
    model, x = wide(), inputs(features=12)
    small = slim(model, (4, 3, 4))
    small.layers[0].factors.core.requires_grad_(False)
    ew.save(small, tmp_path / "slim")
    ew.save(model, tmp_path / "dense")
    loaded = ew.load(tmp_path / "slim")
    assert same(state(loaded), state(small))
    assert torch.equal(loaded(x), small(x))
    assert [p.requires_grad for p in loaded.parameters()] == [p.requires_grad for p in small.parameters()]
    assert (tmp_path / "slim").stat().st_size < 0.5 * (tmp_path / "dense").stat().st_size


def test_absent_edges_stay_absent():
    model, x = wide(), inputs(features=12)
    scores = {"layers.0": torch.ones(12, 14).double(), "layers.1": torch.ones(14, 16).double()}
    scores["layers.0"][3] = 0
    pruned = ew.prune(model, scores)
    small = slim(pruned, (4, 3, 4))
    elsewhere = x.clone()
    elsewhere[:, 3] += 0.5
    assert torch.equal(small(x), small(elsewhere))


def test_structural_operations_give_dense_layers_of_the_same_function():
    small, x = slim(wide(), (4, 3, 4)), inputs(features=12) * 0.8
    finer = ew.refine(small, 10)
    assert not any(isinstance(layer, SlimKANLinear) for layer in finer.layers)
    torch.testing.assert_close(finer(x), small(x), rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="expand"):
        ew.adapt_grid_(small, x)


def test_an_adapter_on_a_slim_layer():
    small, x = slim(wide(), (4, 3, 4)), inputs(features=12)
    adapted = add_lotra(small, 2)
    torch.testing.assert_close(adapted(x), small(x), rtol=1e-12, atol=1e-12)
    shaken(adapted)
    plain = merge(adapted)
    torch.testing.assert_close(plain(x), adapted(x), rtol=1e-10, atol=1e-10)
    assert not any(p.requires_grad for p in plain.parameters())


def test_slim_layers_have_rates():
    ratios = lotra_ratios(slim(wide(), (4, 3, 4)))
    assert list(ratios) == ["layers.0.factors", "layers.1.factors"]
    assert ratios["layers.0.factors"]["core"] == pytest.approx(1 / 12)


def test_the_trace_sees_slim_layers():
    small, x = slim(wide(), (4, 3, 4)), inputs(features=12)
    seen = ew.trace(small, x)
    total = seen["layers.1"].edges().sum(1) + small.layers[1].bias
    torch.testing.assert_close(total, small(x), rtol=1e-10, atol=1e-10)


def test_layers_that_would_not_shrink_stay():
    model = network((2, 3, 1))
    assert not any(isinstance(layer, SlimKANLinear) for layer in slim(model, 1.0).layers)


@pytest.mark.compile
def test_compiles_whole():
    small, x = slim(wide(), (4, 3, 4)), inputs(features=12)
    compiled = torch.compile(small, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), small(x), rtol=1e-12, atol=1e-12)


def test_bad_requests():
    model = wide()
    for options in ({}, {"ranks": 2, "keep": 0.1}):
        with pytest.raises(ValueError, match="give one of"):
            slim(model, **options)
    with pytest.raises(ValueError, match="tolerance must be between"):
        slim(model, tolerance=2.0)
    with pytest.raises(ValueError, match="positive integers"):
        slim(model, 0)
    with pytest.raises(ValueError, match="has an adapter"):
        slim(add_lotra(model), 2)
    with pytest.raises(ValueError, match="coef is"):
        SlimKANLinear(model.layers[0], slim(model, 2).layers[1].factors)
