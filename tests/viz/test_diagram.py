"""Laws of the diagram: it is data, it holds every edge once, and it adds up to the model."""

import copy
import dataclasses
import json
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

import edgewise as ew
from edgewise.nn import Affine, KANLinear, ProductNodes, SymbolicEdges
from edgewise.optim import edge_bands
from edgewise.viz import Diagram, diagram

WIDTHS = ([2, 5, 1], [4, 2, 1, 1], [2, (3, 2), 1], [3, (1, [3, 2]), (2, 1)], [10, 1], [1, 1], [2, (0, 2), 3])


def make(widths, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    model = ew.KAN(widths, generator=generator, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


def inputs(model, n=200, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, model.in_features, generator=generator, dtype=torch.float64) * 2 - 1


def thinned(model, keep=0.5, seed=2):
    """The model without some edges, and with symbols in place of others."""
    generator = torch.Generator().manual_seed(seed)
    library, layers = ew.nn.DEFAULT_LIBRARY, []
    for layer in model.layers:
        if not isinstance(layer, KANLinear):
            layers.append(layer)
            continue
        draw = torch.rand(layer.mask.shape, generator=generator)
        sources, targets = (draw > 0.8).nonzero(as_tuple=True)
        names = [("sin", "x^2", "tanh")[k % 3] for k in range(len(sources))]
        affine = torch.randn(len(sources), 4, generator=generator, dtype=torch.float64) if names else None
        symbols = SymbolicEdges([library[name] for name in names], sources, targets, affine)
        layers.append(
            KANLinear.assemble(
                layer.basis,
                layer.residual,
                coef=layer.coef,
                grid=layer.grid,
                mask=(draw < keep) & (draw <= 0.8),
                bias=layer.bias,
                symbolic=symbols,
            )
        )
    return ew.KAN.assemble(layers)


def evaluate(drawing: Diagram, x: np.ndarray) -> np.ndarray:
    """The network that the diagram describes, from its data alone: curves read off by linear interpolation."""
    values = {(0, node.index): x[:, node.index] for node in drawing.nodes if node.kind == "input"}
    for level in range(1, len(drawing.widths)):
        nodes = [node for node in drawing.nodes if node.layer == level]
        factors = {}
        for node in nodes:
            if node.kind == "product":
                continue
            total = np.full(len(x), node.bias)
            for edge in drawing.edges:
                if edge.layer == level - 1 and edge.target == node.index:
                    total += np.interp(values[level - 1, edge.source], edge.x, edge.y)
            if node.kind == "factor":
                factors.setdefault(node.product, []).append(total)
            else:
                values[level, node.index] = total
        for node in nodes:
            if node.kind == "product":
                values[level, node.index] = node.bias + node.scale * np.prod(factors[node.index], axis=0)
    last = len(drawing.widths) - 1
    return np.stack([values[last, i] for i in range(drawing.widths[-1])], axis=-1)


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_diagram_adds_up_to_its_model(widths, seed):
    model = make(widths, seed)
    x = inputs(model)
    for network in (model, thinned(model, seed=seed)):
        drawing = diagram(network, x, samples=801)
        expected = network(x).detach().numpy()
        np.testing.assert_allclose(evaluate(drawing, x.numpy()), expected, atol=1e-3 * (1 + np.abs(expected).max()))


@pytest.mark.parametrize("widths", [[2, 3, 2], [2, (1, 2)]], ids=str)
def test_the_ends_are_in_the_units_of_the_user(widths):
    core = make(widths)
    model = ew.KAN.assemble(
        thinned(core, keep=0.7).layers,
        input_affine=Affine(torch.tensor([0.01, -2.0]).double(), torch.tensor([-1.0, 0.5]).double()),
        output_affine=Affine(
            torch.arange(1.0, 1 + core.out_features).double() * 30, torch.full((core.out_features,), 7.0).double()
        ),
    )
    x = inputs(core) * torch.tensor([100.0, 0.5]) + torch.tensor([100.0, 0.25])
    drawing = diagram(model, x, samples=801)
    expected = model(x).detach().numpy()
    np.testing.assert_allclose(evaluate(drawing, x.numpy()), expected, atol=1e-3 * np.abs(expected).max())
    for edge in drawing.edges:
        assert list(edge.x) == sorted(edge.x)
        if edge.layer == 0:
            low, high = x[:, edge.source].aminmax()
            assert edge.x[0] == pytest.approx(low.item())
            assert edge.x[-1] == pytest.approx(high.item())


def test_the_affine_of_a_symbol_gives_its_samples():
    model = thinned(make([3, 8, 2]))
    model = ew.KAN.assemble(
        model.layers,
        input_affine=Affine(torch.tensor([2.0, -1.0, 0.5]).double(), torch.tensor([0.1, 0.2, 0.3]).double()),
        output_affine=Affine(torch.tensor([3.0, -4.0]).double(), torch.zeros(2).double()),
    )
    functions = {"sin": math.sin, "x^2": lambda v: v * v, "tanh": math.tanh}
    symbols = [edge for edge in diagram(model, inputs(model)).edges if edge.kind == "symbol"]
    assert {edge.symbol for edge in symbols} == set(functions)
    for edge in symbols:
        a, b, c, d = edge.affine
        expected = [c * functions[edge.symbol](a * x + b) + d for x in edge.x]
        np.testing.assert_allclose(edge.y, expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=25)
@given(
    widths=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    keep=st.sampled_from([0.0, 0.4, 1.0]),
    seed=st.integers(0, 9),
)
def test_every_edge_is_drawn_once_and_every_position_is_finite(widths, keep, seed):
    model = thinned(make(widths, seed), keep, seed)
    drawing = diagram(model, inputs(model, 20), samples=5)
    listed = [(edge.layer, edge.source, edge.target, edge.kind) for edge in drawing.edges]
    owners = []
    for n, layer in enumerate(model.layers):
        symbol = layer.symbolic.mask(layer.mask.shape)
        owners += [(n, j, i, "curve") for j, i in layer.mask.nonzero().tolist()]
        owners += [(n, j, i, "symbol") for j, i in symbol.nonzero().tolist()]
    assert sorted(listed) == sorted(owners)
    assert drawing.omitted == 0
    assert drawing.absent == sum(layer.mask.numel() for layer in model.layers) - len(listed)
    for x, y in [*(edge.center for edge in drawing.edges), *((node.x, node.y) for node in drawing.nodes)]:
        assert 0 <= x <= drawing.width
        assert 0 <= y <= drawing.height
    assert len({edge.center for edge in drawing.edges}) == len(listed)
    assert len({(node.x, node.y) for node in drawing.nodes}) == len(drawing.nodes)


def test_boxes_do_not_overlap():
    for widths in ([10, 5, 1], [30, 20], [2, (3, 2), 1]):
        drawing = diagram(make(widths), max_edges=200)
        centers = [edge.center for edge in drawing.edges]
        for k, (x, y) in enumerate(centers):
            for u, v in centers[:k]:
                assert abs(x - u) >= 1.25 or abs(y - v) >= 0.8


def test_json_brings_back_an_equal_diagram():
    model = thinned(make([3, (2, [2, 3]), 2]))
    drawing = diagram(model, inputs(model))
    first = drawing.edges[0]
    drawing = drawing.with_band(first, [v - 0.1 for v in first.y], [v + 0.1 for v in first.y])
    assert Diagram.from_json(json.loads(json.dumps(drawing.to_json(), allow_nan=False))) == drawing
    assert pickle.loads(pickle.dumps(drawing)) == drawing
    assert drawing.edge((first.layer, first.source, first.target)).band is not None
    with pytest.raises(ValueError, match="101 values"):
        drawing.with_band(first, [0.0], [1.0])


def test_drawing_changes_neither_model_nor_inputs_nor_generators():
    model = make([2, 3, 1])
    x = inputs(model)
    before = pickle.dumps(model.state_dict()), x.clone(), torch.get_rng_state()
    diagram(model, x)
    diagram(model)
    assert pickle.dumps(model.state_dict()) == before[0]
    assert torch.equal(x, before[1])
    assert torch.equal(torch.get_rng_state(), before[2])


def test_without_inputs_the_curves_span_the_grid():
    model = make([2, 2, 1], grid_range=(-3.0, 5.0))
    for edge in diagram(model).edges:
        if edge.layer == 0:
            assert edge.x[0] == pytest.approx(-3, abs=0.1)
            assert edge.x[-1] == pytest.approx(5, abs=0.1)


def test_a_value_that_is_not_finite_is_a_gap_and_does_not_hide_the_other_edges():
    library, none = ew.nn.DEFAULT_LIBRARY, torch.zeros(2, 1, dtype=torch.bool)
    layer = make([2, 1]).layers[0]
    symbols = SymbolicEdges(
        [library["log"], library["sin"]], torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([[1.0, 0, 1, 0]] * 2)
    )
    model = KANLinear.assemble(
        layer.basis,
        layer.residual,
        coef=layer.coef.float(),
        grid=layer.grid.float(),
        mask=none,
        bias=None,
        symbolic=symbols,
    )
    drawing = diagram(model, inputs(ew.KAN([2, 1])).float())
    log, sine = drawing.edges
    assert log.y[0] is None
    assert log.y[-1] is not None
    assert min(log.importance, sine.importance) > 0
    json.dumps(drawing.to_json(), allow_nan=False)


def test_many_edges_keep_the_most_important_of_every_layer():
    model = make([40, 30, 2])
    x = inputs(model)
    drawing = diagram(model, x, max_edges=100)
    assert len(drawing.edges) == 100
    assert drawing.omitted == 40 * 30 + 60 - 100
    assert "100 most important of 1260 edges" in drawing.note()
    scores = ew.edge_scores(ew.trace(model, x))
    for n, name in enumerate(drawing.layers):
        drawn = [edge for edge in drawing.edges if edge.layer == n]
        threshold = min(edge.score for edge in drawn)
        kept = {(edge.source, edge.target) for edge in drawn}
        assert all((j, i) in kept for j, i in (scores[name] > threshold * (1 + 1e-9)).nonzero().tolist())
        assert max(edge.importance for edge in drawn) == 1
    touched = {(edge.layer, edge.source) for edge in drawing.edges} | {(e.layer + 1, e.target) for e in drawing.edges}
    assert all((node.layer, node.index) in touched for node in drawing.nodes if drawing.widths[node.layer] > 32)


def test_given_scores_decide():
    model = make([2, 1])
    drawing = diagram(model, scores={"layers.0": torch.tensor([[1.0], [4.0]])})
    assert [edge.importance for edge in drawing.edges] == [0.25, 1.0]
    with pytest.raises(ValueError, match="no entry for layer 'layers"):
        diagram(model, scores={})
    with pytest.raises(ValueError, match=r"shape \(2, 1\)"):
        diagram(model, scores={"layers.0": torch.ones(1, 2)})


def test_names_come_from_the_model_or_the_call():
    model = make([2, 1, 1], input_names=["mass", "speed"])
    named = {node.name for node in diagram(model).nodes}
    assert named == {"mass", "speed", "", "y"}
    assert {node.name for node in diagram(model, output_names=["E"]).nodes} == {"mass", "speed", "", "E"}
    assert {node.name for node in diagram(make([2, 2])).nodes} == {"x1", "x2", "y1", "y2"}
    with pytest.raises(ValueError, match="2 names are needed for the inputs"):
        diagram(model, input_names=["one"])


def test_inputs_may_be_arrays_and_tables():
    pandas = pytest.importorskip("pandas")
    model = make([2, 2, 1])
    x = inputs(model)
    assert diagram(model, x.numpy()) == diagram(model, x)
    assert diagram(model, pandas.DataFrame(x.numpy(), columns=["a", "b"])) == diagram(model, x)


def test_layers_and_chains_of_layers_are_networks_too():
    model = make([3, (1, 1), 2])
    chain = nn.Sequential(*model.layers)
    x = inputs(model)
    scores = ew.edge_scores(ew.trace(model, x))
    whole = diagram(model, x, scores=scores)
    drawing = diagram(chain, x, scores={name.removeprefix("layers."): score for name, score in scores.items()})
    assert drawing.layers == ("0", "2")
    assert dataclasses.replace(drawing, layers=whole.layers) == whole
    assert len(diagram(model.layers[0], x).edges) == 9


def test_what_cannot_be_drawn_says_so():
    with pytest.raises(ValueError, match="not this Linear"):
        diagram(nn.Linear(2, 1))
    with pytest.raises(ValueError, match="not this Sequential"):
        diagram(nn.Sequential(KANLinear(2, 2), nn.ReLU()))
    with pytest.raises(ValueError, match="not this Sequential"):
        diagram(nn.Sequential(ProductNodes(1, (2,)), KANLinear(2, 2)))
    with pytest.raises(ValueError, match=r"\(samples, 2\), got \(5, 3\)"):
        diagram(make([2, 1]), torch.zeros(5, 3))


def test_bands_are_two_standard_deviations_in_the_users_units():
    model = make([2, 3, 1])
    x = inputs(model)
    y = model(x).detach() + 0.1 * torch.randn(200, 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    scaled = copy.deepcopy(model)
    ones = torch.ones(2, dtype=torch.float64)
    scaled.input_affine = Affine(0.1 * ones, -2 * ones)
    scaled.output_affine = Affine(-5 * ones[:1], 7 * ones[:1])
    here, there = diagram(model, x, y=y), diagram(scaled, 10 * x + 20, y=-5 * y + 7)
    bands = edge_bands(model, x, y, points=2001)
    for a, b in zip(here.edges, there.edges, strict=True):
        low, high = map(np.array, a.band)
        band = bands[here.layers[a.layer]]
        std = np.interp(a.x, band.points[:, a.source], band.std[:, a.source, a.target])
        np.testing.assert_allclose(high - low, 4 * std, rtol=2e-2, atol=1e-2 * std.max())
        times = -5.0 if a.layer == 1 else 1.0
        np.testing.assert_allclose(sorted(times * np.array(a.band), key=sum), b.band, rtol=1e-6, atol=1e-6)
    assert '"band": [' in json.dumps(here.to_json())


def test_bands_need_data_and_a_network():
    model = make([2, 1])
    with pytest.raises(ValueError, match=r"diagram\(model, x, y=y\)"):
        diagram(model, y=torch.zeros(5))
    with pytest.raises(TypeError, match="bands need a KAN"):
        diagram(model.layers[0], inputs(model), y=torch.zeros(200))
