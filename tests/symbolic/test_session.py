"""Working by hand: every step is a new session, what is locked stays, and a shape is kept."""

import pytest
import torch

import edgewise as ew
from edgewise.symbolic import Session
from edgewise.symbolic.shapes import SHAPES, shaped


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def session() -> Session:
    g = torch.Generator().manual_seed(0)
    x = torch.rand(200, 2, generator=g) * 2 - 1
    model = ew.KAN([2, 1], ew.BSpline(6, 3), residual=None, generator=g)
    return Session(model, x, (torch.sin(2 * x[:, :1]) + torch.sin(3 * x[:, 1:]))).fit()


def values(session: Session, edge) -> torch.Tensor:
    layer, j, i = edge
    t = torch.linspace(-1, 1, 101)[:, None].expand(-1, 2)
    return session.model.layers[layer].edge_values(t)[:, j, i].detach()


def test_a_law_by_hand_and_the_way_back(session):
    before = {name: t.clone() for name, t in session.model.state_dict().items()}
    assert session.error < 1e-2
    done = session.fix((0, 0, 0), "sin").fix((0, 1, 0), "sin").fit()
    assert done.error < 1e-9
    assert done.history == ("start", "fit", "fix (0, 0, 0) sin", "fix (0, 1, 0) sin", "fit")
    assert str(done.formula(["a", "b"]).snapped(done.x, done.y)) == "y = sin(2*a) + sin(3*b)"
    assert done.undo(3) is session
    assert all(torch.equal(before[name], t) for name, t in session.model.state_dict().items())
    with pytest.raises(ValueError, match="only 4 steps"):
        done.undo(9)


def test_sharing_puts_one_function_on_several_edges(session):
    shared = session.share((0, 0, 0), (0, 1, 0))
    names = [fn.name for fn in shared.model.layers[0].symbolic.functions]
    assert names in (["sin", "sin"], ["cos", "cos"])  # with a shift they are the same
    assert shared.fit().error < 1e-9
    assert shared.before is session
    assert "share" in shared.step
    changed = shared.fix((0, 1, 0), "x")
    assert [fn.name for fn in changed.model.layers[0].symbolic.functions] == ["x", "x"]
    with pytest.raises(ValueError, match="at least two"):
        session.share((0, 0, 0))


def test_locked_edges_do_not_move(session):
    fixed = session.fix((0, 0, 0), "sin", (1.5, 0.2, 1.0, 0.0)).lock((0, 0, 0))
    fitted = fixed.fit()
    assert torch.equal(values(fitted, (0, 0, 0)), values(fixed, (0, 0, 0)))
    assert fitted.error < fixed.error
    with pytest.raises(ValueError, match="is locked"):
        fitted.fix((0, 0, 0), "x")
    assert fitted.unlock((0, 0, 0)).fit().error < 1e-3
    curve = session.lock((0, 1, 0))
    assert torch.equal(values(curve.fix((0, 0, 0), "x").fit(), (0, 1, 0)), values(session, (0, 1, 0)))


def test_forbidden_functions_are_neither_suggested_nor_fixed(session):
    without = session.forbid("sin", "cos")
    assert not {"sin", "cos"} & {c.fn.name for c in without.suggest((0, 0, 0))}
    with pytest.raises(ValueError, match="'sin' is not allowed"):
        without.fix((0, 0, 0), "sin")
    with pytest.raises(ValueError, match="not in the library"):
        session.forbid("furlong")


def test_where_no_allowed_function_suits_none_is_suggested(session):
    only = session.forbid(*(name for name in session.library if name != "0"))
    assert only.suggest((0, 0, 0)) == ()
    with pytest.raises(ValueError, match="'0' is not defined on the range"):
        only.fix((0, 0, 0), "0")


def test_released_and_removed_edges(session):
    freed = session.fix((0, 0, 0), "sin").release((0, 0, 0))
    assert freed.model.layers[0].mask.all()
    torch.testing.assert_close(values(freed, (0, 0, 0)), values(freed.before, (0, 0, 0)), atol=1e-3, rtol=0)
    assert not session.remove((0, 1, 0)).model.layers[0].mask[1, 0]
    with pytest.raises(ValueError, match="no edge"):
        session.lock((0, 2, 0))


def has_shape(v: torch.Tensor, shape: str) -> bool:
    tiny = 1e-9 * v.abs().max()
    return bool(
        {
            "increasing": v.diff() >= -tiny,
            "decreasing": v.diff() <= tiny,
            "convex": v.diff(n=2) >= -tiny,
            "concave": v.diff(n=2) <= tiny,
            "even": (v - v.flip(0)).abs() <= tiny,
            "odd": (v + v.flip(0)).abs() <= tiny,
        }[shape].all()
    )


def has_shapes(v: torch.Tensor, shapes: str) -> bool:
    return all(has_shape(v, shape) for shape in shapes.split())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_kept_and_changes_what_has_it_already_little(session, shape):
    given = session.shape((0, 0, 0), shape)
    assert has_shapes(values(given, (0, 0, 0)), shape)
    assert has_shapes(values(given.fit(), (0, 0, 0)), shape)
    assert not has_shapes(values(session, (0, 0, 0)), shape)
    again = shaped(given.model, (0, 0, 0), shape)
    torch.testing.assert_close(again.layers[0].coef, given.model.layers[0].coef, atol=1e-6, rtol=0)


def test_a_curve_that_becomes_a_symbol_has_no_shape_any_more(session):
    done = session.shape((0, 0, 0), "increasing").fix((0, 0, 0), "sin").fit()
    assert not done.shapes
    assert session.shape((0, 1, 0), "odd").remove((0, 1, 0)).fit().error > 0.1


def test_shapes_take_in_the_residual_and_say_what_they_cannot_do(session):
    x = session.x
    model = ew.KAN([2, 1], ew.BSpline(8, 3), grid_range=(-1, 2), generator=torch.Generator().manual_seed(1))
    rising = shaped(model, (0, 0, 0), "increasing")
    t = torch.linspace(-1, 2, 101)[:, None].expand(-1, 2)
    assert has_shape(rising.layers[0].edge_values(t)[:, 0, 0].detach(), "increasing")
    with pytest.raises(ValueError, match="symmetric about zero"):
        shaped(model, (0, 0, 0), "even")
    with pytest.raises(ValueError, match="not a curve"):
        shaped(session.fix((0, 0, 0), "sin").model, (0, 0, 0), "even")
    with pytest.raises(ValueError, match="no shape 'flat'"):
        session.shape((0, 0, 0), "flat")
    with pytest.raises(ValueError, match="y has shape"):
        Session(session.model, x, x)


def sampled(session: Session, low: float = -1) -> torch.Tensor:
    """The function along every input, the others fixed at a few values: (lines, points)."""
    t = torch.linspace(low, 1, 81)
    g = torch.Generator().manual_seed(5)
    lines = []
    for j in range(2):
        for other in torch.rand(5, generator=g) * 2 - 1:
            x = torch.stack([t if k == j else other.expand(81) for k in range(2)], -1)
            lines.append(session.model(x)[:, 0].detach())
    return torch.stack(lines)


@pytest.fixture
def deep() -> Session:
    g = torch.Generator().manual_seed(2)
    x = torch.rand(300, 2, generator=g) * 2 - 1
    model = ew.KAN([2, 3, 1], ew.BSpline(6, 3), grid_range=(-2, 2), residual=None, generator=g)
    y = torch.exp(0.5 * (x[:, :1] + x[:, 1:])) + 0.3 * torch.randn(300, 1, generator=g)
    return Session(model, x, y).fit()


@pytest.mark.parametrize("shape", ["increasing", "decreasing", "convex", "concave"])
def test_a_function_has_a_shape_in_all_of_its_inputs(deep, shape):
    assert not all(has_shape(line, shape) for line in sampled(deep))
    given = deep.constrain(shape)
    assert all(has_shape(line, shape) for line in sampled(given))
    fitted = given.fit()
    assert all(has_shape(line, shape) for line in sampled(fitted))
    assert fitted.step == "fit"
    assert fitted.undo(2) is deep


def test_a_shape_in_one_input_leaves_the_other_free(session):
    given = session.constrain("increasing", 0).fit()
    assert has_shape(values(given, (0, 0, 0)), "increasing")
    assert not has_shape(values(given, (0, 1, 0)), "increasing")


def test_exchanged_inputs_change_nothing(deep):
    same = deep.symmetric(0, 1).fit()
    torch.testing.assert_close(same.model(same.x), same.model(same.x.flip(-1)))
    assert not torch.allclose(deep.model(deep.x), deep.model(deep.x.flip(-1)))


def test_what_cannot_be_constrained_is_told(session):
    with pytest.raises(ValueError, match="not 'flat'"):
        session.constrain("flat")
    with pytest.raises(ValueError, match="no input 2"):
        session.constrain("convex", 2)
    with pytest.raises(ValueError, match="is a symbol"):
        session.fix((0, 0, 0), "sin").constrain("convex")
    with pytest.raises(ValueError, match="do not carry one function"):
        session.fix((0, 0, 0), "sin").symmetric(0, 1)
    with pytest.raises(ValueError, match="is locked"):
        session.lock((0, 0, 0)).constrain("convex")
    products = ew.KAN([2, (0, 1), 1], dtype=torch.float64)
    with pytest.raises(ValueError, match="networks of sums"):
        Session(products, session.x, session.y).constrain("convex")


def test_pruning_keeps_what_is_locked_and_what_matters(session):
    weak = session.fix((0, 1, 0), "0", (1.0, 0.0, 1.0, 0.0))
    assert not ew.nn.layers.owned(weak.prune(0.01).model.layers[0])[1, 0]
    assert weak.prune(0.01).error == weak.error
    kept = weak.lock((0, 1, 0)).prune(0.01)
    assert ew.nn.layers.owned(kept.model.layers[0]).all()
    shaped_ = session.shape((0, 1, 0), "increasing").prune(0.0)
    assert (0, 1, 0) in shaped_.shapes
    with pytest.raises(ValueError, match=r"give one in \[0, 1\)"):
        session.prune(1.0)
    with pytest.raises(ValueError, match="leaves a layer without edges"):
        session.fix((0, 0, 0), "0", (1.0, 0.0, 1.0, 0.0)).fix((0, 1, 0), "0", (1.0, 0.0, 1.0, 0.0)).prune(0.5)


def test_refined_curves_are_the_same(session):
    finer = session.refine(12)
    assert finer.model.layers[0].basis.intervals == 12
    assert torch.allclose(values(finer, (0, 0, 0)), values(session, (0, 0, 0)), atol=1e-12)
    assert finer.fit().error < session.error
    with pytest.raises(ValueError, match="at least one interval"):
        session.refine(0)
