"""Law 1: every edge is absent, a curve or a symbol, whatever is done to a model."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from zoo import network, same_tensors, samples, tensors

import edgewise as ew
from edgewise.nn import KANLinear, SymbolicEdges

SHAPE = (3, 2)
edges = st.tuples(st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1))
steps = st.lists(st.tuples(st.sampled_from(["fix sin", "fix log", "release", "remove"]), edges), max_size=12)


@settings(max_examples=40)
@given(steps=steps)
def test_any_sequence_of_edits_leaves_one_owner(steps):
    model, x = network([3, 2, 1]), samples(40, 3).abs()
    owner = {(j, i): "curve" for j in range(SHAPE[0]) for i in range(SHAPE[1])}
    for step, edge in steps:
        before = tensors(model)
        if step == "remove":
            after, owner[edge] = ew.remove_edge(model, (0, *edge)), "absent"
        elif step == "release":
            if owner[edge] in ("curve", "absent"):
                with pytest.raises(ValueError, match="is not a symbol"):
                    ew.release(model, (0, *edge), x)
                continue
            after, owner[edge] = ew.release(model, (0, *edge), x), "curve"
        else:
            name = step.removeprefix("fix ")
            after, owner[edge] = ew.fix(model, (0, *edge), name), name
        assert same_tensors(before, tensors(model))
        model = after
    layer = model.layers[0]
    symbols = layer.symbolic
    found = dict.fromkeys(owner, "absent")
    found |= {(j, i): "curve" for j, i in layer.mask.nonzero().tolist()}
    places = zip(symbols.sources.tolist(), symbols.targets.tolist(), symbols.functions, strict=True)
    found |= {(j, i): fn.name for j, i, fn in places}
    assert found == owner
    assert not (layer.mask & symbols.mask(SHAPE)).any()
    assert model(x).isfinite().all()
    values = layer.edge_values(x)
    assert all((values[:, j, i] == 0).all() for (j, i), kind in owner.items() if kind == "absent")


def test_building_a_layer_with_two_owners_is_refused():
    layer = KANLinear(2, 2)
    place = torch.zeros(1, dtype=torch.long)
    sine = SymbolicEdges([ew.DEFAULT_LIBRARY["sin"]], place, place, torch.ones(1, 4))
    with pytest.raises(ValueError, match=r"edge \(in=0, out=0\) is both a curve and a symbol"):
        KANLinear.assemble(
            layer.basis, "silu", coef=layer.coef, grid=layer.grid, mask=layer.mask, bias=None, symbolic=sine
        )


@pytest.mark.parametrize("fn", ["sin", ew.DEFAULT_LIBRARY["exp"]])
def test_a_fixed_edge_is_its_formula_and_the_others_stay(fn):
    model, x = network([3, 2]), samples(50, 3)
    fixed = ew.fix(model, ("layers.0", 1, 0), fn, (0.5, 0.1, 2.0, -1.0))
    f = torch.sin if fn == "sin" else torch.exp
    expected = model.layers[0].edge_values(x)
    expected[:, 1, 0] = 2 * f(0.5 * x[:, 1] + 0.1) - 1
    torch.testing.assert_close(fixed.layers[0].edge_values(x), expected)
    again = ew.fix(fixed, (-1, 1, 0), "abs")
    assert [fn.name for fn in again.layers[0].symbolic.functions] == ["abs"]


def test_release_fits_the_symbol_where_the_samples_are():
    model, x = network([2, 3, 1], basis=ew.BSpline(20, 3), grid_range=(-2, 2)), samples(400, 2)
    fixed = ew.fix(model, (0, 0, 1), "sin", (2.0, 0.3, 1.0, 0.5))
    freed = ew.release(fixed, (0, 0, 1), x)
    assert freed.layers[0].mask.all()
    torch.testing.assert_close(freed(x), fixed(x), rtol=1e-3, atol=1e-3)
    logarithm = ew.release(ew.fix(model, (0, 0, 1), "log"), (0, 0, 1), x)
    assert logarithm(x).isfinite().all()


def test_edits_refuse_what_does_not_exist():
    model, x = network([3, 2]), samples(5, 3)
    for layer in (3, -2, "layers.9"):
        with pytest.raises(ValueError, match="layer"):
            ew.remove_edge(model, (layer, 0, 0))
    for j, i in ((3, 0), (0, 2), (-1, 0)):
        for edit in (
            lambda j, i: ew.remove_edge(model, (0, j, i)),
            lambda j, i: ew.fix(model, (0, j, i), "sin"),
            lambda j, i: ew.release(model, (0, j, i), x),
        ):
            with pytest.raises(ValueError, match="3 inputs and 2 outputs"):
                edit(j, i)
    with pytest.raises(KeyError, match="no function 'sine'"):
        ew.fix(model, (0, 0, 0), "sine")
    for affine in ((1, 2, 3), (1, 0, torch.nan, 0)):
        with pytest.raises(ValueError, match="four finite numbers"):
            ew.fix(model, (0, 0, 0), "sin", affine)
    with pytest.raises(ValueError, match="finite at no sample"):
        ew.release(ew.fix(model, (0, 0, 0), "log"), (0, 0, 0), -x.abs())
