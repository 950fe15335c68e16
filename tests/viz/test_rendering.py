"""Laws of the renderers: valid, escaped, complete diagrams and charts that change nothing else."""

import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

import edgewise as ew
from edgewise.nn import KANLinear, SymbolicEdges, SymbolicFn
from edgewise.viz import charts, diagram, plot, plot_edge, plot_edges, plot_history, plot_importance, svg

matplotlib = pytest.importorskip("matplotlib")
pytest.importorskip("matplotlib.image")

HOSTILE = [
    "<script>alert('x')</script>",
    "a & \"b\" 'c'",
    "]]>",
    "$\\frac{1",
    "%s {0} \\",
    "new\nline\x00\x1b",
    "x" * 400,
]
SVG = "{http://www.w3.org/2000/svg}"


def make(widths, seed=0, **options):
    return ew.KAN(widths, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, **options)


def with_symbol(name="sin"):
    function = SymbolicFn(name, torch.sin, lambda x: x)
    layer = make([2, 1]).layers[0]
    mask = torch.tensor([[True], [False]])
    symbols = SymbolicEdges([function], torch.tensor([1]), torch.tensor([0]), torch.tensor([[3.0, 0, 1, 0]]).double())
    return KANLinear.assemble(
        layer.basis, layer.residual, coef=layer.coef, grid=layer.grid, mask=mask, bias=layer.bias, symbolic=symbols
    )


def texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


@pytest.mark.parametrize("widths", [[2, 5, 1], [2, (3, 2), 1], [3, (1, [3]), 2], [1, 1], [60, 10]], ids=str)
@pytest.mark.parametrize("theme", ["auto", "light", "dark"])
def test_svg_is_valid_and_shows_every_edge_and_node(widths, theme):
    drawing = diagram(make(widths), max_edges=50)
    root = ElementTree.fromstring(svg(drawing, theme=theme))
    assert root.tag == SVG + "svg"
    assert root.find(SVG + "title").text
    assert f"{len(drawing.edges)} curves" in root.find(SVG + "desc").text
    edges = [g for g in root.iter(SVG + "g") if g.get("class", "").startswith("edge ")]
    shown = {(int(g.get("data-layer")), int(g.get("data-source")), int(g.get("data-target"))) for g in edges}
    assert len(edges) == len(drawing.edges)
    assert shown == {(edge.layer, edge.source, edge.target) for edge in drawing.edges}
    assert sum(g.get("class", "").startswith("node ") for g in root.iter(SVG + "g")) == len(drawing.nodes)
    left, top, width, height = map(float, root.get("viewBox").split())
    for circle in root.iter(SVG + "circle"):
        assert left < float(circle.get("cx")) < left + width
        assert top < float(circle.get("cy")) < top + height


@settings(max_examples=25)
@given(
    st.lists(st.text(min_size=1), min_size=3, max_size=3, unique=True) | st.permutations(HOSTILE).map(lambda p: p[:3])
)
def test_svg_is_valid_with_any_name(names):
    drawing = diagram(make([2, 1]), input_names=names[:2], output_names=names[2:])
    root = ElementTree.fromstring(svg(drawing, title=names[0]))
    assert {element.tag for element in root.iter()} <= {
        SVG + tag for tag in ("svg", "title", "desc", "style", "rect", "g", "path", "polyline", "circle", "text")
    }


def test_svg_writes_the_name_of_a_symbol_and_nothing_into_gaps():
    drawing = diagram(with_symbol("<b>sin</b>"))
    root = ElementTree.fromstring(svg(drawing))
    assert "<b>sin</b>" in [text.text for text in root.iter(SVG + "text")]
    assert drawing._repr_svg_().startswith("<svg")
    assert "nan" not in svg(drawing)


def test_a_diagram_with_a_fixed_theme_is_not_recoloured_by_others_on_the_page():
    drawing = diagram(make([2, 1]))
    assert "svg.edgewise-auto" in svg(drawing)
    for theme in ("light", "dark"):
        assert ElementTree.fromstring(svg(drawing, theme=theme)).get("class") == f"edgewise edgewise-{theme}"
        assert "<style" not in svg(drawing, theme=theme)


def test_svg_of_a_band_has_a_polygon():
    drawing = diagram(make([2, 1]))
    edge = drawing.edges[0]
    banded = drawing.with_band(edge, [y - 1 for y in edge.y], [y + 1 for y in edge.y])
    assert len(list(ElementTree.fromstring(svg(banded)).iter(SVG + "polygon"))) == 1
    assert plot(banded) is not None


@pytest.mark.parametrize("widths", [[2, 5, 1], [2, (3, 2), 1], [1, 1], [200, 20]], ids=str)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_plot_returns_a_figure_of_few_artists(widths, theme):
    figure = plot(make(widths), theme=theme, title="A title")
    assert isinstance(figure, matplotlib.figure.Figure)
    assert len(figure.axes) == 1
    assert len(figure.axes[0].collections) <= 7
    figure.canvas.draw()
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_plot_shows_names_as_they_are():
    names = ["$x_1$", "<script>"]
    shown = texts(plot(make([2, 1]), input_names=names, output_names=["\\frac"]))
    assert {*names, "\\frac"} <= set(shown)
    plot(make([2, 1]), input_names=["$\\frac{1", "%"], title="$\\bad{").canvas.draw()
    assert "sin" in texts(plot(with_symbol()))


def test_plot_draws_into_given_axes_and_says_what_is_missing():
    figure = matplotlib.figure.Figure()
    left, right = figure.subplots(1, 2)
    assert plot(make([2, 1]), ax=left) is figure
    assert plot(diagram(make([30, 30]), max_edges=10), ax=right) is figure
    assert any("10 most important of 900" in text for text in texts(figure))


def test_plot_refuses_what_it_would_ignore():
    with pytest.raises(TypeError, match="drawn as it is"):
        plot(diagram(make([2, 1])), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="choose one of light, dark"):
        plot(make([2, 1]), theme="pink")


def test_drawing_names_the_extra_that_is_absent_and_changes_nothing_else(tmp_path):
    """In a fresh interpreter, first without matplotlib."""
    code = """
import os, sys
sys.modules["matplotlib"] = None
import edgewise as ew
from edgewise.viz import diagram, plot, plot_edge, plot_edges, plot_history, plot_importance, svg
assert svg(diagram(ew.KAN([2, 1]))).startswith("<svg")
for draw in (lambda: plot(ew.KAN([2, 1])), lambda: plot_history([{"step": 0, "loss": 1.0}])):
    try:
        draw()
    except ImportError as error:
        assert "pip install edgewise[viz]" in str(error), error
    else:
        raise AssertionError("no ImportError")

del sys.modules["matplotlib"]
import matplotlib, torch
os.chdir(sys.argv[1])
def settings():  # reading "backend" would itself import pyplot
    return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}
before = settings()
model, x = ew.KAN([2, 3, 1]), torch.rand(50, 2)
state = torch.get_rng_state()
figures = [plot(model, x), plot_edge(model, x, (0, 0, 0)), plot_edges(model, x, 1), plot_importance(model, x),
           plot_history([{"step": 0, "loss": 1.0}, {"step": 1, "loss": 0.5}])]
for figure in figures:
    figure.canvas.draw()
svg(diagram(model, x))
assert settings() == before
assert torch.equal(torch.get_rng_state(), state)
assert "matplotlib.pyplot" not in sys.modules
assert os.listdir() == []
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_figure_is_saved_as_png(tmp_path):
    figure = charts.new_figure(2.0, 1.0, theme="dark")
    figure.subplots().plot([0, 1], [0, 1])
    assert charts.save_figure(figure, tmp_path / "a.png", dpi=50) == tmp_path / "a.png"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    shown = matplotlib.image.imread(tmp_path / "a.png")
    assert shown.shape[:2] == (50, 100)


def test_plot_edge_draws_the_values_of_the_edge():
    model = make([2, 3, 1], input_names=["mass", "speed"])
    x = torch.rand(40, 2, dtype=torch.float64) * 2 - 1
    ax = plot_edge(model, x, ("layers.0", 1, 2)).axes[0]
    u, v = ax.get_lines()[0].get_data()
    expected = model.layers[0].edge_values(torch.tensor(u)[:, None].expand(-1, 2))[:, 1, 2]
    np.testing.assert_allclose(v, expected.detach(), atol=1e-6)
    assert ax.get_xlabel() == "speed"
    assert sorted(ax.get_lines()[1].get_xdata()) == sorted(x[:, 1].tolist())


def test_plot_edge_finds_layers_inside_any_module():
    model = nn.Sequential(nn.Linear(3, 2), nn.Sequential(KANLinear(2, 2), nn.ReLU()))
    x = torch.rand(10, 3)
    seen = model[0](x).detach()
    for layer in (0, "1.0"):
        u = plot_edge(model, x, (layer, 0, 1)).axes[0].get_lines()[0].get_xdata()
        assert u[0] == pytest.approx(seen[:, 0].min().item())
    with pytest.raises(ValueError, match=r"no KAN layer 'none'; it has '1\.0'"):
        plot_edge(model, x, ("none", 0, 0))
    with pytest.raises(ValueError, match="2 inputs and 2 outputs, no edge"):
        plot_edge(model, x, (0, 0, 2))


@pytest.mark.usefixtures("as_a_user")
def test_plot_edge_says_how_an_edge_is_given():
    with pytest.raises(TypeError, match=r"an edge is \(layer, source, target\)"):
        plot_edge(make([2, 1]), None, 0)


def test_plot_edge_refuses_an_absent_edge_and_names_a_symbol():
    model = with_symbol()
    assert "sin" in plot_edge(model, None, (0, 1, 0)).axes[0].get_title()
    model = KANLinear.assemble(
        model.basis, model.residual, coef=model.coef, grid=model.grid, mask=model.mask, bias=None
    )
    with pytest.raises(ValueError, match="absent"):
        plot_edge(model, None, (0, 1, 0))


def test_plot_edges_has_one_chart_per_edge_of_the_same_height():
    figure = plot_edges(make([3, 2, 1]), None, 0)
    assert len(figure.axes) == 6
    heights = [high - low for low, high in (ax.get_ylim() for ax in figure.axes)]
    np.testing.assert_allclose(heights, heights[0])
    assert len(plot_edges(make([3, 2, 1]), None, 0, limit=4, same_scale=False).axes) == 4


def test_plot_history_draws_every_value():
    records = [{"step": 10 * n, "loss": 1 / (n + 1), "note": "text", "stage": n // 3} for n in range(6)]
    records[2]["validation"] = 0.5
    records[4]["validation"] = float("nan")
    ax = plot_history(records).axes[0]
    curves = {line.get_label(): line.get_xydata().tolist() for line in ax.get_lines() if line.get_label()[0] != "_"}
    assert curves["loss"] == [[r["step"], r["loss"]] for r in records]
    assert curves["validation"] == [[20, 0.5]]
    assert set(curves) == {"loss", "validation"}
    assert ax.get_yscale() == "log"
    assert plot_history([{"loss": -1.0}, {"loss": 2.0}]).axes[0].get_yscale() == "linear"
    with pytest.raises(ValueError, match="history is empty"):
        plot_history([])


def test_plot_importance_orders_the_inputs():
    scores = {"layers.0": torch.tensor([[1.0, 0.5], [3.0, 1.0], [0.0, 0.25]])}
    ax = plot_importance(make([3, 2]), scores=scores, input_names=["a", "b", "c"], limit=2).axes[0]
    assert [bar.get_width() for bar in ax.patches] == [4.0, 1.5]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["b", "a"]
