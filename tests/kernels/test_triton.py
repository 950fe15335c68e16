"""The Triton kernels in Triton's interpreter, on the CPU, are equal to the reference. No GPU is needed."""

import pytest
import torch
from later import later

from edgewise import BSpline
from edgewise.kernels import EdgeSpec, reference
from edgewise.kernels.triton import launch as layer

later("triton")


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize(("degree", "knots"), [(1, "clamped"), (3, "clamped"), (3, "uniform"), (5, "clamped")])
@pytest.mark.parametrize("residual", [None, "silu"])
def test_contractions(degree, knots, residual, order):
    generator = torch.Generator().manual_seed(0)
    spec = EdgeSpec(BSpline(20, degree, knots), residual, order)
    # Blocks are of 32 samples, 16 functions and 64 outputs: one block, part of a second in each direction. The weights
    # multiply what the kernels read, and the interpreter counts the blocks: one shape has them.
    for batch, features, out, weighted in ((1, 1, 1, False), (7, 2, 65, True), (33, 1, 20, False)):
        draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
        grid = spec.basis.init_grid(features, dtype=torch.float64)
        x, coef, g, h = draw(batch, features), draw(features, spec.size, out), draw(batch, out), draw(batch, features)
        x[0] = grid[:, 2]
        weight = h if weighted else None
        torch.testing.assert_close(
            layer.edge_sum(x, coef, grid, spec, weight), reference.edge_sum(x, coef, grid, spec, weight)
        )
        torch.testing.assert_close(
            layer.edge_outer(g, x, grid, spec, weight), reference.edge_outer(g, x, grid, spec, weight)
        )
        torch.testing.assert_close(layer.edge_pull(g, x, coef, grid, spec), reference.edge_pull(g, x, coef, grid, spec))


def test_refuses_what_is_not_on_a_gpu():
    assert "CUDA" in layer.refuses(EdgeSpec(BSpline(5, 3)), torch.zeros(1, 1))


WRONG = {
    "shorter": lambda t: t[:-1],
    "narrower": lambda t: t[..., :-1],
    "one": lambda t: t.reshape(-1)[:1],
    "empty": lambda t: t[:0],
    "flat": lambda t: t.flatten(),
    "another axis": lambda t: t[None],
    "a scalar": lambda t: t.reshape(-1)[0],
    "another dtype": lambda t: t.float(),
    "integers": lambda t: t.long(),
    "no memory": lambda t: t.to("meta"),
    "transposed memory": lambda t: t.mT.contiguous().mT if t.ndim > 1 else torch.stack([t, t], -1)[..., 0],
    "expanded": lambda t: t[:1].expand(t.shape),
}
SPEC = EdgeSpec(BSpline(4, 3), "silu")
ENTRIES = {
    "edge_sum": lambda of, x, c, k, h, b: of.edge_sum(x, c, k, SPEC, h, b),
    "edge_pull": lambda of, g, x, c, k: of.edge_pull(g, x, c, k, SPEC),
    "edge_outer": lambda of, g, x, k, h: of.edge_outer(g, x, k, SPEC, h),
}


def outcome(call, of, tensors):
    try:
        return call(of, *tensors)
    except (RuntimeError, IndexError, NotImplementedError, ValueError, TypeError) as error:
        return type(error)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_wrong_tensor_is_the_reference(entry, monkeypatch):
    """A value where the reference has one, the same; an error where it has one. No kernel is entered for an error."""
    drawn = lambda *shape: torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x, h, g, c, b = drawn(5, 3), drawn(5, 3), drawn(5, 2), drawn(3, SPEC.size, 2), drawn(2)
    k = SPEC.basis.init_grid(3, dtype=torch.float64)
    right = {"edge_sum": (x, c, k, h, b), "edge_pull": (g, x, c, k), "edge_outer": (g, x, k, h)}[entry]
    launched = []
    monkeypatch.setattr(
        layer, "_launch", lambda *args, launch=layer._launch, **sizes: launched.append(launch(*args, **sizes))
    )
    for n, kind in [(n, kind) for n in range(len(right)) for kind in WRONG]:
        given = list(right)
        given[n] = WRONG[kind](right[n])
        launched.clear()
        found, expected = (outcome(ENTRIES[entry], of, given) for of in (layer, reference))
        assert isinstance(expected, torch.Tensor) or not launched, (n, kind)
        if kind == "no memory":  # plain torch may return memory that nothing has written
            assert not launched, n
        elif isinstance(expected, torch.Tensor):
            torch.testing.assert_close(found, expected, msg=f"{n} {kind}")
        else:
            assert type(found) is type(expected), (n, kind)


@pytest.mark.parametrize(
    ("batch", "features", "out"),
    [(2**20, 1024, 1), (2**20, 1, 2**11), (1, 2**14, 2**15), (1, 2**16, 1)],
    ids=["local values", "results", "coefficients", "blocks"],
)
def test_kernels_do_not_count_beyond_their_integers(batch, features, out):
    """Offsets have 32 bits on the device: what is larger is left to the reference. Nothing here takes memory."""
    one = torch.zeros(())
    grid, coef = one.expand(features, SPEC.basis.intervals + 1), one.expand(features, SPEC.size, out)
    assert layer._fits(SPEC, one.expand(8, 2), grid[:2].expand(2, -1), coef[:2, :, :1].expand(2, -1, -1))
    assert not layer._fits(SPEC, one.expand(batch, features), grid, coef)
