r"""A network diagram as data: the positions of its nodes and the curve on every edge, ready to be rendered.

The first node column is at x = 0 and y points down; the value of a node is

$$ v = b + \sum_{e \to v} \phi_e(x_e) \ \text{(sum, factor)}, \qquad v = b + s\prod_{f \to v} f \ \text{(product)}, $$

with $\phi_e$ sampled in `Edge.x`, `Edge.y` and $b$, $s$ in `Node`: a `Diagram` holds all of the network that it draws.
Where an edge touches an input or an output it is in the user's units, as the model's own affine maps define them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from edgewise._shown import shown
from edgewise.stored import read_fields

BOX_WIDTH, BOX_HEIGHT = 1.25, 0.8


@dataclass(frozen=True)
class Node:
    """A node at (x, y).

    Attributes:
        layer: 0 for the inputs, n for what the n-th layer of curves computes.
        index: its index in that layer; factors count as the layer's sums do.
        kind: "input", "sum", "product", or "factor", a sum that only feeds a product.
        name: of an input or output; empty between them.
        bias: what is added to the sum or product.
        scale: the factor of a product: the unit of an output.
        product: the index of the product that a factor feeds.
    """

    layer: int
    index: int
    kind: Literal["input", "sum", "product", "factor"]
    x: float
    y: float
    name: str = ""
    bias: float = 0.0
    scale: float = 1.0
    product: int | None = None


@dataclass(frozen=True)
class Edge:
    r"""An edge that is a curve or a symbol, with its box centred at (left + width / 2, top + height / 2).

    Attributes:
        layer: index of the layer of curves, from 0.
        source: index of its node in node layer `layer`.
        target: index of its sum or factor in node layer `layer + 1`.
        kind: who owns the edge; absent edges are not listed.
        score: importance as given to `diagram`.
        importance: score over the largest of its layer, 0 to 1.
        x: where the curve is sampled, rising.
        y: its values there; None where it is not finite.
        center: the middle of its box.
        symbol: name of the function $f$ of a symbol.
        affine: $(\alpha, \beta, \gamma, \delta)$ with $y = \gamma f(\alpha x + \beta) + \delta$ for a symbol.
        band: lower and upper values of a confidence band.
    """

    layer: int
    source: int
    target: int
    kind: Literal["curve", "symbol"]
    score: float
    importance: float
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    center: tuple[float, float]
    symbol: str | None = None
    affine: tuple[float, float, float, float] | None = None
    band: tuple[tuple[float, ...], tuple[float, ...]] | None = None


@shown
@dataclass(frozen=True)
class Diagram:
    """A drawable network.

    Attributes:
        nodes: every node that is drawn.
        edges: every edge that is drawn.
        layers: the module names of the layers of curves.
        widths: nodes per layer of the network, drawn or not.
        width: x of the last node column.
        height: y of the lower end; everything lies between 0 and it.
        omitted: edges that exist but were left out because there are too many.
        absent: edges that the network does not have.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    layers: tuple[str, ...]
    widths: tuple[int, ...]
    width: float
    height: float
    omitted: int = 0
    absent: int = 0

    def source(self, edge: Edge) -> Node:
        """The node where an edge begins."""
        return self._lookup[edge.layer, edge.source, False]

    def target(self, edge: Edge) -> Node:
        """The sum or factor where an edge ends."""
        return self._lookup[edge.layer + 1, edge.target, True]

    def product(self, factor: Node) -> Node:
        """The product that a factor feeds."""
        assert factor.product is not None
        return self._lookup[factor.layer, factor.product, False]

    def edge(self, key: tuple[int | str, int, int]) -> Edge:
        """One edge, by the index of its layer; `KeyError` where it is absent or omitted."""
        for edge in self.edges:
            if (edge.layer, edge.source, edge.target) == key:
                return edge
        layer, source, target = key
        raise KeyError(f"the diagram has no edge (layer={layer}, source={source}, target={target})")

    def with_band(self, edge: Edge, lower: Sequence[float], upper: Sequence[float]) -> Diagram:
        """The diagram with a confidence band at the samples of one of its edges."""
        if not len(lower) == len(upper) == len(edge.x):
            raise ValueError(f"the band needs {len(edge.x)} values, one per sample of the edge; got {len(lower)}")
        band = tuple(map(float, lower)), tuple(map(float, upper))
        edges = tuple(dataclasses.replace(e, band=band) if e == edge else e for e in self.edges)
        return dataclasses.replace(self, edges=edges)

    def note(self) -> str:
        """What is not drawn, in words; empty where everything is."""
        drawn, notes = len(self.edges), []
        if self.omitted:
            notes.append(f"the {drawn} most important of {drawn + self.omitted} edges are drawn")
        missing = self.widths[0] - sum(node.layer == 0 for node in self.nodes)
        if missing:
            notes.append(f"{missing} of {self.widths[0]} inputs are not drawn")
        return "; ".join(notes)

    def __str__(self) -> str:
        symbols = sum(edge.kind == "symbol" for edge in self.edges)
        counts = f"{len(self.edges) - symbols} curves and {symbols} symbols"
        return "\n".join(filter(None, [f"a diagram of widths {list(self.widths)}: {counts}", self.note()]))

    def to_json(self) -> dict[str, Any]:
        """A JSON object, read back by `from_json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Diagram:
        """The diagram that `to_json` described; `ValueError` where a kind or an index is something else."""
        read = read_fields(cls, data, "a diagram")
        for edge in read.edges:
            if {(edge.layer, edge.source, False), (edge.layer + 1, edge.target, True)} - set(read._lookup):
                raise ValueError(f"a diagram has no nodes for its edge {(edge.layer, edge.source, edge.target)}")
            sides = (edge.y, *(edge.band or ()))
            if any(len(side) != len(edge.x) for side in sides):
                raise ValueError(f"the curve of the edge {(edge.layer, edge.source, edge.target)} is not whole")
        return read

    def _repr_svg_(self) -> str:
        return NOTEBOOK_RENDERERS["svg"](self)

    def _repr_html_(self) -> str:
        return NOTEBOOK_RENDERERS["html"](self)

    @cached_property
    def _lookup(self) -> dict[tuple[int, int, bool], Node]:
        """Nodes by (layer, index, takes edges): a sum both takes and gives, a factor takes, the others give."""
        takes = {(n.layer, n.index, True): n for n in self.nodes if n.kind in ("sum", "factor")}
        gives = {(n.layer, n.index, False): n for n in self.nodes if n.kind != "factor"}
        return takes | gives


NOTEBOOK_RENDERERS: dict[str, Callable[[Diagram], str]] = {}
"""How notebooks show a diagram: `edgewise.viz` enters its renderers, so that the data imports no drawing."""
