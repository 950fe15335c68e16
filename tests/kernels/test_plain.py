"""Native code must not see every tensor and call: each tracer, mode and kind of tensor gives the reference's result."""

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode

import edgewise as ew
from edgewise import jets
from edgewise.kernels import EdgeSpec, edge_sum, find, foreign, refusals, use_backend
from edgewise.kernels.cpu import load, network as whole
from edgewise.nn import GroupRational, KANConv2d, KANFeedForward, TKANCell
from edgewise.nn._fast import plain_layers
from edgewise.optim import Adam, get_loss
from edgewise.training.native_steps import native_steps

native = pytest.mark.skipif(load.library() is None, reason=str(load.why_not()))


class Logged(torch.Tensor):
    """A tensor whose values are in another one, as those of quantised and distributed parameters are."""

    @staticmethod
    def __new__(cls, held):
        return torch.Tensor._make_wrapper_subclass(cls, held.shape, dtype=held.dtype, requires_grad=held.requires_grad)

    def __init__(self, held):
        self.held = held

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        inner = tree_map(lambda t: t.held if isinstance(t, cls) else t, (args, kwargs or {}))
        return tree_map(lambda t: cls(t) if isinstance(t, torch.Tensor) else t, func(*inner[0], **inner[1]))


def drawn(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small():
    """Computed whole in one native call."""
    return ew.KAN([3, 4, 2], generator=torch.Generator().manual_seed(0)), drawn(5, 3)


def wide():
    """Computed layer by layer."""
    return ew.KAN([40, 33], generator=torch.Generator().manual_seed(0)), drawn(5, 40)


def one():
    """Computed by the door of a few samples, where no gradients are recorded."""
    return ew.KANLinear(40, 33, generator=torch.Generator().manual_seed(0)), drawn(1, 40)


def rational():
    return GroupRational(16, 4, start="silu"), drawn(5, 16)


models = pytest.mark.parametrize("make", [small, wide, one, rational])
recorded = pytest.mark.parametrize("grad", [True, False])


def by_reference(model, x):
    with use_backend("reference"):
        return model(x)


# ------------------------------------------------------------------------------------------------ tracers and modes


@pytest.mark.filterwarnings("ignore:Converting a tensor", "ignore::DeprecationWarning")
@models
@recorded
def test_jit_trace_records_what_is_computed(make, grad):
    model, x = make()
    with torch.set_grad_enabled(grad):
        traced = torch.jit.trace(model, x)
    other = drawn(*x.shape, seed=2)
    torch.testing.assert_close(traced(other), by_reference(model, other))
    assert not any(node.kind() == "prim::PythonOp" for node in traced.inlined_graph.nodes())


@models
@recorded
@pytest.mark.parametrize("settings", [
    {"tracing_mode": "real"}, {"tracing_mode": "fake"}, {"tracing_mode": "symbolic"}, {"pre_dispatch": True},
])  # fmt: skip
def test_make_fx_records_what_is_computed(make, grad, settings):
    model, x = make()
    with torch.set_grad_enabled(grad):
        traced = make_fx(model, _allow_non_fake_inputs=True, **settings)(x)
    other = drawn(*x.shape, seed=2)
    torch.testing.assert_close(traced(other), by_reference(model, other))


@models
def test_make_fx_records_gradients(make):
    model, x = make()

    def slopes(x):
        return torch.autograd.grad(model(x).square().sum(), x)[0]

    traced = make_fx(slopes)(x.requires_grad_())
    with use_backend("reference"):
        torch.testing.assert_close(traced(x), slopes(x))


@models
@recorded
def test_fake_tensors_have_the_shape_and_no_values(make, grad):
    model, x = make()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.set_grad_enabled(grad):
        y = model(mode.from_tensor(x))
    assert type(y).__name__ == "FakeTensor"
    assert y.shape == model(x).shape


@models
def test_a_network_of_fake_tensors(make):
    with FakeTensorMode():
        model, x = make()
        model(x.requires_grad_()).sum().backward()
    assert all(p.grad.shape == p.shape for p in model.parameters())


@recorded
def test_jets_are_recorded(grad):
    model, x = small()
    with torch.set_grad_enabled(grad):
        traced = make_fx(lambda x: jets.laplacian(model, x))(x)
    other = drawn(*x.shape, seed=2)
    torch.testing.assert_close(traced(other), jets.laplacian(model, other))


@native
def test_training_steps_refuse_parameters_of_a_subclass_and_modes():
    model, x = small()
    layers, y = plain_layers(model), torch.zeros(5, 2)
    assert native_steps(model, Adam(model.parameters()), get_loss("mse")).serves(x, y, None)
    with FlopCounterMode(display=False):
        assert native_steps(model, Adam(model.parameters()), get_loss("mse")) is None
    coef = torch.nn.Parameter(Logged(layers[0].coef.detach()))
    with pytest.raises(ValueError, match="not dense memory of its own"):
        whole.TrainingSteps([layers[0]._replace(coef=coef), *layers[1:]])


@pytest.mark.parametrize("make", [small, wide, one])
def test_operations_are_counted_as_those_of_the_reference(make):
    model, x = make()
    with FlopCounterMode(display=False) as ours:
        model(x).sum().backward()
    with use_backend("reference"), FlopCounterMode(display=False) as its:
        model(x).sum().backward()
    assert ours.get_total_flops() == its.get_total_flops() > 0


@models
def test_transforms_of_functions(make):
    model, x = make()
    y = by_reference(model, x)
    torch.testing.assert_close(torch.func.functionalize(model)(x), y)
    torch.testing.assert_close(torch.vmap(model)(x), y)
    with use_backend("reference"):
        expected = torch.func.jvp(model, (x,), (x,))
    torch.testing.assert_close(torch.func.jvp(model, (x,), (x,)), expected)
    torch.testing.assert_close(torch.func.functionalize(torch.vmap(model))(x), y)


@pytest.mark.parametrize("make", [small, wide, one])
def test_a_symbolic_zero_is_a_tangent_of_zeros(make):
    model, x = make()
    _, tangent = torch.func.jvp(model, (x,), (torch._efficientzerotensor(x.shape),))
    assert tangent.abs().max() == 0


def test_a_default_device_makes_no_difference_to_tensors_that_exist():
    model, x = small()
    with torch.device("meta"):
        y, bent = model(x), jets.laplacian(model, x)
    torch.testing.assert_close(y, by_reference(model, x))
    torch.testing.assert_close(bent, jets.laplacian(model, x))


# ------------------------------------------------------------------------------------------------ kinds of tensors


KINDS = {
    "subclass": lambda x: x.as_subclass(type("Named", (torch.Tensor,), {})),
    "wrapper": Logged,
    "meta": lambda x: x.to("meta"),
    "sparse": lambda x: x.to_sparse(),
    "nested": lambda x: torch.nested.nested_tensor([x, x], layout=torch.jagged),
    "negated lazily": torch._neg_view,
    "symbolic zeros": lambda x: torch._efficientzerotensor(x.shape),
    "functional": torch._to_functional_tensor,
    "mkldnn": lambda x: x.to_mkldnn(),
    "quantised": lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
}


@native
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor", "ignore:.*nested:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_no_kernel_serves_a_tensor_without_plain_memory(kind):
    model, _ = small()
    layers, spec, plain = plain_layers(model), EdgeSpec(ew.BSpline(5, 3), "silu"), torch.zeros(2, 3)
    t = KINDS[kind](plain)
    inputs = {
        "layer": (spec, t),
        "network": (layers, t),
        "jets": (layers, t, 1),
        "rational": (t, torch.zeros(6, 1), torch.zeros(4, 1)),
        "adam": (plain, (t, plain, torch.zeros(()))),
    }
    for capability, given in inputs.items():
        assert find(capability, *given) is None
        assert "not dense memory of its own" in refusals(capability, *given)["cpu"]
    with use_backend("cpu"), pytest.raises(ValueError, match="not dense memory of its own"):
        edge_sum(t, layers[0].coef, layers[0].grid, layers[0].spec)


def test_plain_tensors_are_not_foreign():
    with torch.inference_mode():
        made = torch.zeros(2)
    assert foreign(torch.zeros(2), torch.nn.Parameter(torch.zeros(2)), made, torch.zeros(4)[::2], None) is None


@pytest.mark.parametrize("make", [small, wide, one])
@recorded
def test_lazy_negation_and_symbolic_zeros_are_read(make, grad):
    model, x = make()
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(model(torch._neg_view(x)), by_reference(model, -x))
        zeros = torch._efficientzerotensor(x.shape)
        torch.testing.assert_close(model(zeros), by_reference(model, torch.zeros_like(x)))


@pytest.mark.parametrize("make", [small, wide, one])
def test_a_gradient_that_is_negated_lazily_is_read(make):
    model, x = make()
    x.requires_grad_()
    y = model(x)
    g = drawn(*y.shape, seed=3)
    ours = torch.autograd.grad(y, x, torch._neg_view(g), retain_graph=True)[0]
    torch.testing.assert_close(ours, torch.autograd.grad(y, x, -g)[0])


@models
@recorded
def test_parameters_of_a_subclass(make, grad):
    model, x = make()
    expected = by_reference(model, x)
    for module in model.modules():
        for name, p in list(module._parameters.items()):
            if p is not None:
                module._parameters[name] = torch.nn.Parameter(Logged(p.detach()))
    with torch.set_grad_enabled(grad):
        y = model(x)
    torch.testing.assert_close(y.held, expected)


@pytest.mark.parametrize("make", [small, wide, one])
def test_parameters_that_are_moved_to_no_memory_are_refused(make):
    model, x = make()
    model(x)
    model.to("meta")
    with pytest.raises(RuntimeError, match="meta"):
        model(x)


@pytest.mark.parametrize("make", [small, wide, one])
def test_sparse_inputs_are_refused_in_words(make):
    model, x = make()
    with pytest.raises((NotImplementedError, RuntimeError), match=r"(?i)sparse"):
        model(x.to_sparse())


# ------------------------------------------------------------------------------------------------ the optimiser


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_adam_steps_on_the_meta_device(device):
    p = torch.nn.Parameter(torch.zeros(3, device=device))
    p.grad = torch.ones_like(p)
    optimizer = Adam([p])
    for _ in range(2):
        optimizer.step()
    assert p.device.type == device


def test_adam_reads_what_a_gradient_means():
    p, q = torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(Logged(torch.zeros(3)))
    p.grad, q.grad = torch._neg_view(torch.ones(3)), Logged(-torch.ones(3))
    Adam([p, q], lr=0.5).step()
    torch.testing.assert_close(p.detach(), torch.full((3,), 0.5))
    torch.testing.assert_close(q.held, torch.full((3,), 0.5))


def test_adam_within_a_mode_is_seen_by_it():
    class Counted(torch.utils._python_dispatch.TorchDispatchMode):
        calls = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            Counted.calls += 1
            return func(*args, **(kwargs or {}))

    p = torch.nn.Parameter(torch.zeros(3))
    p.grad = torch.ones(3)
    optimizer = Adam([p], lr=0.5)
    optimizer.step()
    with Counted():
        optimizer.step()
    assert Counted.calls > 5
    torch.testing.assert_close(p.detach(), torch.full((3,), -1.0))


# ------------------------------------------------------------------------------------------------ the meta device

LAYERS = {
    "linear": lambda: ew.KANLinear(3, 4),
    "linear without residual": lambda: ew.KANLinear(3, 4, residual=None),
    "network": lambda: ew.KAN([2, 5, 1], generator=torch.Generator("cpu").manual_seed(1)),
    "convolution": lambda: KANConv2d(4, 4, 3),
    "rational": lambda: GroupRational(16),
    "feedforward": lambda: KANFeedForward(8),
    "recurrent": lambda: TKANCell(3, 4),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("assign", [True, False])
def test_a_layer_is_built_on_the_meta_device_and_filled_later(name, assign):
    make = LAYERS[name]
    with torch.device("meta"):
        empty = make()
    assert all(t.is_meta for t in [*empty.parameters(), *empty.buffers()])
    filled, source = empty if assign else empty.to_empty(device="cpu"), make()
    filled.load_state_dict(source.state_dict(), assign=assign)
    for (key, ours), its in zip(filled.state_dict().items(), source.state_dict().values(), strict=True):
        assert torch.equal(ours, its), key
