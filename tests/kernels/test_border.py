"""The border of native code: every entry, with every tensor made wrong, computes the reference or raises in words.

Native code reads as much memory as the shapes promise, so a tensor that is too small would be read past its end.
"""

import contextlib
import itertools

import pytest
import torch

import edgewise as ew
from edgewise.kernels import CurveLayer, EdgeSpec, reference
from edgewise.kernels.cpu import adamw, grouped_rational, layer, load, network, ops, taylor
from edgewise.optim import Adam, get_loss
from edgewise.training.native_steps import native_steps

pytestmark = [
    pytest.mark.skipif(load.library() is None, reason=str(load.why_not())),
    pytest.mark.usefixtures("as_a_user"),
]

SPEC = EdgeSpec(ew.BSpline(4, 3), "silu")
WIDE = EdgeSpec(ew.BSpline(4, 3))


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


WRONG = {
    "shorter": lambda t: t[:-1] if t.ndim else t,
    "longer": lambda t: torch.cat([t, t]) if t.ndim else t[None],
    "narrower": lambda t: t[..., :-1] if t.ndim else t,
    "one": lambda t: t.reshape(-1)[:1],
    "empty": lambda t: t[:0] if t.ndim else t.reshape(-1)[:0],
    "flat": lambda t: t.flatten(),
    "another axis": lambda t: t[None],
    "a scalar": lambda t: t.reshape(-1)[0],
    "another dtype": lambda t: t.float(),
    "integers": lambda t: t.long(),
    "no memory": lambda t: t.to("meta"),
    "transposed memory": lambda t: t.mT.contiguous().mT if t.ndim > 1 else torch.stack([t, t], -1)[..., 0],
    "expanded": lambda t: t[:1].expand(t.shape) if t.ndim else t,
    "not numbers": lambda t: torch.full_like(t, torch.nan),
    "infinite": lambda t: torch.full_like(t, torch.inf),
    "descending": lambda t: t.flip(-1) if t.ndim else t,
}


def curves(features, out, spec=SPEC):
    grid = spec.basis.init_grid(features, dtype=torch.float64)
    return drawn(features, spec.size, out), drawn(out, seed=1), grid


def two_layers(c0, b0, g0, c1, b1, g1):
    return [CurveLayer(c0, b0, g0, SPEC), CurveLayer(c1, b1, g1, WIDE)]


def train(x, y, m, v, *parts):
    layers = two_layers(*parts)
    moments = [(torch.zeros_like(t), torch.zeros_like(t)) for t in network.parameters(layers)]
    return network.TrainingSteps(layers, [(m, v), *moments[1:]], 3).run(x, y, steps=2)


def adam(p, g, m, v, count):
    p = torch.nn.Parameter(p.clone())
    optimizer = Adam([p])
    optimizer.state[p] = {"exp_avg": m.clone(), "exp_avg_sq": v.clone(), "step": count.clone()}
    p.grad = None if g.shape != p.shape or g.dtype != p.dtype or g.device != p.device else g.clone()
    optimizer.step()
    return p.detach()


COEF, BIAS, GRID = curves(3, 2)
NETWORK = (COEF, BIAS, GRID, *curves(2, 1, WIDE))
X, H, G = drawn(5, 3, seed=2), drawn(5, 3, seed=3), drawn(5, 2, seed=4)
A, B = drawn(6, 3, seed=5), drawn(4, 3, seed=6)
P, COUNT = drawn(3, 4, seed=7), torch.tensor(2.0, dtype=torch.float64)
OP = (4, 3, True, "silu", 0)

ENTRIES = {
    "edge_sum": (lambda x, c, g, h, b: layer.edge_sum(x, c, g, SPEC, h, b), (X, COEF, GRID, H, BIAS)),
    "edge_pull": (lambda g, x, c, k: layer.edge_pull(g, x, c, k, SPEC), (G, X, COEF, GRID)),
    "edge_outer": (lambda g, x, k, h: layer.edge_outer(g, x, k, SPEC, h), (G, X, GRID, H)),
    "edge_gradients": (lambda g, x, c, k, h: layer.edge_gradients(g, x, c, k, SPEC, h)[:2], (G, X, COEF, GRID, H)),
    "op": (lambda x, c, h, k: ops.edge_sum_op(x, c, h, k, *OP), (X, COEF, H, GRID)),
    "op_gradients": (lambda g, x, c, h, k: ops.edge_gradients_op(g, x, c, h, k, *OP), (G, X, COEF, H, GRID)),
    "forward": (lambda x, *parts: network.forward(two_layers(*parts), x), (X, *NETWORK)),
    "apply": (lambda x, *parts: network.apply(two_layers(*parts), x), (X, *NETWORK)),
    "jacobian": (lambda x, *parts: network.jacobian(two_layers(*parts), x), (X, *NETWORK)),
    "training": (train, (X, drawn(5, 1), torch.zeros_like(COEF), torch.ones_like(COEF), *NETWORK)),
    "jets": (lambda x, d, w, *parts: taylor.jet(two_layers(*parts), x, d, w), (X, drawn(4, 3), drawn(2, 4), *NETWORK)),
    "rational": (grouped_rational.values, (X, A, B)),
    "rational_gradients": (grouped_rational.gradients, (H, X, A, B)),
    "adam": (adam, (P, drawn(3, 4), drawn(3, 4), drawn(3, 4) ** 2, COUNT)),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_wrong_tensor_is_served_right_or_refused(entry):
    """What native code and plain torch both compute is equal; where plain torch fails, native code is not entered."""
    call, inputs = ENTRIES[entry]
    right = call(*(t.clone() for t in inputs))
    for n, kind in itertools.product(range(len(inputs)), WRONG):
        given = [t.clone() for t in inputs]
        given[n] = WRONG[kind](given[n])
        with contextlib.suppress(ValueError, TypeError, RuntimeError, IndexError, NotImplementedError):
            call(*given)
    again = call(*(t.clone() for t in inputs))
    torch.testing.assert_close(again, right, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("entry", ["edge_sum", "edge_pull", "edge_outer", "edge_gradients"])
def test_a_layer_with_a_wrong_tensor_is_the_reference(entry):
    """A value where the reference has one, the same; an error where the reference has one."""
    call, inputs = ENTRIES[entry]
    for n, kind in itertools.product(range(len(inputs)), WRONG):
        given = [t.clone() for t in inputs]
        given[n] = WRONG[kind](given[n])
        expected = by_reference(entry, given)
        if expected is None or kind in ("infinite", "not numbers", "descending", "no memory"):
            continue
        torch.testing.assert_close(call(*given), expected, check_dtype=False, msg=f"{entry} {n} {kind}")


def by_reference(entry, t):
    try:
        if entry == "edge_sum":
            return reference.edge_sum(t[0], t[1], t[2], SPEC, t[3], t[4])
        if entry == "edge_pull":
            return reference.edge_pull(*t, SPEC)
        if entry == "edge_outer":
            return reference.edge_outer(t[0], t[1], t[2], SPEC, t[3])
        dx = reference.edge_pull(*t[:4], SPEC.differentiated()) * t[4]
        return dx, reference.edge_outer(t[0], t[1], t[3], SPEC, t[4])
    except (RuntimeError, IndexError, NotImplementedError):
        return None


@pytest.mark.parametrize("points", [torch.nan, torch.inf, -torch.inf, 0.3])
def test_a_grid_by_which_nothing_can_be_sorted_is_refused(points):
    """One break point out of order counts samples twice, past the end of the memory for them."""
    for features in (3, 40):
        model = ew.KAN([features, 2], generator=torch.Generator().manual_seed(0))
        model.layers[0].grid[0, 1] = points
        for x in (torch.rand(7, features), torch.rand(7, features, requires_grad=True)):
            with pytest.raises(ValueError, match="grid has points that are not finite or do not increase"):
                model(x)


# ------------------------------------------------------------------------------------------------ the optimiser

CHANGES = {
    "another shape": {"exp_avg": torch.zeros(2, 2)},
    "one number": {"exp_avg_sq": torch.zeros(())},
    "longer": {"exp_avg_sq": torch.zeros(300, 400)},
    "no count": {"step": torch.zeros(0)},
    "two counts": {"step": torch.zeros(2)},
    "nothing": {"exp_avg": None},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_state_of_another_model_is_refused_in_words(change):
    p = torch.nn.Parameter(drawn(3, 4))
    p.grad = torch.ones_like(p)
    optimizer = Adam([p])
    optimizer.step()
    state = optimizer.state_dict()
    state["state"][0] |= CHANGES[change]
    optimizer.load_state_dict(state)
    with pytest.raises(ValueError, match=r"state of a parameter of the shape \(3, 4\) has"):
        optimizer.step()


def test_a_network_is_not_trained_with_the_state_of_another_model():
    model = ew.KAN([2, 1])
    for make in (Adam, torch.optim.Adam):
        optimizer = make(model.parameters())
        for p in model.parameters():
            optimizer.state[p] = {
                "step": torch.tensor(1.0),
                "exp_avg": p.new_zeros(1),
                "exp_avg_sq": torch.zeros_like(p),
            }
        with pytest.raises(ValueError, match="state of a parameter"):
            native_steps(model, optimizer, get_loss("mse"))


def test_a_count_of_whole_numbers_is_left_to_torch():
    p = torch.nn.Parameter(drawn(3))
    p.grad = torch.ones_like(p)
    optimizer = Adam([p])
    optimizer.state[p] = {
        "exp_avg": torch.zeros(3).double(),
        "exp_avg_sq": torch.zeros(3).double(),
        "step": torch.tensor(1),
    }
    assert "step count" in adamw.refuses(p, tuple(optimizer.state[p].values()))
    optimizer.step()
    assert optimizer.state[p]["step"].item() == 2


@pytest.mark.parametrize("name", ["exp_avg", "exp_avg_sq", "step"])
def test_a_state_that_moves_in_place_is_followed(name):
    """As `share_memory_` does for workers that train together."""
    ours, theirs = (torch.nn.Parameter(drawn(3, 4)) for _ in range(2))
    ours.grad, theirs.grad = torch.ones_like(ours), torch.ones_like(theirs)
    optimizer, other = Adam([ours], lr=0.1), torch.optim.AdamW([theirs], lr=0.1, weight_decay=0)
    for n in range(4):
        optimizer.step(), other.step()
        state = optimizer.state[ours]
        if n == 1:
            state[name].share_memory_()
        if n == 2:
            state[name].set_(state[name].clone())
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(state[name], other.state[theirs][name], check_dtype=False)


def test_a_gradient_of_the_shape_before_is_not_read():
    p = torch.nn.Parameter(drawn(3))
    p.grad = torch.ones_like(p)
    optimizer = Adam([p])
    optimizer.step()
    p.data = torch.zeros(3000, dtype=torch.float64)
    with pytest.raises((ValueError, RuntimeError)):
        optimizer.step()


def test_training_steps_follow_tensors_that_are_replaced():
    layers = two_layers(*(t.clone() for t in NETWORK))
    steps = network.TrainingSteps(layers)
    steps.run(X, drawn(5, 1), steps=1)
    layers[0].coef.set_(layers[0].coef.clone())
    m, _ = steps.moments[0]
    m.set_(m.clone())
    steps.run(X, drawn(5, 1), steps=1)
    m.resize_(2)
    with pytest.raises(ValueError, match="moments"):
        steps.run(X, drawn(5, 1), steps=1)
