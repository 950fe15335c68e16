"""The conformance suite accepts the native backend and finds a kernel that is wrong."""

import pytest
import torch

from edgewise.kernels import Backend, reference
from edgewise.kernels.cpu import adamw, grouped_rational, layer, load, network, taylor
from edgewise.testing import check_backend

pytestmark = pytest.mark.usefixtures("module_as_a_user")

native = pytest.mark.skipif(load.library() is None, reason=str(load.why_not()))


@native
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_native_backend_is_sound(dtype):
    check_backend("cpu", dtype=dtype)


class Wrapped:
    """A kernel with some functions replaced."""

    def __init__(self, kernel, **replaced):
        self.kernel, self.replaced = kernel, replaced

    def __getattr__(self, name):
        return self.replaced[name] if name in self.replaced else getattr(self.kernel, name)


@native
@pytest.mark.parametrize(
    ("supplied", "message"),
    [
        ({}, "supplies none"),
        ({"layer": Wrapped(layer, edge_pull=lambda *a: 1.001 * layer.edge_pull(*a))}, "edge_pull"),
        ({"layer": Wrapped(layer, edge_sum=lambda x, *a: layer.edge_sum(x.add_(0.1), *a))}, "edge_sum"),
        ({"layer": Wrapped(layer, edge_outer=lambda *a: reference.edge_outer(*a).float())}, "is torch.float32"),
        ({"network": Wrapped(network, apply=lambda n, x: 1.001 * network.apply(n, x))}, "values and gradients"),
        ({"network": Wrapped(network, refuses=lambda n, x: "never")}, "refuses every case"),
        ({"jets": Wrapped(taylor, jet=lambda n, x, v, w: taylor.jet(n, x, v.abs(), w))}, "jets"),
        ({"rational": Wrapped(grouped_rational, values=lambda x, a, b: x)}, "rational"),
        ({"adam": Wrapped(adamw, step=lambda *a: None)}, "Adam"),
    ],
)
def test_what_is_wrong_is_found(supplied, message):
    with pytest.raises(AssertionError, match=message):
        check_backend(Backend("wrong", **supplied))


def test_an_unknown_name_says_so():
    with pytest.raises(ValueError, match="no backend is named 'gpu'"):
        check_backend("gpu")
