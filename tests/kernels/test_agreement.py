"""The dispatched sums agree with the reference at random shapes, layouts, precisions and inputs, edges included."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from zoo import rng

from edgewise import BSpline
from edgewise.bases import Chebyshev
from edgewise.kernels import CurveLayer, EdgeSpec, edge_sum, find, use_backend

pytestmark = pytest.mark.usefixtures("module_as_a_user")

SPLINES = st.builds(
    BSpline, st.sampled_from([1, 2, 5, 9, 33]), st.integers(1, 5), st.sampled_from(["clamped", "uniform"])
)
SPECS = st.builds(
    EdgeSpec,
    SPLINES | st.builds(Chebyshev, st.integers(1, 5)),
    st.sampled_from([None, "silu", "identity"]),
    st.sampled_from([0, 0, 1, 2, 3]),
)
BATCHES = st.sampled_from([(), (0,), (1,), (7,), (33,), (300,), (2, 0), (4, 1, 2)])
EDGES = st.sampled_from(["none", "ends", "knots", "nan", "inf", "-inf", "far"])
LAYOUTS = st.sampled_from(["dense", "every second", "transposed", "unaligned", "expanded"])


def laid_out(t, layout):
    """The same values, or for "expanded" its first row repeated, in another layout of memory."""
    if layout == "every second":
        return torch.stack([t, t], -1)[..., 0]
    if layout == "transposed" and t.ndim > 1:
        return t.transpose(0, 1).contiguous().transpose(0, 1)
    if layout == "unaligned":
        return torch.cat([t.new_zeros(3), t.flatten()])[3:].view(t.shape)
    return t[:1].expand_as(t) if layout == "expanded" and t.ndim > 1 and len(t) else t


def put(x, edge, grid):
    """Replace some inputs by those where an implementation may go wrong."""
    rows = x.view(-1, x.shape[-1])
    if len(rows) and edge in ("ends", "knots"):
        points = grid[:, [0, -1]] if edge == "ends" else grid
        count = min(len(rows), points.shape[1])
        rows[:count] = points.T[:count]
    elif len(rows) and edge != "none":
        rows[-1, 0] = 1e6 if edge == "far" else float(edge)


def derivatives(x, coef, grid, spec, h, bias, g):
    """The sum, its gradients, and those of the gradient in x."""
    given = [t.detach().requires_grad_() for t in (x, coef, h, bias) if t is not None]
    rest = iter(given[2:])
    y = edge_sum(
        given[0], given[1], grid, spec, None if h is None else next(rest), None if bias is None else next(rest)
    )
    first = torch.autograd.grad(y, given, g, create_graph=True)
    options = {"allow_unused": True, "materialize_grads": True}
    second = torch.autograd.grad(first[0].sum(), given, **options) if spec.order < 3 else ()
    return [y.detach(), *(t.detach() for t in first), *second]


@settings(max_examples=50)
@given(
    spec=SPECS, batch=BATCHES, ins=st.sampled_from([1, 2, 17]), out=st.sampled_from([0, 1, 3, 16, 70]), edge=EDGES,
    layouts=st.tuples(*[LAYOUTS] * 4), even=st.booleans(), weighted=st.booleans(), biased=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]), unit=st.sampled_from([1.0, 1e-6, 1e6]),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_sums_and_their_derivatives(spec, batch, ins, out, edge, layouts, even, weighted, biased, dtype, unit, seed):
    draw = lambda *shape: torch.randn(*shape, generator=rng(seed), dtype=torch.float64)
    grid = spec.basis.init_grid(ins, dtype=torch.float64)
    if not even:
        grid = grid + 0.3 * draw(*grid.shape).tanh() * (grid[0, 1] - grid[0, 0])
    grid = (unit * grid).to(dtype)
    x = (0.8 * unit * draw(*batch, ins)).to(dtype)
    put(x, edge, grid)
    coef, g, h, bias = (
        t.to(dtype) for t in (draw(ins, spec.size, out), draw(*batch, out), draw(*batch, ins), draw(out))
    )
    x, coef, g, h = (laid_out(t, layout) for t, layout in zip((x, coef, g, h), layouts, strict=True))
    given = [x, coef, grid, spec, h if weighted else None, bias if biased else None, g]
    ours = derivatives(*given)
    with use_backend("reference"):
        theirs = derivatives(*given)
    wide = derivatives(*(t.double() if isinstance(t, torch.Tensor) else t for t in given))
    for n, (a, b, exact) in enumerate(zip(ours, theirs, wide, strict=True)):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if n > 0 and not x.isfinite().all():
            break  # values are NaN by every kernel; a derivative that is constant need not be
        assert torch.equal(a.isnan(), b.isnan())
        scale = exact.nan_to_num().abs().amax().clamp(min=1) if a.numel() else 1
        tolerance = 3e-4 if dtype is torch.float32 else 1e-9
        torch.testing.assert_close((a / scale).double(), exact / scale, rtol=0, atol=tolerance, equal_nan=True)


def test_jets_of_no_samples_have_a_gradient():
    spec = EdgeSpec(BSpline(4, 3), "silu")
    coef = torch.randn(2, spec.size, 3, requires_grad=True, generator=rng())
    layer = CurveLayer(coef, None, spec.basis.init_grid(2), spec)
    x = torch.zeros(0, 2)
    kernel = find("jets", [layer], x, 1)
    if kernel is None:
        pytest.skip("no native kernels")
    total = sum(t.sum() for t in kernel.jet([layer], x))
    assert torch.equal(torch.autograd.grad(total, coef)[0], torch.zeros_like(coef))


@pytest.mark.parametrize("basis", [BSpline(), Chebyshev(5)], ids=repr)
def test_half_precision_has_values_far_outside_the_grid(basis):
    spec, x = EdgeSpec(basis), torch.tensor([[0.3, 1.0], [3e2, -3e3], [3e4, 3e4]], dtype=torch.float16)
    coef = 0.1 * torch.randn(2, spec.size, 3, generator=rng()).half()
    y = edge_sum(x, coef, basis.init_grid(2).half(), spec)
    exact = edge_sum(x.double(), coef.double(), basis.init_grid(2).half().double(), spec)
    torch.testing.assert_close(y, exact.half(), rtol=5e-3, atol=1e-3)
