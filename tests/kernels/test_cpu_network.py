"""Whole networks in one native call agree with the reference, layer by layer and step by step."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.func import functional_call, jacrev

from edgewise import KAN, BSpline, use_backend
from edgewise.kernels import AdamSettings, CurveLayer, EdgeSpec
from edgewise.kernels.cpu import load, network

pytestmark = pytest.mark.skipif(load.library() is None, reason=str(load.why_not()))

CASES = [
    ([2, 5, 1], BSpline(5, 3), "silu"),
    ([3, 4, 2], BSpline(7, 2), None),
    ([1, 3, 3], BSpline(40, 5, "uniform"), "identity"),
    ([4, 8, 8, 1], BSpline(20, 3), "silu"),
    ([2, 2], BSpline(1, 1), "silu"),
    ([5, 20, 3], BSpline(12, 4), "silu"),
]


def problem(widths, basis, residual, batch=300):
    generator = torch.Generator().manual_seed(0)
    model = KAN(widths, basis, residual=residual, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.3, generator=generator)  # larger curves would leave the grid and amplify rounding
    x = torch.randn(batch, widths[0], dtype=torch.float64, generator=generator)
    x[:3, 0] = torch.tensor([-1.0, 1.0, 40.0])[:batch]
    return model, x, torch.randn(batch, widths[-1], dtype=torch.float64, generator=generator)


def layers_of(model):
    return [CurveLayer(m.coef, m.bias, m.grid, EdgeSpec(m.basis, m.residual)) for m in model.layers]


def by_reference(model, x):
    with use_backend("reference"):
        return model(x)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("batch", [0, 1, 7, 300])
def test_values_and_gradients(case, batch):
    model, x, g = problem(*case, batch=batch)
    x.requires_grad_()
    y = network.apply(layers_of(model), x)
    expected = by_reference(model, x)
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)
    inputs = [x, *model.parameters()]
    for actual, wanted in zip(torch.autograd.grad(y, inputs, g), torch.autograd.grad(expected, inputs, g), strict=True):
        torch.testing.assert_close(
            actual, wanted, rtol=1e-9, atol=1e-9 * (1 + wanted.abs().amax() if wanted.numel() else 1)
        )


@pytest.mark.parametrize("case", CASES[:4], ids=str)
def test_jacobian(case):
    model, x, _ = problem(*case, batch=40)
    y, jacobian = network.jacobian(layers_of(model), x)
    torch.testing.assert_close(y, by_reference(model, x), rtol=1e-10, atol=1e-10)

    def f(parameters):
        with use_backend("reference"):
            return functional_call(model, parameters, (x,))

    by_name = jacrev(f)(dict(model.named_parameters()))
    names = [f"layers.{n}.{p}" for n in range(len(model.layers)) for p in ("coef", "bias")]
    expected = torch.cat([by_name[name].flatten(2) for name in names], dim=2)
    torch.testing.assert_close(jacobian, expected, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_native_steps_are_adam(case, threads):
    model, x, target = problem(*case, batch=1000)
    x = x.clamp(-1.5, 1.5)  # a loss of millions would leave rounding alone in the small gradients
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        trained = [p.detach().clone() for p in model.parameters()]
        layers = [
            part._replace(coef=coef, bias=bias)
            for part, coef, bias in zip(layers_of(model), trained[::2], trained[1::2], strict=True)
        ]
        steps = network.TrainingSteps(layers)
        # A larger eps than usual: divided by a tiny one, a gradient that is nothing but rounding becomes a step.
        adam = AdamSettings(lr=1e-2, eps=1e-3, weight_decay=0.1)
        losses = [loss for n in (1, 12, 7) for loss in steps.run(x, target, adam, n).tolist()]
    finally:
        torch.set_num_threads(before)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, eps=1e-3, weight_decay=0.1)
    for loss in losses:
        optimizer.zero_grad()
        expected = torch.nn.functional.mse_loss(by_reference(model, x), target)
        expected.backward()
        optimizer.step()
        assert loss == pytest.approx(expected.item(), rel=1e-8)
    for actual, wanted in zip(trained, model.parameters(), strict=True):
        torch.testing.assert_close(actual, wanted.detach(), rtol=1e-8, atol=1e-8)
    assert steps.least.item() == min(losses)


def test_native_steps_repeat_exactly_and_do_not_mind_company():
    """Two networks trained at once by two Python threads end in the numbers of each alone, bit by bit."""

    def trained(case):
        model, x, target = problem(*case, batch=3000)
        layers = [part._replace(coef=part.coef.detach(), bias=part.bias.detach()) for part in layers_of(model)]
        losses = network.TrainingSteps(layers).run(x, target, AdamSettings(lr=1e-2), 50)
        return torch.cat([losses, *(t.flatten() for t in network.parameters(layers))])

    alone = [trained(case) for case in CASES[:4]]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(trained, CASES[:4]))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_bad_input_gives_nan_in_its_row_only(case, bad):
    model, x, target = problem(*case)
    clean = network.forward(layers_of(model), x)
    x[77, -1] = bad
    y = network.forward(layers_of(model), x)
    assert y[77].isnan().all()
    others = torch.arange(len(x)) != 77
    assert torch.equal(y[others], clean[others])
    losses = network.TrainingSteps(layers_of(model)).run(x, target, steps=3)
    assert losses.shape == (1,)
    assert losses.isnan().all()


def test_what_is_packed_follows_the_tensors():
    model, x, _ = problem([2, 5, 1], BSpline(5, 3), "silu")
    first, second = model.layers
    for change in (
        lambda: first.coef.data.mul_(1.1),
        lambda: setattr(first.coef, "data", first.coef.data * 0.9),
        lambda: setattr(second, "bias", torch.nn.Parameter(second.bias.detach() + 1)),
        lambda: second.grid.mul_(1.3),
        lambda: setattr(first, "grid", first.grid * 0.8),
        lambda: setattr(first, "basis", BSpline(5, 3, "uniform")),
        lambda: setattr(second.coef, "data", second.coef.data.transpose(0, 1).contiguous().transpose(0, 1)),
    ):
        change()
        torch.testing.assert_close(model(x), by_reference(model, x), rtol=1e-10, atol=1e-10)


def test_says_why_not():
    model, x, _ = problem([2, 40, 1], BSpline(5, 3), "silu")
    assert "more than" in network.refuses(layers_of(model), x)
    assert "float32" in network.refuses(layers_of(model), x.float())
    with pytest.raises(ValueError, match="cannot run in one native call"):
        network.TrainingSteps(layers_of(model))


def test_a_model_runs_whole_unless_its_layers_have_hooks():
    model, x, _ = problem([2, 5, 1], BSpline(5, 3), "silu")
    x.requires_grad_()
    y = model(x)
    assert type(y.grad_fn).__name__ == "NetworkFunctionBackward"
    seen = []
    handle = model.layers[1].register_forward_hook(lambda *args: seen.append(args))
    hooked = model(x)
    handle.remove()
    assert len(seen) == 1
    torch.testing.assert_close(hooked, y)
    with use_backend("reference"):
        assert type(model(x).grad_fn).__name__ == "AddBackward0"


def test_higher_derivatives_and_transforms():
    model, x, _ = problem([2, 4, 1], BSpline(5, 4), "silu", batch=6)
    x = (torch.rand_like(x) * 1.6 - 0.8).requires_grad_()
    assert torch.autograd.gradgradcheck(model, x)
    tangent = torch.randn_like(x)
    _, actual = torch.func.jvp(model, (x,), (tangent,))
    with use_backend("reference"):
        _, expected = torch.func.jvp(model, (x,), (tangent,))
        hessian = torch.vmap(torch.func.hessian(lambda t: model(t)[0]))(x)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(torch.vmap(torch.func.hessian(lambda t: model(t)[0]))(x), hessian)


def test_a_network_that_is_packed_again_has_one_finalizer(monkeypatch):
    registered = []
    monkeypatch.setattr("weakref.finalize", lambda *arguments: registered.append(arguments))
    layers = layers_of(KAN([2, 3, 1], dtype=torch.float64))
    first = network.packed(layers)
    layers[0].grid.mul_(1.0)  # another version: what was known of it may be false
    assert network.packed(layers) is not first
    assert len(registered) == 1
    network.packed_networks.pop(id(layers[0].coef))
