"""A backend supplies some capabilities; `find` asks the newest first and says why none serves."""

import pytest
import torch
from zoo import network

import edgewise as ew
from edgewise.kernels import (
    CAPABILITIES,
    Backend,
    EdgeSpec,
    accelerators,
    autocast,
    find,
    refusals,
    register_backend,
    registered_backends,
    under_autocast,
    use_backend,
)
from edgewise.kernels.cpu import adamw, gauss_newton, grouped_rational, layer, load, network as whole, taylor
from edgewise.nn._fast import plain_layers

native = pytest.mark.skipif(load.library() is None, reason=str(load.why_not()))


def inputs():
    """What `find` takes for every capability, all of it served on a CPU."""
    model, x = network([2, 3, 1], dtype=torch.float32), torch.zeros(4, 2)
    layers, p = plain_layers(model), torch.zeros(3)
    rational = torch.zeros(4, 2), torch.zeros(6, 1), torch.zeros(4, 1)
    return {
        "layer": (EdgeSpec(ew.BSpline()), x),
        "network": (layers, x),
        "jets": (layers, x, 1),
        "rational": rational,
        "adam": (p, (p.clone(), p.clone(), torch.zeros(()))),
        "gauss_newton": ([layers[0].spec], x.double()),
    }


@native
def test_every_capability_has_its_kernel_on_a_cpu():
    kernels = {"layer": layer, "network": whole, "jets": taylor, "rational": grouped_rational, "adam": adamw}
    kernels["gauss_newton"] = gauss_newton
    assert {capability: find(capability, *given) for capability, given in inputs().items()} == kernels
    assert tuple(kernels) == CAPABILITIES
    assert all(refusals(capability, *given)["cpu"] is None for capability, given in inputs().items())


def test_the_reference_alone_may_be_asked_for():
    with use_backend("reference"):
        assert all(find(capability, *given) is None for capability, given in inputs().items())
        assert refusals("layer", *inputs()["layer"])["cpu"] == "backend 'reference' was asked for"


@native
def test_half_precision_is_refused_with_a_reason():
    for capability, given in inputs().items():
        half = [t.half() if isinstance(t, torch.Tensor) else t for t in given]
        assert find(capability, *half) is None
        assert "float16" in refusals(capability, *half)["cpu"]


def test_a_name_is_taken_once():
    for name in ("reference", "cpu"):
        with pytest.raises(ValueError, match="registered already"):
            register_backend(Backend(name))
    assert list(registered_backends())[-2:] == ["cpu", "triton"]  # the CPU is asked first


def test_a_backend_without_layers_computes_none():
    name = "no layers"
    if name not in registered_backends():
        register_backend(Backend(name))
    with use_backend(name), pytest.raises(ValueError, match="no kernel for layers"):
        network([2, 1])(torch.zeros(1, 2, dtype=torch.float64))


@native
def test_jets_refuse_transforms():
    layers, x, _ = inputs()["jets"]
    seen = []
    torch.func.grad(lambda t: seen.append(taylor.refuses(layers, t)) or t.sum())(x)
    assert "torch.func" in seen[0]


@native
def test_the_report_names_every_capability():
    model = torch.nn.Sequential(ew.KANLinear(2, 8), ew.nn.GroupRational(8, 2))
    report = ew.nn.which_kernels(model, torch.zeros(1, 2)).splitlines()
    assert report[0] == "0: cpu"
    assert "1: cpu" in report
    assert report[-1] == "adam: cpu"
    whole_network = ew.nn.which_kernels(ew.KAN([2, 40, 1]), torch.zeros(1, 2))
    assert whole_network.startswith("whole network: layer by layer")
    assert "more than 32 features" in whole_network
    with use_backend("reference"):
        assert "adam: reference" in ew.nn.which_kernels(model, torch.zeros(1, 2))
    with pytest.raises(ValueError, match="no KAN layer and no rational unit"):
        ew.nn.which_kernels(torch.nn.Linear(2, 2), torch.zeros(1, 2))


def test_devices():
    x = torch.zeros(2)
    assert accelerators([x, x]) == []
    assert [d.type for d in accelerators([x, x.to("meta")])] == ["meta"]
    assert not under_autocast(x)
    with autocast(x, torch.bfloat16):
        assert under_autocast(x)
    with autocast(x, None):
        assert not under_autocast(x)
