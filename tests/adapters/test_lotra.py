"""Laws of adapters: identity at the start, what learns, merged == adapted, factored == materialised."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from lotra_zoo import FORM_NAMES, SOME, adapted, inputs, network, same, shaken, state
from torch import nn

import edgewise as ew
from edgewise.adapters import Adapters, adapter_names, add_lotra, merge, remove_adapter, use_adapters_
from edgewise.bases import BSpline, Chebyshev, Gaussian
from edgewise.jets import partial
from edgewise.nn import linear
from edgewise.nn.factors import FORMS, Factors, clamped_ranks


@pytest.mark.parametrize("zero", ["core", "target"])
@pytest.mark.parametrize("form", FORM_NAMES)
@pytest.mark.parametrize("basis", [BSpline(4, 3), Chebyshev(5), Gaussian(4)], ids=lambda b: b.name)
def test_a_new_adapter_changes_nothing(form, zero, basis):
    model, x = network(basis=basis), inputs()
    before = state(model)
    new = add_lotra(model, SOME, form=form, zero=zero)
    assert torch.equal(new(x), model(x))
    assert same(state(model), before)
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("zero", ["core", "target"])
@pytest.mark.parametrize("form", FORM_NAMES)
def test_after_one_step_gradients_reach_every_factor_and_nothing_else(form, zero):
    model = add_lotra(network(), SOME, form=form, zero=zero, generator=torch.Generator().manual_seed(0))
    frozen = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        model(inputs(50)).square().mean().backward()
        optimizer.step()
    for name, p in model.named_parameters():
        if p.requires_grad:
            assert ".adapter.updates.default." in name
            assert p.grad is not None
            assert p.grad.abs().max() > 0, name
        else:
            assert p.grad is None
            assert torch.equal(p, frozen[name])


@pytest.mark.parametrize("form", FORM_NAMES)
def test_the_update_is_the_sum_that_the_form_says(form):
    """Against loops over every index."""
    factors = shaken(Factors((3, 4, 5), form, zero=None, dtype=torch.float64))
    values = {name: getattr(factors, name).detach().numpy() for name in factors.form.factors}
    expected = np.zeros((3, 4, 5))
    sizes = factors.sizes
    letters = list(sizes)
    for place in np.ndindex(*sizes.values()):
        at = dict(zip(letters, place, strict=True))
        term = 1.0
        for name, indices in factors.form.factors.items():
            term *= values[name][tuple(at[i] for i in indices)]
        expected[at["j"], at["k"], at["i"]] += term
    np.testing.assert_allclose(factors().detach().numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", FORM_NAMES)
def test_merged_is_adapted(form):
    model, x = adapted(form), inputs()
    before = state(model)
    plain = merge(model)
    torch.testing.assert_close(plain(x), model(x), rtol=1e-12, atol=1e-12)
    assert all(layer.adapter is None for layer in plain.layers)
    assert same(state(model), before)
    with pytest.raises(ValueError, match="no adapters"):
        merge(plain)


@pytest.mark.parametrize("form", FORM_NAMES)
def test_factored_is_materialised_with_gradients(form, monkeypatch):
    model, x = adapted(form), inputs().requires_grad_()

    def everything() -> list[torch.Tensor]:
        y = model(x)
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        trained = [p for p in model.parameters() if p.requires_grad]
        return [y, slope, *torch.autograd.grad((slope.square().sum() + y.square().sum()), trained)]

    materialised = everything()
    monkeypatch.setattr(linear, "FACTORED_FROM", 1)
    for a, b in zip(everything(), materialised, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_a_wide_layer_runs_factored():
    layer = ew.KANLinear(4, linear.FACTORED_FROM, dtype=torch.float64)
    model = shaken(add_lotra(layer))
    x = inputs(features=4)
    torch.testing.assert_close(model(x), merge(model)(x), rtol=1e-12, atol=1e-12)


def test_absent_edges_stay_absent(monkeypatch):
    model = network()
    for layer in model.layers:
        layer.mask[0] = False
        layer._dense = False
    new, x = shaken(add_lotra(model)), inputs()
    monkeypatch.setattr(linear, "FACTORED_FROM", 1)
    elsewhere = x.clone()
    elsewhere[:, 0] += 0.3
    assert torch.equal(new(x), new(elsewhere))
    torch.testing.assert_close(merge(new)(x), new(x), rtol=1e-12, atol=1e-12)
    assert torch.equal(merge(new).layers[0].coef[0], model.layers[0].coef[0])


@pytest.mark.parametrize("form", FORM_NAMES)
def test_second_derivatives_and_hessians_pass_through(form):
    model = adapted(form)
    x = inputs(1)[0] * 0.7
    plain = merge(model)
    hessian = torch.func.hessian(lambda x: model(x).sum())(x)
    torch.testing.assert_close(hessian, torch.func.hessian(lambda x: plain(x).sum())(x), rtol=1e-9, atol=1e-9)
    parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    of_factors = torch.func.hessian(lambda p: torch.func.functional_call(model, p, (x[None],)).square().sum())(
        parameters
    )
    assert all(torch.isfinite(h).all() for row in of_factors.values() for h in row.values())
    core = "layers.0.adapter.updates.default." + FORMS[form].core
    assert of_factors[core][core].abs().max() > 0


@pytest.mark.parametrize("form", FORM_NAMES)
def test_copies_are_whole_and_apart(form):
    model, x = adapted(form), inputs()
    expected = model(x)
    stream = io.BytesIO()
    torch.save(model, stream)
    stream.seek(0)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(stream, weights_only=False)):
        assert torch.equal(twin(x), expected)
        shaken(twin, seed=9)
        assert not torch.equal(twin(x), expected)
        assert torch.equal(model(x), expected)


@pytest.mark.compile
@pytest.mark.parametrize(("form", "threshold"), [("tucker", 64), ("tucker", 1), ("lora", 1)])
def test_compiles_whole(form, threshold, monkeypatch):
    torch.compiler.reset()  # every model recompiles the same code, and dynamo gives up after eight times
    monkeypatch.setattr(linear, "FACTORED_FROM", threshold)
    model, x = adapted(form), inputs()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), model(x), rtol=1e-12, atol=1e-12)


def test_several_adapters_switch_combine_and_go():
    base, x = network(), inputs()
    a = shaken(add_lotra(base, SOME, name="a"), seed=4)
    both = shaken(add_lotra(a, (2, 2, 2), name="b", where="layers.1"), seed=5)
    assert adapter_names(both) == ("a", "b")
    with torch.no_grad():
        of = {
            "": base(x),
            "a": use_adapters_(both, "a")(x),
            "b": use_adapters_(both, "b")(x),
            "both": use_adapters_(both, ["a", "b"])(x),
        }
    torch.testing.assert_close(use_adapters_(both, ())(x), of[""], rtol=0, atol=0)
    torch.testing.assert_close(a(x), of["a"], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(use_adapters_(both, {"a": 1.0, "b": 1.0})(x), of["both"], rtol=0, atol=0)
    torch.testing.assert_close(merge(both, ["b"])(x), of["b"], rtol=1e-12, atol=1e-12)
    assert tuple(both.layers[0].adapter.weights) == ("a",)
    torch.testing.assert_close(remove_adapter(both, "b")(x), of["a"], rtol=1e-12, atol=1e-12)
    halves = use_adapters_(both, {"a": 0.5})
    expected = base.layers[0].coef + 0.5 * both.layers[0].adapter["a"]()
    torch.testing.assert_close(halves.layers[0].curves(), expected, rtol=1e-12, atol=1e-12)
    assert remove_adapter(remove_adapter(both, "b"), "a").layers[0].adapter is None


def test_an_added_adapter_leaves_the_active_ones_active():
    a = shaken(add_lotra(network(), SOME, name="a"))
    torch.testing.assert_close(add_lotra(a, name="b")(inputs()), a(inputs()), rtol=1e-12, atol=1e-12)
    trained = [name for name, p in add_lotra(a, name="b").named_parameters() if p.requires_grad]
    assert all(".updates.b." in name for name in trained)


def test_ranks_are_clamped_to_what_can_be_used():
    assert clamped_ranks((16, 8, 16)) == {"p": 8, "q": 4, "r": 8}
    assert clamped_ranks((5, 8, 1)) == {"p": 4, "q": 4, "r": 1}
    assert clamped_ranks((2, 3, 4), "tucker", (9, 9, 9)) == {"p": 2, "q": 3, "r": 4}
    assert clamped_ranks((2, 30, 40), "tucker", (2, 9, 40)) == {"p": 2, "q": 9, "r": 18}
    assert clamped_ranks((10, 8, 6), "tucker", 0.5) == {"p": 5, "q": 4, "r": 3}
    assert clamped_ranks((2, 2, 3), "cp", 100) == {"r": 4}
    assert clamped_ranks((2, 2, 3), "lora", 100) == {"r": 3}
    assert clamped_ranks((4, 3, 5), "tt", (9, 9)) == {"q": 3, "r": 5}
    assert clamped_ranks((4, 3, 1), "tucker2", (9, 9)) == {"p": 3, "r": 1}


@pytest.mark.parametrize("form", FORM_NAMES)
def test_full_ranks_reach_any_update(form):
    """With nothing left out, gradient descent alone brings the residual to zero."""
    shape = (3, 2, 3)
    target = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    factors = Factors(shape, form, 1.0, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    optimizer = torch.optim.LBFGS(
        factors.parameters(), max_iter=2000, line_search_fn="strong_wolfe", tolerance_change=0
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = (factors() - target).square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    assert (factors() - target).norm() < 1e-4 * target.norm()


def test_one_output_forces_one_target_rank():
    layer = add_lotra(ew.KANLinear(6, 1), (6, 4, 1)).adapter["default"]
    assert layer.ranks == {"p": 4, "q": 4, "r": 1}


def test_thin_layers_learn_whole_unless_ranks_are_given():
    model = ew.KAN([2, 32, 16, 1])
    of = lambda new: [layer.adapter["default"].name for layer in new.layers]
    assert of(add_lotra(model)) == ["full", "tucker", "full"]
    assert of(add_lotra(model, {"layers.1": "full", "*": (2, 4, 4)})) == ["tucker", "full", "tucker"]
    assert of(add_lotra(model, {"layers.1": 2, "*": None}, form="lora")) == ["lora", "lora", "full"]
    for layer, new in zip(model.layers, add_lotra(model).layers, strict=True):
        numbers = new.adapter["default"].numel()
        assert numbers == layer.coef.numel() or numbers <= layer.coef.numel() / 2


@pytest.mark.parametrize("ranks", [SOME, "full", None])
def test_one_sweep_gives_the_derivatives_of_an_adapted_network(ranks):
    """The native sweep takes the sum of both; nested autograd knows nothing of it."""
    model = shaken(add_lotra(network((2, 5, 1)), ranks))
    x = inputs(4, 2) * 0.8
    u, slope, bend = partial(model, x, (0, 0), (1, 0), (0, 2))
    for n, point in enumerate(x):
        torch.testing.assert_close(u[n], model(point), rtol=1e-9, atol=1e-9)
        jacobian = torch.func.jacrev(lambda p: model(p)[0])(point)
        hessian = torch.func.hessian(lambda p: model(p)[0])(point)
        torch.testing.assert_close(slope[n, 0], jacobian[0], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(bend[n, 0], hessian[1, 1], rtol=1e-8, atol=1e-8)
    learnt = [p for p in model.parameters() if p.requires_grad]
    found = torch.autograd.grad(bend.square().sum(), learnt)
    plain = sum(torch.func.hessian(lambda p: model(p)[0])(point)[1, 1] ** 2 for point in x)
    for a, b in zip(found, torch.autograd.grad(plain, learnt), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-7)


def test_half_precision_layers_have_float_adapters():
    model = ew.KAN([3, 4, 2], dtype=torch.bfloat16)
    new = add_lotra(model)
    assert {p.dtype for p in new.parameters() if p.requires_grad} == {torch.float32}
    assert new(torch.rand(5, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_parameters_that_learn_too():
    new = add_lotra(network(), also_train=["*.bias"])
    assert {name for name, p in new.named_parameters() if p.requires_grad and "adapter" not in name} == {
        "layers.0.bias",
        "layers.1.bias",
    }


def test_the_same_generator_gives_the_same_adapter():
    first, second = (add_lotra(network(), SOME, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert same(state(first), state(second))


def test_works_inside_any_module():
    model = nn.Sequential(nn.Linear(3, 4), ew.KANLinear(4, 4), nn.LayerNorm(4), ew.KANLinear(4, 2)).double()
    new = add_lotra(model, where="1")
    assert new[1].adapter is not None
    assert new[3].adapter is None
    assert not new[0].weight.requires_grad


BAD = [
    ({"ranks": 0}, "positive integers"),
    ({"ranks": (8, -1, 8)}, "positive integers"),
    ({"ranks": (8, 4)}, "3 ranks"),
    ({"ranks": 1.5}, "share of the mode"),
    ({"ranks": (7, 4, 4)}, "rank 7 at place 0"),
    ({"ranks": {"layers.0": 2}}, "no pattern of ranks matches layer 'layers.1'"),
    ({"where": "encoder.*"}, "'layers.0', 'layers.1'"),
    ({"where": lambda name, layer: False}, "'layers.0', 'layers.1'"),
    ({"form": "svd"}, "tucker2, cp, tt, lora, full"),
    ({"ranks": "whole"}, "'full'"),
    ({"name": "keys"}, "identifier"),
    ({"name": "a.b"}, "identifier"),
    ({"also_train": ["head.*"]}, "nothing is named 'head.\\*'"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_requests_say_why_and_change_nothing(options, message):
    model = network()
    before = state(model)
    with pytest.raises(ValueError, match=message):
        add_lotra(model, **options)
    assert same(state(model), before)
    assert all(p.requires_grad for p in model.parameters())
    assert all(layer.adapter is None for layer in model.layers)


def test_names_are_checked():
    model = add_lotra(network())
    with pytest.raises(ValueError, match="has an adapter 'default' already"):
        add_lotra(model)
    for act in (lambda: use_adapters_(model, "other"), lambda: remove_adapter(model, "x"), lambda: merge(model, ["x"])):
        with pytest.raises(ValueError, match=r"there is no adapter .*; the model has 'default'"):
            act()
    assert isinstance(model.layers[0].adapter, Adapters)
    with pytest.raises(ValueError, match="no KANLinear layer"):
        add_lotra(nn.Linear(2, 2))
