"""Nodes, inputs and curves by hand: what adds keeps the function, what is drawn is followed, twins stay equal."""

import pytest
import torch
from torch import Tensor

import edgewise as ew
from edgewise.nn import Affine
from edgewise.nn.layers import EdgeKey
from edgewise.symbolic import Session

WIDTHS = ([2, 3, 1], [2, (2, 1), 2], [2, (1, [2, 3]), 2, 1])


def started(widths=(2, 3, 1), *, names=("a", "b"), affine: Affine | None = None, rows: int = 60) -> Session:
    """A network near nothing in particular, with targets that depend on a product and a difference."""
    g = torch.Generator().manual_seed(1)
    x = torch.rand(rows, 2, generator=g, dtype=torch.float64) * 2 - 1
    y = (x[:, :1] * x[:, 1:]).repeat(1, widths[-1]) + 0.3 * (x[:, :1] - x[:, 1:]) ** 3
    model = ew.KAN(widths, ew.BSpline(4, 3), generator=g, dtype=torch.float64, input_names=names)
    if affine is not None:
        x = (x - affine.shift) / affine.scale
        model = ew.KAN.assemble(model.layers, input_affine=affine, input_names=names)
    return Session(model, x, y)


def same(a: Session, b: Session, tolerance: float = 1e-12) -> bool:
    """Whether two sessions compute one function on rows that neither has seen."""
    x = torch.rand(50, 2, generator=torch.Generator().manual_seed(9), dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        return (a.model(a.extended(x)) - b.model(b.extended(x))).abs().max().item() <= tolerance


def hidden(session: Session) -> list[tuple[int, int]]:
    """Every hidden node as (layer, node)."""
    widths = session.model.widths[1:-1]
    return [(n, k) for n, w in enumerate(widths) for k in range(w if isinstance(w, int) else w[0] + len(w[1]))]


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_splitting_and_multiplying_nodes_keeps_the_function(widths):
    session = started(widths).fix((1, 0, 0), "sin").lock((0, 0, 0)).shape((0, 1, 0), "increasing")
    for layer, node in hidden(session):
        multiplied = session.multiply_node(layer, node)
        assert same(session, multiplied)
        assert len(hidden(multiplied)) == len(hidden(session))
        products = session.model.widths[layer + 1]
        if node < (products if isinstance(products, int) else products[0]):
            split = session.split_node(layer, node)
            assert same(session, split)
            assert len(hidden(split)) == len(hidden(session)) + 1


def test_locks_shapes_and_groups_follow_their_edges():
    session = started([2, (2, 1), 1]).lock((1, 2, 0), (0, 1, 2)).shape((0, 0, 1), "increasing")
    moved = session.split_node(0, 0)
    assert moved.locked == {EdgeKey(1, 3, 0), EdgeKey(0, 1, 3)}
    assert set(moved.shapes) == {EdgeKey(0, 0, 1)}
    assert set(session.split_node(0, 1).shapes) == {EdgeKey(0, 0, 1), EdgeKey(0, 0, 2)}
    product = session.multiply_node(0, 0)
    assert product.model.widths == [2, (1, (2, 2)), 1]
    assert product.locked == {EdgeKey(1, 1, 0), EdgeKey(0, 1, 1)}
    assert set(product.shapes) == {EdgeKey(0, 0, 0)}
    with pytest.raises(ValueError, match="locked"):
        session.lock((1, 0, 0)).split_node(0, 0)
    with pytest.raises(ValueError, match="product"):
        session.split_node(0, 2)


def test_a_new_factor_learns_a_product_that_one_sum_cannot():
    session = started([2, 1, 1], rows=150)
    session = Session(session.model, session.x, session.x[:, :1] * torch.exp(session.x[:, 1:]))
    plain, product = session.fit(40), session.multiply_node(0, 0).fit(40)
    assert product.error < 0.2 * plain.error


def test_a_split_node_learns_two():
    g = torch.Generator().manual_seed(0)
    x = torch.rand(200, 2, generator=g, dtype=torch.float64) * 2 - 1
    y = (x[:, :1] + x[:, 1:]) ** 2 + torch.sin(3 * (x[:, :1] - x[:, 1:]))
    session = Session(ew.KAN([2, 1, 1], generator=g, dtype=torch.float64), x, y).fit(40)
    assert session.split_node(0, 0).fit(60).error < 0.7 * session.fit(60).error


def test_a_removed_node_has_no_edges():
    session = started().fit(5)
    smaller = session.remove_node(0, 1)
    assert ew.compact(smaller.model).widths == [2, 2, 1]
    with pytest.raises(ValueError, match="feeds no hidden"):
        session.remove_node(1, 0)
    with pytest.raises(ValueError, match="no node 7"):
        session.remove_node(0, 7)
    with pytest.raises(ValueError, match="locked"):
        session.lock((0, 0, 1)).remove_node(0, 1)
    with pytest.raises(ValueError, match="the only one"):
        smaller.remove_node(0, 0).remove_node(0, 2)


def test_an_excluded_input_does_not_matter():
    session = started().fit(5).exclude(1)
    x = session.x.clone()
    x[:, 1] = 0.123
    with torch.no_grad():
        assert torch.equal(session.model(x), session.model(session.x))
    for fault, match in [((1,), "no edges"), ((0,), "keep one")]:
        with pytest.raises(ValueError, match=match):
            session.exclude(*fault)
    assert same(session.fit(5).undo(), session)


@pytest.mark.parametrize("scale", [None, (0.5, 0.1)])
def test_a_combined_input_keeps_the_function_and_is_learnt(scale):
    affine = None if scale is None else Affine(*(torch.full((2,), v, dtype=torch.float64) for v in scale))
    session = started([2, 1, 1], affine=affine).fit(20)
    more = session.combine("a*b").combine("a - `a*b`", "rest")
    assert more.model.input_names == ("a", "b", "a*b", "rest")
    assert same(session, more)
    assert more.x.shape == (60, 4)
    assert torch.allclose(more.x[:, 3], session.x[:, 0] * (1 - session.x[:, 1]))
    assert started([2, 1], affine=affine).combine("a*b").combine("a - b").fit().error < 1e-9
    known = started([2, 1]).combine("a*b").exclude(0, 1).fix((0, 2, 0), "x", (2.0, 0.0, 1.0, 0.5))
    assert str(known.formula()) == "y = 2*a*b + 0.5"
    assert str(known.formula(["p", "q"])) == "y = 2*p*q + 0.5"
    faults = {"c*a": "not among", "3": "reads no", "a": "already", "log(a)": "not finite", "a*0": "reads no"}
    for text, match in faults.items():
        with pytest.raises(ValueError, match=match):
            session.combine(text)
    with pytest.raises(ValueError, match="already"):
        more.combine("b*a", "a*b")


def test_a_drawn_curve_follows_the_points_and_stays_elsewhere():
    affine = Affine(torch.tensor([2.0, 1.0], dtype=torch.float64), torch.tensor([0.5, 0.0], dtype=torch.float64))
    for session in (started([2, 1]), started([2, 1], affine=affine)):
        session = session.refine(40)

        def curve(s: Session, t: Tensor) -> Tensor:
            x = torch.stack([t, torch.zeros_like(t)], 1)
            inner = x if s.model.input_affine is None else s.model.input_affine(x)
            return s.model.layers[0].edge_values(inner)[:, 0, 0].detach()

        scaled = session.model.input_affine
        low, high = (-1.0, 1.0) if scaled is None else (-0.75, 0.25)
        width = high - low
        points = [(low + width * f, v) for f, v in ((0.25, 0.0), (0.5, 1.0), (0.75, -1.0))]
        new = session.draw((0, 0, 0), points[::-1])
        at = torch.tensor([p[0] for p in points], dtype=torch.float64)
        assert (curve(new, at)[1:2] - 1.0).abs().max() < 0.02
        away = torch.linspace(low, low + 0.2 * width, 30, dtype=torch.float64)
        assert (curve(new, away) - curve(session, away)).abs().max() < 0.02
        pulled = session.pull((0, 0, 0), points[1][0], 2.0)
        assert abs(curve(pulled, at)[1].item() - 2.0) < 1e-9
        assert (curve(pulled, away) - curve(session, away)).abs().max() < 1e-9
    units = Affine(torch.tensor([10.0], dtype=torch.float64), torch.tensor([3.0], dtype=torch.float64))
    scaled = Session(ew.KAN.assemble(session.model.layers, output_affine=units), session.x, session.y)
    after = scaled.pull((0, 0, 0), 0.0, 5.0).model.layers[0]
    assert after.edge_values(torch.zeros(1, 2, dtype=torch.float64))[0, 0, 0].item() == pytest.approx(0.5)
    with pytest.raises(ValueError, match="two different"):
        session.draw((0, 0, 0), [(0.0, 1.0), (0.0, 2.0)])
    with pytest.raises(ValueError, match="finite point"):
        session.pull((0, 0, 0), 0.0, float("inf"))
    with pytest.raises(ValueError, match="not a curve"):
        session.fix((0, 0, 0), "sin").draw((0, 0, 0), points)


def test_a_symmetric_session_stays_so_whatever_is_done_to_an_edge():
    g = torch.Generator().manual_seed(3)
    x = torch.rand(80, 2, generator=g, dtype=torch.float64) * 2 - 1
    session = Session(ew.KAN([2, 2, 1], generator=g, dtype=torch.float64), x, torch.sin(x.sum(1, keepdim=True) * 2))
    session = session.symmetric(0, 1).fit(5)
    steps = [
        session.fix((0, 0, 0), "sin"),
        session.fix((0, 0, 0), "sin").release((0, 1, 0)),
        session.remove((0, 1, 1)),
        session.draw((0, 0, 0), [(-0.5, 0.0), (0.5, 1.0)]),
        session.pull((0, 0, 0), 0.2, 1.0),
        session.shape((0, 0, 1), "increasing"),
        session.prune(0.02),
    ]
    for step in steps:
        for state in (step, step.fit(5)):
            with torch.no_grad():
                assert torch.allclose(state.model(x), state.model(x.flip(1)), atol=1e-12)
    with pytest.raises(ValueError, match="both or none"):
        session.exclude(0)
    assert same(session.combine("x1*x2"), session)
    with pytest.raises(ValueError, match="changes where"):
        session.combine("x1 - x2")


def test_a_formula_is_adopted_as_the_network():
    session = started([2, 2, 1]).combine("a*b").lock((0, 0, 0))
    adopted = session.adopt("2*sin(a)*b + 0.5")
    assert torch.allclose(adopted.model(adopted.x), 2 * adopted.x[:, :1].sin() * adopted.x[:, 1:] + 0.5)
    assert adopted.x.shape == (60, 2)
    assert adopted.model.input_names == ("a", "b")
    assert not adopted.locked
    assert adopted.fit(10).error <= adopted.error
    for texts, match in [
        (("a", "b"), "one formula each"),
        (("c",), "not among"),
        (("besselj(0, a)",), "no function|no expr"),
    ]:
        with pytest.raises(ValueError, match=match):
            session.adopt(*texts)


def test_units_say_where_a_formula_does_not_fit():
    session = started([2, 1], names=("length", "time")).adopt("length/time")
    known = session.measure({"length": "m", "time": "s"})
    assert known.misfit() == ""  # the unit of y is not known
    assert known.measure({"y": "m/s"}).misfit() == ""
    assert "y is in m" in known.measure({"y": "m"}).misfit()
    assert "cannot be added" in known.adopt("length + time").measure({"y": "m"}).misfit()
    with pytest.raises(ValueError, match="no quantity mass"):
        session.measure({"mass": "kg"})
    with pytest.raises(ValueError, match="not known"):
        session.measure({"length": "parsnip"})
