"""Laws of one layer."""

import copy
import gc
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.interpolate import BSpline as ScipySpline
from torch import nn
from zoo import BASES, SEEDS, mixed, rng, same_tensors, samples, tensors

import edgewise as ew
from edgewise import BSpline, KANLinear

shapes = st.lists(st.integers(0, 3), max_size=3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("basis", BASES, ids=lambda basis: basis.name)
@settings(max_examples=8)
@given(
    batch=shapes, ins=st.integers(1, 4), outs=st.integers(1, 4), residual=st.sampled_from([None, "silu", "identity"])
)
def test_any_leading_shape_and_the_sum_of_the_edges(basis, dtype, batch, ins, outs, residual):
    layer = KANLinear(ins, outs, basis, residual=residual, generator=rng(), dtype=dtype)
    x = torch.rand(*batch, ins, generator=rng(1), dtype=torch.float64).to(dtype)
    y, edges = layer(x), layer.edge_values(x)
    assert (y.shape, y.dtype) == ((*batch, outs), dtype)
    assert (edges.shape, edges.dtype) == ((*batch, ins, outs), dtype)
    tolerance = 50 * torch.finfo(dtype).eps
    torch.testing.assert_close(y, edges.sum(-2) + layer.bias, rtol=tolerance, atol=tolerance * 4)
    flat = layer(x.reshape(-1, ins)).reshape(y.shape)
    torch.testing.assert_close(y, flat, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("seed", SEEDS)
def test_equals_splines_of_scipy(seed):
    layer = KANLinear(3, 2, BSpline(6, 3), residual=None, bias=False, generator=rng(seed), dtype=torch.float64)
    x = samples(50, 3, seed=seed, spread=1.0)
    knots, coef = layer.basis.full_knots(layer.grid), layer.coef.detach()
    for i in range(2):
        y = sum(ScipySpline(knots[j].numpy(), coef[j, :, i].numpy(), 3)(x[:, j].numpy()) for j in range(3))
        torch.testing.assert_close(layer(x)[:, i].detach(), torch.tensor(y), rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("shape", [(), (2,), (5, 2), (4, 3, 1), (0,)])
def test_a_wrong_shape_is_told_by_name(shape):
    layer = KANLinear(3, 2)
    for question in (layer, layer.edge_values):
        with pytest.raises(ValueError, match=r"shape \(\*batch, 3\), got"):
            question(torch.zeros(shape))


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("bad", [0, -1, 2.5])
def test_wrong_settings_are_refused_where_they_are_made(bad):
    with pytest.raises(ValueError, match="positive integer"):
        KANLinear(bad, 2)
    with pytest.raises(ValueError, match="positive integer"):
        KANLinear(2, bad)
    with pytest.raises(ValueError, match="unknown residual function 'relu'"):
        KANLinear(2, 2, residual="relu")
    with pytest.raises(ValueError, match="is empty"):
        KANLinear(2, 2, grid_range=(1, -1))


def test_stands_in_for_a_linear_layer():
    net = nn.Sequential(nn.Linear(4, 6), KANLinear(6, 5, bias=False), nn.Linear(5, 1))
    net(torch.rand(7, 3, 4)).mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert KANLinear(2, 3, bias=False).bias is None
    assert {name for name, _ in KANLinear(2, 3).named_parameters()} == {"coef", "bias"}


@pytest.mark.usefixtures("as_a_user")
def test_numpy_integers_are_sizes():
    assert KANLinear(np.int32(2), np.int64(3)).coef.shape == (2, 9, 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_computes_in_its_dtype_and_learns(dtype):
    layer = KANLinear(3, 2, generator=rng())
    x = samples(20, 3, spread=1.0, dtype=torch.float32)
    with torch.autocast("cpu", dtype=dtype):
        y = layer(x)
        symbol = ew.surgery.fix(layer, (0, 0, 0), "sin")(x)
    assert y.dtype == symbol.dtype == dtype
    torch.testing.assert_close(y.float(), layer(x), rtol=0.05, atol=0.05)
    y.float().sum().backward()
    assert layer.coef.grad is not None
    assert layer.coef.grad.dtype == torch.float32


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
def test_copies_after_a_forward_compute_the_same_and_share_nothing(seed, copied):
    model, x = mixed(seed=seed), samples(30, 3, seed=seed)
    y = model(x.requires_grad_())  # the graph is alive while the copy is made
    twin = copied(model)
    assert torch.equal(twin(x), y)
    before = tensors(model)
    with torch.no_grad():
        for p in twin.parameters():
            p.add_(1)
    assert same_tensors(before, tensors(model))
    y.sum().backward()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_state_dict_carries_every_number(seed):
    a, b = mixed(seed=seed), mixed(seed=seed + 10)
    x = samples(30, 3, seed=seed)
    assert not torch.equal(a(x), b(x))
    b.load_state_dict(a.state_dict())
    assert torch.equal(a(x), b(x))


def test_a_loaded_mask_is_obeyed():
    full, cut = KANLinear(2, 2, generator=rng()), ew.surgery.remove_edge(KANLinear(2, 2, generator=rng()), ("", 0, 1))
    x = samples(5, 2, dtype=torch.float32)
    full.load_state_dict(cut.state_dict())
    assert torch.equal(full(x), cut(x))
    assert (full.edge_values(x)[:, 0, 1] == 0).all()


@pytest.mark.parametrize("model", [KANLinear(3, 2), mixed(dtype=torch.float32)], ids=["layer", "network"])
def test_a_forward_stores_nothing(model):
    x = samples(10, 3, dtype=torch.float32)
    before = {name: dict(vars(module)) for name, module in model.named_modules()}
    model(x)
    ew.trace(model, x)
    for name, module in model.named_modules():
        assert vars(module).keys() == before[name].keys()
        assert all(vars(module)[key] is value for key, value in before[name].items())


@pytest.mark.usefixtures("as_a_user")
def test_a_thousand_calls_leave_no_object_behind():
    model, x = mixed(dtype=torch.float32), samples(2, 3, dtype=torch.float32)
    for _ in range(20):
        model(x).sum().backward()
    gc.collect()
    objects = len(gc.get_objects())
    for _ in range(1000):
        model(x)
    gc.collect()
    assert len(gc.get_objects()) < objects + 100


def test_building_touches_no_global_seed_prints_nothing_and_writes_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    state = torch.get_rng_state()
    for _ in range(2):
        ew.KAN([2, (3, 2), 1], generator=rng())
        KANLinear(2, 2, generator=rng())
        ew.surgery.widen(ew.KAN([2, 3, 1], generator=rng()), [2, 5, 1], generator=rng())
    assert torch.equal(torch.get_rng_state(), state)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    a, b = (ew.KAN([2, 3, 1], generator=rng(3)) for _ in range(2))
    assert same_tensors(tensors(a), tensors(b))


@pytest.mark.parametrize("residual", [None, "silu"])
@pytest.mark.parametrize("width", [4, 64])
def test_a_new_layer_keeps_the_scale_of_its_inputs(residual, width):
    x = torch.randn(4000, width, generator=rng(1), dtype=torch.float64)
    for seed in SEEDS:
        layer = KANLinear(width, 64, residual=residual, generator=rng(seed), dtype=torch.float64)
        assert 0.3 < layer(x).std().item() < 3


def test_nothing_leaks_from_an_absent_edge():
    layer = ew.surgery.fix(KANLinear(2, 2, generator=rng()), (0, 0, 0), "log")
    x = torch.tensor([[-1.0, 0.5]])
    assert layer(x)[0, 0].isnan()
    cut = ew.surgery.remove_edge(layer, (0, 0, 0))
    with torch.no_grad():
        cut.coef[0, :, 0] = torch.nan
    x.requires_grad_()
    y = cut(x)
    assert y.isfinite().all()
    assert cut.edge_values(x)[0, 0, 0] == 0
    y.sum().backward()
    assert x.grad.isfinite().all()
    assert (cut.coef.grad[0, :, 0] == 0).all()


@pytest.mark.parametrize("model", [KANLinear(2, 3, generator=rng()), ew.KAN([2, (2, 1), 2], generator=rng())])
def test_a_bad_input_is_never_hidden(model):
    x = torch.tensor([[torch.nan, 0.5], [torch.inf, 0.5], [0.1, 0.2]])
    y = model(x)
    assert not y[:2].isfinite().any()
    assert y[2].isfinite().all()


@pytest.mark.parametrize("basis", BASES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_mixed_precision_of_float16_overflows_only_where_the_result_does(basis, dtype):
    layer = KANLinear(3, 2, basis, generator=rng())
    x = samples(20, 3, spread=3e4, dtype=torch.float32).half()
    with torch.no_grad(), torch.autocast("cpu", torch.float16):
        y = layer(x.to(dtype))
    exact = layer(x.float()).detach()
    inside = exact.abs() < 6e4
    assert y.dtype is torch.float16
    torch.testing.assert_close(y.float()[inside], exact[inside], rtol=0.02, atol=30.0)


@pytest.mark.parametrize("residual", [None, "silu", "identity"])
@pytest.mark.parametrize("basis", BASES, ids=str)
def test_what_is_not_finite_has_no_finite_value_nor_slope(basis, residual):
    """In value and two derivatives."""
    layer = KANLinear(1, 1, basis, residual=residual, generator=rng())
    for bad in (torch.nan, torch.inf, -torch.inf):
        x = torch.full((1, 1), bad, requires_grad=True)
        y = layer(x)
        for _ in range(3):
            assert y.isnan().all()
            (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
